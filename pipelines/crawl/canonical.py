"""Which pages are left to the one that they name as canonical (RFC 6596)."""

from __future__ import annotations

from collections.abc import Mapping, Set


def left_to(named: Mapping[str, str], kept: Set[str]) -> dict[str, str]:
    """Pages that give way, each with the page it gives way to.

    A page gives way only to one that was kept: a canonical address that is missing, refused or an error loses nothing.
    Chains are followed to their end; of pages that name each other in a circle, the first by address stays.

    Args:
        named: kept pages that name another address as canonical, with that address.
        kept: of the addresses named, those kept that name no other themselves.
    """
    given: dict[str, str] = {}
    for url in named:
        path: dict[str, None] = {}
        at = url
        while at in named and at not in path:
            path[at] = None
            at = named[at]
        if at in path:  # a circle
            goal = min(list(path)[list(path).index(at) :])
        else:
            goal = _last_kept(list(path), at, kept)
        if goal != url:
            given[url] = goal
    return given


def _last_kept(path: list[str], end: str, kept: Set[str]) -> str:
    """The end of a chain where it was kept, else the last page before it, which then stays."""
    return end if end in kept else path[-1]
