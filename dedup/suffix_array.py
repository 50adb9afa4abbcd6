"""Suffix arrays of sequences of tokens: all suffixes in order, and how long neighbours agree.

Built by prefix doubling with radix sort (Manber and Myers 1993; Larsson and Sadakane 2007 for what is sorted already):
at most log2 of the longest repeat rounds of O(n) each, whatever the text, so that a text of one repeated word costs
n log n too. It takes seven 64-bit numbers a token. The lengths come from Kasai et al. 2001, in O(n).
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["BYTES_PER_TOKEN", "later_copies", "longest_common_prefixes", "suffix_array"]

BYTES_PER_TOKEN = 7 * 8
"""What `later_copies` holds in memory for each token and each text."""


def suffix_array(sequence: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the places of all suffixes in ascending order.

    Args:
        sequence: numbers from 0; equal ones are compared by what follows, and the end comes before everything.
    """
    return _doubled(np.unique(sequence, return_inverse=True)[1].astype(np.int64).reshape(-1))


def longest_common_prefixes(sequence: NDArray[np.int64], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many elements each suffix of `suffix_array` shares with the one before it; 0 for the first."""
    return _kasai(sequence, order)


def later_copies(offsets: NDArray[np.int64], hashes: NDArray[np.uint64], size: int) -> NDArray[np.bool_]:
    """Return for each token whether it lies in a run of `size` tokens that occurs earlier, in whatever text.

    Args:
        offsets: the texts' ranges of tokens; the order of the texts says what is earlier.
        hashes: one hash a token, which stands for the token.
        size: tokens in a run; none reaches across two texts.
    """
    count = len(hashes)
    texts = len(offsets) - 1
    tokens = np.unique(hashes, return_inverse=True)[1].astype(np.int64).reshape(-1)
    # Behind each text stands a number of its own, so that no run reaches across.
    sequence = np.empty(count + texts, np.int64)
    place = np.arange(count) + np.repeat(np.arange(texts), np.diff(offsets))
    sequence[place] = tokens + texts
    sequence[offsets[1:] + np.arange(texts)] = np.arange(texts)
    order = suffix_array(sequence)
    return _later(order, longest_common_prefixes(sequence, order), size)[place]


@njit(cache=True, nogil=True)
def _doubled(rank) -> Any:
    """Sort suffixes by 1, 2, 4, ... elements; ``rank`` holds what is known of their order, and is written to."""
    n = len(rank)
    order = np.empty(n, np.int64)
    if n == 0:
        return order
    counts = np.empty(n + 2, np.int64)
    second = np.empty(n, np.int64)
    fresh = np.empty(n, np.int64)
    for k in range(n):
        second[k] = k
    width = 0
    while True:
        # Stable counting sort by rank of what is in the order of the second half already.
        counts[:] = 0
        for k in range(n):
            counts[rank[k] + 1] += 1
        for k in range(n):
            counts[k + 1] += counts[k]
        for k in range(n):
            suffix = second[k]
            order[counts[rank[suffix]]] = suffix
            counts[rank[suffix]] += 1
        # Suffixes with equal halves share a rank.
        classes = 0
        fresh[order[0]] = 0
        for k in range(1, n):
            here = order[k]
            before = order[k - 1]
            same = rank[here] == rank[before]
            if same and width > 0:
                left = rank[here + width] if here + width < n else -1
                right = rank[before + width] if before + width < n else -1
                same = left == right
            if not same:
                classes += 1
            fresh[here] = classes
        rank[:] = fresh
        if classes == n - 1:
            return order
        width = max(1, width * 2)
        # The order by the second half: suffixes too short to have one come first.
        to = 0
        for k in range(n - width, n):
            if k >= 0:
                second[to] = k
                to += 1
        for k in range(n):
            if order[k] >= width:
                second[to] = order[k] - width
                to += 1


@njit(cache=True, nogil=True)
def _kasai(sequence, order) -> Any:
    n = len(sequence)
    rank = np.empty(n, np.int64)
    for k in range(n):
        rank[order[k]] = k
    shared = np.zeros(n, np.int64)
    length = 0
    for k in range(n):
        if rank[k] == 0:
            length = 0
            continue
        other = order[rank[k] - 1]
        while k + length < n and other + length < n and sequence[k + length] == sequence[other + length]:
            length += 1
        shared[rank[k]] = length
        length = max(0, length - 1)
    return shared


@njit(cache=True, nogil=True)
def _later(order, shared, size) -> Any:
    """Mark the elements of all runs but the earliest in each group of suffixes that agree in ``size`` elements."""
    n = len(order)
    reach = np.zeros(n + 1, np.int64)
    start = 0
    while start < n:
        stop = start + 1
        while stop < n and shared[stop] >= size:
            stop += 1
        earliest = order[start]
        for k in range(start, stop):
            earliest = min(earliest, order[k])
        if stop - start > 1:
            for k in range(start, stop):
                if order[k] != earliest:
                    reach[order[k]] = 1
        start = stop
    marked = np.zeros(n, np.bool_)
    left = 0
    for k in range(n):
        left = size if reach[k] else max(0, left - 1)
        marked[k] = left > 0
    return marked
