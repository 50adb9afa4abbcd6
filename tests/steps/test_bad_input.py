"""Bad input is counted with a reason and the run goes on: nothing is lost, nothing stops it."""

from __future__ import annotations

import gzip
import html
import io
import pydoc_data.topics
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from pipelines.document import DOCUMENT_SCHEMA
from pipelines.engines.local import LocalEngine
from pipelines.sources import WarcSource
from pipelines.steps import extract
from pipelines.steps.step import Finished, Steps

GOOD = {
    name: f"<html><head><title>{name}</title></head><body><p>{html.escape(text)}</p></body></html>"
    for name, text in list(pydoc_data.topics.topics.items())[:12]
}


def record(writer: WARCWriter, url: str, body: bytes, *headers: tuple[str, str]) -> None:
    http = StatusAndHeaders("200 OK", [("Content-Type", "text/html; charset=utf-8"), *headers], protocol="HTTP/1.1")
    writer.write_record(writer.create_warc_record(url, "response", payload=io.BytesIO(body), http_headers=http))


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    folder = tmp_path / "warcs"
    folder.mkdir()
    with (folder / "pages.warc.gz").open("wb") as stream:
        writer = WARCWriter(stream, gzip=True)
        for name, page in GOOD.items():
            record(writer, f"http://a.test/{name}", page.encode())
        record(writer, "http://a.test/not-a-page", bytes(range(256)) * 40)
        record(writer, "http://a.test/empty", b"")
        record(writer, "http://a.test/furniture", b"<html><body><nav></nav><script>x()</script></body></html>")
        record(writer, "http://a.test/cut", gzip.compress(b"<p>hello</p>" * 999)[:40], ("Content-Encoding", "gzip"))
        record(writer, "http://a.test/big", b"<html><body><p>" + b"word " * 10_000_000 + b"</p></body></html>")
        record(writer, "http://a.test/bomb", gzip.compress(bytes(60_000_000)), ("Content-Encoding", "gzip"))
        first = next(iter(GOOD))
        record(writer, f"http://a.test/{first}", GOOD[first].encode())
    whole = (folder / "pages.warc.gz").read_bytes()
    (folder / "truncated.warc.gz").write_bytes(whole[: len(whole) // 40])
    (folder / "rubbish.warc.gz").write_bytes(b"this is no archive at all\n" * 10)
    return folder


def run(archive: Path, tmp_path: Path) -> Finished:
    source = WarcSource(name="web", paths=(archive,))
    return extract.run(Steps(tmp_path / "steps", LocalEngine(1)), "web", source, {}, 3)


def test_every_bad_record_is_counted_with_its_reason(archive: Path, tmp_path: Path) -> None:
    done = run(archive, tmp_path)
    rows = {row["uri"]: row for row in done.table("ledger").to_pylist()}
    done.account.check("extract")
    assert done.account.received == done.table("ledger").num_rows
    reasons = {name: rows[f"http://a.test/{name}"]["reason"] for name in ("empty", "furniture", "cut", "big", "bomb")}
    assert reasons == {
        "empty": "empty-document",
        "furniture": "empty-document",
        "cut": "undecodable-content",
        "big": "too-large",
        "bomb": "decompression-bomb",
    }
    assert rows["http://a.test/not-a-page"]["reason"] == "undecodable-content"
    assert {"damaged-archive"} == {
        row["reason"] for uri, row in rows.items() if uri.startswith(("truncated.warc.gz", "rubbish.warc.gz"))
    }
    kept = {row["uri"] for row in done.table("documents").to_pylist()}
    assert {f"http://a.test/{name}" for name in GOOD} <= kept


def test_the_second_of_two_equal_records_is_dropped_not_lost(archive: Path, tmp_path: Path) -> None:
    done = run(archive, tmp_path)
    again = [row for row in done.table("ledger").to_pylist() if row["reason"] == "repeated-record"]
    assert f"http://a.test/{next(iter(GOOD))}" in {row["uri"] for row in again}
    ids = done.table("documents")["id"].to_pylist()
    assert len(ids) == len(set(ids))


def test_documents_have_the_schema_and_lie_sorted_in_their_partitions(archive: Path, tmp_path: Path) -> None:
    done = run(archive, tmp_path)
    for number, path in enumerate(done.parts("documents")):
        table = pq.read_table(path)
        assert table.schema.equals(DOCUMENT_SCHEMA)
        ids = table["id"].to_pylist()
        assert ids == sorted(ids)
        assert all(int(one[:8], 16) * 3 >> 32 == number for one in ids)
