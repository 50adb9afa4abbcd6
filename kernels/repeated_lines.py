"""Lines or paragraphs of a text that are equal to another of it."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["Repeated", "repeated"]


class Repeated(NamedTuple):
    """Lines of each text that count, and those of them that are equal to another."""

    parts: NDArray[np.int64]
    chars: NDArray[np.int64]  # code points
    later: NDArray[np.int64]  # equal to one before
    later_chars: NDArray[np.int64]
    copies: NDArray[np.int64]  # equal to another: the first ones too
    copy_chars: NDArray[np.int64]


def repeated(
    offsets: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    chars: NDArray[np.int64],
    considered: NDArray[np.bool_],
) -> Repeated:
    """Count the lines or paragraphs of each text that are equal to another of it.

    Args:
        offsets: the texts' ranges of lines.
        hashes: of the lines.
        chars: code points of the lines.
        considered: which lines count at all, one flag a line.
    """
    return Repeated(*_repeated(offsets, hashes, chars, considered))


@njit(cache=True, nogil=True)
def _repeated(offsets, hashes, chars, considered) -> Any:
    n = len(offsets) - 1
    longest = np.int64(0)
    for i in range(n):
        longest = max(longest, offsets[i + 1] - offsets[i])
    size = 4
    while size < 2 * longest:
        size *= 2
    seen = np.zeros(size, np.uint64)
    alone = np.zeros(size, np.bool_)  # whether the one that is seen has no copy so far
    parts = np.zeros(n, np.int64)
    whole = np.zeros(n, np.int64)
    later = np.zeros(n, np.int64)
    later_chars = np.zeros(n, np.int64)
    copies = np.zeros(n, np.int64)
    copy_chars = np.zeros(n, np.int64)
    for i in range(n):
        size = 4
        while size < 2 * (offsets[i + 1] - offsets[i]):
            size *= 2
        seen[:size] = 0
        mask = np.uint64(size - 1)
        for k in range(offsets[i], offsets[i + 1]):
            if not considered[k]:
                continue
            parts[i] += 1
            whole[i] += chars[k]
            key = hashes[k] | np.uint64(1)  # 0 marks a free place
            slot = (key >> np.uint64(1)) & mask
            while seen[slot] != 0 and seen[slot] != key:
                slot = (slot + np.uint64(1)) & mask
            if seen[slot] == 0:
                seen[slot] = key
                alone[slot] = True
                continue
            later[i] += 1
            later_chars[i] += chars[k]
            copies[i] += 2 if alone[slot] else 1  # then the one before is a copy as well
            copy_chars[i] += 2 * chars[k] if alone[slot] else chars[k]
            alone[slot] = False
    return parts, whole, later, later_chars, copies, copy_chars
