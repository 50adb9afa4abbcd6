"""One robots.txt an origin, fetched when the origin is first met and kept for the crawl."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from pipelines.crawl.content_coding import ContentCodingError, decode_content
from pipelines.crawl.fetch import Exchange, Fetcher, FetchError
from pipelines.crawl.url import origin_of, resolve
from pipelines.robots import MAX_BODY, RobotsFile

MAX_REDIRECTS = 5
"""RFC 9309, 2.3.1.2: at least five redirects are followed, across hosts too."""

MAX_AGE = 24 * 3600.0
"""RFC 9309, 2.4: a cached file is not used for longer than 24 hours."""


class RobotsCache:
    """The robots.txt files of a crawl.

    Args:
        fetcher: asks the servers, in the hosts' turns.
        record: called with each exchange, so that the bodies can be archived.
        clock: seconds, for the age of what is kept.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        record: Callable[[Exchange], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetcher = fetcher
        self._record = record
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
        async with self._locks.setdefault(origin, asyncio.Lock()):
            known = self._files.get(origin)
            if known is None or self._clock() - known[0] > MAX_AGE:
                known = (self._clock(), await self._fetch(origin))
                self._files[origin] = known
        return known[1]

    async def _fetch(self, origin: str) -> RobotsFile:
        address = f"{origin}/robots.txt"
        status = 0
        for _ in range(MAX_REDIRECTS + 1):
            try:
                # Far more than the standard asks for: what lies beyond 500 KiB is ignored, not a reason to refuse.
                answer = await self._fetcher.get(address, limit=20 * MAX_BODY)
            except FetchError as error:
                return RobotsFile.unreachable(error.reason)
            self._record(answer)
            status = answer.status
            location = answer.header("location")
            if not (300 <= status < 400 and location):
                break
            target = resolve(address, location)
            if target is None:
                return RobotsFile.from_response(status, b"")
            address = target
        else:
            return RobotsFile.from_response(status, b"")
        try:
            body = decode_content(answer.body, answer.header("content-encoding"), limit=20 * MAX_BODY)
        except ContentCodingError as error:
            return RobotsFile.unreachable(error.reason)
        return RobotsFile.from_response(status, body)
