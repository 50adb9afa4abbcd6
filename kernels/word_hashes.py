"""Hashes of the words of one text, and nothing else: for scans in which nearly every text ends as having no hit.

The words are those of ``kernels.words`` (kind WORD) and so are their hashes. Punctuation, symbols and places are left
out, and nothing is written but one number a word, into room that stays in the processor's cache from text to text.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.blocks import first_bit, load_word
from kernels.tokens import WORD, ascii_natures, ascii_words, foreign_part, tokens_of_units
from kernels.unicode import (
    UNIT_CLASS,
    UNIT_CODE_MASK,
    UNIT_LENGTH,
    UNIT_PROPERTIES,
    TokenClass,
    Unicode,
    ascii_units,
    decode_part,
)
from kernels.words import FIRST_STATE, folded_steps, mix_end, mix_step, take_step

__all__ = ["PADDING", "Reader", "reader", "word_hashes"]

PADDING: Final = 128
"""Bytes that must lie behind a text, whatever they hold: blocks and words are read whole."""

_FORMAT: Final = np.uint32(int(TokenClass.FORMAT) << UNIT_PROPERTIES)
_ONE_EACH: Final = np.uint32((1 << UNIT_LENGTH) - 1)
_U8: Final = np.uint64(8)
_U1: Final = np.uint64(1)
_U63: Final = np.uint64(63)


class Reader(NamedTuple):
    """Tables, and room for one text at a time."""

    tables: Unicode
    ascii_table: NDArray[np.uint32]
    natures: NDArray[np.uint16]
    steps: NDArray[np.uint64]
    bounds: NDArray[np.int64]  # where the words of a part begin and end
    units: NDArray[np.uint32]
    starts: NDArray[np.int64]  # tokens of a part that is decoded
    ends: NDArray[np.int64]
    kinds: NDArray[np.uint8]
    flags: NDArray[np.bool_]


@njit(cache=True, nogil=True)
def reader(longest, tables) -> Any:
    """Make room for texts of at most so many bytes."""
    ascii_table = ascii_units(tables)
    return Reader(
        tables,
        ascii_table,
        ascii_natures(ascii_table),
        folded_steps(ascii_table),
        np.empty(longest + 2, np.int64),
        np.empty(longest + 2, np.uint32),
        np.empty(longest + 2, np.int64),
        np.empty(longest + 2, np.int64),
        np.empty(longest + 2, np.uint8),
        np.empty(longest + 2, np.bool_),
    )


@njit(cache=True, nogil=True, inline="always")
def _is_label(letter) -> Any:
    """Whether a word of one character is a letter from a to j."""
    return ((letter | 32) >= 97) & ((letter | 32) <= 106)


@njit(cache=True, nogil=True)
def word_hashes(data, size, without_labels, room, window) -> Any:
    """Write the hash of each word of ``data[:size]`` to ``window`` and return how many there are.

    Args:
        data: the text and at least ``PADDING`` bytes behind it.
        size: of the text in bytes, at most what ``room`` was made for.
        without_labels: leave out the words that are one of the letters a to j: option labels.
        room: ``Reader``.
        window: at least ``size + 1`` long.
    """
    # What is called for each part is compiled into this loop: arrays that are passed on are counted, atomically.
    tables, ascii_table, natures, steps, bounds, units, starts, ends, kinds, flags = room
    count = 0
    at = 0
    while at < size:
        part, beyond = foreign_part(data, at, size, natures)
        words = _ascii_bounds(data, at, part, natures, bounds)
        count = _ascii_hashes(data, bounds, words, without_labels, steps, window, count)
        if part < beyond:
            length = decode_part(data, part, beyond, tables, ascii_table, units)
            count = _decoded_hashes(units, length, without_labels, starts, ends, kinds, flags, window, count)
        at = beyond
    return count


@njit(cache=True, nogil=True, inline="always")
def _ascii_bounds(data, begin, end, natures, bounds) -> Any:
    """Write where the words of a part begin and end, in turns; return how many there are."""
    m = 0
    letter_before = digit_before = upper_before = word_before = np.uint64(0)
    for base in range(begin, end, 64):
        word, letter, digit, upper = ascii_words(data, base, end, natures, letter_before, digit_before, upper_before)
        letter_before, digit_before, upper_before = letter >> _U63, digit >> _U63, upper >> _U63
        edges = word ^ ((word << _U1) | word_before)
        word_before = word >> _U63
        while edges:
            bounds[m] = base + first_bit(edges)
            m += 1
            edges &= edges - _U1
    bounds[m] = end  # of a word that ends with the part
    return (m + 1) >> 1


@njit(cache=True, nogil=True, inline="always")
def _ascii_hashes(data, bounds, words, without_labels, steps, window, count) -> Any:
    """Hash words of ASCII characters."""
    for k in range(words):
        at = bounds[2 * k]
        size = bounds[2 * k + 1] - at
        label = without_labels & (size == 1) & _is_label(np.int64(data[at]))
        state = FIRST_STATE
        word = load_word(data, at)
        left = size
        while left > 8:
            for _ in range(8):
                state = take_step(state, steps[word & np.uint64(127)])
                word >>= _U8
            at += 8
            left -= 8
            word = load_word(data, at)
        # Eight steps of which those behind the end are not taken: a loop of unknown length is guessed wrong by the
        # processor at nearly every word.
        for place in range(8):
            taken = take_step(state, steps[word & np.uint64(127)])
            state = taken if place < left else state
            word >>= _U8
        window[count] = mix_end(state)
        count += 1 - np.int64(label)
    return count


@njit(cache=True, nogil=True, inline="always")
def _decoded_hashes(units, length, without_labels, starts, ends, kinds, flags, window, count) -> Any:
    """Hash the words of a part with characters beyond ASCII."""
    for k in range(length):
        units[k] &= _ONE_EACH  # as if each character were one byte: tokens then begin and end at numbers of characters
    units[length] = units[length + 1] = 0
    found = tokens_of_units(kinds, units, length, 0, 0, starts, ends, kinds, flags, flags)
    for token in range(found):
        first, stop = starts[token], ends[token]
        label = without_labels & (stop - first == 1) & _is_label(np.int64(units[first] & UNIT_CODE_MASK))
        if kinds[token] != WORD or label:
            continue
        state = FIRST_STATE
        for k in range(first, stop):
            if units[k] & UNIT_CLASS != _FORMAT:
                state = mix_step(state, units[k] & UNIT_CODE_MASK)
        window[count] = mix_end(state)
        count += 1
    return count
