"""Runs of n tokens that occur more than once in a text, measured in characters (Gopher, arXiv 2112.11446, table A1).

Each recipe measures them in its own way, and all of them are found in one go: what came before (datatrove), all
occurrences (dolma), tokens that lie in any (DCLM, Llama 3).

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

__all__ = ["Runs", "ngram_hashes", "runs"]

_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)  # odd
_HIGH: Final = np.uint64(20)  # the lowest bits of a sum of products depend on the least of what went into it


class Runs(NamedTuple):
    """The runs of n tokens of each text, (texts, sizes); 0 where a text has fewer than n tokens.

    Characters are those of tokens alone, not between them.
    """

    times: NDArray[np.int64]
    """Occurrences of the most frequent run, overlapping ones too."""
    first: NDArray[np.int64]
    """Characters of that run; of the first where several are as frequent."""
    longest: NDArray[np.int64]
    """Characters of the longest where several are as frequent; 0 where no run occurs twice."""
    later: NDArray[np.int64]
    """Characters inside runs that occurred before, none counted twice (datatrove's measure).

    The text is read from its beginning: a run seen before counts and reading goes on behind it; a run not seen is noted
    and reading goes on one token further.
    """
    repeated: NDArray[np.int64]
    """All occurrences of all runs that occur twice, overlapping ones each in full (dolma's measure)."""
    total: NDArray[np.int64]
    """The same of all runs."""
    covered: NDArray[np.int64]
    """Tokens that lie in a run that occurs twice, each once (DCLM's measure)."""


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


def runs(
    offsets: NDArray[np.int64], hashes: NDArray[np.uint64], chars: NDArray[np.int64], sizes: Sequence[int]
) -> Runs:
    """Measure the runs of every text, for several n at once.

    Args:
        offsets: the texts' ranges of tokens.
        hashes: one hash a token.
        chars: code points of each token; ones where tokens are to be counted.
        sizes: values of n, rising.
    """
    _check_sizes(sizes)
    found = _runs(offsets, hashes, chars, np.asarray(sizes, np.int64))
    return Runs(*(np.ascontiguousarray(found[place]) for place in range(len(Runs._fields))))


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
def _perhaps_repeated(grams, where, candidates, marks) -> Any:
    """Keep the candidates whose place among ``marks`` another one shares: all that are repeated, and a few more.

    Most runs occur once; two walks over small marks, without a branch to guess, are cheaper than a table for all.
    """
    _mark(grams, candidates, marks)
    mask = np.uint64(len(marks) - 1)
    kept = np.uint64(0)
    for k in range(candidates):
        gram = grams[k]
        where[kept] = where[k]
        grams[kept] = gram
        kept += np.uint64(marks[(gram >> _HIGH) & mask] > 1)
    return np.int64(kept)


@njit(cache=True, nogil=True)
def _mark(grams, count, marks) -> Any:
    marks[:] = 0
    mask = np.uint64(len(marks) - 1)
    for k in range(count):
        place = (grams[k] >> _HIGH) & mask
        marks[place] = (marks[place] << np.uint8(1)) | np.uint8(1)  # 1, then 3 or more


@njit(cache=True, nogil=True)
def _first_candidates(hashes, n, grams, where, marks) -> Any:
    """The same for all runs of n tokens of a text."""
    count = len(hashes) - n + 1
    if n == 2:
        for k in range(count):
            grams[k] = hashes[k] * _MULTIPLIER + hashes[k + 1]
    else:
        for k in range(count):
            value = hashes[k]
            for j in range(1, n):
                value = value * _MULTIPLIER + hashes[k + j]
            grams[k] = value
    _mark(grams, count, marks)
    mask = np.uint64(len(marks) - 1)
    kept = np.uint64(0)
    for k in range(count):
        gram = grams[k]
        where[kept] = k
        grams[kept] = gram
        kept += np.uint64(marks[(gram >> _HIGH) & mask] > 1)
    return np.int64(kept)


@njit(cache=True, nogil=True, inline="always")
def _marks_for(candidates) -> Any:
    """How many marks keep most runs apart: a power of two."""
    size = 64
    while size < 6 * candidates:
        size *= 2
    return size


@njit(cache=True, nogil=True)
def _lengthened(hashes, first, count, n, more, grams, where, candidates) -> Any:
    """Turn the candidates' hashes of n tokens into hashes of n + more; one that the text is too short for goes."""
    kept = 0
    for k in range(candidates):
        at = where[k]
        if at + n + more > count:
            continue
        value = grams[k]
        for j in range(n, n + more):
            value = value * _MULTIPLIER + hashes[first + at + j]
        where[kept] = at
        grams[kept] = value
        kept += 1
    return kept


@njit(cache=True, nogil=True)
def _numbered(grams, where, candidates, n, lengths, table, counts, firsts, noted) -> Any:
    """Count the candidate runs in a hash table, and what occurred before.

    The table holds the number of the first candidate of each run, ``firsts`` each candidate's; ``counts`` and ``noted``
    (whether reading has noted the run: one inside a run that was counted as a duplicate is not) belong to that number.
    """
    size = 16
    while size < 2 * candidates:
        size *= 2
    table[:size] = -1
    mask = np.uint64(size - 1)
    most = np.int32(1)
    later = np.int64(0)
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
        counts[number] += np.int32(1)
        most = max(most, counts[number])
        at = where[k]
        if at >= reading:
            if noted[number]:
                later += lengths[at + n] - lengths[at]
                reading = np.int64(at + n)
            noted[number] = True
    return np.int64(most), later


@njit(cache=True, nogil=True)
def _runs(offsets, hashes, chars, sizes) -> Any:
    texts = len(offsets) - 1
    longest = np.int64(0)
    for i in range(texts):
        longest = max(longest, offsets[i + 1] - offsets[i])
    marks = np.empty(_marks_for(longest), np.uint8)
    size = 16
    while size < 2 * longest:
        size *= 2
    table = np.empty(size, np.int32)
    counts = np.empty(longest, np.int32)
    firsts = np.empty(longest, np.int32)
    noted = np.empty(longest, np.bool_)
    where = np.empty(longest, np.int32)
    grams = np.empty(longest, np.uint64)
    lengths = np.zeros(longest + 1, np.int64)
    found = np.zeros((7, texts, len(sizes)), np.int64)
    for i in range(texts):
        first = offsets[i]
        count = offsets[i + 1] - first
        length = np.int64(0)
        widths = chars[first : first + count]
        for k in range(count):
            length += widths[k]
            lengths[k + 1] = length
        candidates = np.int64(0)
        for column in range(len(sizes)):
            n = sizes[column]
            if count < n:
                break
            if column == 0:
                candidates = _first_candidates(
                    hashes[first : first + count], n, grams, where, marks[: _marks_for(count)]
                )
            elif candidates:
                before = sizes[column - 1]
                candidates = _lengthened(hashes, first, count, before, n - before, grams, where, candidates)
                candidates = _perhaps_repeated(grams, where, candidates, marks[: _marks_for(candidates)])
            most = np.int64(1)
            if candidates:
                most, found[3, i, column] = _numbered(
                    grams, where, candidates, n, lengths, table, counts, firsts, noted
                )
            found[0, i, column] = most
            if most == 1:  # alone, each run occurs once and the text's first one is the most frequent
                found[1, i, column] = lengths[n]
                candidates = np.int64(0)
                continue
            begun = False
            widest = repeated = covered = reach = np.int64(0)
            kept = 0
            for k in range(candidates):
                times = counts[firsts[k]]
                if times < 2:
                    continue
                at = np.int64(where[k])
                length = lengths[at + n] - lengths[at]
                if times == most:
                    if not begun:
                        begun = True
                        found[1, i, column] = length
                    widest = max(widest, length)
                repeated += length
                covered += lengths[at + n] - lengths[max(at, reach)]
                reach = at + n
                where[kept] = at  # only runs that occur twice can begin a longer run that does
                grams[kept] = grams[k]
                kept += 1
            candidates = np.int64(kept)
            found[2, i, column] = widest
            found[4, i, column] = repeated
            found[6, i, column] = covered
        _totals(lengths, count, sizes, found[5, i])
    return found


@njit(cache=True, nogil=True)
def _totals(lengths, count, sizes, totals) -> Any:
    """Characters of all runs of each size: a token counts once for each run that it lies in.

    That is n times but at the text's ends, so the whole text counts n times, less what its ends lack.
    """
    for column in range(len(sizes)):
        n = sizes[column]
        if count < n:
            break
        total = n * lengths[count]
        for k in range(1, n):
            # Of the runs that would begin k tokens before the text, or end k behind it, the part that lies within.
            total -= lengths[n - k] + lengths[count] - lengths[count - n + k]
        totals[column] = total
