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


@njit(cache=True, nogil=True)
def _last_words(data, start, size) -> Any:
    """The same as ``two_words`` at the end of the data, where no sixteen bytes lie."""
    first = second = np.uint64(0)
    for place in range(size):
        byte = np.uint64(data[start + place])
        if place < 8:
            first |= byte << np.uint64(8 * place)
        else:
            second |= byte << np.uint64(8 * place - 64)
    return first, second


@njit(cache=True, nogil=True, inline="always")
def _mixed(first, second, size) -> Any:
    """Hash of a word of at most sixteen bytes; its length tells NULs at its end from what is not there."""
    value = (first ^ (np.uint64(size) << np.uint64(58))) * _FIRST_FACTOR
    other = second * _SECOND_FACTOR
    value ^= (other << np.uint64(29)) | (other >> np.uint64(35))
    return mix_end(value)


@njit(cache=True, nogil=True)
def _read(data, starts, ends, property_index, properties) -> Any:
    """Eight bytes a step, with zeros behind the last: the length, which the hash begins with, tells NULs from them."""
    m = len(starts)
    hashes = np.empty(m, np.uint64)
    folded = np.empty(m, np.uint64)
    chars = np.empty(m, np.int64)
    alphabetic = np.empty(m, np.bool_)
    others = np.empty(m, np.int32)  # the words beyond ASCII
    left = np.uint64(0)
    limit = len(data) - 8
    for k in range(m):
        at = starts[k]
        size = ends[k] - at
        chars[k] = size
        others[left] = k
        if size <= 16:  # most words
            if at <= limit - 8:
                first, second = two_words(data, at, size)
            else:
                first, second = _last_words(data, at, size)
            hashes[k] = _mixed(first, second, size)
            folded[k] = _mixed(case_folded(first), case_folded(second), size)
            alphabetic[k] = (_letters(first) | _letters(second)) & _TOPS != 0
            left += np.uint64((first | second) & _TOPS != 0)
            continue
        state = other = mix_step(_SEED, size)
        letters = high = np.uint64(0)
        while True:
            if at <= limit:
                word = load_word(data, at)
            else:
                word = load_word(data, limit) >> np.uint64(8 * (at - limit))
            if size < 8:
                word &= (np.uint64(1) << np.uint64(8 * size)) - np.uint64(1)
            high |= word
            letters |= _letters(word)
            state = mix_step(state, word)
            other = mix_step(other, case_folded(word))
            if size <= 8:
                break
            at += 8
            size -= 8
        hashes[k] = mix_end(state)
        folded[k] = mix_end(other)
        alphabetic[k] = letters & _TOPS != 0
        left += np.uint64(high & _TOPS != 0)
    for number in range(left):
        k = others[number]
        count, letter = _decoded_word(data, starts[k], ends[k], property_index, properties)
        chars[k] = count
        alphabetic[k] |= letter
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
