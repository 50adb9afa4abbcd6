"""Hashes of the words of one text, and nothing else: for scans in which nearly every text ends as having no hit.

The words are those of ``kernels.words`` (kind WORD), and the hashes those of ``folded_spelling``. Punctuation, symbols
and places are left out, and nothing is written but one number a word, into room that stays in the processor's cache
from text to text.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.blocks import count_bits, first_bit, load_word
from kernels.tokens import IS_LETTER, WORD, ascii_natures, ascii_words, tokens_of_units
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
from kernels.word_mixing import FIRST_STATE, case_folded, mix_end, mix_step

__all__ = ["PADDING", "Reader", "decoded_word_hashes", "plain_word_hashes", "reader"]

PADDING: Final = 128
"""Bytes that must lie behind a text, whatever they hold: blocks and words are read whole."""

_FORMAT: Final = np.uint32(int(TokenClass.FORMAT) << UNIT_PROPERTIES)
_ONE_EACH: Final = np.uint32((1 << UNIT_LENGTH) - 1)
_ALL: Final = np.uint64(0xFFFFFFFFFFFFFFFF)
_U1: Final = np.uint64(1)
_U63: Final = np.uint64(63)


class Reader(NamedTuple):
    """Tables, and room for one text at a time."""

    tables: Unicode
    ascii_table: NDArray[np.uint32]
    natures: NDArray[np.uint16]  # of each byte, those beyond ASCII letters
    bounds: NDArray[np.int64]  # where the words of a text begin and end
    units: NDArray[np.uint32]
    starts: NDArray[np.int64]  # tokens of a text that is decoded
    ends: NDArray[np.int64]
    kinds: NDArray[np.uint8]
    flags: NDArray[np.bool_]


@njit(cache=True, nogil=True)
def reader(longest, tables) -> Any:
    """Make room for texts of at most so many bytes, put plainly or not."""
    ascii_table = ascii_units(tables)
    natures = ascii_natures(ascii_table)
    natures[128:] = IS_LETTER
    return Reader(
        tables,
        ascii_table,
        natures,
        np.empty(2 * longest + 12, np.int64),
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
def plain_word_hashes(data, size, without_labels, room, window) -> Any:
    """Write the hash of each word of a text that ``kernels.plain_text`` wrote to ``window``; return how many there are.

    Args:
        data: the text and at least ``PADDING`` bytes behind it.
        size: of the text in bytes.
        without_labels: leave out the words that are one of the letters a to j: option labels.
        room: ``Reader``.
        window: as many numbers as the text has bytes, and one more.
    """
    natures, bounds = room.natures, room.bounds
    m = 0
    letter_before = digit_before = upper_before = word_before = np.uint64(0)
    for base in range(0, size, 64):
        word, letter, digit, upper = ascii_words(
            data, base, size, natures, letter_before, digit_before, upper_before, letters_beyond=True
        )
        letter_before, digit_before, upper_before = letter >> _U63, digit >> _U63, upper >> _U63
        edges = word ^ ((word << _U1) | word_before)
        word_before = word >> _U63
        # Eight at a time, those that are not there too: how many there are is guessed wrong by the processor.
        count = count_bits(edges)
        for first in range(m, m + count, 8):
            for k in range(8):
                bounds[first + k] = base + first_bit(edges)
                edges &= edges - _U1
        m += count
    bounds[m] = size  # of a word that ends with the text
    count = 0
    for k in range((m + 1) >> 1):
        at = bounds[2 * k]
        left = bounds[2 * k + 1] - at
        state = FIRST_STATE
        word = load_word(data, at)
        label = without_labels & (left == 1) & _is_label(np.int64(word & np.uint64(0xFF)))
        while left > 8:
            state = mix_step(state, case_folded(word))
            at += 8
            left -= 8
            word = load_word(data, at)
        word &= _ALL >> np.uint64(64 - 8 * left)
        window[count] = mix_end(mix_step(state, case_folded(word)))
        count += 1 - np.int64(label)
    return count


@njit(cache=True, nogil=True)
def decoded_word_hashes(data, size, without_labels, room, window) -> Any:
    """Write the hash of each word of any text; arguments as ``plain_word_hashes``."""
    units, starts, ends, kinds, flags = room.units, room.starts, room.ends, room.kinds, room.flags
    length = decode_part(data, 0, size, room.tables, room.ascii_table, units)
    for k in range(length):
        units[k] &= _ONE_EACH  # as if each character were one byte: tokens then begin and end at numbers of characters
    units[length] = units[length + 1] = 0
    count = 0
    for token in range(tokens_of_units(kinds, units, length, 0, 0, starts, ends, kinds, flags, flags)):
        first, stop = starts[token], ends[token]
        label = without_labels & (stop - first == 1) & _is_label(np.int64(units[first] & UNIT_CODE_MASK))
        if kinds[token] != WORD or label:
            continue
        window[count] = _spelled_hash(units, first, stop)
        count += 1
    return count


@njit(cache=True, nogil=True, inline="always")
def _spelled_hash(units, first, stop) -> Any:
    """Hash characters as the bytes that spell them, eight a step, those left out that are invisible."""
    state = FIRST_STATE
    held = np.uint64(0)
    bits = np.uint64(0)
    for k in range(first, stop):
        if units[k] & UNIT_CLASS == _FORMAT:
            continue
        code = np.uint64(units[k] & UNIT_CODE_MASK)
        last = np.uint64(0x80) | (code & np.uint64(0x3F))
        if code < np.uint64(0x80):
            spelled, more = code, np.uint64(8)
        elif code < np.uint64(0x800):
            spelled, more = np.uint64(0xC0) | (code >> np.uint64(6)) | (last << np.uint64(8)), np.uint64(16)
        else:
            middle = np.uint64(0x80) | ((code >> np.uint64(6)) & np.uint64(0x3F))
            spelled = (middle << np.uint64(8)) | (last << np.uint64(16))
            if code < np.uint64(0x10000):
                spelled, more = spelled | np.uint64(0xE0) | (code >> np.uint64(12)), np.uint64(24)
            else:
                second = np.uint64(0x80) | ((code >> np.uint64(12)) & np.uint64(0x3F))
                spelled = (
                    (spelled << np.uint64(8)) | np.uint64(0xF0) | (code >> np.uint64(18)) | (second << np.uint64(8))
                )
                more = np.uint64(32)
        if bits == np.uint64(64):
            state = mix_step(state, held)
            held = np.uint64(0)
            bits = np.uint64(0)
        held |= spelled << bits
        bits += more
        if bits > np.uint64(64):
            state = mix_step(state, held)
            bits -= np.uint64(64)
            held = spelled >> (more - bits)
    return mix_end(mix_step(state, held))
