from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from pipelines.crawl.crawler import CrawlConfig, CrawlError, CrawlProgress, CrawlSummary, crawl
from pipelines.ledger import LEDGER_SCHEMA
from pipelines.sources.crawl import CrawlSource, RecordedCrawl
from pipelines.sources.record import Record

if TYPE_CHECKING:
    from .conftest import LoopbackSite


def _script() -> Any:
    from . import conftest

    return conftest


def _config(site: LoopbackSite, **fields: object) -> CrawlConfig:
    hosts = dict.fromkeys(("h.test", "two.test", "outside.test"), site.address)
    values = {"seeds": ["http://h.test/"], "delay": 0.0, "connect_to": hosts, "timeout": 2.0, "max_retries": 0}
    values |= {"tdmrep": False, "adaptive_delay": 0.0}
    return CrawlConfig.model_validate({**values, **fields})


def _ledger(folder: Path) -> dict[str, dict[str, Any]]:
    table = pq.read_table(folder / "ledger.parquet")
    assert table.schema == LEDGER_SCHEMA
    rows = table.to_pylist()
    for row in rows:
        row["evidence"] = json.loads(row["evidence"])
    by_uri = {row["uri"]: row for row in rows}
    assert len(by_uri) == len(rows), "an address has one row"
    return by_uri


def test_a_crawl_starts_without_what_only_measuring_needs() -> None:
    program = "import sys, pipelines.crawl.crawler; print(sorted({'numba', 'pandas', 'torch'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_address_has_one_verdict_and_a_reason(site: LoopbackSite, tmp_path: Path) -> None:
    make = _script()
    site.answers = {
        "/robots.txt": make.Answer(b"User-agent: *\nDisallow: /no\n", 200, {"Content-Type": "text/plain"}),
        "/": make.page(
            "ok", "no/page", "moved", "away", "gone", "image", "large", "http://outside.test/", "mailto:a@b"
        ),
        "/ok": make.page("/"),
        "/moved": make.Answer(b"", 301, {"Location": "/no/secret"}),
        "/away": make.Answer(b"", 302, {"Location": "http://outside.test/x"}),
        "/image": make.Answer(b"\x89PNG", 200, {"Content-Type": "image/png"}),
        "/large": make.Answer(b"<p>" + b"x" * 20_000),
    }
    seen: list[CrawlProgress] = []
    summary = crawl(_config(site, max_body_bytes=10_000), tmp_path / "out", seen.append)
    rows = _ledger(tmp_path / "out")
    verdicts = {uri.removeprefix("http://h.test"): (row["verdict"], row["reason"]) for uri, row in rows.items()}
    assert verdicts == {
        "/": ("kept", ""),
        "/ok": ("kept", ""),
        "/no/page": ("dropped", "robots-refused"),
        "/moved": ("dropped", "redirected"),
        "/no/secret": ("dropped", "robots-refused"),
        "/away": ("dropped", "redirected-out-of-scope"),
        "/image": ("dropped", "not-html"),
        "/gone": ("failed", "http-status"),
        "/large": ("failed", "too-large"),
    }
    assert "/no/secret" not in site.paths()
    assert "outside.test" not in {host for _, host, _ in site.requests}
    refusal = rows["http://h.test/no/secret"]["evidence"]
    assert refusal["rule"] == "Disallow: /no"
    assert refusal["robots_digest"] == hashlib.sha256(b"User-agent: *\nDisallow: /no\n").hexdigest()
    assert rows["http://h.test/gone"]["evidence"]["status"] == 404
    assert summary.addresses == 9 == summary.kept + sum(summary.dropped.values()) + sum(summary.failed.values())
    assert seen[-1].kept == 2
    manifest = json.loads((tmp_path / "out/crawl.json").read_text())
    assert manifest["in"] == 9
    assert manifest["links_out_of_scope"] == 1
    for file in manifest["files"]:
        data = (tmp_path / "out" / file["path"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == file["sha256"]


def test_budget_cuts_the_same_addresses_whichever_host_is_slow(site: LoopbackSite, tmp_path: Path) -> None:
    make = _script()
    site.answers = {"/": make.page("http://two.test/a", "/b", "http://two.test/c", "/d", "/e")}
    for slow in ("h.test", "two.test"):
        for path in "abcde":
            for host in ("h.test", "two.test"):
                answer = make.page()
                answer.seconds = 0.1 if host == slow else 0.0
                site.answers[f"{host}/{path}"] = answer
        out = tmp_path / slow
        crawl(_config(site, max_pages=4, hosts=["two.test"]), out)
        over = {uri for uri, row in _ledger(out).items() if row["reason"] == "out-of-budget"}
        assert over == {"http://h.test/d", "http://h.test/e"}


def test_redirects_end(site: LoopbackSite, tmp_path: Path) -> None:
    make = _script()
    site.answers = {f"/{hop}": make.Answer(b"", 302, {"Location": f"/{hop + 1}"}) for hop in range(20)}
    site.answers["/loop"] = make.Answer(b"", 302, {"Location": "/loop"})
    site.answers["/"] = make.page("0", "loop")
    summary = crawl(_config(site, max_redirects=3), tmp_path / "out")
    assert summary.failed == {"too-many-redirects": 1, "redirect-loop": 1}
    assert summary.dropped == {"redirected": 3}
    assert site.paths().count("/loop") == 1


def test_refusing_sites(site: LoopbackSite, tmp_path: Path) -> None:
    make = _script()
    site.answers = {
        "h.test/robots.txt": make.Answer(b"", 503),
        "two.test/robots.txt": make.Answer(b"User-agent: *\nCrawl-delay: 900\n", 200, {"Content-Type": "text/plain"}),
        "/": make.page(),
    }
    seeds = ["http://h.test/", "http://two.test/", f"http://{site.address}/"]
    summary = crawl(_config(site, seeds=seeds), tmp_path / "out")
    assert summary.kept == 0
    assert summary.dropped == {"robots-unreachable": 1, "crawl-delay-too-long": 1, "private-address": 1}
    assert set(site.paths()) == {"/robots.txt"}


def test_crawl_delay_of_the_site_is_obeyed(site: LoopbackSite, tmp_path: Path) -> None:
    make = _script()
    site.answers = {
        "/robots.txt": make.Answer(b"User-agent: PomonaBot\nCrawl-delay: 0.2\n", 200, {"Content-Type": "text/plain"}),
        "/": make.page("a", "b"),
        "/a": make.page(),
        "/b": make.page(),
    }
    crawl(_config(site), tmp_path / "out")
    times = site.times("h.test")
    assert len(times) == 4
    assert min(later - earlier for earlier, later in itertools.pairwise(times[1:])) >= 0.2


def test_killed_crawl_starts_over_and_finished_one_is_kept(site: LoopbackSite, tmp_path: Path) -> None:
    make = _script()
    site.answers = {"/": make.page()}
    out = tmp_path / "out"
    (out / "warc").mkdir(parents=True)
    (out / "warc/warc-00000.warc.gz.open").write_bytes(b"what a killed crawl left")
    (out / "notes.txt").write_text("mine")
    with pytest.raises(FileNotFoundError, match="no finished crawl here"):
        RecordedCrawl(out).units()
    first = crawl(_config(site), out)
    assert not first.reused
    assert sorted(path.name for path in (out / "warc").iterdir()) == ["warc-00000.warc.gz"]
    assert (out / "notes.txt").read_text() == "mine"
    asked = len(site.requests)
    again = crawl(_config(site), out)
    assert again.reused
    assert (again.kept, again.addresses) == (first.kept, first.addresses)
    assert len(site.requests) == asked
    with pytest.raises(CrawlError, match="other settings"):
        crawl(_config(site, max_pages=7), out)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"seeds": ["ftp://a.test"]},
        {"seeds": ["http://a.test"], "connect_to": {"a.test": "nowhere"}},
        {"seeds": ["http://a.test"], "dealy": 1},
        {"seeds": ["http://a.test"], "user_agent": "Bad\r\nHeader: x"},
        {"site": "other"},
    ],
)
def test_configuration_mistakes(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CrawlConfig.model_validate(fields)


def test_seeds_are_normalised() -> None:
    assert CrawlConfig(seeds=("HTTP://A.test",)).seeds == ("http://a.test/",)


def test_ports_do_not_change_the_digest() -> None:
    one = CrawlConfig(site="pydoc", connect_to={"a.test": "127.0.0.1:1"})
    assert one.digest() == CrawlConfig(site="pydoc").digest() != CrawlConfig(site="pydoc", max_pages=2).digest()


def test_sample_site(pydoc_crawl: CrawlSummary, pydoc_config: CrawlConfig) -> None:
    rows = _ledger(pydoc_crawl.folder)
    verdicts = {uri.removeprefix("http://pydoc.test"): (row["verdict"], row["reason"]) for uri, row in rows.items()}
    assert verdicts["/"] == ("kept", "")
    assert verdicts["/search?key=json"] == ("dropped", "robots-refused")
    assert rows["http://pydoc.test/search?key=json"]["evidence"]["rule"] == "Disallow: /search"
    assert verdicts["/missing.html"] == ("failed", "http-status")
    assert verdicts["/old/json.html"] == ("dropped", "redirected")
    assert verdicts["/secrets.html"] == ("dropped", "robots-refused")
    assert pydoc_crawl.kept == pydoc_config.max_pages - 2
    assert pydoc_crawl.dropped["out-of-budget"] > 100
    assert not any("antigravity" in uri or "idlelib" in uri for uri in rows)
    for file in sorted(pydoc_crawl.folder.glob("*/*.warc.gz")):
        check = subprocess.run([sys.executable, "-m", "warcio.cli", "check", str(file)], capture_output=True, text=True)
        assert check.returncode == 0, check.stdout


def test_what_was_kept_is_what_is_read(pydoc_crawl: CrawlSummary) -> None:
    rows = _ledger(pydoc_crawl.folder)
    source = CrawlSource(name="web", site="pydoc").recorded(pydoc_crawl.folder)
    from pipelines.document import document_id

    outcomes = [outcome for unit in source.units() for outcome in source.read(unit)]
    assert {outcome.uri for outcome in outcomes} == {uri for uri, row in rows.items() if row["verdict"] == "kept"}
    for outcome in outcomes:
        assert document_id("web", outcome.uri, outcome.content) == rows[outcome.uri]["id"]
        if not isinstance(outcome, Record):
            assert (outcome.uri, outcome.reason) == ("http://pydoc.test/broken.html", "undecodable-content")
            continue
        assert outcome.rights.robots_digest == rows[outcome.uri]["evidence"]["robots_digest"]
        assert outcome.content_type == "text/html; charset=utf-8"


def test_recorded_bytes_are_the_server_s(site: LoopbackSite, tmp_path: Path) -> None:
    make = _script()
    packed = gzip.compress(b"<title>t</title><p>zipped page <a href=next>next</a>", mtime=0)
    headers = {"Content-Type": "text/html", "Content-Encoding": "gzip", "X-Robots-Tag": "noai"}
    site.answers = {
        "/": make.Answer(packed, 200, headers),
        "/next": make.Answer(packed[:-9], 200, headers),
    }
    crawl(_config(site), tmp_path / "out")
    source = RecordedCrawl(tmp_path / "out")
    first, second = [outcome for unit in source.units() for outcome in source.read(unit)]
    assert isinstance(first, Record)
    assert first.content == packed
    assert b"zipped page" in first.body  # type: ignore[operator]
    assert first.rights.x_robots_tag == "noai"
    assert first.rights.robots_rule == "robots.txt 404: allowed"
    assert second.uri == "http://h.test/next"
    assert second.reason == "undecodable-content"  # type: ignore[union-attr]
