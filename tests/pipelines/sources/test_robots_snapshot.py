"""Pages from elsewhere, checked against robots.txt files once more."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipelines.crawl.crawler import CrawlSummary
from pipelines.crawl.fetch import Exchange
from pipelines.crawl.warc_writer import WarcWriter
from pipelines.sources.record import Record, Refusal
from pipelines.sources.robots_snapshot import load
from pipelines.sources.warc import WarcSource

BODY = b"User-agent: *\nDisallow: /no\n\nUser-agent: CCBot\nDisallow: /\n"
DATE = datetime(2026, 1, 2, tzinfo=UTC)


def _exchange(url: str, body: bytes, status: int = 200, day: int = 2, **fields: str) -> Exchange:
    headers = [(name.encode(), value.encode()) for name, value in {"Content-Type": "text/html", **fields}.items()]
    return Exchange(url, DATE.replace(day=day), "", b"GET / HTTP/1.1\r\n\r\n", status, b"", b"HTTP/1.1", headers, body)


def _warc(folder: Path, *exchanges: Exchange) -> Path:
    writer = WarcWriter(folder, "a", [], 10**9)
    for exchange in exchanges:
        writer.write(exchange)
    writer.close()
    return writer.files[0]


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    urls = ("http://h.test/yes", "http://h.test/no/x", "http://other.test/", "https://h.test/no/x")
    return _warc(tmp_path / "pages", *(_exchange(url, b"<p>page") for url in urls))


def _write(kind: str, folder: Path) -> Path:
    folder.mkdir()
    if kind == "warc":
        packed = _exchange("http://h.test/robots.txt", gzip.compress(BODY), 200, 3, **{"Content-Encoding": "gzip"})
        older = _exchange("http://h.test/robots.txt", b"User-agent: *\nDisallow: /\n", 200, 1)
        failed = _exchange("http://h.test/robots.txt", b"", 503, 9)
        return _warc(folder, packed, older, failed).parent
    if kind == "moved":
        moved = _exchange("http://h.test/robots.txt", b"", 301, 2, Location="http://www.h.test/robots.txt")
        return _warc(folder, moved, _exchange("http://www.h.test/robots.txt", BODY))
    if kind == "text":
        (folder / "h.test").mkdir()
        (folder / "h.test/robots.txt").write_bytes(BODY)
        return folder
    older = {"host": "h.test", "fetched_at": "2025-01-01T00:00:00Z", "body": "User-agent: *\nDisallow: /\n"}
    row = {
        "origin" if kind == "lines" else "url": "http://h.test/robots.txt", "fetched_at": "2026-01-01T00:00:00Z",
        "body_base64": base64.b64encode(BODY).decode(), "digest": "sha256:" + hashlib.sha256(BODY).hexdigest(),
    }  # fmt: skip
    path = folder / ("robots.jsonl" if kind == "lines" else "robots.jsonl.gz")
    data = "".join(json.dumps(one) + "\n" for one in (row, {**older, "origin": "http://h.test"})).encode()
    path.write_bytes(data if kind == "lines" else gzip.compress(data))
    return path


@pytest.mark.parametrize("kind", ["warc", "moved", "lines", "packed lines"])
def test_pages_are_checked_again(kind: str, pages: Path, tmp_path: Path) -> None:
    source = WarcSource(name="w", paths=(pages,), robots=_write(kind, tmp_path / "robots"))
    yes, no, other, tls = [outcome for unit in source.units() for outcome in source.read(unit)]
    assert isinstance(yes, Record)
    assert (yes.rights.robots_rule, yes.rights.training) == ("", "ccbot")
    assert yes.rights.robots_digest == hashlib.sha256(BODY).hexdigest()
    assert isinstance(no, Refusal)
    assert no.reason == "robots-refused"
    assert (no.evidence["rule"], no.evidence["agent"]) == ("Disallow: /no", "PomonaBot")
    assert isinstance(other, Record)
    assert other.rights.robots_rule == "no robots.txt in the snapshot"
    assert isinstance(tls, Record), "another origin has a robots.txt of its own"


def test_a_host_s_file_is_that_of_all_its_origins(pages: Path, tmp_path: Path) -> None:
    folder = _write("text", tmp_path / "robots")
    source = WarcSource(name="w", paths=(pages,), robots=folder, robots_missing="refuse", robots_agent="CCBot")
    assert {outcome.reason for unit in source.units() for outcome in source.read(unit)
            if isinstance(outcome, Refusal)} == {"robots-refused"}  # fmt: skip
    assert not [one for unit in source.units() for one in source.read(unit) if isinstance(one, Record)]


def test_another_snapshot_is_another_input(pages: Path, tmp_path: Path) -> None:
    path = _write("lines", tmp_path / "robots")

    def digests() -> list[str]:
        return [unit.digest for unit in WarcSource(name="w", paths=(pages,), robots=path).units()]

    plain = [unit.digest for unit in WarcSource(name="w", paths=(pages,)).units()]
    before = digests()
    assert before != plain
    path.write_text(path.read_text().replace("2026-01-01", "2026-02-01"))
    assert digests() == before, "the same files, fetched later"
    path.write_text(json.dumps({"host": "h.test", "body": "User-agent: *\nDisallow: /yes"}))
    assert digests() != before


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2"),
        ('{"body": "x"}', "expected one of url, origin and host"),
        ('{"host": "a", "body": 5}', "body is int"),
        ('{"host": "a", "body": "x", "digest": "sha256:00"}', "the digest is sha256:00"),
        ('{"host": "a", "fetched_at": "soon"}', "line 2"),
        ('{"host": "a", "body_base64": "%"}', "line 2"),
        ("[]", "expected an object"),
    ],
)
def test_mistakes_are_named(line: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "robots.jsonl"
    path.write_text('{"host": "h.test", "body": ""}\n' + line + "\n")
    with pytest.raises(ValueError, match=said):
        load(path)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no snapshot of robots\.txt files here"):
        load(tmp_path)


def test_a_crawl_is_a_snapshot(pydoc_crawl: CrawlSummary) -> None:
    snapshot = load(pydoc_crawl.folder)
    found = snapshot.find("http://pydoc.test/secrets.html")
    assert found is not None
    assert not found[0].allowed("PomonaBot", "http://pydoc.test/secrets.html")
    assert snapshot.find("http://elsewhere.test/") is None
