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

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.strings import TextBatch

__all__ = ["Encoded", "encoded_data"]

_BASE64_LEAST: Final = 64
_UNITS_LEAST: Final = 8

_HEX: Final = 1
_BASE64: Final = 2
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
    natures = np.zeros(256, np.uint8)
    for byte in b"0123456789abcdefABCDEF":
        natures[byte] |= _HEX
    for byte in range(128):
        character = chr(byte)
        if character.isalnum() or character in "+/\n=":
            natures[byte] |= _BASE64
        if character.isalnum() or character == "_":
            natures[byte] |= _WORD
        if character.isspace():
            natures[byte] |= _SPACE
    natures[128:] |= _WORD
    return Encoded(*_encoded(batch.data, batch.offsets, natures))


@njit(cache=True, nogil=True)
def _encoded(data, offsets, natures) -> Any:
    n = len(offsets) - 1
    base64 = np.zeros(n, np.int64)
    hexadecimal = np.zeros(n, np.int64)
    escapes = np.zeros(n, np.int64)
    longest = np.zeros(n, np.int64)
    for i in range(n):
        start = offsets[i]
        end = offsets[i + 1]
        run = np.int64(0)
        hex_from = start  # a match may begin here or later
        escape_from = start
        behind = np.uint8(0)  # nature of the byte before
        for at in range(start, end):
            byte = data[at]
            nature = natures[byte]
            if nature & _BASE64:
                run += 1
                if run == _BASE64_LEAST:
                    base64[i] += run
                elif run > _BASE64_LEAST:
                    base64[i] += 1
                if run >= _BASE64_LEAST:
                    longest[i] = max(longest[i], run)
            else:
                run = 0
            border = behind & _WORD != nature & _WORD  # of a word
            behind = nature
            if border and at >= hex_from and (nature & _HEX or byte == 92):
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
                if units >= _UNITS_LEAST:
                    hexadecimal[i] += reach - at
                    longest[i] = max(longest[i], reach - at)
                    hex_from = reach
            if at >= escape_from and byte == 92:
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
                if units >= _UNITS_LEAST:
                    escapes[i] += stop - at
                    longest[i] = max(longest[i], stop - at)
                escape_from = max(stop, at + 1)
    return base64, hexadecimal, escapes, longest
