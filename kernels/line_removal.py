"""Texts without some of their lines."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.lines import Lines
from kernels.strings import TextBatch

__all__ = ["without_lines"]


def without_lines(batch: TextBatch, found: Lines, kept: NDArray[np.bool_]) -> TextBatch:
    """Copy the texts without the lines that are not kept.

    A kept line brings the line break behind it, whichever it is; where the end of a text goes, the break before it goes
    too. A text that keeps every line is the same bytes.

    Args:
        batch: the texts.
        found: their lines, by the rule ``newline`` or ``unicode``.
        kept: which lines stay, one flag a line.
    """
    data, offsets = _without(batch.data, batch.offsets, found.offsets, found.starts, found.ends, kept)
    data.flags.writeable = False
    offsets.flags.writeable = False
    return TextBatch(data, offsets)


@njit(cache=True, nogil=True)
def _without(data, offsets, bounds, starts, ends, kept) -> Any:
    n = len(offsets) - 1
    copied = np.empty(offsets[n] - offsets[0], np.uint8)
    ranges = np.zeros(n + 1, np.int64)
    to = np.int64(0)
    for i in range(n):
        first = bounds[i]
        last = bounds[i + 1] - 1
        final = last
        while final >= first and not kept[final]:
            final -= 1
        for k in range(first, final + 1):
            if not kept[k]:
                continue
            if k < final:
                stop = starts[k + 1]
            else:
                stop = offsets[i + 1] if final == last else ends[k]
            for at in range(starts[k], stop):
                copied[to] = data[at]
                to += 1
        ranges[i + 1] = to
    return copied[:to].copy(), ranges
