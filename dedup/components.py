"""Connected components of the graph of verified edges, and what each member's parent is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dedup.edges import Edges, similarity
from dedup.shingles import Shingles

__all__ = ["Links", "components", "link"]


class Links(NamedTuple):
    """What became of each of ``n`` rows."""

    root: NDArray[np.int64]  # the kept row of its cluster; the row itself where it is kept
    parent: NDArray[np.int64]  # the row it was matched with, -1 where it is kept
    similarity: NDArray[np.float64]  # exact Jaccard similarity with the parent, NaN where it is kept


def components(n: int, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each of ``n`` rows the smallest row of its component; the order of the edges does not matter."""
    return _union_find(n, left, right)


def link(n: int, found: Edges, sets: Shingles, threshold: float, known: int = 0) -> Links:
    """Choose the kept row of each component and name every other row's parent.

    Kept is the smallest row of the component, the best copy in the caller's stated order; rows below ``known`` (those
    of an index) are kept whatever they meet. A removed row belongs to the kept row that it reaches over the fewest
    verified edges (then the higher similarity, then the smaller row). Its parent is that kept row where their own
    similarity reaches the threshold, and else the neighbour on the way there, so that parent and similarity always
    state a verified match.

    Args:
        n: number of rows.
        found: verified edges.
        sets: shingle sets of the rows (those of rows without edges are not read).
        threshold: least similarity of a match.
        known: rows below this number stay.
    """
    smallest = components(n, found.left, found.right)
    kept = smallest == np.arange(n)
    kept[:known] = True
    # A component that holds known rows is theirs: the smallest row is then a known one, since known rows come first.
    step, step_similarity, root = _trace(n, found.left, found.right, found.similarity, kept)
    removed = np.flatnonzero(~kept)
    direct = similarity(sets, root[removed], removed)
    near = direct >= threshold
    parent = np.full(n, -1, np.int64)
    value = np.full(n, np.nan)
    parent[removed] = np.where(near, root[removed], step[removed])
    value[removed] = np.where(near, direct, step_similarity[removed])
    return Links(root, parent, value)


@njit(cache=True, nogil=True)
def _union_find(n, left, right):  # pyright: ignore
    above = np.arange(n)
    for e in range(len(left)):
        a = left[e]
        while above[a] != a:
            above[a] = above[above[a]]
            a = above[a]
        b = right[e]
        while above[b] != b:
            above[b] = above[above[b]]
            b = above[b]
        if a < b:
            above[b] = a
        elif b < a:
            above[a] = b
    for i in range(n):  # roots are smaller than what hangs on them, so one ascending pass flattens
        above[i] = above[above[i]]
    return above


@njit(cache=True, nogil=True)
def _trace(n, left, right, values, kept):  # pyright: ignore
    """Breadth-first from all kept rows at once: each row's neighbour one step nearer, and the kept row it leads to."""
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

    distance = np.full(n, -1, np.int64)
    root = np.arange(n)
    step = np.full(n, -1, np.int64)
    step_value = np.full(n, np.nan)
    queue = np.empty(n, np.int64)
    tail = 0
    for i in range(n):
        if kept[i]:
            distance[i] = 0
            queue[tail] = i
            tail += 1
    head = 0
    while head < tail:
        at = queue[head]
        head += 1
        if distance[at] > 0:  # all rows one step nearer are settled by now
            for k in range(starts[at], starts[at + 1]):
                other = neighbour[k]
                if distance[other] == distance[at] - 1:
                    closer = weight[k] > step_value[at] or (weight[k] == step_value[at] and other < step[at])
                    if step[at] < 0 or closer:
                        step[at] = other
                        step_value[at] = weight[k]
            root[at] = root[step[at]]
        for k in range(starts[at], starts[at + 1]):
            other = neighbour[k]
            if distance[other] < 0:
                distance[other] = distance[at] + 1
                queue[tail] = other
                tail += 1
    return step, step_value, root
