r"""Data written as text: base64, hexadecimal bytes and Unicode escapes (StarCoder 2, arXiv 2402.19173, section 2.1).

The paper's three patterns, each found as a regular expression finds it (leftmost, greedy, not overlapping):

- base64: ``[a-zA-Z0-9+/\n=]{64,}``
- hexadecimal: ``(?:\b(?:0x|\\x)?[0-9a-fA-F]{2}(?:,|\b\s*)){8,}``
- escapes: ``(?:\\u[0-9a-fA-F]{4}){8,}``

Every byte above 0x7F counts as a letter here, and white space is ASCII's; otherwise the matches are the same.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.blocks import (
    at_least_a_block,
    bits_below,
    first_bit,
    last_bit,
    last_block,
    mask_between,
    mask_equal,
)
from kernels.strings import TextBatch

__all__ = ["Encoded", "encoded_data"]

_BASE64_LEAST: Final = 64
_UNITS_LEAST: Final = 8

_HEX: Final = 1
_WORD: Final = 4
_SPACE: Final = 8


class Encoded(NamedTuple):
    """Characters of each text in matches of each pattern, and of its longest match."""

    base64: NDArray[np.int64]
    hexadecimal: NDArray[np.int64]
    escapes: NDArray[np.int64]
    longest: NDArray[np.int64]


def encoded_data(batch: TextBatch) -> Encoded:
    """Find the three patterns in each text."""
    return Encoded(*_encoded(at_least_a_block(batch.data), batch.offsets, _natures()))


@cache
def _natures() -> NDArray[np.uint8]:
    """What each byte is to the patterns."""
    natures = np.zeros(256, np.uint8)
    for byte in b"0123456789abcdefABCDEF":
        natures[byte] |= _HEX
    for byte in range(128):
        character = chr(byte)
        if character.isalnum() or character == "_":
            natures[byte] |= _WORD
        if character.isspace():
            natures[byte] |= _SPACE
    natures[128:] |= _WORD
    natures.flags.writeable = False
    return natures


@njit(cache=True, nogil=True, inline="always")
def _hex_mask(data, base) -> Any:
    at = last_block(base, len(data))
    mask = mask_between(data, at, 48, 57) | mask_between(data, at, 65, 70) | mask_between(data, at, 97, 102)
    return mask >> np.uint64(min(base - at, 63))  # a shift by 64 means nothing


@njit(cache=True, nogil=True, inline="always")
def _word_mask(data, base) -> Any:
    at = last_block(base, len(data))
    mask = mask_between(data, at, 48, 57) | mask_between(data, at, 65, 90) | mask_between(data, at, 97, 122)
    return (mask | mask_equal(data, at, 95) | mask_between(data, at, 128, 255)) >> np.uint64(min(base - at, 63))


@njit(cache=True, nogil=True, inline="always")
def _base64_mask(data, base) -> Any:
    at = last_block(base, len(data))
    mask = mask_between(data, at, 47, 57) | mask_between(data, at, 65, 90) | mask_between(data, at, 97, 122)
    mask |= mask_equal(data, at, 43) | mask_equal(data, at, 61) | mask_equal(data, at, 10)
    return mask >> np.uint64(base - at)


@njit(cache=True, nogil=True, inline="always")
def _byte_mask(data, base, byte) -> Any:
    at = last_block(base, len(data))
    return mask_equal(data, at, byte) >> np.uint64(min(base - at, 63))


@njit(cache=True, nogil=True)
def _hexadecimal_end(data, at, start, end, natures) -> Any:
    """Where the match of hexadecimal bytes that begins at a word's border ends; ``at`` where there is none."""
    stop = at
    units = 0
    reach = at
    while True:
        before = natures[data[stop - 1]] & _WORD if stop > start else 0
        here = natures[data[stop]] & _WORD if stop < end else 0
        if before == here:
            break
        digits = stop
        if digits + 1 < end and data[digits + 1] == 120 and (data[digits] == 48 or data[digits] == 92):
            digits += 2
        if digits + 1 >= end or not (natures[data[digits]] & natures[data[digits + 1]] & _HEX):
            break
        stop = digits + 2
        if stop < end and data[stop] == 44:
            stop += 1
        elif stop < end and natures[data[stop]] & _WORD:
            break
        else:
            while stop < end and natures[data[stop]] & _SPACE:
                stop += 1
        units += 1
        reach = stop
    return reach if units >= _UNITS_LEAST else at


@njit(cache=True, nogil=True)
def _escapes_end(data, at, end, natures) -> Any:
    """Where the escapes that begin at a backslash end, and how many they are."""
    stop = at
    units = 0
    while stop + 5 < end and data[stop] == 92 and data[stop + 1] == 117:
        whole = True
        for k in range(stop + 2, stop + 6):
            whole &= natures[data[k]] & _HEX != 0
        if not whole:
            break
        stop += 6
        units += 1
    return stop, units


@njit(cache=True, nogil=True)
def _encoded(data, offsets, natures) -> Any:
    n = len(offsets) - 1
    base64 = np.zeros(n, np.int64)
    hexadecimal = np.zeros(n, np.int64)
    escapes = np.zeros(n, np.int64)
    longest = np.zeros(n, np.int64)
    one = np.uint64(1)
    for i in range(n):
        start = offsets[i]
        end = offsets[i + 1]
        run_from = start  # of base64
        hex_from = start  # a match may begin here or later
        escape_from = start
        word_before = np.uint64(0)
        for base in range(start, end, 64):
            here = bits_below(end - base)
            other = ~_base64_mask(data, base) & here
            if other:
                run = base + first_bit(other) - run_from
                if run >= _BASE64_LEAST:
                    base64[i] += run
                    longest[i] = max(longest[i], run)
                run_from = base + last_bit(other) + 1
            # The first byte of a match is a digit before a digit and the end of a word, or begins a prefix.
            word = _word_mask(data, base)
            border = word ^ ((word << one) | word_before)
            word_before = word >> np.uint64(63)
            backslash = _byte_mask(data, base, 92)
            prefix = (_byte_mask(data, base, 48) | backslash) & _byte_mask(data, base + 1, 120)
            ended = ~_word_mask(data, base + 2) | ~bits_below(max(end - 2 - base, 0))
            pair = _hex_mask(data, base) & _hex_mask(data, base + 1) & ended
            candidates = border & (prefix | pair) & here
            while candidates:
                at = base + first_bit(candidates)
                candidates &= candidates - one
                if at >= hex_from:
                    reach = _hexadecimal_end(data, at, start, end, natures)
                    if reach > at:
                        hexadecimal[i] += reach - at
                        longest[i] = max(longest[i], reach - at)
                        hex_from = reach
            backslash &= here
            while backslash:
                at = base + first_bit(backslash)
                backslash &= backslash - one
                if at >= escape_from:
                    stop, units = _escapes_end(data, at, end, natures)
                    if units >= _UNITS_LEAST:
                        escapes[i] += stop - at
                        longest[i] = max(longest[i], stop - at)
                    escape_from = max(stop, at + 1)
        run = end - run_from
        if run >= _BASE64_LEAST:
            base64[i] += run
            longest[i] = max(longest[i], run)
    return base64, hexadecimal, escapes, longest
