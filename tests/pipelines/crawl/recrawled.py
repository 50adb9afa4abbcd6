"""A small site that is crawled again: its pages, and what a recorded crawl says of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from pipelines.crawl.crawler import CrawlConfig
from pipelines.document import document_id
from pipelines.sources.archive import ArchiveRecord, read_archive
from pipelines.sources.crawl import RecordedCrawl
from pipelines.sources.record import Record

if TYPE_CHECKING:
    from .conftest import Answer, LoopbackSite

HTML = "text/html; charset=utf-8"


def script() -> Any:
    from . import conftest

    return conftest


def page(*links: str, text: str, tag: str | None = None, modified: str | None = None, **fields: str) -> Answer:
    answer = script().page(*links, text=text)
    for name, value in {"ETag": tag, "Last-Modified": modified, **fields}.items():
        if value is not None:
            answer.headers[name.replace("_", "-")] = value
    return answer


def config(site: LoopbackSite, **fields: object) -> CrawlConfig:
    hosts = dict.fromkeys(("h.test", "two.test"), site.address)
    values = {"seeds": ["http://h.test/"], "delay": 0.0, "connect_to": hosts, "timeout": 2.0, "max_retries": 0}
    values |= {"tdmrep": False, "adaptive_delay": 0.0}
    return CrawlConfig.model_validate({**values, **fields})


def ledger(folder: Path) -> dict[str, dict[str, Any]]:
    rows = pq.read_table(RecordedCrawl(folder).ledger).to_pylist()
    assert len({row["uri"] for row in rows}) == len(rows)
    return {row["uri"].removeprefix("http://h.test"): {**row, "evidence": json.loads(row["evidence"])} for row in rows}


def documents(folder: Path) -> dict[str, tuple[str, bytes]]:
    """Id and content of each page that the recorded crawl gives as a source."""
    source = RecordedCrawl(folder)
    outcomes = [outcome for unit in source.units() for outcome in source.read(unit)]
    assert all(isinstance(outcome, Record) for outcome in outcomes)
    assert len({outcome.uri for outcome in outcomes}) == len(outcomes)
    assert {outcome.uri.removeprefix("http://h.test") for outcome in outcomes} == {
        uri for uri, row in ledger(folder).items() if row["verdict"] == "kept"
    }
    return {
        outcome.uri.removeprefix("http://h.test"): (document_id("web", outcome.uri, outcome.content), outcome.content)
        for outcome in outcomes
    }


def units(folder: Path) -> dict[str, str]:
    return {unit.name: unit.digest for unit in RecordedCrawl(folder).units()}


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def revisits(folder: Path) -> list[ArchiveRecord]:
    records: list[ArchiveRecord] = []
    for path in sorted((folder / "crawldiagnostics").iterdir()):
        with path.open("rb") as stream:
            records += [item for item in read_archive(stream, 1 << 20) if isinstance(item, ArchiveRecord)]
    return [record for record in records if record.kind == "revisit"]


def fill(site: LoopbackSite) -> None:
    """Pages with an ETag, with a date, and with neither."""
    site.answers = {
        "/": page("tagged", "dated", text="front", tag='"f1"'),
        "/tagged": page("bare", text="a page with a tag", tag='W/"t1"', modified="Mon, 05 Jan 2026 10:00:00 GMT"),
        "/dated": page(text="a page with a date", modified="Mon, 05 Jan 2026 10:00:00 GMT"),
        "/bare": page("/deep", text="a page with neither"),
        "/deep": page(text="found on an unchanged page only", tag='"d1"'),
    }
