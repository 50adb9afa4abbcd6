"""A crawl that is killed at any moment, and started again, is the crawl that was never killed."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from pipelines.crawl.crawler import CrawlConfig, CrawlError, crawl
from pipelines.sources.archive import ArchiveRecord, read_archive
from pipelines.sources.crawl import RecordedCrawl
from pipelines.sources.record import Record
from pipelines.storage import sha256

if TYPE_CHECKING:
    from .conftest import LoopbackSite

HOSTS = ("h.test", "two.test", "three.test")
TEXT = {"Content-Type": "text/plain"}

_CHILD = """
import json, sys
from pathlib import Path
from pipelines.crawl import journal
from pipelines.crawl.crawler import CrawlConfig, crawl
if __name__ == "__main__":
    job = json.loads(sys.stdin.read())
    journal.COMMIT_ROWS = job["rows"]
    out = Path(job["out"])
    crawl(CrawlConfig.model_validate(job["config"]), out, previous=out if job["update"] else None)
"""


def _fill(site: LoopbackSite, pages: int = 20, seconds: float = 0.002) -> None:
    """Three hosts with pages, redirects, a missing page, second addresses, a sitemap and a reservation."""
    from .conftest import Answer, page

    for host in HOSTS:
        other = HOSTS[(HOSTS.index(host) + 1) % len(HOSTS)]
        site.answers[f"{host}/robots.txt"] = Answer(
            f"User-agent: *\nDisallow: /no\nSitemap: http://{host}/map.xml\n".encode(), 200, TEXT
        )
        rules = b'[{"location": "/p1*", "tdm-reservation": 1}]'
        site.answers[f"{host}/.well-known/tdmrep.json"] = Answer(rules, 200, {"Content-Type": "application/json"})
        listed = f"<urlset><url><loc>http://{host}/listed</loc><lastmod>2026-01-02</lastmod></url></urlset>"
        site.answers[f"{host}/map.xml"] = Answer(listed.encode(), 200, {"Content-Type": "text/xml"})
        site.answers[f"{host}/listed"] = page(text=f"listed on {host}")
        links = [f"/p{number}" for number in range(pages)]
        site.answers[f"{host}/"] = page(*links, "/moved", "/gone", "/no/page", f"http://{other}/", text=f"front {host}")
        for number in range(pages):
            answer = page(f"/p{number + pages // 2}", f"/copy{number % 3}", "/", text=f"page {number} of {host} " * 40)
            answer.seconds = seconds
            answer.headers["ETag"] = f'"{number}"'
            site.answers[f"{host}/p{number}"] = answer
        for number in range(3):
            site.answers[f"{host}/copy{number}"] = Answer(f"<link rel=canonical href=/p{number}>copy {number}".encode())
        site.answers[f"{host}/moved"] = Answer(b"", 301, {"Location": "/p1"})


def _config(site: LoopbackSite, **fields: Any) -> CrawlConfig:
    values: dict[str, Any] = {
        "seeds": ["http://h.test/"], "hosts": HOSTS[1:], "delay": 0.0, "adaptive_delay": 0.0, "timeout": 10.0,
        "connect_to": dict.fromkeys(HOSTS, site.address), "max_pages": 70, "warc_max_bytes": 6000,
    }  # fmt: skip
    return CrawlConfig.model_validate({**values, **fields})


def _start(config: CrawlConfig, out: Path, rows: int, *, update: bool) -> subprocess.Popen[bytes]:
    job = {"config": config.model_dump(mode="json"), "out": str(out), "rows": rows, "update": update}
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")])}
    process = subprocess.Popen(
        [sys.executable, "-c", _CHILD], stdin=subprocess.PIPE, env=environment, start_new_session=True
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(job).encode())
    process.stdin.close()
    return process


def _ledger(folder: Path) -> list[dict[str, Any]]:
    return sorted(pq.read_table(RecordedCrawl(folder).ledger).to_pylist(), key=lambda row: row["uri"])


def _records(folder: Path) -> Counter[tuple[str, str, str]]:
    """How often each response stands in the crawl's files, by folder."""
    found: Counter[tuple[str, str, str]] = Counter()
    for path in sorted(folder.glob("*/*.warc.gz")):
        with path.open("rb") as stream:
            for item in read_archive(stream, 1 << 30):
                assert isinstance(item, ArchiveRecord), f"{path}: {item}"
                if item.kind in ("response", "revisit"):
                    found[path.parent.name, item.kind, item.uri] += 1
    return found


def _is_whole(folder: Path) -> None:
    """Everything that the manifest names is there as it says, and nothing else."""
    manifest = json.loads((folder / "crawl.json").read_text())
    named = {file["path"] for file in manifest["files"]}
    assert named == {path.relative_to(folder).as_posix() for path in folder.glob("*/*.warc.gz*")}
    assert all(sha256(folder / file["path"]) == file["sha256"] for file in manifest["files"])
    assert not (folder / "frontier").exists()
    kept = {row["uri"] for row in _ledger(folder) if row["verdict"] == "kept"}
    source = RecordedCrawl(folder)
    outcomes = [outcome for unit in source.units() for outcome in source.read(unit)]
    assert all(isinstance(outcome, Record) for outcome in outcomes)
    assert sorted(outcome.uri for outcome in outcomes) == sorted(kept)


def _killed(
    site: LoopbackSite, config: CrawlConfig, out: Path, kills: int, seed: int, *, update: bool = False, most: int = 14
) -> int:
    """Crawl, killing the process at seeded moments, after `most` requests at the latest.

    Returns how often it was killed before it came to its end.
    """
    dice = random.Random(seed)
    killed = 0
    while True:
        process = _start(config, out, dice.choice((1, 2, 5, 256)), update=update)
        before, wanted = len(site.requests), dice.randint(0, most)
        while killed < kills and process.poll() is None:
            if len(site.requests) - before >= wanted:
                time.sleep(dice.uniform(0.0, 0.02))
                os.killpg(process.pid, signal.SIGKILL)
                break
            time.sleep(0.001)
        if process.wait(timeout=120) == 0:
            return killed
        assert process.returncode == -signal.SIGKILL
        killed += 1


def _same(reference: Path, out: Path) -> None:
    assert _ledger(out) == _ledger(reference)
    assert _records(out) == _records(reference)
    assert set(_records(out).values()) == {1}, "nothing is written twice"
    _is_whole(out)


def test_killed_a_few_times(site: LoopbackSite, tmp_path: Path) -> None:
    _fill(site)
    crawl(_config(site), tmp_path / "reference")
    assert {row["reason"] for row in _ledger(tmp_path / "reference")} >= {"", "not-canonical", "redirected",
                                                                         "robots-refused", "out-of-budget"}  # fmt: skip
    assert _killed(site, _config(site), tmp_path / "out", 3, seed=1) == 3
    _same(tmp_path / "reference", tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_killed_at_many_moments(site: LoopbackSite, tmp_path: Path, seed: int) -> None:
    _fill(site)
    crawl(_config(site), tmp_path / "reference")
    killed = _killed(site, _config(site), tmp_path / "out", 8, seed=seed)
    assert killed >= 5
    _same(tmp_path / "reference", tmp_path / "out")


@pytest.mark.slow
def test_update_killed_at_many_moments(site: LoopbackSite, tmp_path: Path) -> None:
    from .conftest import page

    _fill(site)
    for name in ("reference", "out"):
        crawl(_config(site), tmp_path / name)
    site.answers["h.test/p3"] = page("/new", text="changed")
    site.answers["h.test/new"] = page(text="new")
    del site.answers["two.test/p4"]
    crawl(_config(site), tmp_path / "reference", previous=tmp_path / "reference")
    first = json.loads((tmp_path / "out/crawl.json").read_text())
    assert _killed(site, _config(site), tmp_path / "out", 6, seed=11, update=True) >= 4
    assert json.loads((tmp_path / "out/crawl.json").read_text())["generation"] == first["generation"] + 1
    ledger = [_ledger(tmp_path / name) for name in ("reference", "out")]
    for row in (row for rows in ledger for row in rows):
        evidence = json.loads(row["evidence"])  # where the first generation's records lie differs between folders
        row["evidence"] = {name: one for name, one in evidence.items() if name not in ("stored", "withdrawn")}
    assert ledger[0] == ledger[1]
    assert _records(tmp_path / "out") == _records(tmp_path / "reference")
    _is_whole(tmp_path / "out")


@pytest.mark.slow
def test_workers_killed_at_many_moments(site: LoopbackSite, tmp_path: Path) -> None:
    _fill(site, seconds=0.01)
    crawl(_config(site), tmp_path / "reference")
    assert _killed(site, _config(site, workers=2), tmp_path / "out", 5, seed=5) >= 3
    _same(tmp_path / "reference", tmp_path / "out")


@pytest.mark.slow
@pytest.mark.data
def test_a_real_site_killed_while_two_workers_read_it(site: LoopbackSite, tmp_path: Path, pomona_data: Path) -> None:
    """SQLite's documentation under three names, images and styles refused by their types."""
    from .conftest import Answer

    types = {
        ".html": "text/html",
        ".css": "text/css",
        ".js": "text/javascript",
        ".gif": "image/gif",
        ".svg": "image/svg",
    }
    with tarfile.open(pomona_data / "sites/sqlite3_doc.tar.xz") as archive:
        for member in archive:
            stream = archive.extractfile(member)
            if stream is not None:
                kind = types.get(Path(member.name).suffix, "application/octet-stream")
                path = "/" + member.name.partition("/")[2]
                site.answers[path] = Answer(stream.read(), 200, {"Content-Type": kind})
    front = next(path for path in site.answers if path.endswith("/index.html"))
    seeds = [f"http://{host}{front}" for host in HOSTS]
    config = _config(site, seeds=seeds, max_pages=100_000, warc_max_bytes=2_000_000)
    summary = crawl(config, tmp_path / "reference")
    assert summary.kept > 1500
    shared = config.model_copy(update={"workers": 2})
    assert _killed(site, shared, tmp_path / "out", 3, seed=3, most=700) == 3
    _same(tmp_path / "reference", tmp_path / "out")
    for file in sorted((tmp_path / "out").glob("*/*.warc.gz")):
        check = subprocess.run([sys.executable, "-m", "warcio.cli", "check", str(file)], capture_output=True, text=True)
        assert check.returncode == 0, check.stdout


def test_other_settings_do_not_go_on_with_a_crawl(site: LoopbackSite, tmp_path: Path) -> None:
    _fill(site)

    def stop(_: Any) -> None:
        raise InterruptedError

    with pytest.raises(ExceptionGroup):
        crawl(_config(site), tmp_path / "out", stop)
    with pytest.raises(CrawlError, match="unfinished crawl with other settings"):
        crawl(_config(site, max_pages=9), tmp_path / "out")
    asked = Counter(site.requests)
    crawl(_config(site), tmp_path / "out")
    assert asked
    _is_whole(tmp_path / "out")


def test_a_host_is_not_asked_too_soon_after_a_restart(site: LoopbackSite, tmp_path: Path) -> None:
    _fill(site, pages=3)
    config = _config(site, hosts=[], delay=0.4, max_pages=6)
    done = threading.Event()

    def stop(_: Any) -> None:
        done.set()
        raise InterruptedError

    with pytest.raises(ExceptionGroup):
        crawl(config, tmp_path / "out", stop)
    assert done.is_set()
    crawl(config, tmp_path / "out")
    times = site.times("h.test")
    assert len(times) > 6
    assert min(later - earlier for earlier, later in itertools.pairwise(times)) >= 0.4
