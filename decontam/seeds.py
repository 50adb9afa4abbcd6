"""What the scans share: which words of a text count, and hashes of their n-grams.

Numba compiles a kernel with all that it calls; `kernels` says how its cache learns of changes in any of these files.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

from kernels.mixing import finish
from kernels.words import WORD

__all__ = [
    "BASE",
    "code_points",
    "gram_hash",
    "kept",
    "kept_words",
    "ngrams",
    "sequence_hashes",
]

BASE: Final = np.uint64(6364136223846793005)


@njit(cache=True, nogil=True, inline="always")
def kept(data, start, end, kind, drop_labels) -> Any:
    """Tell whether a token counts."""
    letter = np.int64(data[start] | 32)
    label = drop_labels & (end - start == 1) & (letter >= 97) & (letter <= 106)
    return (kind == WORD) & (not label)


@njit(cache=True, nogil=True)
def kept_words(data, offsets, starts, ends, hashes, kinds, drop_labels) -> Any:
    """Return the words that count, and how many tokens of each text lie before the first and after the last of them."""
    n = len(offsets) - 1
    bounds = np.zeros(n + 1, np.int64)
    found = np.empty(len(hashes), np.uint64)
    lead = np.zeros(n, np.int64)
    trail = np.zeros(n, np.int64)
    m = 0
    for i in range(n):
        first = -1
        last = offsets[i] - 1
        for t in range(offsets[i], offsets[i + 1]):
            if kept(data, starts[t], ends[t], kinds[t], drop_labels):
                if first < 0:
                    first = t
                last = t
                found[m] = hashes[t]
                m += 1
        if first >= 0:
            lead[i] = first - offsets[i]
            trail[i] = offsets[i + 1] - 1 - last
        bounds[i + 1] = m
    return bounds, found[:m].copy(), lead, trail


@njit(cache=True, nogil=True)
def sequence_hashes(offsets, hashes) -> Any:
    """Hash each text's whole sequence of words."""
    found = np.empty(len(offsets) - 1, np.uint64)
    for i in range(len(found)):
        value = np.uint64(offsets[i + 1] - offsets[i])
        for t in range(offsets[i], offsets[i + 1]):
            value = finish(value * BASE + hashes[t])
        found[i] = value
    return found


@njit(cache=True, nogil=True)
def ngrams(offsets, hashes, n) -> Any:
    """Hash every run of ``n`` words inside each text: (hash, text, position of its first word), in order."""
    total = 0
    for i in range(len(offsets) - 1):
        total += max(0, offsets[i + 1] - offsets[i] - n + 1)
    grams = np.empty(total, np.uint64)
    text = np.empty(total, np.int32)
    position = np.empty(total, np.int32)
    oldest = _power(n)
    m = 0
    for i in range(len(offsets) - 1):
        rolling = np.uint64(0)
        for t in range(offsets[i], offsets[i + 1]):
            count = t - offsets[i] + 1
            rolling = rolling * BASE + hashes[t]
            if count > n:
                rolling -= hashes[t - n] * oldest
            if count >= n:
                grams[m] = finish(rolling)
                text[m] = i
                position[m] = count - n
                m += 1
    return grams, text, position


@njit(cache=True, nogil=True, inline="always")
def _power(n) -> Any:
    """Return the factor of the word that leaves a window of ``n``."""
    value = np.uint64(1)
    for _ in range(n):
        value *= BASE
    return value


@njit(cache=True, nogil=True)
def gram_hash(window, at, n) -> Any:
    """Hash the ``n`` words from ``at`` on, as ``ngrams`` does."""
    rolling = np.uint64(0)
    for k in range(at, at + n):
        rolling = rolling * BASE + window[k]
    return finish(rolling)


@njit(cache=True, nogil=True)
def code_points(data, starts, positions) -> Any:
    """Return the number of code points between each start and position (bytes)."""
    counts = np.zeros(len(positions), np.int64)
    start = np.int64(-1)
    at = np.int64(0)
    count = np.int64(0)
    for k in np.argsort(positions, kind="mergesort"):  # each text is walked once, however many hits it has
        if starts[k] != start:
            start = starts[k]
            at = start
            count = 0
        while at < positions[k]:
            count += data[at] & 0xC0 != 0x80
            at += 1
        counts[k] = count
    return counts
