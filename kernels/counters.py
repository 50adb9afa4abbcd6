"""Lines that are a counter of a social network and nothing else ("3 likes", "1,204 views")."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.characters import decoded
from kernels.strings import TextBatch
from kernels.unicode import ALPHA, BLOCK, CLASS_MASK, SHIFT, TokenClass, unicode_tables

__all__ = ["counter_lines"]

_LETTER = int(TokenClass.LETTER)
_DIGIT = int(TokenClass.DIGIT)
_UNSPACED = int(TokenClass.UNSPACED)


def counter_lines(
    batch: TextBatch, starts: NDArray[np.int64], ends: NDArray[np.int64], nouns: Sequence[str]
) -> NDArray[np.bool_]:
    r"""Which ranges of bytes are a number and one of the nouns: ``^\W*\d[,.\d]*[kmb]?\s+(?:nouns)\W*$``, any case.

    Digits and white space are ASCII's.

    Args:
        batch: the texts.
        starts: where each range begins.
        ends: where it ends.
        nouns: lower-case ASCII words.
    """
    encoded = [noun.encode() for noun in nouns]
    bounds = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    tables = unicode_tables()
    words = np.frombuffer(b"".join(encoded), np.uint8)
    return _counters(batch.data, starts, ends, words, bounds, tables.property_index, tables.properties)


@njit(cache=True, nogil=True)
def _other_end(data, at, end, property_index, properties) -> Any:
    r"""Position behind a run of ``\W``."""
    while at < end:
        byte = data[at]
        if byte < 0x80:
            if 48 <= byte <= 57 or 65 <= byte <= 90 or 97 <= byte <= 122 or byte == 95:
                return at
            at += 1
            continue
        code, length = decoded(data, at, end)
        if code >= 0:
            word = np.int64(properties[(np.int64(property_index[code >> SHIFT]) << SHIFT) | (code & (BLOCK - 1))])
            nature = word & CLASS_MASK
            if word & ALPHA or nature in (_LETTER, _DIGIT, _UNSPACED):
                return at
        at += length
    return at


@njit(cache=True, nogil=True)
def _counters(data, starts, ends, words, bounds, property_index, properties) -> Any:
    found = np.zeros(len(starts), np.bool_)
    for i in range(len(starts)):
        end = ends[i]
        if starts[i] >= end or 97 <= data[starts[i]] | 32 <= 122:  # most lines begin with a letter
            continue
        at = _other_end(data, starts[i], end, property_index, properties)
        if at >= end or not 48 <= data[at] <= 57:
            continue
        while at < end and (48 <= data[at] <= 57 or data[at] == 44 or data[at] == 46):
            at += 1
        if at < end and (data[at] | 32 == 107 or data[at] | 32 == 109 or data[at] | 32 == 98):
            at += 1
        spaced = at
        while at < end and (data[at] == 32 or 9 <= data[at] <= 13):
            at += 1
        if at == spaced:
            continue
        for w in range(len(bounds) - 1):
            size = bounds[w + 1] - bounds[w]
            if at + size > end:
                continue
            k = 0
            while k < size and (data[at + k] | 32) == words[bounds[w] + k]:
                k += 1
            if k == size and _other_end(data, at + size, end, property_index, properties) == end:
                found[i] = True
                break
    return found
