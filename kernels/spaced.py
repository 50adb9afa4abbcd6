"""Words between white space, ``str.split()``: what dolma and DCLM call words, and what C4 counts in a line."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.blocks import at_least_a_block, bits_below, count_bits, first_bit, load_word
from kernels.characters import decoded
from kernels.lines import characters_between
from kernels.spaces import space_mask
from kernels.strings import TextBatch
from kernels.unicode import ALPHA, BLOCK, SHIFT, unicode_tables
from kernels.word_mixing import case_folded, mix_end, mix_step, two_words

__all__ = [
    "SpacedRanges",
    "SpacedTokens",
    "carried_counts",
    "longest_words",
    "medians",
    "spaced_counts",
    "spaced_ranges",
    "spaced_tokens",
    "spelling_hash",
]

_SEED: Final = np.uint64(0x9E3779B97F4A7C15)
_STRETCH: Final = 512  # words that are fetched before they are hashed: they stay in the nearest cache
# Odd 64-bit constants of xxHash64.
_FIRST_FACTOR: Final = np.uint64(0x9E3779B185EBCA87)
_SECOND_FACTOR: Final = np.uint64(0xC2B2AE3D27D4EB4F)
_TOPS: Final = np.uint64(0x8080808080808080)
_LOWS: Final = np.uint64(0x7F7F7F7F7F7F7F7F)
_CASES: Final = np.uint64(0x2020202020202020)
_FROM_A: Final = np.uint64(0x1F1F1F1F1F1F1F1F)  # lifts what is at least "a" to 128
_BEYOND_Z: Final = np.uint64(0x0505050505050505)  # lifts what is beyond "z" to 128


class SpacedRanges(NamedTuple):
    """The words of ``n`` texts in order: those of text ``i`` have the numbers ``offsets[i]`` to ``offsets[i + 1]``."""

    offsets: NDArray[np.int64]  # n + 1
    starts: NDArray[np.int64]  # byte position in the batch's data
    ends: NDArray[np.int64]


class SpacedTokens(NamedTuple):
    """The same with what is written in each word."""

    offsets: NDArray[np.int64]  # n + 1
    starts: NDArray[np.int64]  # byte position in the batch's data
    ends: NDArray[np.int64]
    hashes: NDArray[np.uint64]  # of its bytes, as ``spelling_hash``
    folded: NDArray[np.uint64]  # the same with ASCII upper case made lower
    chars: NDArray[np.int64]  # code points; a byte that is not UTF-8 is one
    alphabetic: NDArray[np.bool_]  # holds a letter (str.isalpha)


def spaced_ranges(batch: TextBatch) -> SpacedRanges:
    """Split every text of the batch at white space (str.isspace)."""
    return SpacedRanges(*_ranges(at_least_a_block(batch.data), batch.offsets))


def spaced_tokens(batch: TextBatch) -> SpacedTokens:
    """Split every text of the batch at white space, and read the words."""
    found = spaced_ranges(batch)
    tables = unicode_tables()
    read = _read(at_least_a_block(batch.data), found.starts, found.ends, tables.property_index, tables.properties)
    return SpacedTokens(*found, *read)


def spaced_counts(batch: TextBatch, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many words stand between white space in each range of bytes."""
    return _counts(at_least_a_block(batch.data), starts, ends)


def carried_counts(
    batch: TextBatch,
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    known: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
) -> NDArray[np.int64]:
    """``spaced_counts`` of ranges of which most are known already, with their starts, ends and counts; all rise."""
    counts, new = _carried(starts, ends, *known)
    counts[new] = spaced_counts(batch, starts[new], ends[new])
    return counts


def longest_words(batch: TextBatch, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Code points of the longest word between white space in each range of bytes; 0 where there is none."""
    return _longest(at_least_a_block(batch.data), starts, ends)


def spelling_hash(word: str) -> int:
    """Hash of a word's bytes: the entry that it has in ``SpacedTokens.hashes``."""
    tables = unicode_tables()
    data = np.frombuffer(word.encode(), np.uint8)
    bounds = np.array([0, len(data)])
    read = _read(at_least_a_block(data), bounds[:1], bounds[1:], tables.property_index, tables.properties)
    return int(read[0][0])


def medians(offsets: NDArray[np.int64], values: NDArray[np.int64]) -> NDArray[np.float64]:
    """Median of the values of each text, the mean of the middle two of an even number; 0 where there is none."""
    return _medians(offsets, values)


@njit(cache=True, nogil=True)
def _grown(values, used, capacity) -> Any:
    larger = np.empty(capacity, values.dtype)
    larger[:used] = values[:used]
    return larger


@njit(cache=True, nogil=True)
def _ranges(data, offsets) -> Any:
    n = len(offsets) - 1
    capacity = (offsets[n] - offsets[0]) // 4 + 64
    bounds = np.zeros(n + 1, np.int64)
    starts = np.empty(capacity, np.int64)
    ends = np.empty(capacity, np.int64)
    one = np.uint64(1)
    m = 0
    for i in range(n):
        begin = offsets[i]
        end = offsets[i + 1]
        most = m + (end - begin) // 2 + 1
        if most > capacity:
            capacity = max(most, capacity + capacity // 2)
            starts = _grown(starts, m, capacity)
            ends = _grown(ends, m, capacity)
        first = last = np.uint64(m)
        outside = one  # whether the byte before is white space
        reach = begin
        for base in range(begin, end, 64):
            here = bits_below(end - base)
            space, reach = space_mask(data, base, end, reach, here)
            gap = space | ~here
            before = (gap << one) | outside
            outside = gap >> np.uint64(63)
            opening = ~gap & before
            closing = gap & ~before
            while opening:
                starts[first] = base + first_bit(opening)
                first += one
                opening &= opening - one
            while closing:
                ends[last] = base + first_bit(closing)
                last += one
                closing &= closing - one
        if last < first:
            ends[last] = end
        m = np.int64(first)
        bounds[i + 1] = m
    return bounds, starts[:m], ends[:m]


@njit(cache=True, nogil=True)
def _decoded_word(data, start, end, property_index, properties) -> Any:
    """Characters of a word beyond ASCII, and whether one is a letter."""
    at = np.int64(start)
    count = np.int64(0)
    letter = False
    while at < end:
        length = 1
        if data[at] >= 0x80:
            code, length = decoded(data, at, end)
            if code >= 0:
                word = properties[(np.int64(property_index[code >> SHIFT]) << SHIFT) | (code & (BLOCK - 1))]
                letter |= word & ALPHA != 0
        count += 1
        at += length
    return count, letter


@njit(cache=True, nogil=True, inline="always")
def _letters(word) -> Any:
    """Eight bytes of which the highest bit says whether it is an ASCII letter."""
    lower = (word | _CASES) & _LOWS
    return (lower + _FROM_A) & ~(lower + _BEYOND_Z) & ~word


@njit(cache=True, nogil=True, inline="always")
def _mixed(first, second, size) -> Any:
    """Hash of a word of at most sixteen bytes; its length tells NULs at its end from what is not there."""
    value = (first ^ (np.uint64(size) << np.uint64(58))) * _FIRST_FACTOR
    other = second * _SECOND_FACTOR
    value ^= (other << np.uint64(29)) | (other >> np.uint64(35))
    return mix_end(value)


@njit(cache=True, nogil=True)
def _read_long(data, start, end) -> Any:
    """Both hashes of a word of any length, wherever it stands, its letters, and the bits of its bytes."""
    limit = len(data) - 8
    at = start
    size = end - start
    first = second = np.uint64(0)
    state = other = mix_step(_SEED, size)
    letters = high = np.uint64(0)
    while True:
        if at <= limit:
            word = load_word(data, at)
        else:
            word = load_word(data, limit) >> np.uint64(8 * (at - limit))
        if size < 8:
            word &= (np.uint64(1) << np.uint64(8 * size)) - np.uint64(1)
        first, second = (word, second) if at == start else (first, word)
        high |= word
        letters |= _letters(word)
        state = mix_step(state, word)
        other = mix_step(other, case_folded(word))
        if size <= 8:
            break
        at += 8
        size -= 8
    if end - start <= 16:
        return (
            _mixed(first, second, end - start),
            _mixed(case_folded(first), case_folded(second), end - start),
            (letters),
            high,
        )
    return mix_end(state), mix_end(other), letters, high


@njit(cache=True, nogil=True)
def _read(data, starts, ends, property_index, properties) -> Any:
    """Eight bytes a step, with zeros behind the last: the length, which the hash begins with, tells NULs from them.

    A stretch of words is first fetched and then hashed: what has no memory to wait for and no branch is done for
    several words by one instruction.
    """
    m = len(starts)
    hashes = np.empty(m, np.uint64)
    folded = np.empty(m, np.uint64)
    chars = np.empty(m, np.int64)
    alphabetic = np.empty(m, np.bool_)
    firsts = np.empty(_STRETCH, np.uint64)
    seconds = np.empty(_STRETCH, np.uint64)
    highs = np.empty(_STRETCH, np.uint64)
    limit = len(data) - 16
    for base in range(0, m, _STRETCH):
        count = min(_STRETCH, m - base)
        own_starts = starts[base : base + count]
        own_ends = ends[base : base + count]
        own_hashes = hashes[base : base + count]
        own_folded = folded[base : base + count]
        own_chars = chars[base : base + count]
        own_alphabetic = alphabetic[base : base + count]
        others = np.int64(0)
        for k in range(count):
            start = own_starts[k]
            size = own_ends[k] - start
            others += (size > 16) | (start > limit)
            own_chars[k] = size
            firsts[k], seconds[k] = two_words(data, min(start, limit), min(size, 16))
        beyond = np.uint64(0)
        for k in range(count):
            first = firsts[k]
            second = seconds[k]
            own_hashes[k] = _mixed(first, second, own_chars[k])
            own_folded[k] = _mixed(case_folded(first), case_folded(second), own_chars[k])
            own_alphabetic[k] = (_letters(first) | _letters(second)) & _TOPS != 0
            highs[k] = (first | second) & _TOPS
            beyond |= highs[k]
        if others:
            for k in range(count):
                if own_chars[k] > 16 or own_starts[k] > limit:
                    own_hashes[k], own_folded[k], letters, high = _read_long(data, own_starts[k], own_ends[k])
                    own_alphabetic[k] = letters & _TOPS != 0
                    highs[k] = high & _TOPS
                    beyond |= highs[k]
        if beyond:
            for k in range(count):
                if highs[k]:
                    own_chars[k], letter = _decoded_word(data, own_starts[k], own_ends[k], property_index, properties)
                    own_alphabetic[k] |= letter
    return hashes, folded, chars, alphabetic


@njit(cache=True, nogil=True)
def _carried(starts, ends, known_starts, known_ends, known) -> Any:
    """The counts of ranges that are known, and the numbers of those that are not."""
    counts = np.empty(len(starts), np.int64)
    new = np.empty(len(starts), np.int64)
    missing = j = 0
    for k in range(len(starts)):
        while j < len(known_starts) and (
            known_starts[j] < starts[k] or (known_starts[j] == starts[k] and known_ends[j] < ends[k])
        ):
            j += 1
        if j < len(known_starts) and known_starts[j] == starts[k] and known_ends[j] == ends[k]:
            counts[k] = known[j]
        else:
            new[missing] = k
            missing += 1
    return counts, new[:missing]


@njit(cache=True, nogil=True)
def _counts(data, starts, ends) -> Any:
    counts = np.zeros(len(starts), np.int64)
    one = np.uint64(1)
    for k in range(len(starts)):
        begin = reach = starts[k]
        end = ends[k]
        outside = one
        found = np.int64(0)
        for base in range(begin, end, 64):
            here = bits_below(end - base)
            space, reach = space_mask(data, base, end, reach, here)
            gap = space | ~here
            found += count_bits(~gap & ((gap << one) | outside))
            outside = gap >> np.uint64(63)
        counts[k] = found
    return counts


@njit(cache=True, nogil=True)
def _longest(data, starts, ends) -> Any:
    longest = np.zeros(len(starts), np.int64)
    one = np.uint64(1)
    for k in range(len(starts)):
        begin = reach = word = starts[k]
        end = ends[k]
        inside = np.uint64(0)
        most = np.int64(0)
        for base in range(begin, end, 64):
            here = bits_below(end - base)
            space, reach = space_mask(data, base, end, reach, here)
            letters = here & ~space
            borders = letters ^ ((letters << one) | inside)
            within = inside != 0
            inside = letters >> np.uint64(63)
            while borders:
                at = base + first_bit(borders)
                borders &= borders - one
                if not within:
                    word = at
                elif at - word > most:  # never more code points than bytes
                    most = max(most, characters_between(data, word, at))
                within = not within
        if inside and end - word > most:
            most = max(most, characters_between(data, word, end))
        longest[k] = most
    return longest


@njit(cache=True, nogil=True)
def _medians(offsets, values) -> Any:
    """By counting the common small values; a text whose middle is larger is sorted."""
    small = np.empty(64, np.int64)
    found = np.zeros(len(offsets) - 1, np.float64)
    for i in range(len(offsets) - 1):
        count = offsets[i + 1] - offsets[i]
        if count == 0:
            continue
        small[:] = 0
        for k in range(offsets[i], offsets[i + 1]):
            if values[k] < 64:
                small[values[k]] += 1
        lower = upper = np.int64(-1)
        before = np.int64(0)
        for value in range(64):
            before += small[value]
            if lower < 0 and before > (count - 1) // 2:
                lower = value
            if upper < 0 and before > count // 2:
                upper = value
        if upper < 0:
            found[i] = np.median(values[offsets[i] : offsets[i + 1]])
        else:
            found[i] = (lower + upper) / 2
    return found
