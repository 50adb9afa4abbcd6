from __future__ import annotations

import gzip
import hashlib
import io
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.sources.archive import borders
from pipelines.sources.archive_outcomes import ArchiveReader
from pipelines.sources.record import Failure, Outcome, Record, Unit
from pipelines.sources.split import ArchiveFile, archive_units, spans_of
from pipelines.sources.warc import WarcSource

TYPES = ("text/html", "text/plain")


def _record(number: int, body: bytes, kind: bytes = b"response") -> bytes:
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + body
    head = b"WARC/1.1\r\nWARC-Type: %s\r\nWARC-Target-URI: http://h.test/%d\r\n" % (kind, number)
    return head + b"Content-Length: %d\r\n\r\n%s\r\n\r\n" % (len(block), block)


def _arc(number: int, body: bytes) -> bytes:
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + body
    return b"http://h.test/arc%d 1.2.3.4 20200102030405 text/html %d\n%s\n" % (number, len(block), block)


def _units(path: Path, split_bytes: int) -> list[Unit]:
    return archive_units([ArchiveFile(path, path.name)], split_bytes)


def _read(path: Path, units: list[Unit]) -> list[Outcome]:
    source = WarcSource(name="w", paths=(path,), content_types=TYPES)
    return [outcome for unit in units for outcome in source.read(unit)]


def _whole(path: Path) -> list[Outcome]:
    return list(ArchiveReader(path.name, content_types=TYPES).read(path))


@st.composite
def _body(draw: st.DrawFn) -> bytes:
    """Short or long, compressible or not, honest or made to look like what a reader searches for."""
    number = draw(st.integers(0, 99))
    noise = random.Random(number).randbytes(draw(st.sampled_from([0, 30, 5_000, 70_000, 150_000])))
    quoted = _record(900, b"quoted")
    inner = draw(st.sampled_from([b"", quoted, gzip.compress(quoted, 0, mtime=0), _arc(902, b"quoted")]))
    return noise[: len(noise) // 2] + inner + noise[len(noise) // 2 :] + draw(st.sampled_from([b"", b"<p>" * 3000]))


@st.composite
def _archive(draw: st.DrawFn) -> bytes:
    """An archive as found in the world: good, damaged, nested, joined from pieces, cut off."""
    packed = draw(st.booleans())
    level = draw(st.sampled_from([0, 1, 6]))  # 0 and noise: content is in the file as it is
    pieces: list[bytes] = []
    for number in range(draw(st.integers(1, 7))):
        make = draw(st.sampled_from([_record, _record, _record, _arc]))
        record = make(number, draw(_body()))
        shape = draw(st.sampled_from(["one", "one", "one", "two", "halves", "joined", "rubbish", "padded", "long"]))
        if shape == "long":  # a length that swallows what follows
            record = record.replace(b"Content-Length: ", b"Content-Length: 9", 1)
        if not packed:
            pieces.append({"rubbish": record + b"no record\r\nat all", "halves": record[: len(record) // 2]}.get(
                shape, record))  # fmt: skip
        elif shape == "two":
            pieces.append(gzip.compress(record + _record(100 + number, b"second"), level, mtime=0))
        elif shape == "halves":  # a record in two members
            half = draw(st.integers(1, len(record) - 1))
            pieces += [gzip.compress(record[:half], level, mtime=0), gzip.compress(record[half:], level, mtime=0)]
        elif shape == "joined":  # an empty member, and one of line ends only
            pieces += [gzip.compress(record, level, mtime=0), gzip.compress(b""), gzip.compress(b"\r\n\r\n")]
        elif shape == "rubbish":
            pieces += [gzip.compress(record, level, mtime=0), b"rubbish" * draw(st.integers(1, 2000))]
        elif shape == "padded":
            pieces += [gzip.compress(record, level, mtime=0), bytes(draw(st.integers(1, 70_000)))]
        else:
            pieces.append(gzip.compress(record, level, mtime=0))
    data = bytearray(b"".join(pieces))
    for _ in range(draw(st.integers(0, 3))):  # overwritten bytes
        at = draw(st.integers(0, len(data) - 1))
        data[at : at + 9] = draw(st.binary(min_size=1, max_size=9))
    return bytes(data[: draw(st.integers(1, len(data)))] if draw(st.booleans()) else data)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(_archive(), st.integers(1, 200_000))
def test_units_together_give_what_the_file_gives(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, split_bytes: int
) -> None:
    path = tmp_path_factory.mktemp("split") / "a.warc.gz"
    path.write_bytes(data)
    expected = _whole(path)
    for size in (1, split_bytes):
        units = _units(path, size)
        assert _read(path, units) == expected
        assert units == _units(path, size)
        assert sum(unit.bytes for unit in units) == len(data)
        assert len({unit.digest for unit in units}) == len({unit.name for unit in units}) == len(units)
    digest, _ = spans_of(path, len(data), split_bytes)
    assert digest == hashlib.sha256(data).hexdigest()
    path.unlink()


@pytest.mark.parametrize("first", [b"\0", b"x", bytes(12)], ids=["zero", "letter", "header"])
def test_a_file_with_a_damaged_beginning_is_still_gzip_in_each_unit(tmp_path: Path, first: bytes) -> None:
    path = tmp_path / "a.warc.gz"
    path.write_bytes(first + _honest(20, 1000, True)[len(first) :])
    units = _units(path, 3000)
    assert len(units) > 4
    outcomes = _read(path, units)
    assert outcomes == _whole(path)
    assert [isinstance(outcome, Failure) for outcome in outcomes] == [True, *[False] * 19]


def _honest(count: int, size: int, packed: bool) -> bytes:
    noise = random.Random(7)
    records = [_record(number, noise.randbytes(size)) for number in range(count)]
    return b"".join(gzip.compress(record, 1, mtime=0) if packed else record for record in records)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_units_of_a_large_file_are_of_about_equal_size(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "a.warc"
    path.write_bytes(_honest(120, 10_000, packed))
    units = _units(path, 250_000)
    assert len(units) == 5
    assert max(unit.bytes for unit in units) < 1.2 * min(unit.bytes for unit in units)
    counts = [len(_read(path, [unit])) for unit in units]
    assert sum(counts) == 120
    assert max(counts) - min(counts) <= 2
    assert units[0].name == "a.warc@0"
    (whole,) = _units(path, path.stat().st_size)
    assert (whole.name, whole.digest) == ("a.warc", hashlib.sha256(path.read_bytes()).hexdigest())


def test_one_changed_byte_changes_every_unit_of_its_file_and_of_no_other(tmp_path: Path) -> None:
    first, second = tmp_path / "1.warc", tmp_path / "2.warc"
    for path in (first, second):
        path.write_bytes(_honest(30, 1000, False))
    source = WarcSource(name="w", paths=(first, second), split_bytes=10_000)
    before = source.units()
    data = bytearray(first.read_bytes())
    data[-20] ^= 1
    first.write_bytes(bytes(data))
    after = source.units()
    assert [old.digest != new.digest for old, new in zip(before, after, strict=True)] == [
        old.name.startswith("1.warc") for old in before
    ]


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_content_that_looks_like_records_is_never_a_border(tmp_path: Path, packed: bool) -> None:
    """Deflate stores what does not get smaller as it is: whole members stand in the file that are nobody's records."""
    trap = b"".join(gzip.compress(_record(number, b"trap"), 0, mtime=0) for number in range(2000))
    trap = random.Random(1).randbytes(5000) + trap if packed else trap + _record(5, b"trap") * 2000
    body = trap + random.Random(2).randbytes(5000)
    records = [_record(number, body) for number in range(3)]
    path = tmp_path / "a.warc"
    path.write_bytes(b"".join(gzip.compress(record, 0, mtime=0) if packed else record for record in records))
    assert path.read_bytes().count(b"WARC-Target-URI: http://h.test/5") >= 3
    units = _units(path, 20_000)
    outcomes = _read(path, units)
    assert len(units) == 3
    assert [outcome.content for outcome in outcomes] == [body] * 3
    assert outcomes == _whole(path)


def test_a_file_that_is_one_member_is_one_unit(tmp_path: Path) -> None:
    path = tmp_path / "a.warc.gz"
    path.write_bytes(gzip.compress(_honest(50, 1000, False)))
    (unit,) = _units(path, 1000)
    assert unit.name == "a.warc.gz"
    assert len(_read(path, [unit])) == 50


def test_damage_far_from_a_border_is_reported_once_and_in_its_unit(tmp_path: Path) -> None:
    data = bytearray(_honest(200, 2000, True))
    middle = len(data) // 2
    data[middle : middle + 50] = bytes(50)
    path = tmp_path / "a.warc.gz"
    path.write_bytes(data)
    units = _units(path, 20_000)
    assert len(units) > 15
    failures = [
        (unit, outcome) for unit in units for outcome in _read(path, [unit]) if isinstance(outcome, Failure)
    ]  # fmt: skip
    ((unit, failure),) = failures
    assert failure.reason == "damaged-archive"
    start = int(unit.name.partition("@")[2])
    assert start <= failure.evidence["offset"] < start + unit.bytes
    assert failure.evidence["file"] == "a.warc.gz"


def test_each_byte_is_read_from_disk_about_once(tmp_path: Path) -> None:
    data = _honest(300, 3000, True)

    class Counted(io.BytesIO):
        taken = 0

        def read(self, count: int | None = -1, /) -> bytes:
            piece = super().read(count)
            Counted.taken += len(piece)
            return piece

    class Opened(type(tmp_path)):  # type: ignore[misc]
        def open(self, *_: Any, **__: Any) -> Any:
            return Counted(data)

    digest, spans = spans_of(Opened(tmp_path / "a"), len(data), 100_000)
    assert digest == hashlib.sha256(data).hexdigest()
    assert len(spans) == -(-len(data) // 100_000)
    assert Counted.taken == len(data)


@pytest.mark.data
def test_found_archives_split_at_every_border(pomona_data: Path, tmp_path: Path) -> None:
    cut = 0
    for file in sorted((pomona_data / "warc").glob("*/*")):
        units = _units(file, 1)
        assert _read(file, units) == _whole(file), file.name
        cut += len(units)
    assert cut > 1000


def test_a_stretch_without_records_has_no_borders() -> None:
    data = _record(1, b"x") + b"\n".join(b"line %d" % number for number in range(5000)) + b"\n" + _record(2, b"y")
    found = [border for border, _ in borders(io.BytesIO(data))]
    assert found
    assert all(border <= len(_record(1, b"x")) for border in found)


def test_records_left_out_change_only_the_unit_that_holds_them(tmp_path: Path) -> None:
    path = tmp_path / "a.warc.gz"
    path.write_bytes(_honest(40, 1000, True))
    whole = _whole(path)
    gone = whole[25]
    assert isinstance(gone, Record)
    file = ArchiveFile(path, path.name, without=(gone.metadata["offset"],))
    before, after = _units(path, 10_000), archive_units([file], 10_000)
    assert [unit.name for unit in before] == [unit.name for unit in after]
    assert sum(old.digest != new.digest for old, new in zip(before, after, strict=True)) == 1
    assert _read(path, after) == [*whole[:25], *whole[26:]]
