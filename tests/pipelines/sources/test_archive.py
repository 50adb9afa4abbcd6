from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.sources.archive import ArchiveRecord, Damage, read_archive

LIMIT = 1 << 24


def _warc(number: int, body: bytes) -> bytes:
    head = b"WARC/1.1\r\nWARC-Type: response\r\nWARC-Target-URI: <http://h.test/%d>\r\n" % number
    return head + b"Content-Length: %d\r\n\r\n%s\r\n\r\n" % (len(body), body)


BODIES = [b"first", b"second\r\n\r\nWARC/ is a word here", bytes(range(256)) * 40, b""]
RECORDS = [_warc(number, body) for number, body in enumerate(BODIES)]
PLAIN = b"".join(RECORDS)
PACKED = b"".join(gzip.compress(record, mtime=0) for record in RECORDS)


def _read(data: bytes, limit: int = LIMIT) -> tuple[list[ArchiveRecord], list[Damage]]:
    found = list(read_archive(io.BytesIO(data), limit))
    records = [item for item in found if isinstance(item, ArchiveRecord)]
    return records, [item for item in found if isinstance(item, Damage)]


@pytest.mark.parametrize("data", [PLAIN, PACKED, gzip.compress(PLAIN)], ids=["plain", "member-a-record", "one-member"])
def test_records_in_order(data: bytes) -> None:
    records, damage = _read(data)
    assert [record.block for record in records] == BODIES
    assert [record.uri for record in records] == [f"http://h.test/{number}" for number in range(4)]
    assert damage == []


def test_offsets_are_those_of_the_stored_file() -> None:
    starts = [sum(map(len, RECORDS[:number])) for number in range(4)]
    assert [record.offset for record in _read(PLAIN)[0]] == starts
    for record in _read(PACKED)[0]:
        again, _ = _read(PACKED[record.offset :])
        assert again[0].block == record.block


def test_long_block_is_passed_over() -> None:
    for data in (PLAIN, PACKED):
        records, damage = _read(data, limit=100)
        assert [record.block for record in records] == [*BODIES[:2], None, BODIES[3]]
        assert records[2].length == len(BODIES[2])
        assert damage == []


@settings(max_examples=120, deadline=None)
@given(st.booleans(), st.integers(0, len(PLAIN)))
def test_cut_anywhere_everything_before_is_there_and_the_cut_is_reported(packed: bool, cut: int) -> None:
    pieces = [gzip.compress(record, mtime=0) for record in RECORDS] if packed else RECORDS
    data = b"".join(pieces)
    cut = min(cut, len(data))
    ends = [sum(map(len, pieces[: number + 1])) for number in range(4)]
    records, damage = _read(data[:cut])
    blocks = [record.block for record in records]
    whole = sum(end <= cut for end in ends)
    assert blocks[:whole] == BODIES[:whole]
    assert len(records) - whole in (0, 1), "a record without its closing line ends is still whole"
    clean = cut in (0, *ends) or (not packed and len(records) > whole)
    assert len(damage) == (0 if clean and cut else 1)
    if damage:
        assert 0 <= damage[0].offset <= cut


@pytest.mark.slow
@settings(max_examples=120, deadline=None)
@given(st.booleans(), st.integers(0, len(PLAIN) - 1), st.binary(min_size=1, max_size=12))
def test_overwritten_bytes_lose_only_what_they_touch(packed: bool, at: int, rubbish: bytes) -> None:
    data = bytearray(PACKED if packed else PLAIN)
    at = min(at, len(data) - len(rubbish))
    data[at : at + len(rubbish)] = rubbish
    if not packed and any(word in bytes(data[: at + 40]) for word in (b"Content-Length: ",)):
        # A changed length can swallow what follows; that the reader ends and reports is all that can be asked.
        _read(bytes(data))
        return
    records, damage = _read(bytes(data))
    untouched = 0
    start = 0
    for record, body in zip([gzip.compress(r, mtime=0) for r in RECORDS] if packed else RECORDS, BODIES, strict=True):
        end = start + len(record)
        if end <= at or start >= at + len(rubbish):
            untouched += 1
            if packed:
                assert body in [found.block for found in records]
        start = end
    assert len(records) + len(damage) >= untouched


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_read_to_their_end(data: bytes) -> None:
    for prefix in (b"", b"WARC/1.0\r\n", b"\x1f\x8b\x08", b"http://a/ 1.2.3.4 20200101000000 text/html 5\n"):
        records, damage = _read(prefix + data)
        assert records or damage or not (prefix + data).strip(b"\r\n \t\0\v\f")


def test_arc_with_spaces_in_addresses_and_both_versions() -> None:
    one = b"http://a.test/x y 1.2.3.4 20200102030405 text/html 5\nhello\n"
    two = b"http://a.test/z 1.2.3.4 20200102030405 text/html 200 - - 99 file.arc 3\nabc\n"
    records, damage = _read(b"filedesc://x.arc 0.0.0.0 20200101000000 text/plain 4\n1 0 \n\n" + one + two)
    assert [(record.kind, record.uri, record.block) for record in records] == [
        ("warcinfo", "filedesc://x.arc", b"1 0 "),
        ("response", "http://a.test/x y", b"hello"),
        ("response", "http://a.test/z", b"abc"),
    ]
    assert damage == []


def test_not_an_archive_is_one_damaged_place() -> None:
    records, damage = _read(b"<html>\n<p>no archive</p>\n</html>\n" * 100)
    assert records == []
    assert len(damage) == 1
    assert "<html>" in damage[0].detail
    assert _read(b"")[1][0].detail == "the file is empty"


def test_bomb_is_not_unpacked_into_memory() -> None:
    body = bytes(60_000_000)
    records, damage = _read(gzip.compress(_warc(0, body), 1) + PACKED, limit=1000)
    assert records[0].block is None
    assert records[0].length == len(body)
    assert len(records) == 5
    assert damage == []


@pytest.mark.data
def test_undamaged_files_read_as_fastwarc_reads_them(pomona_data: Path) -> None:
    compared = 0
    for file in sorted((pomona_data / "warc").glob("*/*.warc*")):
        if "bad" in file.name or "clipped" in file.name:
            continue
        with file.open("rb") as stream:
            found = list(read_archive(stream, LIMIT))
        with file.open("rb") as stream:
            expected = [
                (record.stream_pos, record.reader.read())
                for record in ArchiveIterator(stream, parse_http=False, quirks_mode=True)
            ]
        ours = [(item.offset, item.block) for item in found if isinstance(item, ArchiveRecord)]
        assert ours == expected, file.name
        compared += len(ours)
    assert compared > 1500
