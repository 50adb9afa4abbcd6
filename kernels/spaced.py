"""Words between white space, ``str.split()``, of whole texts: what dolma and DCLM call words."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.characters import decoded
from kernels.strings import TextBatch
from kernels.unicode import ALPHA, BLOCK, SHIFT, SPACE, unicode_tables
from kernels.words import mix_end, mix_step

__all__ = ["SpacedTokens", "medians", "spaced_tokens"]

_SEED: Final = np.uint64(0x9E3779B97F4A7C15)


class SpacedTokens(NamedTuple):
    """The words of ``n`` texts in order: those of text ``i`` have the numbers ``offsets[i]`` to ``offsets[i + 1]``."""

    offsets: NDArray[np.int64]  # n + 1
    starts: NDArray[np.int64]  # byte position in the batch's data
    ends: NDArray[np.int64]
    hashes: NDArray[np.uint64]  # of its bytes, as ``kernels.words.spelling_hash``
    folded: NDArray[np.uint64]  # the same with ASCII upper case made lower
    chars: NDArray[np.int64]  # code points; a byte that is not UTF-8 is one
    alphabetic: NDArray[np.bool_]  # holds a letter (str.isalpha)


def spaced_tokens(batch: TextBatch) -> SpacedTokens:
    """Split every text of the batch at white space (str.isspace)."""
    tables = unicode_tables()
    return SpacedTokens(*_split(batch.data, batch.offsets, tables.property_index, tables.properties))


def medians(offsets: NDArray[np.int64], values: NDArray[np.int64]) -> NDArray[np.float64]:
    """Median of the values of each text, the mean of the middle two of an even number; 0 where there is none."""
    return _medians(offsets, values)


@njit(cache=True, nogil=True)
def _split(data, offsets, property_index, properties) -> Any:
    n = len(offsets) - 1
    capacity = (offsets[n] - offsets[0]) // 2 + n + 1
    bounds = np.zeros(n + 1, np.int64)
    starts = np.empty(capacity, np.int64)
    ends = np.empty(capacity, np.int64)
    hashes = np.empty(capacity, np.uint64)
    folded = np.empty(capacity, np.uint64)
    chars = np.empty(capacity, np.int64)
    alphabetic = np.empty(capacity, np.bool_)
    spaces = np.zeros(128, np.bool_)
    spaces[9:14] = True
    spaces[28:33] = True
    m = 0
    for i in range(n):
        at = np.int64(offsets[i])
        end = np.int64(offsets[i + 1])
        while at < end:
            state = other = _SEED
            letter = False
            count = np.int64(0)
            start = at
            after = at
            while at < end:
                byte = data[at]
                if byte < 0x80:
                    if spaces[byte]:
                        after = at + 1
                        break
                    state = mix_step(state, byte)
                    if 65 <= byte <= 90:
                        letter = True
                        other = mix_step(other, byte + 32)
                    else:
                        letter |= 97 <= byte <= 122
                        other = mix_step(other, byte)
                    count += 1
                    at += 1
                    continue
                code, length = decoded(data, at, end)
                if code >= 0:
                    word = np.int64(
                        properties[(np.int64(property_index[code >> SHIFT]) << SHIFT) | (code & (BLOCK - 1))]
                    )
                    if word & SPACE:
                        after = at + length
                        break
                    letter |= word & ALPHA != 0
                for k in range(at, at + length):
                    state = mix_step(state, data[k])
                    other = mix_step(other, data[k])
                count += 1
                at += length
            if at > start:
                starts[m] = start
                ends[m] = at
                hashes[m] = mix_end(state)
                folded[m] = mix_end(other)
                chars[m] = count
                alphabetic[m] = letter
                m += 1
            at = max(at, after)
        bounds[i + 1] = m
    return bounds, starts[:m], ends[:m], hashes[:m], folded[:m], chars[:m], alphabetic[:m]


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
