"""Lists of archives: which files of them are read, and what becomes of those that are not there."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.sources.archive_list import Take, is_list, is_name, listed
from pipelines.sources.files import SourceError
from pipelines.sources.record import Failure, Record
from pipelines.sources.warc import WarcSource
from tests.pipelines.sources.test_archive_index import record_of

SEGMENT = "crawl-data/CC-MAIN-2024-22/segments/1715971057216.39"
NAMES = [f"{SEGMENT}/warc/CC-MAIN-20240517233122-20240518023122-{number:05}.warc.gz" for number in range(30)]
OTHER = [name.replace("1715971057216.39", "1715971057327.58") for name in NAMES]


def _list(path: Path, names: list[str]) -> Path:
    path.write_bytes(gzip.compress("".join(f"{name}\n" for name in names).encode()))
    return path


def _archives(base: Path, names: list[str]) -> None:
    for number, name in enumerate(names):
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_bytes(b"".join(gzip.compress(record_of(10 * number + part, 900)) for part in range(3)))


def test_a_segment_and_some_of_its_files(tmp_path: Path) -> None:
    path = _list(tmp_path / "warc.paths.gz", NAMES + OTHER + NAMES[:5])

    def chosen(take: Take) -> list[str]:
        return [file.name for file in listed(path, tmp_path, take, "paths_file")]

    assert is_list(path)
    assert chosen(Take()) == NAMES + OTHER
    assert chosen(Take(match="*/segments/1715971057216.39/*")) == NAMES
    assert chosen(Take(match="*/1715971057327.58/*", first=3)) == OTHER[:3]
    sample = chosen(Take(sample=7))
    assert len(sample) == 7
    assert sample == [name for name in NAMES + OTHER if name in sample]
    assert sample == chosen(Take(sample=7))
    assert sample != chosen(Take(sample=7, seed=1))
    with pytest.raises(FileNotFoundError, match=r"warc\.paths\.gz: none of its 60 names is chosen by 'x\*'"):
        chosen(Take(match="x*"))
    with pytest.raises(ValueError, match="either 'first' or 'sample'"):
        Take(first=1, sample=1)


@given(st.lists(st.text("abc/", min_size=1), unique=True), st.integers(1, 20), st.integers(0, 5), st.text("xyz"))
def test_a_longer_list_changes_a_sample_by_what_is_new(names: list[str], count: int, seed: int, new: str) -> None:
    take = Take(sample=count, seed=seed)
    before, after = take.of(names), take.of([*names, new])
    assert len(before) == min(count, len(names))
    assert set(after) - set(before) <= {new}
    assert set(take.of(names[::-1])) == set(before)


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x", "s3://b/x", "file:x", "", "a\0b"])
def test_names_stay_below_their_base(name: str, tmp_path: Path) -> None:
    assert not is_name(name)
    path = tmp_path / "a.paths"
    path.write_text(f"good.warc.gz\n{name}\n")
    if name:
        with pytest.raises(SourceError, match=r"a\.paths, line 2: .* is no name below a base"):
            listed(path, tmp_path, Take(), "paths_file")


def test_a_damaged_list_starts_nothing(tmp_path: Path) -> None:
    path = _list(tmp_path / "warc.paths.gz", NAMES)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SourceError, match=r"not a whole list of paths \(byte \d+: the file ends inside a gzip stream"):
        listed(path, tmp_path, Take(), "paths_file")
    (tmp_path / "empty.paths").touch()
    with pytest.raises(FileNotFoundError, match=r"none\.paths: no such list of paths \(paths_file\)"):
        listed(tmp_path / "none.paths", tmp_path, Take(), "paths_file")
    with pytest.raises(FileNotFoundError, match="the list is empty"):
        listed(tmp_path / "empty.paths", tmp_path, Take(), "paths_file")


def test_listed_files_are_read_and_missing_ones_counted(tmp_path: Path) -> None:
    _archives(tmp_path, [*NAMES[:2], *NAMES[3:5]])
    path = _list(tmp_path / "warc.paths.gz", NAMES)
    source = WarcSource(name="cc", paths_file=path, base=tmp_path, take=Take(first=5))
    units = source.units()
    assert [unit.name for unit in units] == NAMES[:5]
    outcomes = [one for unit in units for one in source.read(unit)]
    assert sum(isinstance(one, Record) for one in outcomes) == 12
    (failure,) = [one for one in outcomes if isinstance(one, Failure)]
    assert (failure.reason, failure.uri) == ("missing-file", NAMES[2])
    _archives(tmp_path, NAMES[:5])
    after = source.units()
    assert [one.digest == two.digest for one, two in zip(units, after, strict=True)] == [
        True,
        True,
        False,
        False,
        False,
    ]
    split = WarcSource(name="cc", paths_file=path, base=tmp_path, take=Take(first=5), split_bytes=1000)
    assert [one for unit in split.units() for one in split.read(unit)] == [
        one for unit in after for one in source.read(unit)
    ]
