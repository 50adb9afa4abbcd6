"""The beginnings of texts, and the script that they are written in."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.strings import TextBatch
from kernels.unicode import (
    ALPHA,
    REPLACEMENT,
    SCRIPT_SHIFT,
    SHIFT,
    SPACE,
    UNIT_CODE_MASK,
    UNIT_LENGTH,
    UNIT_PROPERTIES,
    decode_text,
    script_codes,
    unicode_tables,
)

__all__ = ["DENSE_SCRIPTS", "JAPANESE", "NO_SCRIPT", "Beginnings", "beginnings", "script_weights"]

NO_SCRIPT: Final = -1  # a text without letters
JAPANESE: Final = -2  # kana, alone or among Han characters
_HAN_FOR_A_KANA: Final = (
    10  # Chinese that quotes a Japanese name stays Chinese; Japanese has about as many kana as Han characters
)

DENSE_SCRIPTS: Final = ("Hani", "Hira", "Kana", "Hang", "Bopo", "Yiii")
"""Scripts whose letters are syllables or words: one says as much as about three of an alphabet."""
_DENSE_WEIGHT: Final = 3

_ALPHA: Final = np.uint32(ALPHA << UNIT_PROPERTIES)
_SPACE: Final = np.uint32(SPACE << UNIT_PROPERTIES)


class Beginnings(NamedTuple):
    """The beginning of each text on one line, and its letters counted."""

    data: NDArray[np.uint8]  # valid UTF-8; white space and bytes that are none have become single spaces
    offsets: NDArray[np.int64]  # n + 1
    letters: NDArray[np.int64]
    scripts: NDArray[
        np.int64
    ]  # number in script_codes() of the script of most letters, weighed; the first of equals; JAPANESE; NO_SCRIPT


def beginnings(batch: TextBatch, characters: int) -> Beginnings:
    """Cut every text to its first ``characters`` code points and tidy what is left.

    A text that is longer is cut back to its last line break, or where the second half has none, to its last white
    space, or where it has none, not at all.

    Raises:
        ValueError: ``characters`` is not positive.
    """
    if characters < 1:
        raise ValueError(f"characters: found {characters}, expected at least 1")
    return Beginnings(*_beginnings(batch.data, batch.offsets, unicode_tables(), characters, *_script_numbers()))


def script_weights() -> NDArray[np.int64]:
    """What a letter counts where scripts are compared, by script number: 3 where letters are syllables or words."""
    return np.array([_DENSE_WEIGHT if script in DENSE_SCRIPTS else 1 for script in script_codes()], np.int64)


def _script_numbers() -> tuple[NDArray[np.int64], int, int, int]:
    codes = script_codes()
    return script_weights(), codes.index("Hani"), codes.index("Hira"), codes.index("Kana")


@njit(cache=True, nogil=True)
def _cut(units, count, limit) -> Any:
    """Number of units to keep."""
    if count <= limit:
        return count
    for at in range(limit - 1, limit // 2, -1):
        if units[at] & UNIT_CODE_MASK == 10:
            return at
    for at in range(limit - 1, limit // 2, -1):
        if units[at] & _SPACE != 0:
            return at
    return limit


@njit(cache=True, nogil=True)
def _beginnings(data, offsets, tables, limit, weights, han, hiragana, katakana) -> Any:
    n = len(offsets) - 1
    property_index, property_blocks = tables[0], tables[1]
    widest = 4 * (limit + 1)
    total = np.int64(0)
    for i in range(n):
        total += min(offsets[i + 1] - offsets[i], widest)
    out = np.empty(total, np.uint8)
    bounds = np.zeros(n + 1, np.int64)
    letters = np.zeros(n, np.int64)
    scripts = np.full(n, NO_SCRIPT, np.int64)
    counts = np.empty(len(weights), np.int64)
    units = np.empty(widest, np.uint32)
    m = 0
    for i in range(n):
        byte = offsets[i]
        count = decode_text(data, byte, min(offsets[i + 1], byte + widest), tables, units)
        counts[:] = 0
        blank = True
        for at in range(_cut(units, count, limit)):
            unit = units[at]
            width = np.int64(1) + np.int64(unit >> UNIT_LENGTH)
            code = np.int64(unit & UNIT_CODE_MASK)
            if unit & _SPACE != 0 or code < 32 or (code == REPLACEMENT and width == 1):
                if not blank:
                    out[m] = 32
                    m += 1
                blank = True
            else:
                for k in range(byte, byte + width):
                    out[m] = data[k]
                    m += 1
                blank = False
            if unit & _ALPHA != 0:
                letters[i] += 1
                word = np.int64(
                    property_blocks[(np.int64(property_index[code >> SHIFT]) << SHIFT) | (code & ((1 << SHIFT) - 1))]
                )
                counts[word >> SCRIPT_SHIFT] += weights[word >> SCRIPT_SHIFT]
            byte += width
        bounds[i + 1] = m
        kana = counts[hiragana] + counts[katakana]
        japanese = kana > 0 and _HAN_FOR_A_KANA * kana >= counts[han]
        if japanese:
            kana += counts[han]
            counts[hiragana] = counts[katakana] = counts[han] = 0
        if letters[i]:
            scripts[i] = np.argmax(counts)
            if japanese and kana >= counts[scripts[i]]:
                scripts[i] = JAPANESE
    return out[:m], bounds, letters, scripts
