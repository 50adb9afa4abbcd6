"""One robots.txt an origin, fetched when the origin is first met and kept for the crawl."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from pipelines.crawl.content_coding import ContentCodingError, decode_content
from pipelines.crawl.fetch import Exchange, Fetcher, FetchError
from pipelines.crawl.journal import SiteFile
from pipelines.crawl.url import origin_of, resolve
from pipelines.robots import MAX_BODY, RobotsFile

NAME = "robots.txt"

MAX_REDIRECTS = 5
"""RFC 9309, 2.3.1.2: at least five redirects are followed, across hosts too."""

MAX_AGE = 24 * 3600.0
"""RFC 9309, 2.4: a cached file is not used for longer than 24 hours."""


def read_robots(file: SiteFile) -> RobotsFile:
    """What an answer about robots.txt means."""
    if file.status is None:
        return RobotsFile.unreachable(file.reason)
    return RobotsFile.from_response(file.status, file.body)


class RobotsCache:
    """The robots.txt files of a crawl.

    Args:
        fetcher: asks the servers, in the hosts' turns.
        record: called with each answer and the exchanges that led to it, so that they can be kept together.
        known: finds the answer that was kept for an origin.
        clock: seconds since the epoch, for the age of what is kept.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        record: Callable[[SiteFile, Sequence[Exchange]], None] = lambda *_: None,
        known: Callable[[str], SiteFile | None] = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._fetcher = fetcher
        self._record = record
        self._known = known
        self._clock = clock
        self._files: dict[str, tuple[float, RobotsFile]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    @property
    def files(self) -> dict[str, RobotsFile]:
        """What is known, by origin."""
        return {origin: file for origin, (_, file) in self._files.items()}

    async def get(self, url: str) -> RobotsFile:
        """The robots.txt that speaks for an address; fetched at most once in 24 hours, whoever asks."""
        origin = origin_of(url)
        found = self._fresh(origin)
        if found is not None:
            return found
        async with self._locks.setdefault(origin, asyncio.Lock()):
            found = self._fresh(origin)
            if found is None:
                asked = self._clock()
                file, exchanges = await self._fetch(origin, asked)
                self._record(file, exchanges)
                found = read_robots(file)
                self._files[origin] = (asked, found)
        return found

    def _fresh(self, origin: str) -> RobotsFile | None:
        known = self._files.get(origin)
        if known is None and (kept := self._known(origin)) is not None:
            known = self._files[origin] = (kept.asked, read_robots(kept))
        return known[1] if known is not None and self._clock() - known[0] <= MAX_AGE else None

    async def _fetch(self, origin: str, asked: float) -> tuple[SiteFile, list[Exchange]]:
        # Far more than the standard asks for: what lies beyond 500 KiB is ignored, not a reason to refuse.
        return await fetch_site_file(self._fetcher, origin, NAME, f"{origin}/robots.txt", asked, 20 * MAX_BODY)


async def fetch_site_file(
    fetcher: Fetcher,
    origin: str,
    name: str,
    address: str,
    asked: float,
    limit: int,
    may_follow: Callable[[str], bool] = lambda _: True,
) -> tuple[SiteFile, list[Exchange]]:
    """Ask for a file that speaks for a whole site, redirects followed; its decoded body, and the exchanges.

    Args:
        fetcher: asks.
        origin: as in the `SiteFile` to be made.
        name: as there.
        asked: as there.
        address: where to ask first.
        limit: longest body in bytes, as sent and when decoded.
        may_follow: whether a redirect may be followed to an address.
    """
    exchanges: list[Exchange] = []
    while True:
        try:
            answer = await fetcher.get(address, limit=limit)
        except FetchError as error:
            return SiteFile(origin, name, asked, None, error.reason), exchanges
        exchanges.append(answer)
        location = answer.header("location")
        if not (300 <= answer.status < 400 and location):
            break
        target = resolve(address, location)
        if target is None or not may_follow(target) or len(exchanges) > MAX_REDIRECTS:
            return SiteFile(origin, name, asked, answer.status), exchanges
        address = target
    if not 200 <= answer.status < 300:
        return SiteFile(origin, name, asked, answer.status), exchanges
    try:
        body = decode_content(answer.body, answer.header("content-encoding"), limit)
    except ContentCodingError as error:
        return SiteFile(origin, name, asked, None, error.reason), exchanges
    return SiteFile(origin, name, asked, answer.status, "", body), exchanges
