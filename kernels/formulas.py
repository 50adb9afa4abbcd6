r"""Formulas between dollar signs, counted as ``re.findall(r"\$\$[^$]*\$\$|\$[^$]*\$", text)`` counts them.

It is OpenWebMath's pattern (``filtering/filter_dataset.py``), newlines included. ``$\PageIndex{1.2}$``, with which
LibreTexts numbers its figures, is none; OpenWebMath takes it out first, here it is counted apart, which gives the same
number.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.blocks import at_least_a_block, find_byte
from kernels.strings import TextBatch

__all__ = ["Formulas", "formulas"]

_PAGE_INDEX: Final = tuple(b"\\PageIndex{")


class Formulas(NamedTuple):
    """Formulas of each text."""

    counts: NDArray[np.int64]
    chars: NDArray[np.int64]  # code points in them, dollar signs included


def formulas(batch: TextBatch) -> Formulas:
    """Find the formulas of each text."""
    return Formulas(*_formulas(at_least_a_block(batch.data), batch.offsets))


@njit(cache=True, nogil=True)
def _is_page_index(data, at, end) -> Any:
    if end - at <= len(_PAGE_INDEX) or data[end - 1] != 125:
        return False
    same = True
    for k in range(len(_PAGE_INDEX)):
        same &= data[at + k] == _PAGE_INDEX[k]
    return same


@njit(cache=True, nogil=True)
def _formulas(data, offsets) -> Any:
    n = len(offsets) - 1
    counts = np.zeros(n, np.int64)
    chars = np.zeros(n, np.int64)
    for i in range(n):
        at = np.int64(offsets[i])
        end = np.int64(offsets[i + 1])
        while True:
            at = find_byte(data, at, end, 36)
            if at >= end:
                break
            # The places of the next dollar signs decide: $$…$$, or else $…$ (which may be the empty $$).
            double = at + 1 < end and data[at + 1] == 36
            inner = at + 2 if double else at + 1
            stop = find_byte(data, inner, end, 36)
            if double and stop + 1 < end and data[stop + 1] == 36:
                after = stop + 2
            elif double:
                inner = stop = at + 1
                after = at + 2
            elif stop < end:
                after = stop + 1
            else:
                break
            if not _is_page_index(data, inner, stop):
                counts[i] += 1
                for k in range(at, after):
                    chars[i] += data[k] & 0xC0 != 0x80
            at = after
    return counts, chars
