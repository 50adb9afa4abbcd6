"""Lines or paragraphs that are equal to another of their text; every copy counts, the first one too."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.strings import TextBatch
from kernels.words import mix_end, mix_step

__all__ = ["RepeatedParts", "repeated_parts"]

_SEED: Final = np.uint64(0x9E3779B97F4A7C15)


class RepeatedParts(NamedTuple):
    """Parts of each text that are not empty."""

    parts: NDArray[np.int64]
    chars: NDArray[np.int64]  # code points
    copies: NDArray[np.int64]  # parts that are equal to another, first ones too
    copy_chars: NDArray[np.int64]


def repeated_parts(
    batch: TextBatch, offsets: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> RepeatedParts:
    """Count the repeated parts of each text.

    Args:
        batch: the texts.
        offsets: the texts' ranges of parts.
        starts: where each part begins, a byte position in the batch's data.
        ends: where it ends.
    """
    return RepeatedParts(*_repeated(batch.data, offsets, starts, ends))


@njit(cache=True, nogil=True)
def _repeated(data, offsets, starts, ends) -> Any:
    n = len(offsets) - 1
    parts = np.zeros(n, np.int64)
    chars = np.zeros(n, np.int64)
    copies = np.zeros(n, np.int64)
    copy_chars = np.zeros(n, np.int64)
    longest = np.int64(0)
    for i in range(n):
        longest = max(longest, offsets[i + 1] - offsets[i])
    table = 4
    while table < 2 * longest:
        table *= 2
    seen = np.empty(table, np.uint64)
    times = np.empty(table, np.int64)
    for i in range(n):
        size = 4
        while size < 2 * (offsets[i + 1] - offsets[i]):
            size *= 2
        seen[:size] = 0
        mask = np.uint64(size - 1)
        for k in range(offsets[i], offsets[i + 1]):
            if ends[k] <= starts[k]:
                continue
            state = _SEED
            count = np.int64(0)
            for at in range(starts[k], ends[k]):
                state = mix_step(state, data[at])
                count += data[at] & 0xC0 != 0x80
            parts[i] += 1
            chars[i] += count
            key = mix_end(state) | np.uint64(1)  # 0 marks a free place
            slot = (key >> np.uint64(1)) & mask
            while seen[slot] != 0 and seen[slot] != key:
                slot = (slot + np.uint64(1)) & mask
            if seen[slot] == 0:
                seen[slot] = key
                times[slot] = 1
                continue
            first = times[slot] == 1  # then the one before is a copy as well
            times[slot] += 1
            copies[i] += 2 if first else 1
            copy_chars[i] += 2 * count if first else count
    return parts, chars, copies, copy_chars
