"""Verified edges: pairs of texts that share a band and whose shingle sets are alike enough.

Texts are rows 0 to n - 1, the better copy first (the caller's stated order), so that nothing depends on the order of
the input.

Inside a bucket (the rows that share one band key) of at most ``representatives`` rows, every pair is compared. In a
larger bucket each row, in ascending order, is compared with every representative so far; one that matches none becomes
a representative itself, up to that number. So a bucket of m rows costs at most m x representatives comparisons, and one
of m near-identical rows costs m. What this can lose: in a bucket of more than ``representatives`` mutually different
texts (a common boilerplate band), pairs among the later ones; they still have their other bands.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dedup.shingles import Shingles

__all__ = ["Edges", "bucket_edges", "edges", "in_buckets", "similarity"]

_MEMO_BITS = 18


class Edges(NamedTuple):
    """Verified pairs, each once, in ascending order; ``left < right``."""

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    similarity: NDArray[np.float64]  # exact Jaccard similarity of the two shingle sets


def in_buckets(keys: NDArray[np.uint64], active: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell which of the active rows share at least one band key with another active row.

    Args:
        keys: (n, bands) from ``dedup.minhash.band_keys``.
        active: n; rows without shingles must be off.
    """
    found = np.zeros(len(keys), np.bool_)
    rows = np.flatnonzero(active)
    for band in range(keys.shape[1]):
        column = keys[rows, band]
        order = np.argsort(column, kind="stable")
        ordered = column[order]
        same = ordered[1:] == ordered[:-1]
        found[rows[order[1:][same]]] = True
        found[rows[order[:-1][same]]] = True
    return found


def edges(
    keys: NDArray[np.uint64],
    active: NDArray[np.bool_],
    sets: Shingles,
    threshold: float,
    representatives: int = 32,
    known: int = 0,
) -> Edges:
    """Return all verified edges among rows.

    Args:
        keys: (n, bands) band keys, rows in the stated order.
        active: n; which rows take part.
        sets: shingle sets of the rows (sorted, unique); only those of rows in a bucket are read.
        threshold: least Jaccard similarity of an edge.
        representatives: bound of comparisons in a bucket; see the module.
        known: rows below this number are known to be different texts (an index's) and are not compared with one
            another.
    """
    rows = np.flatnonzero(active)
    parts: list[Edges] = []
    for band in range(keys.shape[1]):
        column = keys[rows, band]
        order = np.argsort(column, kind="stable")  # stable: ascending rows inside a bucket
        ordered = column[order]
        starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))) if len(ordered) else order
        bounds = np.append(starts, len(ordered))
        several = np.flatnonzero(np.diff(bounds) > 1)
        if len(several):
            members = rows[order]
            first, last = bounds[several], bounds[several + 1]
            parts.append(_compared(members, first, last, sets, threshold, representatives, known))
    return _once(parts)


def bucket_edges(sets: Shingles, threshold: float, representatives: int = 32) -> Edges:
    """Return the verified edges inside one bucket whose rows are those of ``sets``.

    This is what an engine runs on each group after ``group_by(key)``: the union over all buckets, each pair taken once,
    equals what ``edges`` returns for the whole.
    """
    n = len(sets.offsets) - 1
    first, last = np.zeros(1, np.int64), np.full(1, n, np.int64)
    return _once([_compared(np.arange(n), first, last, sets, threshold, representatives, 0)])


def similarity(sets: Shingles, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the exact Jaccard similarity of pairs of rows; 0 where one has no shingles."""
    return _pairs(sets.offsets, sets.hashes, left, right)


def _compared(
    members: NDArray[np.int64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    sets: Shingles,
    threshold: float,
    representatives: int,
    known: int,
) -> Edges:
    found: Any = _compare(members, starts, ends, sets.offsets, sets.hashes, threshold, representatives, known)
    return Edges(*found)


def _once(parts: list[Edges]) -> Edges:
    if not parts:
        return Edges(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float64))
    left, right, value = (np.concatenate(column) for column in zip(*parts, strict=True))
    _, first = np.unique((left.astype(np.uint64) << np.uint64(32)) | right.astype(np.uint64), return_index=True)
    return Edges(left[first], right[first], value[first])


@njit(cache=True, nogil=True)
def _jaccard(offsets, hashes, left, right, threshold):  # pyright: ignore
    """Exact Jaccard similarity of two sorted sets, or -1 as soon as it must lie below the threshold."""
    i, i_end = offsets[left], offsets[left + 1]
    j, j_end = offsets[right], offsets[right + 1]
    total = (i_end - i) + (j_end - j)
    if i == i_end or j == j_end:
        return -1.0
    # shared / (total - shared) >= threshold needs shared >= total * threshold / (1 + threshold); one less against
    # rounding.
    needed = np.int64(np.floor(total * threshold / (1.0 + threshold))) - 1
    shared = 0
    while i < i_end and j < j_end:
        a = hashes[i]
        b = hashes[j]
        if a == b:
            shared += 1
            i += 1
            j += 1
        elif a < b:
            i += 1
            if shared + (i_end - i) < needed:
                return -1.0
        else:
            j += 1
            if shared + (j_end - j) < needed:
                return -1.0
    value = shared / (total - shared)
    return value if value >= threshold else -1.0


@njit(cache=True, nogil=True)
def _pairs(offsets, hashes, left, right):  # pyright: ignore
    values = np.empty(len(left), np.float64)
    for p in range(len(left)):
        values[p] = max(_jaccard(offsets, hashes, left[p], right[p], 0.0), 0.0)
    return values


@njit(cache=True, nogil=True)
def _compare(members, starts, ends, offsets, hashes, threshold, representatives, known):  # pyright: ignore
    """Compare inside every bucket; a direct-mapped memory spares pairs that share several bands most of the work."""
    memo_size = np.uint64(1 << _MEMO_BITS)
    memo_pair = np.zeros(memo_size, np.uint64)  # 0 is no pair: left < right
    memo_value = np.empty(memo_size, np.float64)
    capacity = 1024
    lefts = np.empty(capacity, np.int64)
    rights = np.empty(capacity, np.int64)
    values = np.empty(capacity, np.float64)
    m = 0
    leaders = np.empty(representatives, np.int64)
    for bucket in range(len(starts)):
        every_pair = ends[bucket] - starts[bucket] <= representatives
        count = 0
        for position in range(starts[bucket], ends[bucket]):
            row = members[position]
            matched = False
            for r in range(count):
                leader = leaders[r]
                if row < known:  # both known: different texts
                    break
                pair = (np.uint64(leader) << np.uint64(32)) | np.uint64(row)
                slot = ((pair * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - _MEMO_BITS)) & (
                    memo_size - np.uint64(1)
                )
                if memo_pair[slot] == pair:
                    value = memo_value[slot]
                else:
                    value = _jaccard(offsets, hashes, leader, row, threshold)
                    memo_pair[slot] = pair
                    memo_value[slot] = value
                if value >= threshold:
                    matched = True
                    if m == capacity:
                        capacity *= 2
                        lefts = _grown(lefts, capacity)
                        rights = _grown(rights, capacity)
                        values = _grown(values, capacity)
                    lefts[m] = leader
                    rights[m] = row
                    values[m] = value
                    m += 1
            if count < representatives and (every_pair or not matched):
                leaders[count] = row
                count += 1
    return lefts[:m].copy(), rights[:m].copy(), values[:m].copy()


@njit(cache=True, nogil=True)
def _grown(values, capacity):  # pyright: ignore
    larger = np.empty(capacity, values.dtype)
    larger[: len(values)] = values
    return larger
