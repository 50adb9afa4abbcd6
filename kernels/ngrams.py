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

from kernels.blocks import BLOCK_BYTES, bits_below, first_bit, mask_between
from kernels.run_candidates import (
    FULL,
    MOST_AT_FIRST,
    MULTIPLIER,
    bits_for,
    first_candidates,
    lengthened,
    perhaps_repeated,
)

__all__ = ["Runs", "ngram_hashes", "runs"]

_MANY: Final = 1 << 15  # candidates whose table is larger than the cache of a core
_ALONE: Final = np.uint8(0)
_AGAIN: Final = np.uint8(1)  # of a candidate: its run occurs twice
_NOTED: Final = np.uint8(2)  # of a run's first candidate: reading has noted the run
_HIGH: Final = np.uint64(20)  # the lowest bits of a sum of products depend on the least of what went into it


class Runs(NamedTuple):
    """The runs of n tokens of each text, (texts, sizes); 0 where a text has fewer than n tokens.

    Characters are those of tokens alone, not between them. The first three have a column for each of ``top``, the
    others one for each of ``repeated``.
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
    offsets: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    chars: NDArray[np.int64] | None,
    top: Sequence[int],
    repeated: Sequence[int],
    kinds: NDArray[np.uint8] | None = None,
    kind: int = 0,
) -> Runs:
    """Measure the runs of every text, for several n at once.

    Args:
        offsets: the texts' ranges of tokens.
        hashes: one hash a token.
        chars: code points of each token; None where tokens are to be counted.
        top: values of n of which the most frequent run is asked for, rising.
        repeated: values of n of which the runs that occur twice are asked for, rising, beyond those of ``top``.
        kinds: what each token is; None where all count.
        kind: what a token must be to count. Runs then go on from one that counts to the next.
    """
    _check_sizes([*top, *repeated])
    tops, sizes = np.asarray(top, np.int64), np.asarray(repeated, np.int64)
    lengths = np.empty(0, np.int64) if chars is None else chars
    which = np.empty(0, np.uint8) if kinds is None else kinds
    most, twice = _runs(offsets, hashes, lengths, which, kind, tops, sizes)
    return Runs(*(np.ascontiguousarray(column) for column in (*most, *twice)))


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
                value = value * MULTIPLIER + hashes[k + shift + j]
            grams[k] = value
    return bounds, grams


@njit(cache=True, nogil=True, inline="always")
def _slots_for(candidates) -> Any:
    """A power of two: the slots of a table in which candidates seldom meet; fewer where memory counts for more."""
    room = min(4 * candidates, max(2 * candidates, 4 * _MANY))
    slots = 16
    while slots < room:
        slots *= 2
    return slots


@njit(cache=True, nogil=True, inline="always")
def _counted(grams, candidates, table, counts, firsts) -> Any:
    """Count the candidate runs in a hash table; the occurrences of the most frequent one.

    The table holds the number of the first candidate of each run, ``firsts`` each candidate's; ``counts`` belong to
    that number.
    """
    slots = _slots_for(candidates)
    table[:slots] = -1
    mask = np.uint64(slots - 1)
    most = np.int32(0)
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
        firsts[k] = number
        counts[number] += np.int32(1)
        most = max(most, counts[number])
    return np.int64(most)


@njit(cache=True, nogil=True, inline="always")
def _matched(grams, candidates, table, marked, firsts, others) -> Any:
    """Say of each candidate which is the first of its run (``firsts``), and whether there is another (``marked``).

    Whether a candidate is its run's first cannot be guessed. So each is put where its hash says without a branch; the
    few that find another run there are looked at afterwards (``others``). Nothing is counted: a number that was written
    just now is what the processor must not be asked for. Where the table is larger than the caches, each is looked at
    once: what a slot in memory costs is more than a wrong guess.
    """
    slots = _slots_for(candidates)
    table[:slots] = -1
    mask = np.uint64(slots - 1)
    left = np.uint64(0)
    few = candidates if candidates < _MANY else 0
    for k in range(few):
        gram = grams[k]
        slot = (gram >> _HIGH) & mask
        held = table[slot]
        number = np.int32(k) if held < 0 else held
        table[slot] = number
        same = grams[np.uint64(number)] == gram
        number = number if same else np.int32(k)
        firsts[k] = number
        found = _AGAIN if number != np.int32(k) else _ALONE
        marked[k] = found
        marked[np.uint64(number)] = found
        others[left] = k
        left += np.uint64(not same)
    for k in range(few, candidates):
        firsts[k] = k
        marked[k] = _ALONE
        others[left] = k
        left += np.uint64(1)
    for which in range(np.int64(left)):
        k = others[which]
        slot = (grams[k] >> _HIGH) & mask
        number = table[slot]
        while number >= 0 and grams[number] != grams[k]:
            slot = (slot + np.uint64(1)) & mask
            number = table[slot]
        if number < 0:
            table[slot] = k
        else:
            firsts[k] = number
            marked[k] = marked[number] = _AGAIN


@njit(cache=True, nogil=True, inline="always")
def _most_frequent(grams, where, bounds, candidates, n, lengths, table, counts, firsts, some, places) -> Any:
    """Occurrences of the most frequent run, characters of the first and of the longest that is as frequent.

    Only candidates whose bounds allow as many occurrences as one of the best bound has are counted.
    """
    highest = np.uint8(0)
    for k in range(candidates):
        highest = max(highest, bounds[k])
    one = np.uint64(0)
    for k in range(candidates):
        if bounds[k] == highest:
            one = grams[k]
            break
    reached = np.int64(0)
    for k in range(candidates):
        reached += grams[k] == one
    least = np.uint8(min(max(reached, 2), int(FULL)))
    number = 0
    for base in range(0, candidates, BLOCK_BYTES):
        mask = mask_between(bounds, base, least, FULL) & bits_below(candidates - base)
        while mask:
            k = base + first_bit(mask)
            mask &= mask - np.uint64(1)
            some[number] = grams[k]
            places[number] = where[k]
            number += 1
    if number == 0:  # each run occurs once, and the text's first one is the most frequent
        return np.int64(1), lengths[n], np.int64(0)
    most = _counted(some, number, table, counts, firsts)
    if most < 2:
        return np.int64(1), lengths[n], np.int64(0)
    first = longest = np.int64(-1)
    for k in range(number):
        if counts[firsts[k]] == most:
            length = lengths[places[k] + n] - lengths[places[k]]
            first = length if first < 0 else first
            longest = max(longest, length)
    return most, first, longest


@njit(cache=True, nogil=True, inline="always")
def _twice(grams, where, candidates, n, lengths, marked, firsts) -> Any:
    """Characters of runs that occur twice, as ``Runs`` tells; keep these and no other candidates.

    Reading notes a run at its first candidate (``marked``), but none that lies in a run counted as a duplicate.
    """
    later = repeated = covered = reach = reading = np.int64(0)
    kept = np.uint64(0)
    for k in range(candidates):
        number = np.uint64(firsts[k])
        twice = marked[k] & _AGAIN > 0
        at = np.int64(where[k])
        here = np.uint64(at)
        behind = lengths[here + np.uint64(n)]
        length = behind - lengths[here]
        read = twice & (at >= reading)
        noted = marked[number]
        seen = read & (noted & _NOTED > 0)
        marked[number] = noted | (_NOTED if read else _ALONE)
        later += length if seen else 0
        reading = at + n if seen else reading
        repeated += length if twice else 0
        covered += behind - lengths[np.uint64(max(at, reach))] if twice else 0
        reach = at + n if twice else reach
        where[kept] = where[k]
        grams[kept] = grams[k]
        kept += np.uint64(twice)
    return np.int64(kept), later, repeated, covered


@njit(cache=True, nogil=True)
def _runs(offsets, hashes, chars, kinds, kind, tops, sizes) -> Any:
    texts = len(offsets) - 1
    longest = np.int64(0)
    for i in range(texts):
        longest = max(longest, offsets[i + 1] - offsets[i])
    marks = np.empty(1 << bits_for(longest), np.uint8)
    table = np.empty(_slots_for(longest), np.int32)
    counts = np.empty(longest, np.int32)
    firsts = np.empty(longest, np.int32)
    marked = np.empty(longest, np.uint8)
    where = np.empty(longest, np.int32)
    places = np.empty(longest, np.int32)
    bounds = np.empty(longest + BLOCK_BYTES, np.uint8)
    grams = np.empty(longest, np.uint64)
    some = np.empty(longest, np.uint64)
    lengths = np.zeros(longest + 1, np.int64)
    room = np.empty(longest if len(kinds) else 0, np.uint64)
    most = np.zeros((3, texts, len(tops)), np.int64)
    twice = np.zeros((4, texts, len(sizes)), np.int64)
    for i in range(texts):
        first = offsets[i]
        count = offsets[i + 1] - first
        own = hashes[first : first + count]
        sized = chars[first : first + count]  # none where tokens are counted
        if len(kinds):
            count = _of_kind(own, sized, kinds[first : first + count], kind, room, lengths)
            own = room[:count]
            sized = lengths[1 : count + 1]
        _add_lengths(sized, count, lengths)
        candidates = np.int64(-1)  # not looked for yet
        before = np.int64(0)
        for column in range(len(tops) + len(sizes)):
            of_top = column < len(tops)
            n = tops[column] if of_top else sizes[column - len(tops)]
            if count < n:
                break
            if candidates < 0:
                before = min(n, MOST_AT_FIRST)
                candidates = first_candidates(own, before, grams, where, bounds, marks, bits_for(count))
            if candidates and n > before:
                candidates = lengthened(own, before, n - before, grams, where, candidates)
                if of_top or column == len(tops):
                    bits = bits_for(candidates)
                    candidates = perhaps_repeated(grams, where, bounds, candidates, marks, bits)
            before = n
            if of_top:
                if candidates:
                    most[0, i, column], most[1, i, column], most[2, i, column] = _most_frequent(
                        grams, where, bounds, candidates, n, lengths, table, counts, firsts, some, places
                    )
                else:
                    most[0, i, column], most[1, i, column] = 1, lengths[n]
            elif candidates:
                column -= len(tops)
                _matched(grams, candidates, table, marked, firsts, places)
                candidates, twice[0, i, column], twice[1, i, column], twice[3, i, column] = _twice(
                    grams, where, candidates, n, lengths, marked, firsts
                )
        _totals(lengths, count, sizes, twice[2, i])
    return most, twice


@njit(cache=True, nogil=True, inline="always")
def _add_lengths(chars, count, lengths) -> Any:
    """Characters before each token of a text, and before its end; tokens, where no characters are given."""
    length = np.int64(0)
    for k in range(len(chars)):
        length += chars[k]
        lengths[k + 1] = length
    for k in range(len(chars), count):
        lengths[k + 1] = k + 1


@njit(cache=True, nogil=True, inline="always")
def _of_kind(hashes, chars, kinds, kind, room, lengths) -> Any:
    """Hashes of a text's tokens of one kind, and the characters of each behind a free place; how many they are."""
    kept = np.uint64(0)
    for k in range(len(hashes)):
        room[kept] = hashes[k]
        lengths[kept + np.uint64(1)] = chars[k] if len(chars) else 1
        kept += np.uint64(kinds[k] == kind)
    return np.int64(kept)


@njit(cache=True, nogil=True, inline="always")
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
