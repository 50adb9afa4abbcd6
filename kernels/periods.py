"""Runs of tokens that stand directly behind themselves."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["longest_period"]


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

    So only every so many tokens are looked at as the best one so far has, and the rest where these are equal.
    """
    found = np.zeros(len(offsets) - 1, np.int64)
    for i in range(len(offsets) - 1):
        if offsets[i + 1] == offsets[i]:
            continue
        best = np.int64(1)
        for period in range(1, longest + 1):
            begin = offsets[i] + period
            at = begin + best * period - 1
            while at < offsets[i + 1]:
                if hashes[at] != hashes[at - period]:
                    at += best * period
                    continue
                low = at
                while low > begin and hashes[low - 1] == hashes[low - 1 - period]:
                    low -= 1
                high = at + 1
                while high < offsets[i + 1] and hashes[high] == hashes[high - period]:
                    high += 1
                best = max(best, 1 + (high - low) // period)
                at = high + best * period
        found[i] = best
    return found
