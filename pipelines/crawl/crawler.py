"""A crawl from its seeds to a folder that is recorded input (see `folder`): WARC files, a ledger, and crawl.json.

A crawl that was killed starts over from scratch: what it wrote has no crawl.json and is removed first. A finished
crawl is never repeated: asked again with the same configuration it is returned as it is.

An update starts from a finished crawl and stores what is new. It goes through the site as a crawl does, robots.txt
first; an address that was stored is asked for on condition that it has changed. If it has not (304, or the same bytes
with the same rights), a `revisit` record says so, the stored page stands, and its links are followed. What is stored
stands also where the site gave no usable answer this time (an error of its server, no connection, no budget left). It
is withdrawn where the answer is that it is no longer there (404 and 410: "gone"), moved, refused by robots.txt, or
otherwise not to be kept; and a changed page takes its place. Stored pages that no link leads to are asked for last.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines import ledger, storage
from pipelines.crawl.config import CrawlConfig
from pipelines.crawl.content_coding import ContentCodingError, decode_content
from pipelines.crawl.fetch import Exchange, Fetcher, FetchError
from pipelines.crawl.folder import FOLDERS, FORMAT, MANIFEST, clear, described, ledger_name, link, prefix
from pipelines.crawl.frontier import Frontier, Target
from pipelines.crawl.links import links
from pipelines.crawl.outcomes import NOT_REFRESHED, UNCHANGED, Outcomes
from pipelines.crawl.previous import Previous, StoredPage
from pipelines.crawl.robots_cache import RobotsCache
from pipelines.crawl.summary import CrawlError, CrawlProgress, CrawlSummary, finished
from pipelines.crawl.url import host_of, resolve
from pipelines.crawl.warc_writer import WarcWriter
from pipelines.robots import RobotsFile, product_token
from pipelines.sites.site import Site

_REDIRECTS = (301, 302, 303, 307, 308)
_GONE = (404, 410)
_LATER = (408, 425, 429)
# Fetch errors that are our own refusal, not the site's failure.
_REFUSALS = ("private-address",)
# Fetch errors that say nothing about the page.
_NO_ANSWER = ("name-not-resolved", "connection-failed", "timeout", "bad-http")

__all__ = ["CrawlConfig", "CrawlError", "CrawlProgress", "CrawlSummary", "crawl"]


def crawl(
    config: CrawlConfig,
    out: Path,
    progress: Callable[[CrawlProgress], None] | None = None,
    previous: Path | None = None,
) -> CrawlSummary:
    """Crawl into a folder, or return what it holds if this very crawl is finished there.

    Args:
        config: what to crawl; an update may have another configuration than the crawl before it.
        out: folder of the crawl; made if it is missing.
        progress: called after each request.
        previous: folder of a finished crawl to update. It may be `out`: then the crawl there is asked for anew, or made
            where none is finished. If it is another folder, it stays as it is, and its files are linked into `out`.

    Raises:
        CrawlError: the folder holds a finished crawl of another configuration; or `previous` holds none.
        RunLocked: another crawl is writing into the folder.
    """
    in_place = previous is not None and previous.resolve() == out.resolve()
    if not in_place and (out / MANIFEST).exists():
        return finished(config, out)
    if in_place and not (out / MANIFEST).exists():
        previous = None
    with storage.lock(out, "crawl"):
        try:
            earlier = Previous(previous) if previous is not None else None
        except (FileNotFoundError, ValueError) as error:
            raise CrawlError(str(error)) from error
        clear(out, earlier.manifest if earlier is not None and in_place else None)
        if earlier is not None and not in_place:
            link(earlier.manifest["files"], earlier.folder, out)
        with _site(config) as site:
            at = config
            if site is not None:
                at = config.model_copy(
                    update={
                        "seeds": (*config.seeds, site.url),
                        "connect_to": {**config.connect_to, host_of(site.url): site.address},
                    }
                )
            return asyncio.run(_Crawl(config, at, out, progress, earlier).run())


def _site(config: CrawlConfig) -> AbstractContextManager[Site | None]:
    if config.site is None:
        return nullcontext()
    from pipelines.sites import pydoc

    return pydoc.serve()


class _Crawl:
    """One crawl while it runs. `config` is what was asked, `at` the same with a sample site's address filled in."""

    def __init__(
        self,
        config: CrawlConfig,
        at: CrawlConfig,
        out: Path,
        progress: Callable[[CrawlProgress], None] | None,
        previous: Previous | None,
    ) -> None:
        self._config = config
        self._at = at
        self._out = out
        self._progress = progress
        self._agent = product_token(config.user_agent)
        self._previous = previous
        self._generation = 0 if previous is None else previous.generation + 1
        self._outcomes = Outcomes(config.source, previous)
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
            WarcWriter(out / name, prefix(name, self._generation), info, config.warc_max_bytes) for name in FOLDERS
        )

    async def run(self) -> CrawlSummary:
        """Crawl level by level, then write the ledger and the manifest."""
        for seed in self._at.seeds:
            self._frontier.add(Target(seed, 0))
        async with Fetcher(self._at) as fetcher:
            robots = RobotsCache(fetcher, self._robots_files.write)
            while level := self._frontier.take_level() or self._not_linked():
                files = await self._robots_of(level, robots)
                allowed = [target for target in level if self._may_fetch(target, files[target.url], fetcher)]
                budget = max(0, self._config.max_pages - self._requests)
                for target in allowed[budget:]:
                    evidence = {"max_pages": self._config.max_pages}
                    self._no_answer(target, ledger.DROPPED, "out-of-budget", evidence)
                await self._fetch_level(allowed[:budget], files, fetcher)
            robots_files = robots.files
        for writer in (self._pages, self._diagnostics, self._robots_files):
            writer.close()
        return self._finish(robots_files)

    def _not_linked(self) -> list[Target]:
        """Stored pages that nothing has led to: asked for once everything else is done."""
        if self._previous is None:
            return []
        for page in self._previous.pages.values():
            target = Target(page.url, page.depth)
            if not self._frontier.knows(page.url) and not self._frontier.add(target):
                reason = "too-deep" if self._frontier.in_scope(page.url) else "out-of-scope"
                self._outcomes.refuse(target, b"", ledger.DROPPED, reason, {"depth": page.depth})
        return self._frontier.take_level()

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
            reason = _refusal(robots)
            if reason == "robots-unreachable":
                self._no_answer(target, ledger.DROPPED, reason, evidence)
            else:
                self._outcomes.refuse(target, b"", ledger.DROPPED, reason, evidence)
            return False
        delay = robots.rules.crawl_delay(self._agent)
        if delay is not None and delay > self._config.max_crawl_delay:
            evidence = {"crawl_delay": delay, "max_crawl_delay": self._config.max_crawl_delay}
            self._no_answer(target, ledger.DROPPED, "crawl-delay-too-long", evidence)
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
        page = self._stored(target.url)
        try:
            exchange = await self._ask(target.url, page, fetcher)
        except FetchError as error:
            evidence = {"detail": str(error), "found_on": target.found_on}
            if error.reason in _NO_ANSWER:
                return self._no_answer(target, ledger.FAILED, error.reason, evidence)
            verdict = ledger.DROPPED if error.reason in _REFUSALS else ledger.FAILED
            self._outcomes.refuse(target, b"", verdict, error.reason, evidence)
            return []
        self._outcomes.received(target, len(exchange.body))
        rule = robots.rule(self._agent, target.url)
        extra = [("X-Pomona-Robots-Rule", rule), ("X-Pomona-Depth", str(target.depth))]
        if robots.digest:
            extra.append(("X-Pomona-Robots-Digest", f"sha256:{robots.digest}"))
        evidence = {"depth": target.depth, "found_on": target.found_on, "rule": rule, "robots_digest": robots.digest}
        if page is not None and page.is_confirmed(exchange):
            self._diagnostics.revisit(exchange, page, extra)
            return self._stand(target, page, UNCHANGED, {**evidence, "status": exchange.status})
        if exchange.status != 200:
            return self._not_a_page(target, exchange, page)
        if exchange.media_type not in self._config.content_types:
            evidence = {"content_type": exchange.header("content-type"), "wanted": self._config.content_types}
            self._outcomes.refuse(target, b"", ledger.DROPPED, "not-html", evidence)
            return []
        self._pages.write(exchange, extra)
        self._outcomes.keep(target, exchange.body, evidence)
        return self._targets(target, exchange)

    def _stored(self, url: str) -> StoredPage | None:
        """The page that is stored of an address, if it is still of a kind that is wanted."""
        page = self._previous.pages.get(url) if self._previous is not None else None
        return page if page is not None and page.media_type in self._config.content_types else None

    async def _ask(self, url: str, page: StoredPage | None, fetcher: Fetcher) -> Exchange:
        """Ask for an address; for a stored one on condition that it has changed."""
        if page is None or not page.conditions:
            return await fetcher.get(url, self._wanted)
        exchange = await fetcher.get(url, self._wanted, conditions=page.conditions)
        if exchange.status == 304 and not page.is_confirmed(exchange):
            # The text is the same, what may be done with it is not: the whole answer is needed to store both.
            return await fetcher.get(url, self._wanted)
        return exchange

    def _no_answer(self, target: Target, verdict: str, reason: str, evidence: dict[str, Any]) -> list[Target]:
        """Account for an address that says nothing about its page now; what is stored of it stands."""
        page = self._stored(target.url)
        if page is None:
            self._outcomes.refuse(target, b"", verdict, reason, evidence)
            return []
        return self._stand(target, page, NOT_REFRESHED, {**evidence, "not_refreshed": reason})

    def _stand(self, target: Target, page: StoredPage, how: str, evidence: dict[str, Any]) -> list[Target]:
        """Account for a page that stands as it was stored; the addresses it leads to."""
        if self._previous is None:
            raise ValueError("a stored page needs an earlier crawl")
        exchange = self._previous.exchange(page)
        self._outcomes.stand(target, page, exchange.body, how, evidence)
        return self._targets(target, exchange)

    def _not_a_page(self, target: Target, exchange: Exchange, page: StoredPage | None) -> list[Target]:
        """Account for an answer with another status than 200."""
        self._diagnostics.write(exchange)
        location = exchange.header("location")
        if exchange.status in _REDIRECTS and location:
            return self._redirect(target, exchange, location)
        evidence = {"status": exchange.status, "found_on": target.found_on}
        if page is not None and (exchange.status >= 500 or exchange.status in _LATER):
            return self._no_answer(target, ledger.FAILED, "http-status", evidence)
        if page is not None and exchange.status in _GONE:
            self._outcomes.refuse(target, b"", ledger.DROPPED, "gone", evidence)
        else:
            self._outcomes.refuse(target, exchange.body, ledger.FAILED, "http-status", evidence)
        return []

    def _targets(self, target: Target, exchange: Exchange) -> list[Target]:
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
            self._outcomes.refuse(target, exchange.body, ledger.FAILED, "too-many-redirects", evidence)
            return []
        if goal is None or not self._frontier.in_scope(goal):
            self._outcomes.refuse(target, exchange.body, ledger.DROPPED, "redirected-out-of-scope", evidence)
            return []
        self._outcomes.refuse(target, exchange.body, ledger.DROPPED, "redirected", evidence)
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

    def _report(self, waiting: int, depth: int) -> None:
        if self._progress is not None:
            done = self._requests - waiting
            seconds = time.monotonic() - self._clock
            self._progress(CrawlProgress(done, waiting, self._outcomes.kept, self._outcomes.bytes, seconds, depth))

    def _finish(self, robots: dict[str, RobotsFile]) -> CrawlSummary:
        table, account = self._outcomes.table()
        path = ledger_name(self._generation)
        rows = storage.write_parquet(self._out / path, table)
        seconds = round(time.monotonic() - self._clock, 3)
        received = self._outcomes.bytes
        earlier = self._outcomes.earlier_files()
        files = [file for writer in (self._pages, self._diagnostics, self._robots_files) for file in writer.files]
        manifest = {
            "format": FORMAT,
            "generation": self._generation,
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
            "update": self._outcomes.update(),
            "hosts": self._outcomes.hosts(),
            "robots": {
                origin: {
                    "digest": file.digest,
                    "status": file.status,
                    "crawl_delay": file.rules.crawl_delay(self._agent),
                }
                for origin, file in sorted(robots.items())
            },
            "files": [*earlier, *described(self._out, files)],
            "ledger": {"path": path, "rows": rows.rows, "sha256": rows.sha256},
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
            update=self._outcomes.update(),
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
