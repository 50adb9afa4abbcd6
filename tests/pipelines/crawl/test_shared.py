"""Hosts shared among workers: the same ledger as one process, each host with one worker."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.crawl.crawler import CrawlConfig, CrawlProgress, crawl
from pipelines.crawl.shared import owner
from pipelines.crawl.url import host_of
from pipelines.engines.local import LocalEngine
from pipelines.engines.settings import Settings, opened
from pipelines.sources.archive import ArchiveRecord, read_archive
from pipelines.sources.crawl import RecordedCrawl

if TYPE_CHECKING:
    from .conftest import LoopbackSite

HOSTS = tuple(f"h{number}.test" for number in range(7))


@pytest.fixture
def web(site: LoopbackSite) -> LoopbackSite:
    """Seven hosts that link to each other."""
    from .conftest import Answer, page

    for number, host in enumerate(HOSTS):
        beyond = [f"http://{HOSTS[(number + step) % 7]}/{step}" for step in (1, 2, 3)]
        site.answers[f"{host}/robots.txt"] = Answer(
            f"User-agent: *\nDisallow: /3\nSitemap: http://{host}/map\n".encode(), 200, {"Content-Type": "text/plain"}
        )
        site.answers[f"{host}/map"] = Answer(f"http://{host}/mapped".encode(), 200, {"Content-Type": "text/plain"})
        site.answers[f"{host}/mapped"] = page("http://elsewhere.test/", text="mapped")
        site.answers[f"{host}/"] = page(*beyond, "/a", "/b", text=host)
        for name in ("1", "2", "a", "b"):
            site.answers[f"{host}/{name}"] = page("/c", "/d", *beyond, text=f"{name} on {host}")
        site.answers[f"{host}/c"] = Answer(b"<link rel=canonical href=/a>c")
        site.answers[f"{host}/d"] = Answer(b"", 302, {"Location": f"http://{HOSTS[(number + 1) % 7]}/e"})
    return site


def _config(site: LoopbackSite, **fields: Any) -> CrawlConfig:
    values: dict[str, Any] = {
        "seeds": ["http://h0.test/"], "hosts": HOSTS[1:], "delay": 0.0, "adaptive_delay": 0.0, "timeout": 10.0,
        "connect_to": dict.fromkeys(HOSTS, site.address), "max_pages": 45, "max_host_pages": 7,
    }  # fmt: skip
    return CrawlConfig.model_validate({**values, **fields})


def _ledger(folder: Path) -> pa.Table:
    return pq.read_table(RecordedCrawl(folder).ledger)


def _series(folder: Path) -> dict[str, set[str]]:
    """The hosts in each worker's files."""
    found: dict[str, set[str]] = {}
    for path in folder.glob("*/*.warc.gz"):
        with path.open("rb") as stream:
            for item in read_archive(stream, 1 << 30):
                assert isinstance(item, ArchiveRecord)
                if item.kind == "response":
                    found.setdefault(path.name.split("-")[1], set()).add(host_of(item.uri))
    return found


@pytest.mark.slow
def test_any_number_of_workers_gives_the_same_ledger(web: LoopbackSite, tmp_path: Path) -> None:
    alone = crawl(_config(web), tmp_path / "1")
    reference = _ledger(tmp_path / "1")
    assert {"redirected", "robots-refused", "out-of-budget", "not-canonical"} <= set(reference["reason"].to_pylist())
    engine = LocalEngine(2)
    seen: list[CrawlProgress] = []
    try:
        for workers in (2, 5):
            out = tmp_path / str(workers)
            web.forget()
            summary = crawl(_config(web, workers=workers), out, seen.append, engine=engine)
            assert _ledger(out).equals(reference)
            assert (summary.kept, summary.dropped, summary.bytes) == (alone.kept, alone.dropped, alone.bytes)
            series = _series(out)
            assert sum(map(len, series.values())) == len(set().union(*series.values())), "a host has one worker"
            assert all(owner(host, workers) == int(name[1:]) for name, hosts in series.items() for host in hosts)
            assert web.paths("h0.test").count("/robots.txt") == 1
    finally:
        engine.close()
    one, two = (json.loads((tmp_path / name / "crawl.json").read_text()) for name in ("1", "2"))
    for name in ("hosts", "robots", "sitemaps", "tdmrep", "links_out_of_scope", "links_left", "config_digest"):
        assert one[name] == two[name], name
    assert seen[-1].hosts == 7


def test_update_by_workers(web: LoopbackSite, tmp_path: Path) -> None:
    from .conftest import page

    crawl(_config(web), tmp_path / "out")
    before = _ledger(tmp_path / "out")
    summary = crawl(_config(web, workers=3), tmp_path / "out", previous=tmp_path / "out", engine=LocalEngine(1))
    assert summary.update == {"unchanged": summary.kept, "withdrawn": 0}
    assert (
        _ledger(tmp_path / "out").select(["id", "verdict", "reason"]).equals(before.select(["id", "verdict", "reason"]))
    )
    web.answers["h1.test/1"] = page(text="another text")
    summary = crawl(_config(web, workers=3), tmp_path / "out", previous=tmp_path / "out", engine=LocalEngine(1))
    assert summary.update["changed"] == 1


def test_delays_hold_from_round_to_round(web: LoopbackSite, tmp_path: Path) -> None:
    config = _config(web, workers=2, delay=0.15, max_pages=20, max_host_pages=None)
    crawl(config, tmp_path / "out", engine=LocalEngine(1))
    for host in HOSTS:
        times = web.times(host)
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert min(gaps, default=1.0) >= 0.15, host


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ray", "beam"])
def test_other_engines_give_the_same_ledger(web: LoopbackSite, tmp_path: Path, name: str) -> None:
    crawl(_config(web, max_depth=2), tmp_path / "alone")
    with opened(Settings(engine=name, workers=2)) as engine:
        crawl(_config(web, max_depth=2, workers=3), tmp_path / "shared", engine=engine)
    assert _ledger(tmp_path / "shared").equals(_ledger(tmp_path / "alone"))
    assert len(_series(tmp_path / "shared")) == 3
