"""Of overlapping passages of one item in one text, the best."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from decontam.found import grown

__all__ = ["best_apart"]


@njit(cache=True, nogil=True)
def best_apart(order, row, item, start, end) -> Any:
    """Choose passages, best first, each where no better one of its row and item overlaps it.

    Args:
        order: numbers of passages, those of one row and item together, the best of them first.
        row: of each passage.
        item: the same.
        start: the same.
        end: the same.

    Returns:
        Those of ``order`` that are chosen.
    """
    chosen = np.empty(len(order), np.int64)
    count = 0
    begins = np.empty(16, np.int64)  # the passages chosen of this row and item, by their place
    ends = np.empty(16, np.int64)
    taken = 0
    for n in range(len(order)):
        k = order[n]
        if n > 0 and (row[k] != row[order[n - 1]] or item[k] != item[order[n - 1]]):
            taken = 0
        where = np.searchsorted(begins[:taken], start[k])
        if (where > 0 and ends[where - 1] > start[k]) or (where < taken and begins[where] < end[k]):
            continue
        if taken == len(begins):
            begins, ends = grown(begins, 2 * taken), grown(ends, 2 * taken)
        for place in range(taken, where, -1):
            begins[place] = begins[place - 1]
            ends[place] = ends[place - 1]
        begins[where] = start[k]
        ends[where] = end[k]
        taken += 1
        chosen[count] = k
        count += 1
    return chosen[:count]
