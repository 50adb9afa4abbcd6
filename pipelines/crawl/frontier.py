"""Which addresses come next: breadth first, in an order that depends only on what the sites answered."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.crawl.journal import Journal
from pipelines.crawl.scope import Scope, trap
from pipelines.crawl.url import host_of

MAX_REMEMBERED = 2_000_000
"""Addresses that are also held in memory, so that a page's links need not be looked up on disk one by one."""

SITEMAPS = 1 << 50
"""Ranks of sitemaps begin here: what they lead to comes after what the pages of a level lead to."""


LEFT = "left:"
"""Facts that begin so count links that are not followed, by reason."""


@dataclass(frozen=True, slots=True)
class Target:
    """An address to fetch.

    Attributes:
        url: the address.
        depth: its distance from the seeds in links.
        redirects: how many redirects led to it since.
        found_on: the page or sitemap that named it, "" for a seed.
        lastmod: when it was last changed, as a sitemap says; "" where none does.
        position: its place in the order of the crawl.
    """

    url: str
    depth: int
    redirects: int = 0
    found_on: str = ""
    lastmod: str = ""
    position: int = 0


@dataclass(frozen=True, slots=True)
class Waiting:
    """A target of the level being fetched.

    `chosen` is None while it has no outcome; then whether it was within the budget, and so asked for.
    """

    target: Target
    chosen: bool | None


class Frontier:
    """The addresses met so far, level by level.

    A level holds all addresses at one depth, in the order of discovery: that of the pages before them, then that of the
    links on a page. A level is fetched whole before its links are added (in its order, not in the order in which
    answers came), so that the crawl's order, and what a page budget cuts off, do not depend on which host was quicker,
    or on how many workers there are.

    Args:
        journal: where it is kept.
        scope: addresses outside of it are counted and not followed.
        max_depth: addresses further away are counted as out of depth, None: no limit.
    """

    def __init__(self, journal: Journal, scope: Scope, max_depth: int | None) -> None:
        self._journal = journal
        self._scope = scope
        self._max_depth = max_depth
        self._known: set[str] = set()
        for (url,) in journal.query("SELECT url FROM targets ORDER BY position LIMIT ?", (MAX_REMEMBERED,)):
            self._known.add(url)

    def add(self, target: Target) -> bool:
        """Queue an address for the next level unless it was met before; whether it was queued."""
        if target.url in self._known:
            return False
        values = (target.url, target.depth, target.redirects, target.found_on, target.lastmod)
        added = self._journal.run(
            "INSERT OR IGNORE INTO targets (url, depth, redirects, found_on, lastmod) VALUES (?, ?, ?, ?, ?)", values
        )
        if len(self._known) < MAX_REMEMBERED:
            self._known.add(target.url)
        return added > 0

    def knows(self, url: str) -> bool:
        """Whether the address has been queued at any time."""
        if url in self._known:
            return True
        if len(self._known) < MAX_REMEMBERED:
            return False
        return any(self._journal.query("SELECT 1 FROM targets WHERE url=?", (url,)))

    def remembers(self, url: str) -> bool:
        """Whether the address has been queued, as far as that is known without looking on disk."""
        return url in self._known

    def in_scope(self, url: str) -> bool:
        """Whether the address may be crawled."""
        return self._scope.holds(url)

    def more(self) -> bool:
        """Whether there is a level to be fetched."""
        start = self._journal.count("level_start")
        return any(self._journal.query("SELECT 1 FROM targets WHERE position >= ? LIMIT 1", (start,)))

    def level(self) -> Iterator[Waiting]:
        """The level being fetched, in order."""
        start = self._journal.count("level_start")
        query = (
            "SELECT t.url, t.depth, t.redirects, t.found_on, t.lastmod, t.position, o.chosen FROM targets t "
            "LEFT JOIN outcomes o ON o.url = t.url WHERE t.position >= ? ORDER BY t.position"
        )
        for *fields, chosen in self._journal.query(query, (start,)):
            yield Waiting(Target(*fields), None if chosen is None else bool(chosen))

    def advance(self) -> None:
        """Make what the level led to the next level, all or nothing."""
        journal = self._journal
        start = journal.count("level_start")
        (last,) = next(journal.query("SELECT coalesce(max(position), 0) FROM targets"))
        journal.put_fact("level_start", last + 1)
        journal.put_fact("level", journal.count("level") + 1)
        query = (
            "SELECT t.url FROM targets t JOIN outcomes o ON o.url = t.url WHERE t.position >= ? AND t.position <= ? "
            "AND o.chosen"
        )
        pages = Counter(host_of(url) for (url,) in journal.query(query, (start, last)))
        for host, count in pages.items():
            journal.host(host).pages += count
            journal.put_host(host)
        journal.put_fact("requests", journal.count("requests") + pages.total())
        left: Counter[str] = Counter()
        for (text,) in journal.query("SELECT value FROM found ORDER BY rank"):
            value = json.loads(text)
            left.update(value.get("left", {}))
            for target in _targets(value):
                if self._max_depth is None or target.depth <= self._max_depth:
                    self.add(target)
                elif not self.knows(target.url):
                    left["too-deep"] += 1
        for reason, count in left.items():
            journal.put_fact(LEFT + reason, journal.count(LEFT + reason) + count)
        journal.run("DELETE FROM found")
        journal.commit()


def sift(links: Iterable[str], scope: Scope, known: Callable[[str], bool]) -> tuple[list[str], dict[str, int]]:
    """The links that may be followed, and how many of the others there are by what keeps them out.

    Args:
        links: normalised addresses.
        scope: of the crawl.
        known: whether an address was queued before, and need not be named again.
    """
    kept: list[str] = []
    left: Counter[str] = Counter()
    for link in links:
        if known(link):
            continue
        if not scope.holds(link):
            left["out-of-scope"] += 1
        elif reason := trap(link):
            left[reason] += 1
        else:
            kept.append(link)
    return kept, dict(left)


def found(
    links: Iterable[str],
    depth: int,
    on: str,
    left: Mapping[str, int],
    *,
    redirects: int = 0,
    lastmod: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """What a page or sitemap leads to, as the journal keeps it; `left` are links that are only counted."""
    value: dict[str, Any] = {"on": on, "depth": depth, "links": list(links)}
    more = {"left": left, "redirects": redirects, "lastmod": lastmod}
    return value | {name: one for name, one in more.items() if one}


def _targets(value: dict[str, Any]) -> Iterator[Target]:
    lastmod = value.get("lastmod", {})
    for url in value["links"]:
        yield Target(url, value["depth"], value.get("redirects", 0), value["on"], lastmod.get(url, ""))
