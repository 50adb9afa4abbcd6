"""Repeated runs of n tokens within a text, measured in characters (Gopher, arXiv 2112.11446, table A1).

A run of tokens is known by a 64-bit polynomial of their hashes; within one text a false match is too rare to happen
(2^-64 a pair).
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

__all__ = ["Repeats", "ngram_hashes", "repeats"]

_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)  # odd
_HIGH: Final = np.uint64(20)  # the lowest bits of a sum of products depend on the least of what went into it


class Repeats(NamedTuple):
    """Characters of each text in repeated runs, (texts, sizes)."""

    top: NDArray[np.int64]
    """Occurrences of the most frequent run (overlapping ones too), times its characters with one space between tokens.

    Among equally frequent runs the one that comes first counts; a text of fewer than n tokens has 0.
    """
    duplicate: NDArray[np.int64]
    """Characters inside runs that occurred before, none counted twice.

    The text is read from its beginning: a run seen before counts with its characters (not those between tokens) and
    reading goes on behind it; a run not seen is noted and reading goes on one token further.
    """


def ngram_hashes(
    offsets: NDArray[np.int64], hashes: NDArray[np.uint64], n: int
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Hash every run of ``n`` tokens that lies within one text.

    Args:
        offsets: the texts' ranges of tokens, as in ``Words.offsets``.
        hashes: one hash a token.
        n: tokens in a run, at least 1.

    Returns:
        The texts' ranges of runs, and one hash a run. A text of fewer than ``n`` tokens has none.
    """
    _check_sizes([n])
    return _ngram_hashes(offsets, hashes, n)


def repeats(
    offsets: NDArray[np.int64], hashes: NDArray[np.uint64], chars: NDArray[np.int64], sizes: Sequence[int]
) -> Repeats:
    """Measure the repeated runs of every text, for several n at once.

    Args:
        offsets: the texts' ranges of tokens.
        hashes: one hash a token.
        chars: code points of each token.
        sizes: values of n, rising.
    """
    _check_sizes(sizes)
    return Repeats(*_repeats(offsets, hashes, chars, np.asarray(sizes, np.int64)))


def _check_sizes(sizes: Sequence[int]) -> None:
    if not sizes or min(sizes) < 1 or any(a >= b for a, b in pairwise(sizes)):
        raise ValueError(f"sizes: found {list(sizes)}, expected rising numbers of tokens, at least 1")


@njit(cache=True, nogil=True)
def _ngram_hashes(offsets, hashes, n) -> Any:
    texts = len(offsets) - 1
    bounds = np.zeros(texts + 1, np.int64)
    for i in range(texts):
        bounds[i + 1] = bounds[i] + max(0, offsets[i + 1] - offsets[i] - n + 1)
    grams = np.empty(bounds[texts], np.uint64)
    for i in range(texts):
        shift = offsets[i] - bounds[i]
        for k in range(bounds[i], bounds[i + 1]):
            value = hashes[k + shift]
            for j in range(1, n):
                value = value * _MULTIPLIER + hashes[k + shift + j]
            grams[k] = value
    return bounds, grams


@njit(cache=True, nogil=True)
def _lengthen(grams, where, candidates, tokens, first, count, n) -> Any:
    """Turn the candidates' hashes of n - 1 tokens into hashes of n; the candidate without an n-th token falls away."""
    kept = 0
    for k in range(candidates):
        if where[k] + n <= count:
            where[kept] = where[k]
            grams[kept] = grams[k] * _MULTIPLIER + tokens[first + where[k] + n - 1]
            kept += 1
    return kept


@njit(cache=True, nogil=True)
def _perhaps_repeated(grams, where, candidates, marks) -> Any:
    """Keep the candidates whose place among ``marks`` another one shares: all that are repeated, and a few more.

    Most runs occur once; two walks over small marks, without a branch to guess, are cheaper than a table for all.
    """
    size = 64
    while size < 6 * candidates:
        size *= 2
    marks[:size] = 0
    mask = np.uint64(size - 1)
    for k in range(candidates):
        place = (grams[k] >> _HIGH) & mask
        marks[place] = (marks[place] << np.uint8(1)) | np.uint8(1)  # 1, then 3 or more
    kept = 0
    for k in range(candidates):
        gram = grams[k]
        where[kept] = where[k]
        grams[kept] = gram
        kept += marks[(gram >> _HIGH) & mask] > 1
    return kept


@njit(cache=True, nogil=True)
def _count_runs(grams, where, candidates, n, lengths, table, counts, firsts, noted) -> Any:
    """Count the candidate runs in a hash table: (top characters, duplicate characters, candidates for n + 1).

    The table holds the number of the first candidate of each run, ``firsts`` each candidate's; ``counts`` and ``noted``
    (whether reading has noted the run: one inside a run that was counted as a duplicate is not) belong to that number.
    """
    size = 16
    while size < 2 * candidates:
        size *= 2
    table[:size] = -1
    mask = np.uint64(size - 1)
    best_count = np.int64(0)
    best = np.int64(0)
    total = np.int64(0)
    reading = np.int64(0)
    for k in range(candidates):
        gram = grams[k]
        slot = (gram >> _HIGH) & mask
        number = np.int64(table[slot])
        while number >= 0 and grams[number] != gram:
            slot = (slot + np.uint64(1)) & mask
            number = np.int64(table[slot])
        if number < 0:
            number = k
            table[slot] = k
            counts[k] = 0
            noted[k] = False
        firsts[k] = number
        counts[number] += 1
        at = where[k]
        if at >= reading:
            if noted[number]:
                total += lengths[at + n] - lengths[at]
                reading = at + n
            noted[number] = True
        if counts[number] > best_count or (counts[number] == best_count and number < best):
            best_count = np.int64(counts[number])
            best = number
    # Only runs that occur twice can begin a longer run that does; alone, each run occurs once and the text's first one
    # is the top.
    begin = where[best] if best_count > 1 else np.int64(0)
    top = max(best_count, 1) * (lengths[begin + n] - lengths[begin] + n - 1)
    kept = 0
    for k in range(candidates):
        where[kept] = where[k]
        grams[kept] = grams[k]
        kept += counts[firsts[k]] > 1
    return top, total, kept


@njit(cache=True, nogil=True)
def _repeats(offsets, hashes, chars, sizes) -> Any:
    texts = len(offsets) - 1
    longest = np.int64(0)
    for i in range(texts):
        longest = max(longest, offsets[i + 1] - offsets[i])
    size = 16
    while size < 2 * longest:
        size *= 2
    table = np.empty(size, np.int64)
    size = 64
    while size < 6 * longest:
        size *= 2
    marks = np.empty(size, np.uint8)
    counts = np.empty(longest, np.int64)
    firsts = np.empty(longest, np.int64)
    noted = np.empty(longest, np.bool_)
    where = np.empty(longest, np.int64)
    grams = np.empty(longest, np.uint64)
    lengths = np.zeros(longest + 1, np.int64)
    top = np.zeros((texts, len(sizes)), np.int64)
    duplicate = np.zeros((texts, len(sizes)), np.int64)
    for i in range(texts):
        first = offsets[i]
        count = offsets[i + 1] - first
        for k in range(count):
            where[k] = k
            grams[k] = hashes[first + k]
            lengths[k + 1] = lengths[k] + chars[first + k]
        candidates = count
        n = 1
        for column in range(len(sizes)):
            if count < sizes[column]:
                break
            while n < sizes[column]:
                n += 1
                candidates = _lengthen(grams, where, candidates, hashes, first, count, n)
            if column == 0:
                candidates = _perhaps_repeated(grams, where, candidates, marks)
            top[i, column], duplicate[i, column], candidates = _count_runs(
                grams, where, candidates, n, lengths, table, counts, firsts, noted
            )
    return top, duplicate
