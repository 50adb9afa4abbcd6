"""Characters of each line: how many are upper case, how many are decimal digits."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.lines import Lines
from kernels.strings import TextBatch
from kernels.unicode import UNIT_CLASS, UNIT_PROPERTIES, UPPER, TokenClass, decode_text, unicode_tables

__all__ = ["LineCharacters", "line_characters"]

_UPPER: Final = np.uint32(UPPER << UNIT_PROPERTIES)
_CLASS: Final = np.uint32(UNIT_CLASS)
_DIGIT: Final = np.uint32(int(TokenClass.DIGIT) << UNIT_PROPERTIES)


class LineCharacters(NamedTuple):
    """Code points of each line by what they are."""

    upper: NDArray[np.int64]  # str.isupper
    digits: NDArray[np.int64]  # decimal digits of any script


def line_characters(batch: TextBatch, found: Lines) -> LineCharacters:
    """Count the upper-case letters and the digits of every line."""
    return LineCharacters(*_count(batch.data, found.starts, found.ends, unicode_tables()))


@njit(cache=True, nogil=True)
def _count(data, starts, ends, tables) -> Any:
    lines = len(starts)
    upper = np.zeros(lines, np.int64)
    digits = np.zeros(lines, np.int64)
    longest = np.int64(128)
    for k in range(lines):
        longest = max(longest, ends[k] - starts[k])
    units = np.empty(longest, np.uint32)
    for k in range(lines):
        count = decode_text(data, starts[k], ends[k], tables, units)
        for at in range(count):
            upper[k] += units[at] & _UPPER != 0
            digits[k] += units[at] & _CLASS == _DIGIT
    return upper, digits
