"""Runs of tokens that stand directly behind themselves."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["longest_period"]

_U1: Final = np.uint64(1)
_U3: Final = np.uint64(3)
_U4: Final = np.uint64(4)


def longest_period(offsets: NDArray[np.int64], hashes: NDArray[np.uint64], longest: int) -> NDArray[np.int64]:
    """How often at most a run of up to ``longest`` tokens follows itself in each text; 1 where none does, 0 if empty.

    A run that is followed by a part of itself counts as often as it is whole.

    Args:
        offsets: the texts' ranges of tokens.
        hashes: one hash a token.
        longest: tokens in a run.
    """
    return _longest_period(offsets, hashes, longest)


@njit(cache=True, nogil=True)
def _longest_period(offsets, hashes, longest) -> Any:
    """A run that follows itself t times shows t - 1 times its length in tokens equal to the one a period before.

    So only every so many tokens are looked at as the best one so far has, and the rest where these are equal. Numbers
    are unsigned, for Numba reads a negative index from the end and looks for one at each element.
    """
    found = np.zeros(len(offsets) - 1, np.int64)
    for i in range(len(offsets) - 1):
        if offsets[i + 1] == offsets[i]:
            continue
        best = _U1
        end = np.uint64(offsets[i + 1])
        for period in range(_U1, np.uint64(longest + 1)):
            begin = np.uint64(offsets[i]) + period
            step = best * period
            at = begin + step - _U1
            while at < end:
                while at + _U3 * step < end and not _one_of_four(hashes, at, period, step):
                    at += _U4 * step
                if at >= end:
                    break
                if hashes[at] != hashes[at - period]:
                    at += step
                    continue
                low = at
                while low > begin and hashes[low - _U1] == hashes[low - _U1 - period]:
                    low -= _U1
                high = at + _U1
                while high < end and hashes[high] == hashes[high - period]:
                    high += _U1
                best = max(best, _U1 + (high - low) // period)
                step = best * period
                at = high + step
        found[i] = best
    return found


@njit(cache=True, nogil=True)
def _one_of_four(hashes, at, period, step) -> Any:
    """Whether one of the next four tokens that are looked at equals the one a period before it: one branch for all."""
    second = at + step
    third = second + step
    fourth = third + step
    return (
        (hashes[at] == hashes[at - period])
        | (hashes[second] == hashes[second - period])
        | (hashes[third] == hashes[third - period])
        | (hashes[fourth] == hashes[fourth - period])
    )
