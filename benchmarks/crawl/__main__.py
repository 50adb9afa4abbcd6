"""Crawl the site with each crawler in turn, several times; print pages/s, processor time, and delays observed."""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.corpus.pages import CorpusError
from benchmarks.crawl import site
from benchmarks.environments import BENCH, ROOT, NotInstalled, python_of
from benchmarks.watch import CommandFailed, watched

HERE = Path(__file__).parent
NAMES = ("pomona", "scrapy", "scrapy-every-link")
"""The crawlers. The last makes a request of every link, as in Scrapy's tutorial; it runs only where it is named."""
WORK = BENCH / "crawl" / "work"
SLACK = 0.0005
"""Seconds by which the server's clock may see requests closer than they were sent apart."""


@contextmanager
def served(file: Path) -> Generator[tuple[int, dict[str, Any]]]:
    """Serve the site; at the end, what the server saw is in the mapping."""
    command = [sys.executable, "-m", "benchmarks.crawl.serve", file]
    seen: dict[str, Any] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
        assert server.stdout is not None
        try:
            yield json.loads(server.stdout.readline())["port"], seen
        finally:
            server.terminate()
            seen |= json.loads(server.stdout.readline() or "{}")


def crawled(name: str, file: Path, hosts: int | None, delay: float, limit: float) -> dict[str, Any]:
    """One crawl of so many hosts by one crawler, ended after `limit` seconds: its cost beside what the server saw."""
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    with served(file) as (port, seen):
        seeds = site.seeds(file, port)
        seeds = seeds[:: max(1, len(seeds) // (hosts or len(seeds)))][:hosts]
        (WORK / "seeds.json").write_text(json.dumps(seeds), encoding="utf-8")
        arguments = ["--seeds", WORK / "seeds.json", "--delay", str(delay), "--hosts", str(len(seeds))]
        arguments += ["--seconds", str(limit)]
        command: Sequence[str | Path]
        if name.startswith("scrapy"):
            python = python_of("scrapy", HERE / "requirements-scrapy.txt")
            every = ["--every-link"] if name.endswith("every-link") else []
            command = [python, HERE / "run_scrapy.py", *arguments, *every]
        else:
            command = [sys.executable, "-m", "benchmarks.crawl.run_pomona", *arguments, "--out", WORK / "crawl"]
        cost = watched(command, WORK / f"{name}.log", cwd=ROOT)
    gaps = {host: gap for host, gap in seen["gaps"].items() if gap is not None}
    slow = set(site.slow(file))
    asked = {host: max(delay, site.CRAWL_DELAY if host in slow else 0.0) for host in gaps}
    return {
        "seconds": cost.said["seconds"],
        "startup": cost.seconds - cost.said["seconds"],
        "cpu_seconds": cost.cpu_seconds,
        "peak_bytes": cost.peak_bytes,
        "pages": cost.said["pages"],
        "requests": seen["requests"],
        "distinct": seen["pages"],
        "hosts": seen["hosts"],
        "smallest_gap": min(gaps.values()),
        "too_soon": sum(gap < asked[host] - SLACK for host, gap in gaps.items()),
        "slow_hosts_gap": min((gap for host, gap in gaps.items() if host in slow), default=0.0),
        "finished": cost.said["seconds"] < limit,
    }


def told(result: dict[str, Any]) -> str:
    """The result for a reader."""
    lines = [
        f"{result['pages']:,} pages on {result['hosts']} hosts, {result['delay'] * 1000:g} ms between requests to one "
        f"({site.CRAWL_DELAY * 1000:g} ms where robots.txt asks for it); medians of {result['turns']}",
        f"{'':18}{'seconds':>9}{'pages/s':>9}{'CPU s':>8}{'CPU ms/page':>13}{'requests':>10}{'pages':>8}"
        f"{'peak MiB':>10}{'smallest gaps':>18}{'asked too soon':>16}",
    ]
    for name, one in result["medians"].items():
        gaps = f"{one['smallest_gap'] * 1000:.1f}, {one['slow_hosts_gap'] * 1000:.1f} ms"
        lines.append(
            f"{name:18}{one['seconds']:9.1f}{one['distinct'] / one['seconds']:9.0f}{one['cpu_seconds']:8.1f}"
            f"{one['cpu_seconds'] / one['distinct'] * 1000:13.2f}{one['requests']:10,.0f}{one['distinct']:8,.0f}"
            f"{one['peak_bytes'] / 2**20:10,.0f}{gaps:>18}{one['too_soon']:10,.0f} hosts"
        )
        if not one["finished"]:
            lines.append(
                f"{name} was ended after {result['limit']:g} s; its figures are of the part that it had crawled"
            )
    if "speed" in result:
        lines.append(
            f"Pomona over Scrapy: {result['speed']:.2f} times its pages/s, "
            f"{result['cpu']:.2f} times its processor time a page"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crawl", description=__doc__)
    parser.add_argument("--turns", type=int, default=1, help="how often each is measured (default: 1)")
    parser.add_argument(
        "--delay", type=float, default=0.005, help="seconds between requests to a host (default: 0.005)"
    )
    parser.add_argument("--hosts", type=int, help="crawl only so many of the hosts")
    parser.add_argument("--limit", type=float, default=300, help="seconds after which a crawl ends (default: 300)")
    parser.add_argument("--only", choices=NAMES, help="only this crawler")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args()
    try:
        file = site.made()
        names = (asked.only,) if asked.only else NAMES[:2]
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        for turn in range(asked.turns):
            for name, done in runs.items():
                print(f"{name}, turn {turn + 1} ...", file=sys.stderr, flush=True)
                done.append(crawled(name, file, asked.hosts, asked.delay, asked.limit))
    except (CorpusError, CommandFailed, NotInstalled, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    medians = {
        name: {key: statistics.median(one[key] for one in done) for key in done[0]} for name, done in runs.items()
    }
    first = max(medians.values(), key=lambda one: one["distinct"])
    result: dict[str, Any] = {
        "pages": first["distinct"],
        "hosts": first["hosts"],
        "delay": asked.delay,
        "limit": asked.limit,
        "turns": asked.turns,
        "medians": medians,
    }
    if not asked.only:
        rates = {name: one["distinct"] / one["seconds"] for name, one in medians.items()}
        costs = {name: one["cpu_seconds"] / one["distinct"] for name, one in medians.items()}
        result |= {"speed": rates["pomona"] / rates["scrapy"], "cpu": costs["pomona"] / costs["scrapy"]}
    print(json.dumps(result, indent=1) if asked.json else told(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
