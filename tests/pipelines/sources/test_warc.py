from __future__ import annotations

import gzip
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator

from pipelines.crawl.crawler import CrawlSummary
from pipelines.extract import extract_body
from pipelines.sources.archive import ArchiveRecord, read_archive
from pipelines.sources.archive_outcomes import ArchiveReader, fetched_at
from pipelines.sources.http_message import BadHttpError, HttpMessage
from pipelines.sources.record import Failure, Outcome, Record, Refusal, Source
from pipelines.sources.warc import WarcSource


def _key(outcome: Outcome) -> str:
    return "record" if isinstance(outcome, Record) else outcome.reason


def _outcomes(path: Path) -> list[Outcome]:
    return list(ArchiveReader(path.name, content_types=("text/html", "application/xhtml+xml", "text/plain")).read(path))


DAMAGED = {
    "badexample.arc.gz": (["damaged-archive", "damaged-archive"], 1),
    "bad.arc": (["bad-http", "damaged-archive", "damaged-archive", "damaged-archive"], 0),
    "clipped.warc.gz": (["damaged-archive"], 0),
    "example-space-in-url.arc": (["damaged-archive"], 0),
    "example-trunc.warc": (["damaged-archive", "undecodable-content"], 0),
    "example-bad-non-chunked.warc.gz": ([], 1),
    "example-bad.warc.gz.bad": ([], 1),
    "example-wrong-chunks.warc.gz": ([], 1),
    "small-sample-1213893279526_0.arc": ([], 125),
    "IAH-20080430204825-00000-blackbook-truncated.arc": ([], 3),
    "link-extraction-test.warc": ([], 7),
}
"""Failures and records of the files that are damaged, or that warcio or FastWARC stops at."""


@pytest.mark.data
def test_damaged_files_give_what_is_whole_and_a_reason(pomona_data: Path) -> None:
    files = {file.name: file for file in (pomona_data / "warc").glob("*/*")}
    for name, (failures, records) in DAMAGED.items():
        outcomes = _outcomes(files[name])
        assert sorted(o.reason for o in outcomes if isinstance(o, Failure)) == failures, name
        assert sum(isinstance(o, Record) for o in outcomes) == records, name
        for outcome in outcomes:
            if isinstance(outcome, Failure):
                assert outcome.evidence["file"] == name
                assert isinstance(outcome.evidence["offset"], int)
        uris = [outcome.uri for outcome in outcomes if isinstance(outcome, Failure)]
        assert len(set(uris)) == len(uris)


@pytest.mark.data
def test_every_response_of_every_file_is_counted(pomona_data: Path) -> None:
    total: Counter[str] = Counter()
    for file in sorted((pomona_data / "warc").glob("*/*")):
        with file.open("rb") as stream:
            records = [item for item in read_archive(stream, 1 << 30) if isinstance(item, ArchiveRecord)]
        counted = sum(record.kind not in ("request", "warcinfo", "metadata") for record in records)
        outcomes = _outcomes(file)
        assert sum(_key(outcome) != "damaged-archive" for outcome in outcomes) == counted, file.name
        total.update(map(_key, outcomes))
    assert total["record"] == 378
    assert set(total) == {
        "record", "not-html", "http-status", "not-a-response", "bad-http", "undecodable-content", "damaged-archive",
    }  # fmt: skip


@pytest.mark.data
def test_chunks_and_gzip_are_undone(pomona_data: Path) -> None:
    (page,) = _outcomes(pomona_data / "warc/webrecorder+warcio/example-iana.org-chunked.warc")
    assert isinstance(page, Record)
    assert isinstance(page.body, bytes)
    assert page.body.lstrip()[:15].lower() == b"<!doctype html>"
    assert page.body.rstrip().endswith(b"</html>")
    assert page.fetched_at is not None
    assert page.fetched_at.tzinfo is UTC


def _archive(path: Path, *blocks: bytes, fields: bytes = b"") -> Path:
    with path.open("wb") as stream:
        for number, block in enumerate(blocks):
            head = b"WARC/1.1\r\nWARC-Type: response\r\nWARC-Target-URI: http://h.test/%d\r\n%s" % (number, fields)
            stream.write(gzip.compress(head + b"Content-Length: %d\r\n\r\n%s\r\n\r\n" % (len(block), block)))
    return path


def _http(body: bytes, *fields: bytes, status: bytes = b"200 OK") -> bytes:
    return b"\r\n".join([b"HTTP/1.1 " + status, *fields, b"", body])


def test_outcome_of_each_kind_of_answer(tmp_path: Path) -> None:
    html = b"Content-Type: text/html; charset=ISO-8859-1"
    packed = gzip.compress(b"<p>" + b"x" * 5000)
    path = _archive(
        tmp_path / "a.warc.gz",
        _http(b"<p>page</p>", html),
        _http(b"gone", html, status=b"404 Not Found"),
        _http(b"%PDF", b"Content-Type: application/pdf"),
        _http(gzip.compress(b"<p>" + b"x" * 3000)[:-10], html, b"Content-Encoding: gzip"),
        _http(packed, html, b"Content-Encoding: gzip"),
        b"no http at all",
        _http(b"<!DOCTYPE html><p>x"),
        _http(b"\x89PNG"),
        _http(b"3\r\n<p>\r\n2\r\nab\r\n0\r\n\r\n", html, b"Transfer-Encoding: chunked"),
        _http(b"<p>" + b"y" * 100_000, html),
    )
    outcomes = list(ArchiveReader("a", max_record_bytes=4000).read(path))
    assert [_key(outcome) for outcome in outcomes] == [
        "record", "http-status", "not-html", "undecodable-content", "too-large", "bad-http", "record", "not-html",
        "record", "too-large",
    ]  # fmt: skip
    first, chunked = outcomes[0], outcomes[8]
    assert isinstance(first, Record)
    assert first.content_type == "text/html; charset=iso-8859-1"
    assert isinstance(chunked, Record)
    assert chunked.content == b"<p>ab"
    assert isinstance(outcomes[1], Refusal)
    assert outcomes[1].evidence["status"] == 404


def test_rights_travel_with_the_record(tmp_path: Path) -> None:
    block = _http(b"<p>", b"Content-Type: text/html", b"X-Robots-Tag: noai", b"x-robots-tag: otherbot: noindex",
                  b"TDM-Reservation: 1", b"TDM-Policy: https://h.test/policy.json")  # fmt: skip
    fields = (
        b"X-Pomona-Robots-Rule: Allow: /\r\nX-Pomona-Robots-Digest: sha256:abc\r\nWARC-Date: 2026-01-02T03:04:05Z\r\n"
    )
    (record,) = ArchiveReader("a").read(_archive(tmp_path / "a.warc.gz", block, fields=fields))
    assert isinstance(record, Record)
    assert record.rights.as_dict() == {
        "robots_rule": "Allow: /",
        "robots_digest": "abc",
        "x_robots_tag": "noai, otherbot: noindex",
        "meta_robots": None,
        "reservation": "tdm-reservation: 1; tdm-policy: https://h.test/policy.json",
        "training": None,
    }
    assert record.fetched_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_units_are_files_with_their_digests(tmp_path: Path, pydoc_crawl: CrawlSummary) -> None:
    _archive(tmp_path / "b.warc.gz", _http(b"<p>"))
    (tmp_path / "sub").mkdir()
    _archive(tmp_path / "sub/a.warc.gz", _http(b"<p>"))
    (tmp_path / "readme.txt").write_text("no archive")
    source = WarcSource(name="w", paths=(tmp_path, tmp_path / "b.warc.gz"))
    assert isinstance(source, Source)
    units = source.units()
    assert [unit.name for unit in units] == ["b.warc.gz", "sub/a.warc.gz", "b.warc.gz~2"]
    assert units[0].digest == units[2].digest
    assert units == source.units()
    with pytest.raises(FileNotFoundError, match="no such file"):
        WarcSource(name="w", paths=(tmp_path / "none",)).units()
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(FileNotFoundError, match=r"no \*\.warc"):
        WarcSource(name="w", paths=(empty,)).units()
    (unit,) = WarcSource(name="w", paths=(pydoc_crawl.folder / "warc",)).units()
    assert len(list(source.read(unit))) == pydoc_crawl.kept


def test_truncated_crawl_is_read_as_far_as_it_goes(tmp_path: Path, pydoc_crawl: CrawlSummary) -> None:
    (whole,) = sorted((pydoc_crawl.folder / "warc").iterdir())
    cut = tmp_path / "cut.warc.gz"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    outcomes = _outcomes(cut)
    everything = _outcomes(whole)
    assert 5 < len(outcomes) < len(everything)
    assert [o.uri for o in outcomes[:-1]] == [o.uri for o in everything[: len(outcomes) - 1]]
    last = outcomes[-1]
    assert isinstance(last, Failure)
    assert last.reason == "damaged-archive"
    assert last.evidence["file"] == "cut.warc.gz"


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05.123456789Z", datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)),
        ("20260102030405", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T05:04:05+02:00", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("yesterday", None),
        ("", None),
    ],
)
def test_dates(date: str, expected: datetime | None) -> None:
    assert fetched_at(date) == expected


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=120),
    st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"]),
)
def test_http_parser_raises_only_its_own(data: bytes, head: bytes) -> None:
    try:
        message = HttpMessage.parse(head + data)
    except BadHttpError:
        return
    assert message.status >= 0


WET = "commoncrawl+whirlwind-python/whirlwind.warc.wet"


@pytest.mark.data
@pytest.mark.parametrize("name", [WET, f"{WET}.gz"])
def test_texts_of_wet_are_taken_as_they_are(name: str, pomona_data: Path) -> None:
    path = pomona_data / "warc" / name
    source = WarcSource(name="wet", paths=(path,), records=("conversion",))
    (unit,) = source.units()
    (text,) = source.read(unit)
    assert isinstance(text, Record)
    with path.open("rb") as stream:
        (block,) = [
            record.content_stream().read() for record in ArchiveIterator(stream) if record.rec_type == "conversion"
        ]
    assert text.body == text.content == block
    assert text.content_type == "text/plain; charset=utf-8"
    assert text.uri == "https://an.wikipedia.org/wiki/Escopete"
    assert text.fetched_at == datetime(2024, 5, 18, 1, 58, 10, tzinfo=UTC)
    assert text.kind == "web"
    assert text.metadata == {
        "archive": path.name,
        "offset": text.metadata["offset"],
        "languages": "spa",
        "refers_to": "<urn:uuid:2aabeff2-67f5-4608-8466-e87c6296e2b6>",
    }
    assert block.decode().startswith(extract_body(block, text.content_type, text.uri).text[:1000])
    (dropped,) = _outcomes(path)
    assert isinstance(dropped, Refusal)
    assert (dropped.reason, dropped.evidence["type"]) == ("not-a-response", "conversion")


@pytest.mark.data
def test_a_folder_gives_pages_texts_or_both(pomona_data: Path) -> None:
    folder = pomona_data / "warc/commoncrawl+whirlwind-python"

    def read(*records: str) -> list[str]:
        source = WarcSource.model_validate({"name": "w", "paths": [folder], "records": records})
        outcomes = [one for unit in source.units() for one in source.read(unit)]
        return [f"{_key(one)} {one.metadata['archive']}" if isinstance(one, Record) else _key(one) for one in outcomes]

    pages = ["record whirlwind.warc", "record whirlwind.warc.gz"]
    texts = ["record whirlwind.warc.wet", "record whirlwind.warc.wet.gz"]
    assert read("response") == pages
    assert read("response", "conversion") == pages + texts
    assert read("conversion") == ["not-a-conversion"] * 2 + texts


def test_conversions_obey_the_snapshot_and_are_text(tmp_path: Path) -> None:
    path = tmp_path / "a.warc.wet.gz"
    with path.open("wb") as stream:
        for number, kind in enumerate((b"text/plain", b"text/plain; charset=utf-8", b"application/json")):
            head = b"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: http://h.test/%d\r\n" % number
            stream.write(gzip.compress(head + b"Content-Type: %s\r\nContent-Length: 4\r\n\r\ntext\r\n\r\n" % kind))
    (tmp_path / "robots").mkdir()
    (tmp_path / "robots/h.test.txt").write_text("User-agent: *\nDisallow: /1\n")
    source = WarcSource(name="w", paths=(path,), records=("conversion",), robots=tmp_path / "robots")
    (unit,) = source.units()
    good, refused, other = source.read(unit)
    assert isinstance(good, Record)
    assert good.rights.robots_digest is not None
    assert isinstance(refused, Refusal)
    assert refused.reason == "robots-refused"
    assert isinstance(other, Refusal)
    assert other.reason == "not-text"
