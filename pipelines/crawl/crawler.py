"""A crawl from its seeds to a folder that is recorded input: WARC files, a ledger, and crawl.json, written last.

Layout of the folder, named as in Common Crawl:

    crawl.json               what was asked, sums, robots digests, files with their digests; written last
    ledger.parquet           one row an address: kept, dropped or failed, and why
    warc/*.warc.gz           the answers that were kept
    crawldiagnostics/*.warc.gz   redirects and answers with another status than 200
    robotstxt/*.warc.gz      the robots.txt files

A crawl that was killed starts over from scratch: what it wrote has no crawl.json and is removed first. A finished
crawl is never repeated: asked again with the same configuration it is returned as it is.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines import ledger, storage
from pipelines.crawl.config import CrawlConfig
from pipelines.crawl.content_coding import ContentCodingError, decode_content
from pipelines.crawl.fetch import Exchange, Fetcher, FetchError
from pipelines.crawl.folder import FOLDERS, FORMAT, LEDGER, MANIFEST
from pipelines.crawl.frontier import Frontier, Target
from pipelines.crawl.links import links
from pipelines.crawl.robots_cache import RobotsCache
from pipelines.crawl.summary import CrawlError, CrawlProgress, CrawlSummary, finished
from pipelines.crawl.url import host_of, resolve
from pipelines.crawl.warc_writer import WarcWriter
from pipelines.document import canonical_json, document_id
from pipelines.robots import RobotsFile, product_token
from pipelines.sites.site import Site

STEP = "crawl"

_REDIRECTS = (301, 302, 303, 307, 308)
# Fetch errors that are our own refusal, not the site's failure.
_REFUSALS = ("private-address",)

__all__ = ["CrawlConfig", "CrawlError", "CrawlProgress", "CrawlSummary", "crawl"]


def crawl(config: CrawlConfig, out: Path, progress: Callable[[CrawlProgress], None] | None = None) -> CrawlSummary:
    """Crawl into a folder, or return what it holds if this very crawl is finished there.

    Args:
        config: what to crawl.
        out: folder of the crawl; made if it is missing.
        progress: called after each request.

    Raises:
        CrawlError: the folder holds a finished crawl of another configuration.
    """
    if (out / MANIFEST).exists():
        return finished(config, out)
    for name in FOLDERS:
        shutil.rmtree(out / name, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    with _site(config) as site:
        at = config
        if site is not None:
            at = config.model_copy(
                update={
                    "seeds": (*config.seeds, site.url),
                    "connect_to": {**config.connect_to, host_of(site.url): site.address},
                }
            )
        return asyncio.run(_Crawl(config, at, out, progress).run())


def _site(config: CrawlConfig) -> AbstractContextManager[Site | None]:
    if config.site is None:
        return nullcontext()
    from pipelines.sites import pydoc

    return pydoc.serve()


@dataclass(slots=True)
class _Sums:
    """Sums of one host."""

    bytes: int = 0
    verdicts: Counter[str] = field(default_factory=Counter[str])


class _Crawl:
    """One crawl while it runs. `config` is what was asked, `at` the same with a sample site's address filled in."""

    def __init__(
        self, config: CrawlConfig, at: CrawlConfig, out: Path, progress: Callable[[CrawlProgress], None] | None
    ) -> None:
        self._config = config
        self._at = at
        self._out = out
        self._progress = progress
        self._agent = product_token(config.user_agent)
        self._rows: list[dict[str, Any]] = []
        self._hosts: dict[str, _Sums] = {}
        self._frontier = Frontier([*(host_of(seed) for seed in at.seeds), *config.hosts], config.max_depth)
        self._started = datetime.now(UTC)
        self._clock = time.monotonic()
        self._requests = 0
        info = [
            ("software", f"pomona/{_version()}"),
            ("format", "WARC File Format 1.1"),
            ("conformsTo", "http://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/"),
            ("robots", "obey (RFC 9309)"),
            ("http-header-user-agent", config.user_agent),
        ]
        self._pages, self._diagnostics, self._robots_files = (
            WarcWriter(out / name, name, info, config.warc_max_bytes) for name in FOLDERS
        )

    async def run(self) -> CrawlSummary:
        """Crawl level by level, then write the ledger and the manifest."""
        for seed in self._at.seeds:
            self._frontier.add(Target(seed, 0))
        async with Fetcher(self._at) as fetcher:
            robots = RobotsCache(fetcher, self._robots_files.write)
            while level := self._frontier.take_level():
                files = await self._robots_of(level, robots)
                allowed = [target for target in level if self._may_fetch(target, files[target.url], fetcher)]
                budget = max(0, self._config.max_pages - self._requests)
                for target in allowed[budget:]:
                    self._row(target, b"", ledger.DROPPED, "out-of-budget", {"max_pages": self._config.max_pages})
                await self._fetch_level(allowed[:budget], files, fetcher)
            robots_files = robots.files
        for writer in (self._pages, self._diagnostics, self._robots_files):
            writer.close()
        return self._finish(robots_files)

    async def _robots_of(self, level: list[Target], robots: RobotsCache) -> dict[str, RobotsFile]:
        """The robots.txt for each address of a level; hosts are asked side by side."""
        files: dict[str, RobotsFile] = {}
        turn = asyncio.Semaphore(self._config.concurrent_hosts)

        async def ask(targets: list[Target]) -> None:
            async with turn:
                for target in targets:
                    files[target.url] = await robots.get(target.url)

        async with asyncio.TaskGroup() as tasks:
            for targets in _by_host(level).values():
                tasks.create_task(ask(targets))
        return files

    def _may_fetch(self, target: Target, robots: RobotsFile, fetcher: Fetcher) -> bool:
        if not robots.allowed(self._agent, target.url):
            evidence = {
                "rule": robots.rule(self._agent, target.url),
                "robots_digest": robots.digest,
                "robots_status": robots.status,
                "agent": self._agent,
                "found_on": target.found_on,
            }
            self._row(target, b"", ledger.DROPPED, _refusal(robots), evidence)
            return False
        delay = robots.rules.crawl_delay(self._agent)
        if delay is not None and delay > self._config.max_crawl_delay:
            evidence = {"crawl_delay": delay, "max_crawl_delay": self._config.max_crawl_delay}
            self._row(target, b"", ledger.DROPPED, "crawl-delay-too-long", evidence)
            return False
        if delay is not None:
            fetcher.slow_down(host_of(target.url), delay)
        return True

    async def _fetch_level(self, level: list[Target], files: dict[str, RobotsFile], fetcher: Fetcher) -> None:
        """Fetch a level, hosts side by side and each one in order; then queue what was found, in the level's order."""
        found: dict[str, list[Target]] = {}
        turn = asyncio.Semaphore(self._config.concurrent_hosts)
        waiting = len(level)

        async def work(targets: list[Target]) -> None:
            nonlocal waiting
            async with turn:
                for target in targets:
                    found[target.url] = await self._visit(target, files[target.url], fetcher)
                    waiting -= 1
                    self._report(waiting, target.depth)

        self._requests += len(level)
        async with asyncio.TaskGroup() as tasks:
            for targets in _by_host(level).values():
                tasks.create_task(work(targets))
        for target in level:
            for next_target in found[target.url]:
                self._frontier.add(next_target)

    async def _visit(self, target: Target, robots: RobotsFile, fetcher: Fetcher) -> list[Target]:
        """Fetch one address, account for it, and return the addresses that it leads to."""
        try:
            exchange = await fetcher.get(target.url, self._wanted)
        except FetchError as error:
            verdict = ledger.DROPPED if error.reason in _REFUSALS else ledger.FAILED
            self._row(target, b"", verdict, error.reason, {"detail": str(error), "found_on": target.found_on})
            return []
        self._host(target).bytes += len(exchange.body)
        location = exchange.header("location")
        if exchange.status in _REDIRECTS and location:
            self._diagnostics.write(exchange)
            return self._redirect(target, exchange, location)
        if exchange.status != 200:
            self._diagnostics.write(exchange)
            evidence = {"status": exchange.status, "found_on": target.found_on}
            self._row(target, exchange.body, ledger.FAILED, "http-status", evidence)
            return []
        if exchange.media_type not in self._config.content_types:
            evidence = {"content_type": exchange.header("content-type"), "wanted": self._config.content_types}
            self._row(target, b"", ledger.DROPPED, "not-html", evidence)
            return []
        rule = robots.rule(self._agent, target.url)
        extra = [("X-Pomona-Robots-Rule", rule), ("X-Pomona-Depth", str(target.depth))]
        if robots.digest:
            extra.append(("X-Pomona-Robots-Digest", f"sha256:{robots.digest}"))
        self._pages.write(exchange, extra)
        evidence = {"depth": target.depth, "found_on": target.found_on, "rule": rule, "robots_digest": robots.digest}
        self._row(target, exchange.body, ledger.KEPT, "", evidence)
        return [
            Target(link, target.depth + 1, 0, target.url)
            for link in self._links(exchange)
            if not self._frontier.knows(link)
        ]

    def _wanted(self, exchange: Exchange) -> bool:
        """Whether a body is worth reading: other media types are dropped without it."""
        return exchange.status != 200 or exchange.media_type in self._config.content_types

    def _redirect(self, target: Target, exchange: Exchange, location: str) -> list[Target]:
        goal = resolve(target.url, location)
        evidence = {"status": exchange.status, "location": location, "found_on": target.found_on}
        if goal is not None and target.redirects >= self._config.max_redirects:
            self._row(target, exchange.body, ledger.FAILED, "too-many-redirects", evidence)
            return []
        if goal is None or not self._frontier.in_scope(goal):
            self._row(target, exchange.body, ledger.DROPPED, "redirected-out-of-scope", evidence)
            return []
        self._row(target, exchange.body, ledger.DROPPED, "redirected", evidence)
        # The goal goes through the frontier like any address, so robots.txt is asked about it, too.
        return [Target(goal, target.depth, target.redirects + 1, target.url)]

    def _links(self, exchange: Exchange) -> list[str]:
        tag = (exchange.header("x-robots-tag") or "").lower()
        if any(wish.strip() in ("nofollow", "none") for wish in tag.split(",")):
            return []
        try:
            html = decode_content(exchange.body, exchange.header("content-encoding"), self._config.max_body_bytes)
        except ContentCodingError:
            return []  # the page is kept as it came; reading it back names this failure
        return links(html, exchange.url, self._config.max_links)

    def _row(self, target: Target, content: bytes, verdict: str, reason: str, evidence: dict[str, Any]) -> None:
        self._rows.append(
            {
                "id": document_id(self._config.source, target.url, content),
                "uri": target.url,
                "source": self._config.source,
                "step": STEP,
                "verdict": verdict,
                "reason": reason,
                "evidence": canonical_json(evidence),
            }
        )
        self._host(target).verdicts[verdict] += 1

    def _host(self, target: Target) -> _Sums:
        return self._hosts.setdefault(host_of(target.url), _Sums())

    def _report(self, waiting: int, depth: int) -> None:
        if self._progress is not None:
            kept = sum(host.verdicts[ledger.KEPT] for host in self._hosts.values())
            received = sum(host.bytes for host in self._hosts.values())
            done = self._requests - waiting
            seconds = time.monotonic() - self._clock
            self._progress(CrawlProgress(done, waiting, kept, received, seconds, depth))

    def _finish(self, robots: dict[str, RobotsFile]) -> CrawlSummary:
        table = ledger.sort(ledger.rows(self._rows))
        account = ledger.Account.of(len(self._rows), table)
        account.check(STEP)
        rows = storage.write_parquet(self._out / LEDGER, table)
        seconds = round(time.monotonic() - self._clock, 3)
        received = sum(host.bytes for host in self._hosts.values())
        files = [file for writer in (self._pages, self._diagnostics, self._robots_files) for file in writer.files]
        manifest = {
            "format": FORMAT,
            "config": self._config.model_dump(mode="json", exclude={"connect_to"}),
            "config_digest": self._config.digest(),
            "software": f"pomona/{_version()}",
            "started": self._started.isoformat(timespec="seconds"),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": seconds,
            "bytes": received,
            **account.as_dict(),
            "links_out_of_scope": self._frontier.out_of_scope,
            "links_too_deep": self._frontier.too_deep,
            "hosts": {
                name: {"bytes": sums.bytes, **dict(sorted(sums.verdicts.items()))}
                for name, sums in sorted(self._hosts.items())
            },
            "robots": {
                origin: {
                    "digest": file.digest,
                    "status": file.status,
                    "crawl_delay": file.rules.crawl_delay(self._agent),
                }
                for origin, file in sorted(robots.items())
            },
            "files": [
                {
                    "path": file.relative_to(self._out).as_posix(),
                    "bytes": file.stat().st_size,
                    "sha256": storage.sha256(file),
                }
                for file in files
            ],
            "ledger": {"path": LEDGER, "rows": rows.rows, "sha256": rows.sha256},
        }
        storage.write_json(self._out / MANIFEST, manifest)
        return CrawlSummary(
            self._out,
            account.received,
            account.kept,
            dict(account.dropped),
            dict(account.failed),
            received,
            seconds,
            reused=False,
        )


def _refusal(robots: RobotsFile) -> str:
    if not robots.refused:
        return "robots-refused"
    return "private-address" if robots.status.startswith("private-address") else "robots-unreachable"


def _by_host(targets: Iterable[Target]) -> dict[str, list[Target]]:
    groups: dict[str, list[Target]] = {}
    for target in targets:
        groups.setdefault(host_of(target.url), []).append(target)
    return groups


def _version() -> str:
    try:
        return importlib.metadata.version("pomona")
    except importlib.metadata.PackageNotFoundError:
        return "source"
