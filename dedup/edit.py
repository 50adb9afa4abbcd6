"""Edit similarity: how far two texts agree word by word, in order.

Lee et al. (2107.06499, section 4.2): 1 - d / max(length), d the Levenshtein distance of the two sequences, here of
words and symbols as ``kernels.words`` splits them (case folded, punctuation left out). Two texts of the same shingles
in another order, such as a list sorted differently, differ in it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.strings import portions, text_batch
from kernels.words import PUNCTUATION, words

__all__ = ["Units", "edit_similarity", "units"]

_PIECE_BYTES = 1 << 19


class Units(NamedTuple):
    """Hashes of words in order; those of text ``i`` are ``hashes[offsets[i]:offsets[i + 1]]``."""

    offsets: NDArray[np.int64]
    hashes: NDArray[np.uint64]


def units(text: Any) -> Units:
    """Return the words of each text."""
    counts: list[NDArray[np.int64]] = []
    hashes: list[NDArray[np.uint64]] = [np.zeros(0, np.uint64)]
    for piece in portions(text_batch(text), _PIECE_BYTES):
        found = words(piece)
        spoken = np.asarray(found.kinds) != PUNCTUATION
        before = np.concatenate(([0], np.cumsum(spoken)))
        counts.append(np.diff(before[np.asarray(found.offsets)]))
        hashes.append(np.asarray(found.hashes)[spoken])
    ends = np.cumsum(np.concatenate(counts)) if counts else np.zeros(0, np.int64)
    return Units(np.concatenate(([0], ends)).astype(np.int64), np.concatenate(hashes))


def edit_similarity(
    sequences: Units, left: NDArray[np.int64], right: NDArray[np.int64], threshold: float = 0.0
) -> NDArray[np.float64]:
    """Return the edit similarity of pairs of rows; 0 where it is below the threshold, 1 for two empty texts.

    Only the band of the table that the threshold allows is filled: (1 - threshold) x longer length on either side.
    """
    return _similarities(sequences.offsets, sequences.hashes, left, right, threshold)


@njit(cache=True, nogil=True)
def _similarities(offsets, hashes, left, right, threshold):  # pyright: ignore
    values = np.empty(len(left), np.float64)
    for p in range(len(left)):
        a = hashes[offsets[left[p]] : offsets[left[p] + 1]]
        b = hashes[offsets[right[p]] : offsets[right[p] + 1]]
        longer = max(len(a), len(b))
        if longer == 0:
            values[p] = 1.0
            continue
        most = np.int64(np.floor((1.0 - threshold) * longer + 1e-9))
        distance = _distance(a, b, most)
        values[p] = 1.0 - distance / longer if distance <= most else 0.0
    return values


@njit(cache=True, nogil=True)
def _distance(a, b, most):  # pyright: ignore
    """Levenshtein distance, or most + 1 where it is larger (Ukkonen's band)."""
    n, m = len(a), len(b)
    if abs(n - m) > most:
        return most + 1
    row = np.full(m + 1, most + 1, np.int64)
    for j in range(min(m, most) + 1):
        row[j] = j
    for i in range(1, n + 1):
        low, high = max(1, i - most), min(m, i + most)
        diagonal = row[low - 1]
        row[low - 1] = i if low == 1 else most + 1
        least = row[low - 1]
        for j in range(low, high + 1):
            above = row[j] if j < i + most else most + 1
            value = diagonal if a[i - 1] == b[j - 1] else min(diagonal, above, row[j - 1]) + 1
            diagonal = row[j]
            row[j] = min(value, most + 1)
            least = min(least, row[j])
        if least > most:
            return most + 1
    return row[m]
