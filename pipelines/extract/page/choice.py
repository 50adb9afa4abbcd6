"""Which blocks of a page to take, given how likely each is main text."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

TOGETHER: Final = 0.75
"""Weight of the assumption that a page's blocks are main text together; the rest is that each is for itself."""
_SCENARIOS: Final = 40


def chosen(p: NDArray[np.float32], words: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Choose the blocks whose expected F1 is highest; the best set holds the blocks of highest p.

    How sure the models are of a block is mostly how sure they are of a kind of block: whether the comments of a page
    count, all its teasers, the whole table. So most of the expectation is over one question for all blocks alike, how
    strict the page's gold is: block b is main text where p > U, with U uniform in 0 to 1. The rest takes every word of
    block b for main text with probability p for itself, where a set S gives about 2 Σ_S w p / (Σ_S w + Σ w p) (Jansche,
    2007, "A maximum expected utility framework for binary sequence labeling").
    """
    return _chosen(p, words)


@njit(cache=True, nogil=True)
def expected(p, words) -> Any:
    """The order of blocks by falling p, and the expected F1 of taking the first 0, 1 ... n of them."""
    n = len(p)
    order = np.argsort(-p, kind="mergesort")
    taken = np.zeros(n + 1, np.float64)
    mass = np.zeros(n + 1, np.float64)
    for k in range(n):
        w = np.float64(words[order[k]])
        taken[k + 1] = taken[k] + w
        mass[k + 1] = mass[k] + w * p[order[k]]
    value = np.zeros(n + 1, np.float64)
    for k in range(n + 1):
        both = taken[k] + mass[n]
        value[k] = (1 - TOGETHER) * 2 * mass[k] / both if both > 0 else 0.0
    at = n
    for s in range(_SCENARIOS):  # from strict-less to strict: fewer and fewer blocks are main text
        bound = (s + 0.5) / _SCENARIOS
        while at > 0 and p[order[at - 1]] <= bound:
            at -= 1
        main = taken[at]
        for k in range(1, n + 1):
            both = taken[k] + main
            if both > 0:
                value[k] += TOGETHER / _SCENARIOS * 2 * min(taken[k], main) / both
    return order, taken, mass, value


@njit(cache=True, nogil=True)
def _chosen(p, words) -> Any:
    n = len(p)
    order, _, mass, value = expected(p, words)
    best, cut = 0.0, 0
    for k in range(1, n + 1):
        if value[k] >= best and mass[k] > 0:
            best, cut = value[k], k
    keep = np.zeros(n, np.bool_)
    for k in range(cut):
        keep[order[k]] = True
    return keep
