"""Asking the hosts of a level, and accounting for every address: the part of a crawl that meets the network."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines import ledger
from pipelines.crawl.config import CrawlConfig
from pipelines.crawl.content_coding import ContentCodingError, decode_content
from pipelines.crawl.fetch import Exchange, Fetcher, FetchError
from pipelines.crawl.frontier import Target, found, sift
from pipelines.crawl.journal import Journal, SiteFile
from pipelines.crawl.links import NOTHING, Said, canonical_of, links_in_header, read_page
from pipelines.crawl.outcomes import NOT_REFRESHED, UNCHANGED, Outcomes
from pipelines.crawl.previous import Previous, SiteSaid, StoredPage
from pipelines.crawl.robots_cache import NAME, RobotsCache
from pipelines.crawl.scope import trap
from pipelines.crawl.series import Series
from pipelines.crawl.site_files import SiteFiles
from pipelines.crawl.url import host_of, resolve, without_session
from pipelines.robots import RobotsFile, product_token
from pipelines.training_consent import TrainingRules

_REDIRECTS = (301, 302, 303, 307, 308)
_GONE = (404, 410)
_LATER = (408, 425, 429)
_BUSY = (429, 503)
# Fetch errors that are our own refusal, not the site's failure.
_REFUSALS = ("private-address",)
# Fetch errors that say nothing about the page.
_NO_ANSWER = ("name-not-resolved", "connection-failed", "timeout", "bad-http")


@dataclass(frozen=True)
class Setting:
    """What one process of a crawl is given.

    Attributes:
        config: what to crawl, a sample site's address filled in.
        out: the crawl's folder.
        generation: of the crawl's files.
        worker: its number where several share the hosts.
        previous: what an earlier crawl stored, in an update.
        bytes_left, seconds_left: what is left of the whole crawl's budgets; None: no limit.
    """

    config: CrawlConfig
    out: Path
    generation: int = 0
    worker: int | None = None
    previous: Previous | None = None
    bytes_left: int | None = None
    seconds_left: float | None = None


class Walk:
    """Fetches targets, hosts side by side and each one in order, and writes down what came of each.

    Every address is written down as one: its records, its row and what it leads to are committed together.

    Args:
        setting: see there.
        journal: where it is written down; targets that have an outcome there must not be given again.
        known: whether an address was queued before; such links are left out.
    """

    def __init__(self, setting: Setting, journal: Journal, known: Callable[[str], bool] = lambda _: False) -> None:
        config = setting.config
        self._config = config
        self._previous = setting.previous
        self._limits = (setting.bytes_left, setting.seconds_left)
        self._journal = journal
        self._known = known
        self._agent = product_token(config.user_agent)
        self._scope = config.scope()
        self._begun = time.monotonic()
        self._trained: dict[int, tuple[RobotsFile, TrainingRules]] = {}
        self.series = Series(setting.out, config, setting.generation, setting.worker, journal)
        self.outcomes = Outcomes(journal, config.source, setting.previous)
        self._fetcher = Fetcher(config, resumed=journal.fact("asked") is not None)
        journal.put_fact("asked", 1)
        journal.commit()
        self._robots = RobotsCache(self._fetcher, self._put_robots, lambda origin: journal.site_file(origin, NAME))
        self._site_files = SiteFiles(config, self._fetcher, journal, self.series, self._agent, self._scope, known)

    async def __aenter__(self) -> Walk:
        await self._fetcher.__aenter__()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._fetcher.__aexit__(*exception)

    async def robots(self, targets: Sequence[Target]) -> None:
        """Ask for the robots.txt of every origin, and account for the targets that may not be fetched."""

        async def judge(target: Target) -> None:
            self._may_fetch(target, await self._robots.get(target.url), chosen=False)

        await self._by_host(targets, judge)

    async def pages(self, targets: Sequence[Target], told: Callable[[Target], None] = lambda _: None) -> None:
        """Fetch targets that robots.txt allows; `told` of each when it is done."""

        async def visit(target: Target) -> None:
            await self._visit(target)
            self._journal.row()
            told(target)

        await self._by_host(targets, visit)

    async def _by_host(self, targets: Sequence[Target], act: Callable[[Target], Awaitable[None]]) -> None:
        turn = asyncio.Semaphore(self._config.concurrent_hosts)

        async def work(mine: list[Target]) -> None:
            async with turn:
                for target in mine:
                    await act(target)

        async with asyncio.TaskGroup() as tasks:
            for mine in by_host(targets).values():
                tasks.create_task(work(mine))

    def _put_robots(self, file: SiteFile, exchanges: Sequence[Exchange]) -> None:
        for exchange in exchanges:
            self.series.sites.write(exchange)
        self._journal.put_site_file(file)
        self._journal.row()

    def _may_fetch(self, target: Target, robots: RobotsFile, *, chosen: bool) -> bool:
        """Whether robots.txt allows a target; if not, it is accounted for."""
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
                self.no_answer(target, ledger.DROPPED, reason, evidence, chosen=chosen)
            else:
                self.outcomes.refuse(target, b"", ledger.DROPPED, reason, evidence, chosen=chosen)
            return False
        delay = robots.rules.crawl_delay(self._agent)
        if delay is not None and delay > self._config.max_crawl_delay:
            evidence = {"crawl_delay": delay, "max_crawl_delay": self._config.max_crawl_delay}
            self.no_answer(target, ledger.DROPPED, "crawl-delay-too-long", evidence, chosen=chosen)
            return False
        if delay is not None:
            self._fetcher.slow_down(host_of(target.url), delay)
        return True

    def _training(self, robots: RobotsFile) -> TrainingRules:
        known = self._trained.get(id(robots))
        if known is None or known[0] is not robots:
            known = self._trained[id(robots)] = (robots, TrainingRules(robots))
        return known[1]

    def _spent(self, host: str) -> dict[str, Any] | None:
        """The budget that is used up, for evidence; None where there is none."""
        byte_limit, second_limit = self._limits
        if byte_limit is not None and self.outcomes.bytes >= byte_limit:
            return {"max_bytes": self._config.max_bytes}
        if second_limit is not None and time.monotonic() - self._begun >= second_limit:
            return {"max_seconds": self._config.max_seconds}
        limit = self._config.max_host_bytes
        if limit is not None and self._journal.host(host).bytes >= limit:
            return {"max_host_bytes": limit, "bytes": self._journal.host(host).bytes}
        return None

    async def _visit(self, target: Target) -> None:
        """Fetch one address and account for it."""
        name = host_of(target.url)
        host = self._journal.host(name)
        spent = self._spent(name)
        if spent is not None:
            self.no_answer(target, ledger.DROPPED, "out-of-budget", spent)
            return
        if host.failures >= self._config.max_host_failures:
            self.no_answer(target, ledger.DROPPED, "host-given-up", {"failures_in_a_row": host.failures})
            return
        robots = await self._robots.get(target.url)
        if not self._may_fetch(target, robots, chosen=True):
            return
        site_said = SiteSaid(
            (await self._site_files.tdm(target, robots)).said(target.url), self._training(robots).refused(target.url)
        )
        await self._site_files.sitemaps(target, robots)
        page = self._stored(target.url)
        try:
            exchange = await self._ask(target.url, page, site_said)
        except FetchError as error:
            host.failures = host.failures + 1 if error.reason in _NO_ANSWER else 0
            self._journal.put_host(name)
            self._failed(target, error)
            return
        host.bytes += len(exchange.body)
        host.failures = host.failures + 1 if exchange.status in _BUSY else 0
        self._journal.put_host(name)
        self._account(target, exchange, page, robots, site_said)

    def _failed(self, target: Target, error: FetchError) -> None:
        evidence = {"detail": str(error), "found_on": target.found_on}
        if error.reason in _NO_ANSWER:
            self.no_answer(target, ledger.FAILED, error.reason, evidence)
        else:
            verdict = ledger.DROPPED if error.reason in _REFUSALS else ledger.FAILED
            self.outcomes.refuse(target, b"", verdict, error.reason, evidence)

    def _account(
        self, target: Target, exchange: Exchange, page: StoredPage | None, robots: RobotsFile, site_said: SiteSaid
    ) -> None:
        """Account for an answer."""
        received = len(exchange.body)
        rule = robots.rule(self._agent, target.url)
        extra = [("X-Pomona-Robots-Rule", rule), ("X-Pomona-Depth", str(target.depth))]
        if robots.digest:
            extra.append(("X-Pomona-Robots-Digest", f"sha256:{robots.digest}"))
        extra += site_said.fields()
        evidence = {"depth": target.depth, "found_on": target.found_on, "rule": rule, "robots_digest": robots.digest}
        if page is not None and page.is_confirmed(exchange, site_said):
            self.series.diagnostics.revisit(exchange, page, extra)
            self._stand(target, page, UNCHANGED, {**evidence, "status": exchange.status}, received=received)
        elif exchange.status != 200:
            self._not_a_page(target, exchange, page)
        elif exchange.media_type not in self._config.content_types:
            evidence = {"content_type": exchange.header("content-type"), "wanted": self._config.content_types}
            self.outcomes.refuse(target, b"", ledger.DROPPED, "not-html", evidence, received=received)
        else:
            placed = self.series.pages.write(exchange, extra)
            said = self._said(exchange)
            self.outcomes.keep(target, exchange.body, evidence, placed, said.canonical)
            self._lead_on(target, said)

    def _stored(self, url: str) -> StoredPage | None:
        """The page that is stored of an address, if it is still of a kind that is wanted."""
        page = self._previous.pages.get(url) if self._previous is not None else None
        return page if page is not None and page.media_type in self._config.content_types else None

    async def _ask(self, url: str, page: StoredPage | None, site_said: SiteSaid) -> Exchange:
        """Ask for an address; for a stored one on condition that it has changed.

        Where its text is the same and what may be done with it is not, the whole answer is needed, to store both.
        """
        if page is None or not page.conditions or page.site_said != site_said:
            return await self._fetcher.get(url, self._wanted)
        exchange = await self._fetcher.get(url, self._wanted, conditions=page.conditions)
        if exchange.status == 304 and not page.is_confirmed(exchange, site_said):
            return await self._fetcher.get(url, self._wanted)
        return exchange

    def no_answer(
        self,
        target: Target,
        verdict: str,
        reason: str,
        evidence: dict[str, Any],
        *,
        chosen: bool = True,
        received: int = 0,
    ) -> None:
        """Account for an address that says nothing about its page now; what is stored of it stands."""
        page = self._stored(target.url)
        if page is None:
            self.outcomes.refuse(target, b"", verdict, reason, evidence, received=received, chosen=chosen)
            return
        told = {**evidence, "not_refreshed": reason}
        self._stand(target, page, NOT_REFRESHED, told, received=received, chosen=chosen)

    def _stand(
        self,
        target: Target,
        page: StoredPage,
        how: str,
        evidence: dict[str, Any],
        *,
        received: int = 0,
        chosen: bool = True,
    ) -> None:
        """Account for a page that stands as it was stored, and follow what it leads to."""
        if self._previous is None:
            raise ValueError("a stored page needs an earlier crawl")
        exchange = self._previous.exchange(page)
        said = self._said(exchange)
        self.outcomes.stand(
            target,
            page,
            exchange.body,
            how,
            evidence,
            canonical=said.canonical,
            received=received,
            chosen=chosen,
        )
        self._lead_on(target, said)

    def _not_a_page(self, target: Target, exchange: Exchange, page: StoredPage | None) -> None:
        """Account for an answer with another status than 200."""
        self.series.diagnostics.write(exchange)
        received = len(exchange.body)
        location = exchange.header("location")
        if exchange.status in _REDIRECTS and location:
            self._redirect(target, exchange, location)
            return
        evidence = {"status": exchange.status, "found_on": target.found_on}
        if page is not None and (exchange.status >= 500 or exchange.status in _LATER):
            self.no_answer(target, ledger.FAILED, "http-status", evidence, received=received)
        elif page is not None and exchange.status in _GONE:
            self.outcomes.refuse(target, b"", ledger.DROPPED, "gone", evidence, received=received)
        else:
            self.outcomes.refuse(target, exchange.body, ledger.FAILED, "http-status", evidence, received=received)

    def _redirect(self, target: Target, exchange: Exchange, location: str) -> None:
        goal = resolve(target.url, location)
        goal = None if goal is None else without_session(goal)
        evidence = {"status": exchange.status, "location": location, "found_on": target.found_on}
        verdict, reason = ledger.DROPPED, "redirected"
        if goal is None or not self._scope.holds(goal) or trap(goal):
            reason = "redirected-out-of-scope"
        elif goal == target.url or (target.redirects and goal == target.found_on):
            # As servers do that want a cookie before they show anything: none is kept, so it would go on for ever.
            verdict, reason = ledger.FAILED, "redirect-loop"
        elif target.redirects >= self._config.max_redirects:
            verdict, reason = ledger.FAILED, "too-many-redirects"
        else:
            # The goal goes through the frontier like any address, so robots.txt is asked about it, too.
            said = found([goal], target.depth, target.url, {}, redirects=target.redirects + 1)
            self._journal.put_found(target.position, said)
        self.outcomes.refuse(target, exchange.body, verdict, reason, evidence, received=len(exchange.body))

    def _lead_on(self, target: Target, said: Said) -> None:
        """Write down the addresses that a page leads to."""
        links = [said.canonical, *said.links] if said.canonical else said.links
        kept, left = sift(dict.fromkeys(links), self._scope, self._known)
        if kept or left:
            self._journal.put_found(target.position, found(kept, target.depth + 1, target.url, left))

    def _said(self, exchange: Exchange) -> Said:
        try:
            html = decode_content(exchange.body, exchange.header("content-encoding"), self._config.max_body_bytes)
        except ContentCodingError:
            return NOTHING  # the page is kept as it came; reading it back names this failure
        said = read_page(html, exchange.url, self._config.max_links)
        tag = (exchange.header("x-robots-tag") or "").lower()
        links = [] if any(wish.strip() in ("nofollow", "none") for wish in tag.split(",")) else said.links
        canonical = said.canonical
        for link in links_in_header(exchange.header("link"), "canonical")[:1]:
            canonical = canonical_of(exchange.url, exchange.url, link) or canonical
        if canonical is not None and not (self._config.canonical and self._scope.holds(canonical)):
            canonical = None
        return Said(links, canonical)

    def _wanted(self, exchange: Exchange) -> bool:
        """Whether a body is worth reading: other media types are dropped without it."""
        return exchange.status != 200 or exchange.media_type in self._config.content_types


def by_host(targets: Iterable[Target]) -> dict[str, list[Target]]:
    """Targets by host, each host's in their order."""
    groups: dict[str, list[Target]] = {}
    for target in targets:
        groups.setdefault(host_of(target.url), []).append(target)
    return groups


def _refusal(robots: RobotsFile) -> str:
    if not robots.refused:
        return "robots-refused"
    return "private-address" if robots.status.startswith("private-address") else "robots-unreachable"
