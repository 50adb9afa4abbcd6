"""`.gitattributes`: patterns as `git check-attr` (2.39) reads them, and what files of a repository become by them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.sources.code.attributes import NAME, AttributeFiles
from pipelines.sources.code.folder_tree import FolderTree
from pipelines.sources.code.tree import walk
from pipelines.sources.record import Record

from .conftest import TEXTS, commit, read, reasons, source, write

MIT = TEXTS["MIT"].encode()
CODE = b"def add(left, right):\n    return left + right\n"
PATHS = ["a.py", "x/a.py", "x/y/a.py", "gen/b.py", "x/gen/b.py", "gen/y/c.py", "ab", "a]b.c", "A.PY", "x/b c.py", "[a"]
# Pattern -> the paths that git finds it to fit (git check-attr linguist-generated --stdin).
FITS = {
    "*.py": ["a.py", "x/a.py", "x/y/a.py", "gen/b.py", "x/gen/b.py", "gen/y/c.py", "x/b c.py"],
    "/*.py": ["a.py"],
    "x/*.py": ["x/a.py", "x/b c.py"],
    "x/**": ["x/a.py", "x/y/a.py", "x/gen/b.py", "x/b c.py"],
    "**/gen/*": ["gen/b.py", "x/gen/b.py"],
    "gen/**/*.py": ["gen/b.py", "gen/y/c.py"],
    "x/**/a.py": ["x/a.py", "x/y/a.py"],
    "gen": [],
    "gen/": [],
    "a?": ["ab"],
    "[ab]*.py": ["a.py", "x/a.py", "x/y/a.py", "gen/b.py", "x/gen/b.py", "x/b c.py"],
    "[!a]*": ["gen/b.py", "x/gen/b.py", "gen/y/c.py", "A.PY", "x/b c.py", "[a"],
    "[a-c].py": ["a.py", "x/a.py", "x/y/a.py", "gen/b.py", "x/gen/b.py", "gen/y/c.py"],
    "a[]]b.c": ["a]b.c"],
    r"\[a": ["[a"],
    '"b c.py"': ["x/b c.py"],
    "!*.py": [],
    "y/a.py": [],
}


@pytest.mark.parametrize("pattern", FITS)
def test_patterns(tmp_path: Path, pattern: str) -> None:
    files = dict.fromkeys(PATHS, b"x\n")
    write(tmp_path, {**files, ".gitattributes": f"{pattern} linguist-generated\n".encode()})
    tree = FolderTree(tmp_path)
    said = AttributeFiles(tree)
    fits: list[str] = []
    for folder in walk(tree):
        said.enter(folder.parts, folder.children or [])
        fits += ["/".join(parts) for parts, _, _ in folder.files() if said.of(parts).traits and parts[-1] != NAME]
    assert sorted(fits) == sorted(FITS[pattern])


def test_what_is_stated_stands_above_what_is_seen(tmp_path: Path) -> None:
    commit(
        tmp_path / "r",
        {
            "LICENSE": MIT,
            ".gitattributes": b"# ours\nvendor/own/** -linguist-vendored\n*.pyx.py linguist-generated=true\n"
            b"*.inc linguist-language=C++ text\n*.tmpl linguist-language=none-such\n",
            "vendor/other/a.py": CODE,
            "vendor/own/a.py": CODE,
            "deep/.gitattributes": b"*.pyx.py !linguist-generated\nmade.py linguist-generated -diff\n",
            "deep/b.pyx.py": CODE,
            "deep/made.py": CODE,
            "b.pyx.py": CODE,
            "c.inc": b"int add(int left, int right) { return left + right; }\n",
        },
    )
    found = read(source(paths=[tmp_path / "r"]))
    told = {path.partition("/HEAD/")[2]: why for path, why in reasons(found).items()}
    assert told["vendor/other/a.py"] == "vendored-file"
    assert told["b.pyx.py"] == told["deep/made.py"] == "generated-file"
    assert told["vendor/own/a.py"] == told["deep/b.pyx.py"] == told["c.inc"] == "kept"
    assert {one.metadata["language"] for one in found if isinstance(one, Record)} == {"Python", "C++"}


def test_attributes_of_one_part_decide_on_files_of_another(tmp_path: Path) -> None:
    files = {"LICENSE": MIT, **{f"z/{name}.py": CODE * 40 for name in "abcdef"}}
    write(tmp_path / "r", {**files, ".gitattributes": b"b.py linguist-generated\n"})
    cut = source(paths=[tmp_path / "r"], split_bytes=2000)
    before = {unit.name: unit.digest for unit in cut.units()}
    assert len(before) > 3
    assert [path for path, why in reasons(read(cut)).items() if why == "generated-file"] == ["z/b.py"]
    write(tmp_path / "r", {".gitattributes": b"f.py linguist-generated\n"})
    after = {unit.name: unit.digest for unit in cut.units()}
    assert all(before[name] != after[name] for name in before)
