"""The last step of a hash."""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

__all__ = ["finish"]

_MIX_1: Final = np.uint64(0xFF51AFD7ED558CCD)
_MIX_2: Final = np.uint64(0xC4CEB9FE1A85EC53)
_U33: Final = np.uint64(33)


@njit(cache=True, nogil=True, inline="always")
def finish(value):  # pyright: ignore
    """Mix a polynomial hash so that every bit depends on every other (the 64-bit finaliser of MurmurHash3)."""
    value ^= value >> _U33
    value *= _MIX_1
    value ^= value >> _U33
    value *= _MIX_2
    return value ^ (value >> _U33)
