"""Runs of n tokens that occur more than once in a text: how much of it they cover, all their occurrences counted.

Where ``kernels.ngrams`` measures as datatrove does (what came before), this measures as DCLM (tokens that lie in a
repeated run) and dolma (occurrences of repeated runs, overlapping ones each in full). A run is known by a 64-bit
polynomial of its tokens' hashes.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["Runs", "covered_tokens", "longest_period", "runs"]

_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)  # odd


class Runs(NamedTuple):
    """Characters of each text (of tokens alone, not between them), (texts, sizes)."""

    top: NDArray[np.int64]  # occurrences of the most frequent run, times its characters; the first among equals
    top_longest: NDArray[np.int64]  # the same of the longest among equals; 0 where no run occurs twice
    repeated: NDArray[np.int64]  # all occurrences of all runs that occur twice, each with its characters
    total: NDArray[np.int64]  # the same of all runs
    covered: NDArray[np.int64]  # tokens that lie in a run that occurs twice, each once


def runs(
    offsets: NDArray[np.int64], hashes: NDArray[np.uint64], chars: NDArray[np.int64], sizes: Sequence[int]
) -> Runs:
    """Measure the runs of every text, for several n at once.

    Args:
        offsets: the texts' ranges of tokens.
        hashes: one hash a token.
        chars: code points of each token.
        sizes: values of n, rising.
    """
    if not sizes or min(sizes) < 1 or any(a >= b for a, b in pairwise(sizes)):
        raise ValueError(f"sizes: found {list(sizes)}, expected rising numbers of tokens, at least 1")
    return Runs(*_runs(offsets, hashes, chars, np.asarray(sizes, np.int64)))


def longest_period(offsets: NDArray[np.int64], hashes: NDArray[np.uint64], longest: int) -> NDArray[np.int64]:
    """How often at most a run of up to ``longest`` tokens follows itself in each text; 1 where none does, 0 if empty.

    A run that is followed by a part of itself counts as often as it is whole.
    """
    return _longest_period(offsets, hashes, longest)


def covered_tokens(offsets: NDArray[np.int64], hashes: NDArray[np.uint64], n: int) -> NDArray[np.bool_]:
    """Which tokens lie in a run of n that occurs more than once in their text."""
    return _covered_tokens(offsets, hashes, n)


@njit(cache=True, nogil=True)
def _runs(offsets, hashes, chars, sizes) -> Any:
    texts = len(offsets) - 1
    longest = np.int64(0)
    for i in range(texts):
        longest = max(longest, offsets[i + 1] - offsets[i])
    table = 16
    while table < 2 * longest:
        table *= 2
    seen = np.empty(table, np.uint64)
    counts = np.empty(table, np.int64)
    slots = np.empty(longest, np.int64)
    where = np.empty(longest, np.int64)
    grams = np.empty(longest, np.uint64)
    lengths = np.zeros(longest + 1, np.int64)
    shape = (texts, len(sizes))
    top = np.zeros(shape, np.int64)
    top_longest = np.zeros(shape, np.int64)
    repeated = np.zeros(shape, np.int64)
    total = np.zeros(shape, np.int64)
    covered = np.zeros(shape, np.int64)
    for i in range(texts):
        first = offsets[i]
        count = offsets[i + 1] - first
        for k in range(count):
            where[k] = k
            grams[k] = hashes[first + k]
            lengths[k + 1] = lengths[k] + chars[first + k]
        candidates = count  # only what begins with a repeated run of n - 1 can begin one of n
        n = 1
        for column in range(len(sizes)):
            if count < sizes[column]:
                break
            while n < sizes[column]:
                kept = 0
                for k in range(candidates):
                    if where[k] + n < count:
                        where[kept] = where[k]
                        grams[kept] = grams[k] * _MULTIPLIER + hashes[first + where[k] + n]
                        kept += 1
                candidates = kept
                n += 1
            size = 16
            while size < 2 * candidates:
                size *= 2
            seen[:size] = 0
            mask = np.uint64(size - 1)
            best = np.int64(1)
            for k in range(candidates):
                key = grams[k] | np.uint64(1)  # 0 marks a free place
                slot = (key >> np.uint64(1)) & mask
                while seen[slot] != 0 and seen[slot] != key:
                    slot = (slot + np.uint64(1)) & mask
                if seen[slot] == 0:
                    seen[slot] = key
                    counts[slot] = 1
                else:
                    counts[slot] += 1
                    best = max(best, counts[slot])
                slots[k] = np.int64(slot)
            top[i, column] = lengths[n]
            if best > 1:
                top[i, column] = 0
            reach = np.int64(0)
            kept = 0
            for k in range(candidates):
                times = counts[slots[k]]
                if times < 2:
                    continue
                at = where[k]
                length = lengths[at + n] - lengths[at]
                if times == best:
                    if top[i, column] == 0:
                        top[i, column] = best * length
                    top_longest[i, column] = max(top_longest[i, column], best * length)
                repeated[i, column] += length
                covered[i, column] += lengths[at + n] - lengths[max(at, reach)]
                reach = at + n
                where[kept] = at
                grams[kept] = grams[k]
                kept += 1
            candidates = kept
            for k in range(count - n + 1):
                total[i, column] += lengths[k + n] - lengths[k]
    return top, top_longest, repeated, total, covered


@njit(cache=True, nogil=True)
def _longest_period(offsets, hashes, longest) -> Any:
    found = np.zeros(len(offsets) - 1, np.int64)
    for i in range(len(offsets) - 1):
        if offsets[i + 1] == offsets[i]:
            continue
        found[i] = 1
        for period in range(1, longest + 1):
            same = np.int64(0)
            most = np.int64(0)
            for k in range(offsets[i] + period, offsets[i + 1]):
                if hashes[k] == hashes[k - period]:
                    same += 1
                    most = max(most, same)
                else:
                    same = 0
            found[i] = max(found[i], 1 + most // period)
    return found


@njit(cache=True, nogil=True)
def _covered_tokens(offsets, hashes, n) -> Any:
    longest = np.int64(0)
    for i in range(len(offsets) - 1):
        longest = max(longest, offsets[i + 1] - offsets[i])
    table = 16
    while table < 2 * longest:
        table *= 2
    seen = np.empty(table, np.uint64)
    firsts = np.empty(table, np.int64)
    covered = np.zeros(offsets[-1], np.bool_)
    for i in range(len(offsets) - 1):
        size = 16
        while size < 2 * (offsets[i + 1] - offsets[i]):
            size *= 2
        seen[:size] = 0
        mask = np.uint64(size - 1)
        for at in range(offsets[i], offsets[i + 1] - n + 1):
            value = hashes[at]
            for j in range(1, n):
                value = value * _MULTIPLIER + hashes[at + j]
            key = value | np.uint64(1)
            slot = (key >> np.uint64(1)) & mask
            while seen[slot] != 0 and seen[slot] != key:
                slot = (slot + np.uint64(1)) & mask
            if seen[slot] == 0:
                seen[slot] = key
                firsts[slot] = at
                continue
            covered[at : at + n] = True
            covered[firsts[slot] : firsts[slot] + n] = True
    return covered
