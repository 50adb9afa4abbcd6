"""Which texts of a bucket are compared: every pair of a small bucket, a bounded choice of a large one.

A bucket is what shares one band key. In a bucket of at most ``most`` texts every pair is a candidate. In a larger one
(a common boilerplate, or a thousand near-identical pages) each text meets at most ``most`` others:

- the first quarter of ``most`` in the bucket's order, so that near-identical texts all meet the same few;
- the first quarter among those that share the next band as well, so that a second family in one bucket has its own;
- half of ``most`` neighbours in the order of the next band.

So a bucket of m texts gives at most m x ``most`` pairs, and nothing is quadratic. What this can lose: pairs in a bucket
of more than ``most`` texts that share this band but not the next; they still have their other bands. The choice depends
on the bucket's members alone, never on what was verified, so that it can be made before any text is read.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.distinct import distinct

__all__ = ["in_buckets", "next_band", "pair_codes", "within_buckets"]


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


def next_band(keys: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """Return for each key (n, bands) 32 bits of the next band's key, the first one's for the last."""
    return np.roll(keys, -1, axis=1).astype(np.uint32)


def within_buckets(
    bounds: NDArray[np.int64], following: NDArray[np.uint32], most: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose the pairs of many buckets.

    Args:
        bounds: bucket ``b`` is rows ``bounds[b]`` to ``bounds[b + 1]``, in the bucket's order.
        following: 32 bits of the next band's key of each row.
        most: see the module; 4 or more.

    Returns:
        Rows of the first and second text of each pair, first < second; a pair may occur several times.
    """
    found: Any = _within(bounds, following, most)
    return found


def pair_codes(
    keys: NDArray[np.uint64], active: NDArray[np.bool_], order: NDArray[np.uint64], most: int
) -> NDArray[np.uint64]:
    """Return all candidate pairs of a table, each once, ascending, as ``first << 32 | second``.

    Args:
        keys: (n, bands) band keys.
        active: n; which rows take part.
        order: n; what buckets are ordered by (a content hash, so that no choice depends on the order of rows).
        most: see the module.
    """
    rows = np.flatnonzero(active)
    rows = rows[np.argsort(order[rows], kind="stable")]
    following = next_band(keys)
    found = np.empty(0, np.uint64)
    for band in range(keys.shape[1]):
        column = keys[rows, band]
        place = np.argsort(column, kind="stable")
        ordered = column[place]
        same = ordered[1:] == ordered[:-1]
        shared = np.zeros(len(rows), np.bool_)
        shared[1:] = same
        shared[:-1] |= same
        members, ordered = rows[place[shared]], ordered[shared]
        if not len(members):
            continue
        starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
        first, second = within_buckets(np.append(starts, len(members)), following[members, band], most)
        left, right = members[first], members[second]
        codes = np.minimum(left, right).astype(np.uint64) << np.uint64(32) | np.maximum(left, right).astype(np.uint64)
        found = distinct(np.concatenate([found, codes]))
    return found


@njit(cache=True, nogil=True)
def _within(bounds, following, most):  # pyright: ignore
    quarter = most // 4
    window = most - 2 * quarter
    capacity = 1024
    firsts = np.empty(capacity, np.int64)
    seconds = np.empty(capacity, np.int64)
    m = 0
    for bucket in range(len(bounds) - 1):
        start, end = bounds[bucket], bounds[bucket + 1]
        size = end - start
        need = size * (most + 1) if size > most else size * (size - 1) // 2
        if m + need > capacity:
            while m + need > capacity:
                capacity *= 2
            firsts = _grown(firsts, capacity)
            seconds = _grown(seconds, capacity)
        if size <= most:
            for j in range(start + 1, end):
                for i in range(start, j):
                    firsts[m] = i
                    seconds[m] = j
                    m += 1
            continue
        for j in range(start + 1, end):
            for i in range(start, min(start + quarter, j)):
                firsts[m] = i
                seconds[m] = j
                m += 1
        ordered = np.argsort(following[start:end], kind="mergesort")  # stable: the bucket's order inside a run
        run = 0
        for q in range(1, size):
            if following[start + ordered[q]] != following[start + ordered[q - 1]]:
                run = q
            for p in range(max(0, q - window), q):
                a, b = ordered[p], ordered[q]
                firsts[m] = start + min(a, b)
                seconds[m] = start + max(a, b)
                m += 1
            for p in range(run, min(run + quarter, q - window)):
                a, b = ordered[p], ordered[q]
                firsts[m] = start + min(a, b)
                seconds[m] = start + max(a, b)
                m += 1
    return firsts[:m].copy(), seconds[:m].copy()


@njit(cache=True, nogil=True)
def _grown(values, capacity):  # pyright: ignore
    larger = np.empty(capacity, values.dtype)
    larger[: len(values)] = values
    return larger
