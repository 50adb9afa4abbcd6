"""Records that an index selects: the same as reading the whole archive gives, and nothing else is read."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator

from pipelines.sources import archive_ranges
from pipelines.sources.archive import ArchiveRecord, read_archive
from pipelines.sources.archive_index import MAX_LINE, Select
from pipelines.sources.archive_outcomes import ArchiveReader
from pipelines.sources.archive_ranges import GAP, RUN_BYTES, Wanted, runs
from pipelines.sources.files import SourceError
from pipelines.sources.record import Failure, Outcome, Record, Refusal
from pipelines.sources.warc import WarcSource

HOSTS = ("a.example.org", "example.org", "badexample.org", "h.ac.nz", "10.0.0.1")
TYPES = ("text/html", "application/xhtml+xml", "text/plain")


def record_of(number: int, size: int) -> bytes:
    host = HOSTS[number % len(HOSTS)]
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>" + random.Random(number).randbytes(size)
    head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://{host}/{number}\r\n".encode()
    return head + b"Content-Length: %d\r\n\r\n%s\r\n\r\n" % (len(block), block)


def _archives(folder: Path, packed: bool = True, count: int = 12, size: int = 3000) -> list[dict[str, Any]]:
    """Two archives below a folder; their entries, as an index has them."""
    found: list[dict[str, Any]] = []
    for name in ("crawl/b.warc.gz", "crawl/a.warc.gz"):
        data = b""
        for number in range(count):
            record = record_of(len(found), size)
            record = gzip.compress(record, mtime=0) if packed else record
            host = HOSTS[len(found) % len(HOSTS)]
            found.append(
                {
                    "url": f"http://{host}/{len(found)}",
                    "filename": name,
                    "offset": len(data),
                    "length": len(record),
                    "mime": ("text/html", "text/plain")[number % 2],
                    "status": (200, 404)[number % 3 == 2],
                    "digest": f"D{number}",
                    "languages": ("eng", "nld,eng", "spa")[number % 3],
                }
            )
            data += record
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    return found


def _cdxj(path: Path, entries: Sequence[dict[str, Any]], strings: bool = True) -> Path:
    lines = [
        f"key{number} 2024051801{number:04} "
        + json.dumps({name: str(value) if strings else value for name, value in entry.items()})
        for number, entry in enumerate(entries)
    ]
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def _cdx(path: Path, entries: Sequence[dict[str, Any]], header: bool) -> Path:
    lines = [
        f"key 20240518015810 {one['url']} {one['mime']} {one['status']} {one['digest']} - - {one['length']} "
        f"{one['offset']} {one['filename']}"
        for one in entries
    ]
    path.write_text("".join(f"{line}\n" for line in [*([" CDX N b a m s k r M S V g"] * header), *lines]))
    return path


def _columnar(path: Path, entries: Sequence[dict[str, Any]], reverse: bool = True) -> Path:
    hosts = [one["url"].split("/")[2] for one in entries]
    table = pa.table(
        {
            "url": [one["url"] for one in entries],
            "fetch_status": pa.array([one["status"] for one in entries], pa.int16()),
            "content_mime_detected": [one["mime"] for one in entries],
            "content_languages": [one["languages"] for one in entries],
            "content_digest": [one["digest"] for one in entries],
            "warc_filename": [one["filename"] for one in entries],
            "warc_record_offset": pa.array([one["offset"] for one in entries], pa.int32()),
            "warc_record_length": pa.array([one["length"] for one in entries], pa.int32()),
        }
    )
    if reverse:
        names = [None if host[0].isdigit() else ".".join(reversed(host.split("."))) for host in hosts]
        table = table.append_column("url_host_name_reversed", pa.array(names, pa.string()))
    pq.write_table(table, path, row_group_size=5)
    return path


def _outcomes(source: WarcSource) -> list[Outcome]:
    return [outcome for unit in source.units() for outcome in source.read(unit)]


def _source(base: Path, *index: Path, **fields: Any) -> WarcSource:
    select = fields.pop("select", Select(status=()))
    return WarcSource(name="w", index=index, base=base, content_types=TYPES, select=select, **fields)


def _whole(folder: Path) -> list[Outcome]:
    names = ("crawl/a.warc.gz", "crawl/b.warc.gz")
    return [one for name in names for one in ArchiveReader(name, content_types=TYPES).read(folder / name)]


@pytest.mark.parametrize("packed", [True, False], ids=["gzip", "plain"])
@pytest.mark.parametrize("kind", ["cdxj", "numbers", "packed", "cdx", "no-header", "columnar"])
def test_every_kind_of_index_gives_what_the_archives_give(kind: str, packed: bool, tmp_path: Path) -> None:
    entries = _archives(tmp_path, packed)
    path = tmp_path / "index.file"
    match kind:
        case "columnar":
            _columnar(path, entries)
        case "cdx" | "no-header":
            _cdx(path, entries, kind == "cdx")
        case _:
            _cdxj(path, entries, kind != "numbers")
    if kind == "packed":
        path.write_bytes(gzip.compress(path.read_bytes()))
    outcomes = _outcomes(_source(tmp_path, path))
    assert len(outcomes) == 24
    assert outcomes == _whole(tmp_path)
    assert all(isinstance(one, Record) for one in outcomes)


@pytest.mark.parametrize(
    ("select", "numbers"),
    [
        (Select(), [n for n in range(24) if n % 12 % 3 != 2]),
        (Select(status=(404,)), [n for n in range(24) if n % 12 % 3 == 2]),
        (Select(status=(), hosts=("example.org",)), [n for n in range(24) if n % 5 in (0, 1)]),
        (Select(status=(), hosts=("Example.org", "nz")), [n for n in range(24) if n % 5 in (0, 1, 3)]),
        (Select(status=(), hosts=("10.0.0.1",)), [n for n in range(24) if n % 5 == 4]),
        (Select(status=(), mime=("text/plain",)), [n for n in range(24) if n % 12 % 2]),
        (Select(status=(), languages=("eng",)), [n for n in range(24) if n % 12 % 3 < 2]),
        (Select(status=(), urls=("http://*.org/1?", "http://h.ac.nz/3")), [3, 10, 11, 12, 15, 16, 17]),
        (Select(status=(200,), hosts=("org",), languages=("nld",)), [1, 7, 10, 16, 22]),
    ],
)
@pytest.mark.parametrize("kind", ["cdxj", "columnar", "columnar without reversed names"])
def test_selection(select: Select, numbers: list[int], kind: str, tmp_path: Path) -> None:
    entries = _archives(tmp_path, size=50)
    path = tmp_path / "index"
    if kind == "cdxj":
        _cdxj(path, entries)
    else:
        _columnar(path, entries, kind == "columnar")
    outcomes = _outcomes(_source(tmp_path, path, select=select))
    assert sorted(int(one.uri.rpartition("/")[2]) for one in outcomes) == numbers


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_order_repetition_and_size_of_units_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("index")
    entries = _archives(folder, data.draw(st.booleans()), size=data.draw(st.sampled_from([0, 500, 70_000])))
    chosen = data.draw(st.lists(st.integers(0, 23), min_size=1, max_size=40))
    half = data.draw(st.integers(0, len(chosen)))
    indexes = [
        _cdxj(folder / "1.cdxj", [entries[n] for n in chosen[:half]]),
        _columnar(folder / "2.parquet", [entries[n] for n in chosen[half:]]),
    ]
    wanted = {(entries[n]["filename"], entries[n]["offset"]) for n in chosen}
    expected = [
        one
        for one in _whole(folder)
        if isinstance(one, Record) and (one.metadata["archive"], one.metadata["offset"]) in wanted
    ]
    for size in (1, data.draw(st.integers(1, 300_000)), 1 << 30):
        source = _source(folder, *data.draw(st.permutations(indexes)), split_bytes=size)
        units = source.units()
        assert [one for unit in units for one in source.read(unit)] == expected
        assert len({unit.name for unit in units}) == len({unit.digest for unit in units}) == len(units)
        assert units == source.units()


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 1 << 26), st.one_of(st.none(), st.integers(1, 1 << 22))),
        max_size=30,
        unique_by=lambda one: one[0],
    )
)
def test_near_ranges_are_asked_for_together(places: list[tuple[int, int | None]]) -> None:
    wanted: list[Wanted] = [(offset, length, None) for offset, length in sorted(places, key=lambda one: one[0])]
    made = runs(wanted)
    assert [one for run in made for one in run] == wanted
    for run in made:
        end = run[0][0]
        for offset, length, _ in run:
            assert offset - end <= GAP
            end = max(end, offset + (length or 0))
        assert end - run[0][0] <= max(RUN_BYTES, run[0][1] or 0)
        assert len(run) == 1 or all(length is not None for _, length, _ in run)


def test_only_what_is_selected_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = _archives(tmp_path, size=100_000)
    chosen = [entries[number] for number in (2, 3, 7)]
    source = _source(tmp_path, _cdxj(tmp_path / "i.cdxj", chosen))
    units = source.units()
    asked: list[tuple[int, int]] = []
    read = archive_ranges.read_span

    def counted(path: Path, start: int, stop: int) -> bytes:
        asked.append((start, stop))
        return read(path, start, stop)

    monkeypatch.setattr(archive_ranges, "read_span", counted)
    assert len([one for unit in units for one in source.read(unit)]) == 3
    ends = [one["offset"] + one["length"] for one in chosen]
    assert asked == [(chosen[0]["offset"], ends[1]), (chosen[2]["offset"], ends[2])]


def test_what_an_index_names_and_is_not_there_is_counted(tmp_path: Path) -> None:
    entries = _archives(tmp_path)
    good, size = entries[0], (tmp_path / "crawl/b.warc.gz").stat().st_size
    wrong = [
        {**good, "filename": "crawl/none.warc.gz", "url": "http://h.test/missing"},
        {**good, "offset": 7, "url": "http://h.test/inside"},
        {**good, "offset": size + 10, "url": "http://h.test/after"},
        {**entries[3], "length": 60, "url": "http://h.test/short"},
        {**entries[4], "length": 10**9, "url": "http://h.test/long"},
    ]
    index = _cdxj(tmp_path / "i.cdxj", [good, *wrong])
    with index.open("a") as stream:
        stream.write('key 2024 {"url": "http://h.test/"\n')
        stream.write('key 2024 {"url": "http://h.test/", "filename": "../../etc/passwd", "offset": "0"}\n')
        stream.write('key 2024 {"url": "x", "filename": "file:///etc/passwd", "offset": "0"}\n\n!meta {}\n')
        stream.write('key 2024 {"url": "x", "filename": "crawl/b.warc.gz", "offset": "-3"}\nrubbish\n')
    source = _source(tmp_path, index)
    outcomes = _outcomes(source)
    records = [one for one in outcomes if isinstance(one, Record)]
    failures = {one.uri: one for one in outcomes if isinstance(one, Failure)}
    assert [one.uri for one in records] == [good["url"]]
    assert len(outcomes) == 11
    assert {uri: one.reason for uri, one in failures.items()} == {
        "http://h.test/missing": "missing-file",
        "http://h.test/inside": "no-record",
        "http://h.test/after": "no-record",
        "http://h.test/short": "damaged-archive",
        "http://h.test/long": "too-large",
        **{f"i.cdxj#line={number}": "bad-index-line" for number in (7, 8, 9, 12, 13)},
    }
    assert all("file" in one.evidence and "offset" in one.evidence for uri, one in failures.items() if "#" not in uri)
    before = [unit.digest for unit in source.units()]
    (tmp_path / "crawl/none.warc.gz").write_bytes((tmp_path / "crawl/b.warc.gz").read_bytes())
    assert [unit.digest for unit in source.units()] != before, "a file that came must be read"


def test_rows_without_a_place_and_damage_are_counted(tmp_path: Path) -> None:
    entries = _archives(tmp_path)
    bad = [
        {**entries[0], "offset": None},
        {**entries[1], "filename": "/etc/passwd"},
        {**entries[2], "filename": "a/../../x"},
        {**entries[3], "length": 0},
    ]
    path = _columnar(tmp_path / "i.parquet", [*entries, *bad])
    outcomes = _outcomes(_source(tmp_path, path))
    assert outcomes[:24] == _whole(tmp_path)
    assert [one.reason for one in outcomes[24:] if isinstance(one, Failure)] == ["bad-index-line"] * 4
    data = bytearray(path.read_bytes())
    data[-2000:-1900] = bytes(100)
    path.write_bytes(data)
    reasons = [one.reason for one in _outcomes(_source(tmp_path, path)) if isinstance(one, Failure)]
    assert reasons.count("damaged-index") == 1
    cut = tmp_path / "cut.cdxj.gz"
    whole = gzip.compress(_cdxj(tmp_path / "i.cdxj", entries).read_bytes())
    cut.write_bytes(whole[: len(whole) // 2])
    outcomes = _outcomes(_source(tmp_path, cut))
    assert [one.reason for one in outcomes if isinstance(one, Failure)][-1] == "damaged-index"
    assert any(isinstance(one, Record) for one in outcomes)


def test_an_index_without_lengths(tmp_path: Path) -> None:
    entries = _archives(tmp_path)
    lines = [
        f"key 20240518015810 {one['url']} text/html 200 X - {one['offset']} {one['filename']}" for one in entries[:5]
    ]
    (tmp_path / "old.cdx").write_text("".join(f"{line}\n" for line in [" CDX N b a m s k r V g", *lines]))
    outcomes = _outcomes(_source(tmp_path, tmp_path / "old.cdx", select=Select()))
    assert outcomes == [one for one in _whole(tmp_path) if one.uri in {entry["url"] for entry in entries[:5]}]
    assert len(outcomes) == 5


def test_mistakes_are_named(tmp_path: Path) -> None:
    _archives(tmp_path)
    pq.write_table(pa.table({"url": ["x"], "warc_filename": ["y"]}), tmp_path / "other.parquet")
    with pytest.raises(SourceError, match=r"other\.parquet: no column warc_record_offset, warc_record_length"):
        _source(tmp_path, tmp_path / "other.parquet").units()
    with pytest.raises(FileNotFoundError, match=r"none\.cdxj: no such file.*sources\.w\.index"):
        _source(tmp_path, tmp_path / "none.cdxj").units()
    mistakes: list[tuple[dict[str, Any], str]] = [
        ({}, "nothing to read"),
        ({"index": (tmp_path / "x",)}, "give it, a folder or an address"),
        ({"paths": (tmp_path,), "select": Select(hosts=("x",))}, "give 'index'"),
        ({"paths": (tmp_path / "warc.paths.gz",)}, "give it as 'paths_file'"),
    ]
    for fields, said in mistakes:
        with pytest.raises(ValueError, match=said):
            WarcSource.model_validate({"name": "w", **fields})


def test_a_line_without_end_costs_itself(tmp_path: Path) -> None:
    entries = _archives(tmp_path)
    path = _cdxj(tmp_path / "i.cdxj", entries)
    path.write_bytes(b"x" * (MAX_LINE + 5) + b"\n" + path.read_bytes() + b"y" * (12 << 20))
    outcomes = _outcomes(_source(tmp_path, path))
    assert outcomes[:24] == _whole(tmp_path)
    assert [one.uri for one in outcomes[24:]] == ["i.cdxj#line=1", "i.cdxj#line=26"]


@pytest.mark.data
def test_found_archives_record_by_record(pomona_data: Path, tmp_path: Path) -> None:
    """Every record of every found archive by its own range: what reading the file from its beginning gives."""
    base = pomona_data / "warc"
    compared = 0
    for file in sorted(base.glob("*/*")):
        name = file.relative_to(base).as_posix()
        with file.open("rb") as stream:
            items = list(read_archive(stream, 20_000_000))
        starts = [item.offset for item in items] + [file.stat().st_size]
        entries: list[dict[str, Any]] = [
            {"url": item.uri, "filename": name, "offset": item.offset, "length": after - item.offset}
            for item, after in zip(items, starts[1:], strict=True)
            if isinstance(item, ArchiveRecord) and item.kind in ("response", "conversion") and after > item.offset
        ]
        if not entries:
            continue
        index = _cdxj(tmp_path / "i.cdxj", entries)
        asked = {entry["offset"] for entry in entries}
        reader = ArchiveReader(name, content_types=TYPES, records=("response", "conversion"))
        expected: dict[int, Outcome] = {}  # of a file that is one gzip member: its first record
        for one in reader.read(file):
            if not (isinstance(one, Failure) and one.reason == "damaged-archive"):
                expected.setdefault(one.metadata["offset"] if isinstance(one, Record) else one.evidence["offset"], one)
        outcomes = _outcomes(_source(base, index, records=("response", "conversion")))
        assert outcomes == [expected[offset] for offset in sorted(asked)], name
        compared += len(outcomes)
    assert compared > 700


@pytest.mark.data
def test_offsets_of_warcio_are_ours(pomona_data: Path, tmp_path: Path) -> None:
    """An index made with another reader's offsets and lengths, as cdxj-indexer makes it."""
    name = "webrecorder+pywb/iana.warc.gz"
    entries: list[dict[str, Any]] = []
    with (pomona_data / "warc" / name).open("rb") as stream:
        archive = ArchiveIterator(stream)
        for record in archive:
            if record.rec_type == "response":
                uri = record.rec_headers.get_header("WARC-Target-URI")
                status = record.http_headers.get_statuscode()
                offset = archive.get_record_offset()
                entries.append({"url": uri, "filename": name, "offset": offset, "status": status})
                archive.read_to_end(record)
                entries[-1]["length"] = archive.get_record_length()
    outcomes = _outcomes(_source(pomona_data / "warc", _cdxj(tmp_path / "i.cdxj", entries), select=Select()))
    good = [entry for entry in entries if entry["status"] == "200"]
    assert len(outcomes) == len(good) > 20
    assert not any(isinstance(one, Failure) for one in outcomes)
    assert sum(isinstance(one, Record) for one in outcomes) > 10
    assert all(one.reason == "not-html" for one in outcomes if isinstance(one, Refusal))
