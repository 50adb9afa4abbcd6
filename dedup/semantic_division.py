"""A cluster that is too large to be compared pair by pair: divided until every piece is small enough.

In a cluster of n documents of which most stay, each is compared with nearly all before it. Where n is more than
`largest`, so many that this would take quadratic time:

1. of equal embeddings only the first is looked at, the others share its fate (with a cosine of 1);
2. the rest is clustered again, into pieces of about half of `largest`, and again where a piece is still too large; a
   piece that hardly falls apart is cut in the middle, by the cosine with its centroid.

Documents are compared within their piece alone. So n documents cost at most n x `largest` comparisons, and what is lost
is known: to each document is told how many of its cluster it was not compared with.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dedup.semantic import SemanticConfig, assign, keep, kmeans

__all__ = ["Judged", "judged", "pieces"]

_MOST_PARTS: Final = 64
_SCATTER: Final = np.uint64(0x9E3779B97F4A7C15)


class Judged(NamedTuple):
    """What became of the documents of one cluster."""

    parent: NDArray[np.int64]  # the most similar one kept before it, -1 for one that stays
    cosine: NDArray[np.float64]
    apart: NDArray[np.int64]  # documents of the cluster that it was not compared with


def judged(vectors: NDArray[np.int16], config: SemanticConfig) -> Judged:
    """Keep, in the order given, what is less similar than the threshold to what is kept before in its piece."""
    n = len(vectors)
    if n <= config.largest:
        return Judged(*keep(vectors, config.threshold), np.zeros(n, np.int64))
    first, of = _distinct(vectors)
    parent, cosine = np.full(n, -1, np.int64), np.zeros(n)
    here = np.zeros(len(first), np.int64)
    copies = np.bincount(of, minlength=len(first))
    for rows in pieces(vectors[first], config.largest, config.rounds):
        found = keep(vectors[first[rows]], config.threshold)
        mine = first[rows]
        parent[mine] = np.where(found.parent >= 0, mine[np.maximum(found.parent, 0)], -1)
        cosine[mine] = found.cosine
        here[rows] = copies[rows].sum()
    again = np.flatnonzero((first[of] != np.arange(n)) & vectors.any(axis=1))  # a vector of length 0 is like nothing
    original = first[of[again]]
    gone = parent[original] >= 0
    parent[again] = np.where(gone, parent[original], original)
    cosine[again] = np.where(gone, cosine[original], 1.0)
    return Judged(parent, cosine, n - here[of])


def pieces(vectors: NDArray[np.int16], largest: int, rounds: int) -> list[NDArray[np.int64]]:
    """Divide vectors into pieces of at most `largest` similar ones: rising rows of each."""
    done: list[NDArray[np.int64]] = []
    waiting = [np.arange(len(vectors))]
    while waiting:
        rows = waiting.pop()
        if len(rows) <= largest:
            done.append(rows)
            continue
        some = vectors[rows]
        parts = min(_MOST_PARTS, -(-2 * len(rows) // largest))
        sample = np.argsort(np.arange(len(rows), dtype=np.uint64) * _SCATTER, kind="stable")[: 64 * parts]
        centroids = kmeans(some[sample], parts, rounds)
        found = assign(some, centroids)
        if 4 * np.bincount(found).max() > 3 * len(rows):
            near = some.astype(np.int64) @ centroids[np.bincount(found).argmax()].astype(np.int64)
            found = np.zeros(len(rows), np.int64)
            found[np.argsort(-near, kind="stable")[len(rows) // 2 :]] = 1
        waiting += [rows[found == part] for part in np.unique(found)]
    return done


def _distinct(vectors: NDArray[np.int16]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first row of each different vector, rising, and which of these each row is equal to."""
    plain = np.ascontiguousarray(vectors)
    whole = plain.view(np.dtype((np.void, plain.shape[1] * plain.itemsize))).ravel()
    _, first, of = np.unique(whole, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty(len(first), np.int64)
    place[order] = np.arange(len(first))
    return first[order], place[of.ravel()]
