"""Steps of the hash of a word, over its characters or eight of its bytes at a time."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

from kernels.blocks import load_word

__all__ = ["FIRST_STATE", "case_folded", "mix_end", "mix_step", "two_words"]

# Odd 64-bit constants of MurmurHash3 and splitmix64; the step is a bijection of the state for every code point.
FIRST_STATE: Final = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLY_CODE: Final = np.uint64(0x87C37B91114253D5)
_MULTIPLY_STATE: Final = np.uint64(0x4CF5AD432745937F)
_FINAL_1: Final = np.uint64(0xBF58476D1CE4E5B9)
_FINAL_2: Final = np.uint64(0x94D049BB133111EB)
_U27: Final = np.uint64(27)
_U30: Final = np.uint64(30)
_U31: Final = np.uint64(31)
_U37: Final = np.uint64(37)
_ALL: Final = np.uint64(0xFFFFFFFFFFFFFFFF)
_TOPS: Final = np.uint64(0x8080808080808080)
_LOWS: Final = np.uint64(0x7F7F7F7F7F7F7F7F)
_FROM_CAPITAL_A: Final = np.uint64(0x3F3F3F3F3F3F3F3F)  # lifts what is at least "A" to 128
_BEYOND_CAPITAL_Z: Final = np.uint64(0x2525252525252525)  # lifts what is beyond "Z" to 128


@njit(cache=True, nogil=True, inline="always")
def mix_step(state, code) -> Any:
    """Take one code point into the state of a hash."""
    state ^= np.uint64(code) * _MULTIPLY_CODE
    return ((state << _U27) | (state >> _U37)) * _MULTIPLY_STATE


@njit(cache=True, nogil=True, inline="always")
def mix_end(state) -> Any:
    """Finish a hash (the finaliser of splitmix64)."""
    state ^= state >> _U30
    state *= _FINAL_1
    state ^= state >> _U27
    state *= _FINAL_2
    return state ^ (state >> _U31)


@njit(cache=True, nogil=True, inline="always")
def case_folded(word) -> Any:
    """Eight bytes with ASCII upper case made lower."""
    low = word & _LOWS
    upper = (low + _FROM_CAPITAL_A) & ~(low + _BEYOND_CAPITAL_Z) & ~word & _TOPS
    return word | (upper >> np.uint64(2))


@njit(cache=True, nogil=True, inline="always")
def two_words(data, start, size) -> Any:
    """The bytes of a token of at most sixteen as two numbers, zeros behind the last.

    Sixteen bytes must lie there. Where tokens are read so, without a branch on their length, the processor has nothing
    to guess wrong.
    """
    first = load_word(data, start) & (_ALL >> np.uint64(64 - 8 * min(size, 8)))
    half = np.uint64(4 * max(size - 8, 0))  # of the bits: a shift by 64 means nothing
    return first, load_word(data, start + 8) & ~((_ALL << half) << half)
