"""Windows of tokens, and the few of them by which repeated ones are found.

A run of tokens of at least `size` that occurs twice is made of windows of `size` tokens that each occur twice: so the
repeated windows are all that there is to know. Of every window one shorter run, its *anchor*, is chosen: the one of
`anchor` tokens with the smallest hash (winnowing, Schleimer et al. 2003; the first of equal ones). Equal windows have
equal anchors, so a window can only be repeated where its anchor is, and neighbouring windows mostly share theirs: about
two in `size - anchor + 2` places are chosen. Anchors are counted first; then only the windows are looked at whose
anchor occurs more than once. Nothing is missed.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dedup.repeats import KnownKeys
from kernels.mixing import finish

__all__ = ["Windows", "anchors", "windows"]

_BASE = np.uint64(6364136223846793005)
"""The hash of a run is the polynomial in it of its tokens' hashes."""


class Windows(NamedTuple):
    """Some windows of a batch of texts, in order."""

    row: NDArray[np.int64]  # the text
    place: NDArray[np.int64]  # number of its first token in the text
    keys: NDArray[np.uint64]  # hash of its tokens


def anchors(
    offsets: NDArray[np.int64], hashes: NDArray[np.uint64], size: int, anchor: int
) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the key, text and place of every anchor of the windows of `size` tokens, each place once.

    Args:
        offsets: the texts' ranges of tokens.
        hashes: one hash a token.
        size: tokens in a window.
        anchor: tokens in an anchor, at most `size`.
    """
    return _anchors(offsets, hashes, size, anchor)


def windows(
    offsets: NDArray[np.int64], hashes: NDArray[np.uint64], size: int, anchor: int, wanted: KnownKeys
) -> Windows:
    """Return the windows whose anchor's key is in `wanted`; arguments as of `anchors`."""
    return Windows(*_windows(offsets, hashes, size, anchor, wanted.keys, wanted.slots))


@njit(cache=True, nogil=True)
def _runs(hashes, first, last, size, runs) -> Any:
    """Write the hash of every run of ``size`` tokens between two places; return how many there are."""
    oldest = np.uint64(1)
    for _ in range(size):
        oldest *= _BASE
    rolling = np.uint64(0)
    for t in range(first, last):
        rolling = rolling * _BASE + hashes[t]
        if t - first >= size:
            rolling -= hashes[t - size] * oldest
        if t - first >= size - 1:
            runs[t - first - size + 1] = finish(rolling)
    return max(0, last - first - size + 1)


@njit(cache=True, nogil=True)
def _smallest(runs, count, width, chosen, queue) -> Any:
    """Write the place of the smallest (the first of equals) of every ``width`` runs in a row; return how many."""
    head = tail = 0
    for k in range(count):
        while tail > head and runs[queue[tail - 1]] > runs[k]:
            tail -= 1
        queue[tail] = k
        tail += 1
        if queue[head] <= k - width:
            head += 1
        if k >= width - 1:
            chosen[k - width + 1] = queue[head]
    return max(0, count - width + 1)


@njit(cache=True, nogil=True)
def _room(offsets) -> Any:
    """Take the memory that `_chosen` writes one text at a time to: its runs, the chosen ones, and a queue."""
    longest = np.int64(0)
    for i in range(len(offsets) - 1):
        longest = max(longest, offsets[i + 1] - offsets[i])
    return np.empty(longest, np.uint64), np.empty(longest, np.int64), np.empty(longest, np.int64)


@njit(cache=True, nogil=True)
def _chosen(hashes, first, last, size, anchor, room) -> Any:
    """Write the runs of `anchor` tokens of one text and which is each window's anchor; return how many windows."""
    runs, chosen, queue = room
    count = _runs(hashes, first, last, anchor, runs)
    return _smallest(runs, count, size - anchor + 1, chosen, queue)


@njit(cache=True, nogil=True)
def _anchors(offsets, hashes, size, anchor) -> Any:
    room = _room(offsets)
    runs, chosen, _ = room
    keys = np.empty(len(hashes), np.uint64)
    row = np.empty(len(hashes), np.int64)
    place = np.empty(len(hashes), np.int64)
    m = 0
    for i in range(len(offsets) - 1):
        before = -1
        for k in range(_chosen(hashes, offsets[i], offsets[i + 1], size, anchor, room)):
            if chosen[k] != before:
                before = chosen[k]
                keys[m] = runs[before]
                row[m] = i
                place[m] = before
                m += 1
    return keys[:m].copy(), row[:m].copy(), place[:m].copy()


@njit(cache=True, nogil=True)
def _windows(offsets, hashes, size, anchor, wanted, table) -> Any:
    mask = np.uint64(len(table) - 1)
    room = _room(offsets)
    runs, chosen, _ = room
    whole = np.empty(len(runs), np.uint64)
    row = np.empty(len(hashes), np.int64)
    place = np.empty(len(hashes), np.int64)
    keys = np.empty(len(hashes), np.uint64)
    m = 0
    for i in range(len(offsets) - 1):
        count = _chosen(hashes, offsets[i], offsets[i + 1], size, anchor, room)
        _runs(hashes, offsets[i], offsets[i + 1], size, whole)
        before = -1
        taken = False
        for k in range(count):
            if chosen[k] != before:
                before = chosen[k]
                slot = finish(runs[before]) & mask
                while table[slot] >= 0 and wanted[table[slot]] != runs[before]:
                    slot = (slot + np.uint64(1)) & mask
                taken = table[slot] >= 0
            if taken:
                row[m] = i
                place[m] = k
                keys[m] = whole[k]
                m += 1
    return row[:m].copy(), place[:m].copy(), keys[:m].copy()
