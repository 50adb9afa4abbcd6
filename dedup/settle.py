"""From equal digests, equal URLs and verified edges to what becomes of each document: the one place that decides.

Used for a table in memory (``dedup.deduplicate``), for the components that an engine has brought together, and for an
index. Three passes, each over what the one before has left:

1. URL, where that is asked for: of the documents of one URL the newest, or the best, stays.
2. Exact: of the documents of one digest the best stays.
3. Near: verified edges between texts are cut into clusters (``dedup.clusters``).

Rows are documents in the stated order, the best first; protected ones come before all others and always stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dedup.clusters import link
from dedup.config import DedupConfig
from dedup.edges import Edges

__all__ = ["EXACT", "KEPT", "METHODS", "NEAR", "NORMALISED", "URL", "Candidates", "Settled", "same_url", "settle"]

KEPT: Final = 0
EXACT: Final = 1
NORMALISED: Final = 2
NEAR: Final = 3
URL: Final = 4
METHODS: Final = ("", "exact", "normalised", "minhash", "url")
"""Names of the numbers in `Settled.method`."""


@dataclass(frozen=True)
class Candidates:
    """Documents in the stated order: what of them can be equal. Codes are numbers from 0; equal codes, equal things."""

    content: NDArray[np.int64]  # of the text's bytes
    text: NDArray[np.int64]  # of what counts as the same text: the bytes, or the normalised form
    url: NDArray[np.int64] | None = None  # -1 where there is none
    date: NDArray[np.float64] | None = None  # seconds; NaN where there is none
    protected: NDArray[np.bool_] | None = None


class Settled(NamedTuple):
    """What became of each document."""

    root: NDArray[np.int64]  # the kept document of its cluster
    parent: NDArray[np.int64]  # the document it was matched with, -1 where it is kept
    similarity: NDArray[
        np.float64
    ]  # with the parent; NaN where kept, and where only the URL is the same and unmeasured
    method: NDArray[np.int8]  # KEPT, EXACT, NORMALISED, NEAR or URL


def same_url(candidates: Candidates, config: DedupConfig) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the documents that give way to another of the same URL, and those others."""
    none = np.empty(0, np.int64)
    if config.url is None or candidates.url is None:
        return none, none
    n = len(candidates.url)
    rows = np.flatnonzero(candidates.url >= 0)
    guarded = np.zeros(n, np.bool_) if candidates.protected is None else candidates.protected
    date = np.full(n, np.nan) if candidates.date is None or config.url == "best" else candidates.date
    age = np.where(np.isnan(date), np.inf, -date)
    order = rows[np.lexsort((rows, age[rows], ~guarded[rows], candidates.url[rows]))]
    if not len(order):
        return none, none
    begins = np.concatenate(([True], candidates.url[order[1:]] != candidates.url[order[:-1]]))
    winner = order[np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))]
    loses = ~begins & ~guarded[order]
    return order[loses], winner[loses]


def settle(candidates: Candidates, found: Edges, config: DedupConfig, of_urls: Edges | None = None) -> Settled:
    """Decide on documents.

    Args:
        candidates: the documents.
        found: verified edges between documents; a text's edges may be told of any document that has it.
        config: rules.
        of_urls: similarities of documents of one URL, for the record only.
    """
    n = len(candidates.content)
    root, parent = np.arange(n), np.full(n, -1, np.int64)
    value, method = np.full(n, np.nan), np.zeros(n, np.int8)
    guarded = np.zeros(n, np.bool_) if candidates.protected is None else candidates.protected

    losers, winners = same_url(candidates, config)
    parent[losers], method[losers] = winners, URL
    value[losers] = _measured(candidates, losers, winners, of_urls)

    alive = np.flatnonzero(method != URL)
    texts, first = np.unique(candidates.text[alive], return_index=True)  # rows ascend, so the first is the best
    first = alive[first]
    best = np.full(int(candidates.text.max(initial=-1)) + 1, -1, np.int64)
    best[texts] = first

    left, right = best[candidates.text[found.left]], best[candidates.text[found.right]]
    real = (left >= 0) & (right >= 0) & (left != right)
    low, high, similar = np.minimum(left, right)[real], np.maximum(left, right)[real], found.similarity[real]
    _, once = np.unique(low.astype(np.uint64) << np.uint64(32) | high.astype(np.uint64), return_index=True)
    stays = np.zeros(n, np.bool_)
    stays[first] = guarded[first]
    links = link(n, Edges(low[once], high[once], similar[once]), config.reach, stays)

    of_text = best[candidates.text[alive]]
    copy = (of_text != alive) & ~guarded[alive]
    rows, original = alive[copy], of_text[copy]
    removed = first[links.parent[first] >= 0]
    root[first] = links.root[first]
    parent[removed], value[removed], method[removed] = links.parent[removed], links.similarity[removed], NEAR
    # A copy hangs on the original; where that is removed and the bytes are the same, on what the original hangs on.
    bytes_agree = candidates.content[rows] == candidates.content[original]
    shares = bytes_agree & (parent[original] >= 0)
    parent[rows] = np.where(shares, parent[original], original)
    value[rows] = np.where(shares, value[original], 1.0)
    method[rows] = np.where(shares, NEAR, np.where(bytes_agree, EXACT, NORMALISED))
    root[rows] = root[original]
    root[losers] = root[winners]
    return Settled(root, parent, value, method)


def _measured(
    candidates: Candidates, losers: NDArray[np.int64], winners: NDArray[np.int64], of_urls: Edges | None
) -> NDArray[np.float64]:
    """Return what is known of the similarity of each pair: 1 for the same text, else as measured, else NaN."""
    text = candidates.text.astype(np.uint64)
    value = np.where(candidates.text[losers] == candidates.text[winners], 1.0, np.nan)
    if of_urls is None or not len(of_urls.left) or not len(losers):
        return value
    known = _codes(text[of_urls.left], text[of_urls.right])
    order = np.argsort(known, kind="stable")
    asked = _codes(text[losers], text[winners])
    at = np.minimum(np.searchsorted(known[order], asked), len(known) - 1)
    there = (known[order][at] == asked) & np.isnan(value)
    return np.where(there, of_urls.similarity[order][at], value)


def _codes(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return np.minimum(a, b) << np.uint64(32) | np.maximum(a, b)
