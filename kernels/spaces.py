"""White space (str.isspace) in bytes: one by one, and sixty-four at once."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from kernels.blocks import first_bit, last_block, mask_between, mask_equal

__all__ = ["space_length", "space_mask", "stripped"]


@njit(cache=True, nogil=True)
def space_length(first, second, third) -> Any:
    """Bytes of the white space that begins with these bytes; 0 where they begin something else."""
    if first < 0x80:
        return 1 if first == 32 or 9 <= first <= 13 or 28 <= first <= 31 else 0
    if first == 0xC2:
        return 2 if second == 0x85 or second == 0xA0 else 0
    if first == 0xE1:
        return 3 if second == 0x9A and third == 0x80 else 0
    if first == 0xE2:
        if second == 0x80:
            return 3 if 0x80 <= third <= 0x8A or third == 0xA8 or third == 0xA9 or third == 0xAF else 0
        return 3 if second == 0x81 and third == 0x9F else 0
    return 3 if first == 0xE3 and second == 0x80 and third == 0x80 else 0


@njit(cache=True, nogil=True)
def stripped(data, start, end) -> Any:
    """Bounds without the white space at either end."""
    while start < end:
        length = space_length(
            data[start], data[start + 1] if start + 1 < end else 0, data[start + 2] if start + 2 < end else 0
        )
        if length == 0:
            break
        start += length
    while start < end:
        if space_length(data[end - 1], 0, 0) == 1:
            end -= 1
        elif end - start >= 2 and space_length(data[end - 2], data[end - 1], 0) == 2:
            end -= 2
        elif end - start >= 3 and space_length(data[end - 3], data[end - 2], data[end - 1]) == 3:
            end -= 3
        else:
            break
    return start, end


@njit(cache=True, nogil=True)
def _wide_spaces(data, base, end, wide) -> Any:
    """The white space among the bytes at ``base`` that it may begin with beyond ASCII; where the last of it ends."""
    space = np.uint64(0)
    reach = base
    while wide:
        at = base + first_bit(wide)
        wide &= wide - np.uint64(1)
        length = space_length(data[at], data[at + 1] if at + 1 < end else 0, data[at + 2] if at + 2 < end else 0)
        for byte in range(at, min(at + length, base + 64)):
            space |= np.uint64(1) << np.uint64(byte - base)
        if length:
            reach = at + length
    return space, reach


@njit(cache=True, nogil=True, inline="always")
def space_mask(data, base, end, reach, here) -> Any:
    """Which of the bytes from ``base`` on are white space, and where the last of it beyond ASCII ends.

    Args:
        data: at least a block of bytes.
        base: where the block begins.
        end: of the text.
        reach: where the white space of the block before ended.
        here: the bytes of the block that belong to the text.
    """
    at = last_block(base, len(data))
    shift = np.uint64(base - at)
    space = (mask_equal(data, at, 32) | mask_between(data, at, 9, 13) | mask_between(data, at, 28, 31)) >> shift
    wide = ((mask_equal(data, at, 0xC2) | mask_between(data, at, 0xE1, 0xE3)) >> shift) & here
    if reach > base:  # white space began in the block before: at most two bytes of it are here
        space |= (np.uint64(1) << np.uint64(reach - base)) - np.uint64(1)
    if wide:
        beyond, reach = _wide_spaces(data, base, end, wide)
        space |= beyond
    return space & here, reach
