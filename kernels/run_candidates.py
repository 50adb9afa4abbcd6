"""Runs of n tokens of a text that may occur more than once: all that do, and a few more.

Most runs of two tokens or more occur once. So each is first counted in a table of small marks that it may share with
others, in walks without a branch to guess; what is alone there is never looked at again. A run of n + 1 tokens can be
repeated only where both runs of n within it are.

A run is known by a 64-bit polynomial of its tokens' hashes, and by the number of its first token (``where``).
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

__all__ = ["FULL", "MOST_AT_FIRST", "MULTIPLIER", "bits_for", "first_candidates", "lengthened", "perhaps_repeated"]

MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)  # odd
FULL: Final = np.uint8(255)
"""A mark that may stand for more occurrences than it says."""
MOST_AT_FIRST: Final = 5
"""Tokens of the longest runs of which all of a text are looked at; of longer ones those made of candidates are."""
_MOST_BITS: Final = 26  # 64 MiB: in a text that has more tokens than this keeps apart, more runs are looked at


@njit(cache=True, nogil=True, inline="always")
def bits_for(candidates) -> Any:
    """How many marks keep most runs apart: 2 to this power."""
    bits = 6
    while (1 << bits) < 8 * candidates and bits < _MOST_BITS:
        bits += 1
    return bits


@njit(cache=True, nogil=True, inline="always")
def first_candidates(hashes, n, grams, where, bounds, marks, bits) -> Any:
    """The runs of n tokens, at most ``MOST_AT_FIRST``, that share their mark with another; how many they are.

    A candidate's bound is its mark: a run has at most as many occurrences, unless the mark is full.
    """
    count = len(hashes) - n + 1
    # Several runs are multiplied at once, which would not be so if a loop over the tokens of each were within.
    second = hashes[min(n - 1, 1) :]
    for k in range(count):
        grams[k] = hashes[k] * MULTIPLIER + second[k] if n > 1 else hashes[k]
    for behind in range(2, n):
        following = hashes[behind:]
        for k in range(count):
            grams[k] = grams[k] * MULTIPLIER + following[k]
    shift = np.uint64(64 - bits)
    _mark(grams, count, marks, bits)
    kept = np.uint64(0)
    for k in range(count):
        value = grams[k]
        mark = marks[value >> shift]
        where[kept] = k
        grams[kept] = value
        bounds[kept] = mark
        kept += np.uint64(mark > 1)
    return np.int64(kept)


@njit(cache=True, nogil=True, inline="always")
def perhaps_repeated(grams, where, bounds, candidates, marks, bits) -> Any:
    """The same among runs that are candidates already; those that stay are moved to the front."""
    shift = np.uint64(64 - bits)
    _mark(grams, candidates, marks, bits)
    kept = np.uint64(0)
    for k in range(candidates):
        value = grams[k]
        mark = marks[value >> shift]
        where[kept] = where[k]
        grams[kept] = value
        bounds[kept] = mark
        kept += np.uint64(mark > 1)
    return np.int64(kept)


@njit(cache=True, nogil=True, inline="always")
def _mark(grams, candidates, marks, bits) -> Any:
    """Count the runs in the marks; one stays at the most that it can be."""
    shift = np.uint64(64 - bits)
    marks[: 1 << bits] = 0
    for k in range(candidates):
        place = grams[k] >> shift
        mark = marks[place]
        marks[place] = mark + np.uint8(mark != FULL)


@njit(cache=True, nogil=True, inline="always")
def lengthened(hashes, n, more, grams, where, candidates) -> Any:
    """Turn candidates of n tokens into those of n + more: where each run of n tokens within it is a candidate too."""
    kept = np.uint64(0)
    for k in range(candidates - more):
        at = where[k]
        following = where[k + more]
        where[kept] = at
        grams[kept] = grams[k]
        kept += np.uint64(following == at + more)
    behind = np.uint64(n)
    for k in range(np.int64(kept)):
        value = grams[k]
        first = np.uint64(where[k]) + behind
        for at in range(first, first + np.uint64(more)):
            value = value * MULTIPLIER + hashes[at]
        grams[k] = value
    return np.int64(kept)
