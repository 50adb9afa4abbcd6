"""Sorted runs of keys: a map from a 64-bit key to the rows that have it, which grows without being sorted anew.

As in a log-structured merge tree: what is added is sorted by itself, and merged with the runs before it as long as
these are not twice as large. So n keys lie in at most log2 n runs, each key is merged at most log2 n times, and to add
a batch costs about as much as the batch, however much there is already.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["Run", "Runs"]


class Run(NamedTuple):
    """Keys, rising, and the row of each; rows of one key rise."""

    keys: NDArray[np.uint64]
    rows: NDArray[np.uint32]


class Runs:
    """Runs that are never changed: `added` gives new ones, which share what was not merged."""

    def __init__(self, runs: tuple[Run, ...] = ()) -> None:
        """Take runs from the oldest rows to the newest."""
        self.runs = runs

    def added(self, keys: NDArray[np.uint64], rows: NDArray[np.int64]) -> Runs:
        """Return them with keys of rows that are greater than all rows before, and rise."""
        if not len(keys):
            return self
        order = np.argsort(keys, kind="stable")
        last = Run(keys[order], rows[order].astype(np.uint32))
        runs = list(self.runs)
        while runs and len(runs[-1].keys) < 2 * len(last.keys):
            last = Run(*_merged(*runs.pop(), *last))
        return Runs((*runs, last))

    def pairs(
        self, keys: NDArray[np.uint64], alive: NDArray[np.bool_], most: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return (place in `keys`, row) of the rows that have a key and are alive: of each key the first `most`."""
        order = np.argsort(keys)  # searches that follow one another then touch the same memory
        rising = keys[order]
        count = np.zeros(len(keys), np.int64)
        asked, found = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for run in self.runs:
            places, rows = _living(np.searchsorted(run.keys, rising), rising, *run, alive, count, most)
            asked.append(order[places])
            found.append(rows)
        return np.concatenate(asked), np.concatenate(found)


@njit(cache=True, nogil=True)
def _merged(keys_a, rows_a, keys_b, rows_b) -> Any:
    """Merge two runs; of equal keys the rows of the first come first."""
    n = len(keys_a) + len(keys_b)
    keys, rows = np.empty(n, np.uint64), np.empty(n, np.uint32)
    i = j = 0
    for at in range(n):
        if j == len(keys_b) or (i < len(keys_a) and keys_a[i] <= keys_b[j]):
            keys[at], rows[at] = keys_a[i], rows_a[i]
            i += 1
        else:
            keys[at], rows[at] = keys_b[j], rows_b[j]
            j += 1
    return keys, rows


@njit(cache=True, nogil=True)
def _living(first, asked, keys, rows, alive, count, most) -> Any:
    total = 0
    for k in range(len(first)):
        had = count[k]
        at = first[k]
        while had < most and at < len(keys) and keys[at] == asked[k]:
            had += alive[rows[at]]
            at += 1
        total += had - count[k]
    places, found = np.empty(total, np.int64), np.empty(total, np.int64)
    m = 0
    for k in range(len(first)):
        at = first[k]
        while count[k] < most and at < len(keys) and keys[at] == asked[k]:
            if alive[rows[at]]:
                places[m], found[m] = k, rows[at]
                m += 1
                count[k] += 1
            at += 1
    return places, found
