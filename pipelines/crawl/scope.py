"""Which addresses belong to a crawl, and which of them only a trap makes."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence

from pipelines.crawl.url import host_of
from pipelines.robots import matches, path_of

MAX_SEGMENTS = 20
"""Most segments of a path (Heritrix, TooManyPathSegmentsDecideRule): more come from relative links gone wrong."""

MAX_REPEATS = 2
"""A part of a path that follows itself more often is a loop of links (Heritrix, PathologicalPathDecideRule)."""

_LONGEST_PERIOD = 4
_HOST = re.compile(r"(\*\.)?([a-z0-9_-]+(?:\.[a-z0-9_-]+)*)\.?")


def host_pattern(host: str) -> tuple[str, bool] | None:
    """A host name in lower case, and whether those below it are meant, too ("*.example.org"); None: no name."""
    if ":" in host:  # an IPv6 address; `host_of` gives it without brackets
        try:
            return str(ipaddress.IPv6Address(host.strip("[]"))), False
        except ValueError:
            return None
    match = _HOST.fullmatch(host.lower())
    return None if match is None else (match.group(2), match.group(1) is not None)


class Scope:
    """The hosts and patterns of a crawl.

    Args:
        hosts: names in scope; "*.example.org" is example.org and every host below it.
        include, exclude: patterns, see `CrawlConfig`.
    """

    def __init__(self, hosts: Iterable[str], include: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        found = [pattern for host in hosts if (pattern := host_pattern(host)) is not None]
        self._hosts = frozenset(name for name, _ in found)
        self._below = tuple(f".{name}" for name, below in found if below)
        self._include = tuple(pattern.encode() for pattern in include)
        self._exclude = tuple(pattern.encode() for pattern in exclude)

    def holds(self, url: str) -> bool:
        """Whether a normalised address belongs to the crawl."""
        host = host_of(url)
        if host not in self._hosts and not (self._below and host.endswith(self._below)):
            return False
        if not self._include and not self._exclude:
            return True
        path = path_of(url)
        whole = host.encode() + path

        def hits(pattern: bytes) -> bool:
            return matches(pattern, path if pattern.startswith(b"/") else whole)

        if self._include and not any(map(hits, self._include)):
            return False
        return not any(map(hits, self._exclude))


def trap(url: str) -> str:
    """Why an address looks like one that links have made up: "path-too-deep", "path-repeats"; "" where it does not."""
    path = url.split("?", 1)[0]
    if path.count("/") <= 2 + MAX_REPEATS:  # two stand before the host
        return ""
    segments = path.split("/")[3:]
    if len(segments) > MAX_SEGMENTS:
        return "path-too-deep"
    for period in range(1, _LONGEST_PERIOD + 1):
        run = period
        for at in range(period, len(segments)):
            run = run + 1 if segments[at] == segments[at - period] and segments[at] else period
            if run >= period * (MAX_REPEATS + 1):
                return "path-repeats"
    return ""
