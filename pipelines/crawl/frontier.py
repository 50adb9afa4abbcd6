"""Which addresses come next: breadth first, in an order that depends only on what the sites answered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pipelines.crawl.url import host_of


@dataclass(frozen=True, slots=True)
class Target:
    """An address to fetch: its distance from the seeds in links, and the redirects that led to it since."""

    url: str
    depth: int
    redirects: int = 0
    found_on: str = ""


class Frontier:
    """The addresses met so far, level by level.

    A level holds all addresses at one depth, in the order of discovery: that of the pages before them, then that of the
    links on a page. A level is fetched whole before its links are added (in its order, not in the order in which
    answers came), so that the crawl's order, and what a page budget cuts off, do not depend on which host was quicker.

    Args:
        hosts: host names in scope; links to others are counted and not followed.
        max_depth: addresses further away are counted as out of depth, None: no limit.
    """

    def __init__(self, hosts: Iterable[str], max_depth: int | None) -> None:
        self._hosts = frozenset(hosts)
        self._max_depth = max_depth
        self._seen: set[str] = set()
        self._next: list[Target] = []
        self.out_of_scope = 0
        self.too_deep = 0

    def add(self, target: Target) -> bool:
        """Queue an address unless it was met before or is out of scope; whether it was queued."""
        if target.url in self._seen:
            return False
        if host_of(target.url) not in self._hosts:
            self.out_of_scope += 1
            return False
        if self._max_depth is not None and target.depth > self._max_depth:
            self.too_deep += 1
            return False
        self._seen.add(target.url)
        self._next.append(target)
        return True

    def knows(self, url: str) -> bool:
        """Whether the address has been queued at any time."""
        return url in self._seen

    def in_scope(self, url: str) -> bool:
        """Whether the address is on a host that may be crawled."""
        return host_of(url) in self._hosts

    def take_level(self) -> list[Target]:
        """All addresses that wait, in order; empty when the crawl is at its end."""
        level, self._next = self._next, []
        return level
