"""Connected components of a graph of verified edges."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["components", "large_star", "small_star"]


def components(n: int, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each of ``n`` rows the smallest row of its component; the order of the edges does not matter."""
    found: Any = _union_find(n, left, right)
    return found


def large_star(node: NDArray[np.uint64], other: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Tie every node's larger neighbours to its smallest: one half of a round on any number of workers.

    With ``small_star`` this is the method of Kiveris, Lattanzi, Mirrokni, Rastogi and Vassilvitskii, "Connected
    Components in MapReduce and Beyond" (SoCC 2014). Why the rounds end, and where: neither half joins or parts
    components, since what loses its edge to a node is tied to a smaller node that the same node is tied to. Each half
    replaces an edge (u, v) by one whose smaller end is no larger, so the sum of the smaller ends falls in every round
    that changes an edge, and it cannot fall for ever. A round that changes nothing leaves only stars about the smallest
    node of each component: a node with a neighbour smaller than itself and another neighbour would still have been
    changed. So the end is the same set of edges whatever the number of workers, the partitions and the order of rows.
    A path of n nodes takes O(log n) rounds (their section 3; O(log^2 n) is proved for any graph).

    Args:
        node: every edge twice, once from either end; whole nodes, sorted by node and other.
        other: the neighbour.

    Returns:
        New edges: the larger end, the smaller end.
    """
    starts, least = _least(node, other)
    least = np.repeat(np.minimum(least, node[starts]), np.diff(np.append(starts, len(node))))
    larger = other > node
    return other[larger], least[larger]


def small_star(node: NDArray[np.uint64], other: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Tie every node and its smaller neighbours to the smallest of them: the other half of a round.

    Args:
        node: the larger end of each edge; whole nodes, sorted by node and other.
        other: the smaller end.

    Returns:
        New edges: the larger end, the smaller end.
    """
    starts, least = _least(node, other)
    each = np.repeat(least, np.diff(np.append(starts, len(node))))
    between = other != each
    return np.concatenate([node[starts], other[between]]), np.concatenate([least, each[between]])


def _least(node: NDArray[np.uint64], other: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Return where each node's rows begin, and its smallest neighbour: its first, since rows are sorted."""
    if not len(node):
        return np.empty(0, np.int64), np.empty(0, np.uint64)
    starts = np.flatnonzero(np.concatenate(([True], node[1:] != node[:-1])))
    return starts, other[starts]


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
