from __future__ import annotations

import io
import itertools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.sources.files import Found, exists, files_of, find, grouped
from pipelines.sources.licence_statement import spdx
from pipelines.sources.lines import line_spans, lines_between


def _tree(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def test_files_folders_and_patterns(tmp_path: Path) -> None:
    root = _tree(tmp_path, "a.txt", "b.txt.gz", "c.pdf", "sub/a.txt", "sub/deep/d.txt", ".git/e.txt", "x[1].txt")
    assert [found.name for found in find([root], [".txt"], "f")] == [
        "a.txt", "b.txt.gz", "sub/a.txt", "sub/deep/d.txt", "x[1].txt",
    ]  # fmt: skip
    assert [found.name for found in find([root / "*.txt"], [], "f")] == ["a.txt", "x[1].txt"]
    assert [found.name for found in find([root / "**/*.txt"], [], "f")] == [
        ".git/e.txt", "a.txt", "sub/a.txt", "sub/deep/d.txt", "x[1].txt",
    ]  # fmt: skip
    assert [found.name for found in find([root / "sub/[!x].txt"], [], "f")] == ["a.txt"]
    # A file whose name looks like a pattern is that file; one name in two places is told apart.
    assert [found.name for found in find([root / "x[1].txt", root / "c.pdf"], [], "f")] == ["x[1].txt", "c.pdf"]
    assert [found.name for found in find([root / "a.txt", root / "sub"], [".txt"], "f")] == [
        "a.txt", "a.txt~2", "deep/d.txt",
    ]  # fmt: skip
    assert exists(root / "*.pdf")
    assert not exists(root / "*.doc")


def test_paths_that_lead_nowhere_are_named(tmp_path: Path) -> None:
    _tree(tmp_path, "a.txt")
    for path, said in ((tmp_path / "no", "no such file"), (tmp_path / "*.x", "no file matches"), (tmp_path, ".epub")):
        with pytest.raises(FileNotFoundError, match=said) as error:
            find([path], [".epub"], "sources.books.paths")
        assert "sources.books.paths" in str(error.value)


def test_one_file_more_changes_one_unit(tmp_path: Path) -> None:
    _tree(tmp_path, *(f"{number:04d}.txt" for number in range(400)))
    before = grouped(find([tmp_path], [".txt"], "f"))
    _tree(tmp_path, "0200a.txt")
    after = grouped(find([tmp_path], [".txt"], "f"))
    assert 1 < len(before) < 40
    assert sum(len(files_of(unit.payload)) for unit in after) == 401
    assert len({unit.digest for unit in after} - {unit.digest for unit in before}) == 1
    assert len({unit.name for unit in after}) == len(after)


def test_units_hold_about_so_many_bytes(tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / f"{number}.txt").write_bytes(bytes(400))
    units = grouped([Found(tmp_path / f"{number}.txt", f"{number}.txt") for number in range(9)], about=1000)
    assert all(unit.bytes <= 1000 for unit in units)
    assert sum(unit.bytes for unit in units) == 3600


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from([b"line", b"", b"a longer line " * 5, b"---", b"\r"]), max_size=60),
    st.integers(1, 200),
    st.booleans(),
    st.booleans(),
)
def test_spans_together_are_the_file(tmp_path: Path, lines: list[bytes], about: int, ended: bool, marked: bool) -> None:
    data = b"\n".join(lines) + (b"\n" if ended else b"")
    path = tmp_path / "file"
    path.write_bytes(data)

    def ends(line: bytes) -> bool:
        return line.strip() == b"---"

    spans = line_spans(path, len(data), about, ends if marked else None)
    assert spans[0][0] == 0
    assert spans[-1][1] == len(data)
    assert all(left[1] == right[0] for left, right in itertools.pairwise(spans))
    whole = list(lines_between(io.BytesIO(data), 0, None, 1000))
    parts = [
        found
        for start, end in spans
        for found in lines_between(io.BytesIO(data[start:]), start, end, 1000)
    ]  # fmt: skip
    assert parts == whole
    assert b"".join(line or b"" for _, line, _ in whole) == data
    if marked:
        for start, _ in spans[1:]:
            assert ends(data[:start].splitlines(keepends=True)[-1])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=10), st.integers(1, 20))
def test_long_lines_are_measured_and_not_held(lengths: list[int], most: int) -> None:
    data = b"".join(b"x" * length + b"\n" for length in lengths)
    found = list(lines_between(io.BytesIO(data), 0, None, most))
    assert [length for _, _, length in found] == [length + 1 for length in lengths]
    assert [line is None for _, line, _ in found] == [length + 1 > most for length in lengths]


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ("https://creativecommons.org/licenses/by-sa/4.0/", "CC-BY-SA-4.0"),
        ("http://creativecommons.org/licenses/by/3.0/de/deed.de", "CC-BY-3.0-DE"),
        ("Published under http://creativecommons.org/publicdomain/zero/1.0/ by us.", "CC0-1.0"),
        ("CC BY-SA 3.0", "CC-BY-SA-3.0"),
        ("cc-by-nc-nd-4.0", "CC-BY-NC-ND-4.0"),
        ("Creative Commons Attribution-ShareAlike 4.0 International", "CC-BY-SA-4.0"),
        ("Creative Commons Attribution-NonCommercial 2.0", "CC-BY-NC-2.0"),
        ("CC0", "CC0-1.0"),
        ("mit", "MIT"),
        ("Apache License 2.0", "Apache-2.0"),
        ("MIT OR Apache-2.0", "MIT OR Apache-2.0"),
        ("creativecommons.org/licenses/by/4.0 or creativecommons.org/licenses/by-nc/4.0", None),
        ("All rights reserved", None),
        ("see LICENSE", None),
        ("", None),
    ],
)
def test_statements_of_licences(said: str, means: str | None) -> None:
    assert spdx(said) == means
