"""Sums over the ranges of an array, one a text."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.blocks import at_least_a_block, bits_below, count_bits, last_block, mask_equal

__all__ = ["counts_of", "counts_until", "range_sums", "range_sums_where"]


def range_sums(values: NDArray[Any], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sum of whole numbers (or of flags) from each offset to the next."""
    if values.dtype == np.bool_:
        return counts_of(values.view(np.uint8), 1, offsets)
    return _sums(np.ascontiguousarray(values, np.int64), offsets)


def range_sums_where(
    values: NDArray[np.int64], kinds: NDArray[np.uint8], kind: int, offsets: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Sum from each offset to the next of the values of one kind."""
    return _sums_where(values, kinds, kind, offsets)


def counts_of(kinds: NDArray[np.uint8], kind: int, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many from each offset to the next are of one kind."""
    return _counts_of(at_least_a_block(np.ascontiguousarray(kinds)), kind, offsets)


def counts_until(
    kinds: NDArray[np.uint8], kind: int, positions: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.int64]:
    """How many of one kind have their position from one end to the next; both rise."""
    return _counts_until(kinds, kind, positions, ends)


@njit(cache=True, nogil=True)
def _counts_until(kinds, kind, positions, ends) -> Any:
    found = np.zeros(len(ends), np.int64)
    at = 0
    for i in range(len(ends)):
        count = np.int64(0)
        while at < len(positions) and positions[at] < ends[i]:
            count += kinds[at] == kind
            at += 1
        found[i] = count
    return found


@njit(cache=True, nogil=True)
def _sums(values, offsets) -> Any:
    found = np.empty(len(offsets) - 1, np.int64)
    for i in range(len(found)):
        own = values[offsets[i] : offsets[i + 1]]  # counted from 0, several are added up by one instruction
        total = np.int64(0)
        for k in range(len(own)):
            total += own[k]
        found[i] = total
    return found


@njit(cache=True, nogil=True)
def _sums_where(values, kinds, kind, offsets) -> Any:
    found = np.empty(len(offsets) - 1, np.int64)
    wanted = np.uint8(kind)
    for i in range(len(found)):
        own = values[offsets[i] : offsets[i + 1]]
        which = kinds[offsets[i] : offsets[i + 1]]
        total = np.int64(0)
        for k in range(len(own)):
            total += own[k] if which[k] == wanted else 0
        found[i] = total
    return found


@njit(cache=True, nogil=True)
def _counts_of(kinds, kind, offsets) -> Any:
    found = np.zeros(len(offsets) - 1, np.int64)
    for i in range(len(found)):
        total = np.int64(0)
        for base in range(offsets[i], offsets[i + 1], 64):
            at = last_block(base, len(kinds))
            mask = mask_equal(kinds, at, np.uint8(kind)) >> np.uint64(base - at)
            total += count_bits(mask & bits_below(offsets[i + 1] - base))
        found[i] = total
    return found
