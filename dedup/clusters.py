"""Components are cut into clusters about the copies that stay.

Verified edges chain: A is near B, B near C, C near D, until A and D have nothing in common, and one component holds
thousands of different texts. The rule that cuts them has a threshold and a diameter:

- an edge is a verified match, its length the Jaccard distance 1 - similarity, at most 1 - threshold;
- in the stated order, the best text that no cluster has taken yet stays, and takes every text that it reaches over
  edges of a total length of at most ``spread`` through texts not taken before it.

Jaccard distance is a metric (Levandowsky and Winter, 1971), so a removed text and its kept one are at least 1 - spread
alike although only edges were compared; no edge joins two kept texts; and every removed text names a verified match on
the way to the kept one (the kept one itself where they were compared and match).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dedup.edges import Edges

__all__ = ["Links", "link"]

_ROUNDING = 1e-9
"""So that two edges of similarity 0.7 lie within a spread of 0.6."""


class Links(NamedTuple):
    """What became of each of ``n`` rows."""

    root: NDArray[np.int64]  # the kept row of its cluster; the row itself where it is kept
    parent: NDArray[np.int64]  # the row it was matched with, -1 where it is kept
    similarity: NDArray[np.float64]  # exact Jaccard similarity with the parent, NaN where it is kept


def link(n: int, found: Edges, spread: float, known: NDArray[np.bool_] | None = None) -> Links:
    """Cut the components of verified edges into clusters, and name every removed row's parent.

    Args:
        n: number of rows, the best copy first.
        found: verified edges, each pair once.
        spread: see the module.
        known: n; rows that stay whatever they meet (those of an index, or of a protected source). They take what they
            reach before all others, each row going to the nearest.
    """
    first = np.zeros(n, np.bool_) if known is None else known
    order = np.lexsort((found.left, found.right))  # so that no answer depends on the order of the edges
    left, right, value = (column[order] for column in found)
    answer: Any = _cut(n, left, right, value, spread + _ROUNDING, first)
    return Links(*answer)


@njit(cache=True, nogil=True)
def _cut(n, left, right, values, spread, known):  # pyright: ignore
    starts = np.zeros(n + 1, np.int64)
    for e in range(len(left)):
        starts[left[e] + 1] += 1
        starts[right[e] + 1] += 1
    for i in range(n):
        starts[i + 1] += starts[i]
    fill = starts[:n].copy()
    neighbour = np.empty(2 * len(left), np.int64)
    weight = np.empty(2 * len(left), np.float64)
    for e in range(len(left)):
        for near, far in ((left[e], right[e]), (right[e], left[e])):
            neighbour[fill[near]] = far
            weight[fill[near]] = values[e]
            fill[near] += 1

    distance = np.full(n, np.inf)
    settled = np.zeros(n, np.bool_)
    root = np.arange(n)
    parent = np.full(n, -1, np.int64)
    value = np.full(n, np.nan)
    capacity = 64
    heap_far = np.empty(capacity, np.float64)
    heap_row = np.empty(capacity, np.int64)
    source = -1
    while source < n:
        size = 0
        if source < 0:  # all known rows at once
            for i in range(n):
                if known[i]:
                    distance[i] = 0.0
                    settled[i] = True
                    heap_far, heap_row, size = _push(heap_far, heap_row, size, 0.0, i)
        elif not settled[source]:
            distance[source] = 0.0
            settled[source] = True
            heap_far, heap_row, size = _push(heap_far, heap_row, size, 0.0, source)
        source += 1
        while size > 0:
            far = heap_far[0]
            at = heap_row[0]
            size = _pop(heap_far, heap_row, size)
            if far > distance[at]:
                continue
            if not settled[at]:
                settled[at] = True
            for k in range(starts[at], starts[at + 1]):
                other = neighbour[k]
                reached = far + (1.0 - weight[k])
                if settled[other] or reached > spread:
                    continue
                closer = reached < distance[other]
                # As near over another row: fewer edges from the kept copy come first, then the smaller row.
                if not closer and reached == distance[other]:
                    was = parent[other] == root[other]
                    now = at == root[at]
                    closer = (now and not was) or (now == was and at < parent[other])
                if closer:
                    distance[other] = reached
                    parent[other] = at
                    root[other] = root[at]
                    value[other] = weight[k]
                    heap_far, heap_row, size = _push(heap_far, heap_row, size, reached, other)
    return root, parent, value


@njit(cache=True, nogil=True)
def _push(heap_far, heap_row, size, far, row):  # pyright: ignore
    if size == len(heap_far):
        larger_far = np.empty(2 * size, np.float64)
        larger_row = np.empty(2 * size, np.int64)
        larger_far[:size] = heap_far
        larger_row[:size] = heap_row
        heap_far, heap_row = larger_far, larger_row
    i = size
    while i > 0:
        above = (i - 1) >> 1
        if heap_far[above] < far or (heap_far[above] == far and heap_row[above] <= row):
            break
        heap_far[i] = heap_far[above]
        heap_row[i] = heap_row[above]
        i = above
    heap_far[i] = far
    heap_row[i] = row
    return heap_far, heap_row, size + 1


@njit(cache=True, nogil=True)
def _pop(heap_far, heap_row, size):  # pyright: ignore
    """Take the smallest out; returns the new size."""
    size -= 1
    far = heap_far[size]
    row = heap_row[size]
    i = 0
    while True:
        below = 2 * i + 1
        if below >= size:
            break
        other = below + 1
        if other < size and (
            heap_far[other] < heap_far[below]
            or (heap_far[other] == heap_far[below] and heap_row[other] < heap_row[below])
        ):
            below = other
        if heap_far[below] > far or (heap_far[below] == far and heap_row[below] >= row):
            break
        heap_far[i] = heap_far[below]
        heap_row[i] = heap_row[below]
        i = below
    heap_far[i] = far
    heap_row[i] = row
    return size
