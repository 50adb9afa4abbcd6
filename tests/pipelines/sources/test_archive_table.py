"""Every archive of the found ones, in one table: what we read of it, and what warcio and FastWARC read."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator as FastIterator
from warcio.archiveiterator import ArchiveIterator
from warcio.exceptions import ArchiveLoadFailed

from pipelines.sources.archive import ArchiveRecord, Damage, read_archive

pytestmark = pytest.mark.data

SOUND = {
    "allenai+dolma": {"sample-0000.warc.gz": 48, "sample-0001.warc.gz": 34},
    "archivesunleashed+aut": {
        "example.docs.warc.gz": 21, "example.pdf.warc.gz": 76, "example.txt.warc.gz": 6, "example.warc.gz": 822,
        "issue-493.warc": 32, "issue-514.warc": 8,
    },
    "chatnoir-eu+chatnoir-resiliparse": {
        "block-sized-records.warc": 3, "block-sized-records.warc.gz": 3, "warcfile.warc": 50, "warcfile.warc.gz": 50,
    },
    "chatnoir-eu+copycat": {"topic-1--20201003083220753-00000.warc.gz": 239},
    "commoncrawl+whirlwind-python": {
        "whirlwind.warc": 4, "whirlwind.warc.gz": 4, "whirlwind.warc.wat": 2, "whirlwind.warc.wat.gz": 2,
        "whirlwind.warc.wet": 2, "whirlwind.warc.wet.gz": 2,
    },
    "iipc+jwarc": {"cc.warc.gz": 1, "gzip_extra_sl.warc.gz": 1},
    "iipc+webarchive-commons": {"IAH-urls-wget.warc": 36, "IAH-urls-wget.warc.gz": 36, "mutliple-headers.warc": 1},
    "webrecorder+pywb": {"dupes.warc.gz": 25, "iana.warc.gz": 343},
    "webrecorder+warcio": {
        "example-digest.warc": 4, "example-iana.org-chunked.warc": 3, "example-resource.warc.gz": 3,
        "example-space-in-target-uri.warc.gz": 2, "example-wget-bad-target-uri.warc.gz": 6, "example.arc": 2,
        "example.arc.gz": 2, "example.warc": 6, "example.warc.gz": 6, "post-test.warc.gz": 6,
    },
}  # fmt: skip
"""Files without damage, and their records: ours, warcio's, and of WARC FastWARC's, which reads no ARC."""

DAMAGED: dict[str, tuple[list[int | str], int, int | None]] = {
    # Whole records and damaged places in the order of the file, the latter as "!" and their byte; warcio; FastWARC.
    "archivesunleashed+aut/badexample.arc.gz": ([0, 0, 0, "!0", "!0"], 1, None),
    "chatnoir-eu+chatnoir-resiliparse/clipped.warc.gz": (["!0"], 1, 1),  # the others give half a record as one
    "webrecorder+warcio/bad.arc": (["!0", "!134", 202, "!262"], 4, None),  # lengths -1 and "abc"
    "webrecorder+warcio/example-space-in-url.arc": ([0, "!151"], 2, None),  # 12 bytes are missing at the end
    "webrecorder+warcio/example-trunc.warc": ([0, 488, 1197, "!2560", 2566], 4, 4),
}
STOPS_WARCIO: dict[str, tuple[int, int, int | None]] = {
    # Nothing is lost; records: ours, warcio's before it raises, FastWARC's.
    "chatnoir-eu+copycat/small-sample-1213893279526_0.arc": (146, 1, None),
    "iipc+webarchive-commons/IAH-20080430204825-00000-blackbook-truncated.arc": (9, 1, None),
    "iipc+webarchive-commons/link-extraction-test.warc": (8, 4, 8),
    "webrecorder+warcio/example-bad-non-chunked.warc.gz": (6, 1, 6),
    "webrecorder+warcio/example-bad.warc.gz.bad": (6, 1, 6),
    "webrecorder+warcio/example-wrong-chunks.warc.gz": (2, 1, 2),
}
TABLE = {f"{folder}/{name}": count for folder, files in SOUND.items() for name, count in files.items()}
ALL = sorted([*TABLE, *DAMAGED, *STOPS_WARCIO])


def _ours(data: bytes) -> list[ArchiveRecord | Damage]:
    return list(read_archive(io.BytesIO(data), 1 << 30))


def _warcio(data: bytes) -> tuple[int, bool]:
    """Records read to their ends, and whether it came to the file's end."""
    count = 0
    try:
        for record in ArchiveIterator(io.BytesIO(data)):
            record.content_stream().read()
            count += 1
    except ArchiveLoadFailed:
        return count, False
    return count, True


def _fastwarc(data: bytes) -> int:
    return sum(1 for _ in FastIterator(io.BytesIO(data), parse_http=False, quirks_mode=True))


def test_the_table_is_of_all_files(pomona_data: Path) -> None:
    base = pomona_data / "warc"
    assert sorted(file.relative_to(base).as_posix() for file in base.glob("*/*")) == ALL
    assert len(ALL) == 47


@pytest.mark.parametrize("name", ALL)
def test_records_beside_those_of_other_readers(name: str, pomona_data: Path) -> None:
    data = (pomona_data / "warc" / name).read_bytes()
    items = _ours(data)
    records = sum(isinstance(item, ArchiveRecord) for item in items)
    warcio = _warcio(data)
    fast = _fastwarc(data) if ".warc" in name else None
    if name in DAMAGED:
        found = [item.offset if isinstance(item, ArchiveRecord) else f"!{item.offset}" for item in items]
        assert (found, warcio[0], fast) == DAMAGED[name]
    elif name in STOPS_WARCIO:
        assert records == len(items), "no damage is reported where none is"
        assert (records, warcio[0], fast) == STOPS_WARCIO[name]
        assert not warcio[1]
    else:
        assert records == len(items) == TABLE[name]
        assert warcio == (records, True)
        assert fast in (records, None)


@pytest.mark.parametrize("name", [name for name in TABLE if TABLE[name] > 2])
def test_damage_costs_the_records_that_it_touches(name: str, pomona_data: Path) -> None:
    """Bytes in the middle overwritten, or the file cut off there: what is before is read, in gzip what is after too."""
    data = (pomona_data / "warc" / name).read_bytes()
    whole = [item for item in _ours(data) if isinstance(item, ArchiveRecord)]
    middle = len(data) // 2
    last = max(number for number, item in enumerate(whole) if item.offset <= middle)
    packed = data.startswith(b"\x1f\x8b")
    if packed and len({item.offset for item in whole}) < len(whole):
        assert len({item.offset for item in whole}) <= 2, "a file that is one member: what is inside cannot be told"
        return
    cut = _ours(data[: middle + 1])
    assert [item for item in cut if isinstance(item, ArchiveRecord)][:last] == whole[:last]
    assert isinstance(cut[-1], Damage) or cut == whole[: last + 1]
    bad = _ours(data[:middle] + bytes(20) + data[middle + 20 :])
    kept = [item for item in bad if isinstance(item, ArchiveRecord)]
    assert kept[:last] == whole[:last]
    untouched = [item for item in whole if item.offset >= middle + 20]
    if packed:
        assert kept[len(kept) - len(untouched) :] == untouched
    assert len(kept) + sum(isinstance(item, Damage) for item in bad) >= last + len(untouched)
