"""Verified edges: candidate pairs whose texts are alike enough.

Two texts match where the exact Jaccard similarity of their shingle sets reaches the threshold and, where that is asked
for, their words in order agree (edit similarity). The estimate from the signatures only proposes pairs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dedup.config import DedupConfig
from dedup.edit import edit_similarity, units
from dedup.shingles import Shingles, shingle_sets

__all__ = ["Edges", "kept_edges", "similarity", "verified"]


class Edges(NamedTuple):
    """Pairs of rows and the exact Jaccard similarity of their shingle sets."""

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    similarity: NDArray[np.float64]


def verified(text: Any, left: NDArray[np.int64], right: NDArray[np.int64], config: DedupConfig) -> Edges:
    """Return those of the candidate pairs that match.

    Args:
        text: large_string array that holds the texts of all pairs.
        left: row of the first text of each pair.
        right: row of the second.
        config: thresholds, and what a shingle is.
    """
    rows, places = np.unique(np.concatenate([left, right]), return_inverse=True)
    chosen = text.take(rows)
    sets = shingle_sets(chosen, config.shingle, config.profile)
    a, b = places[: len(left)], places[len(left) :]
    keep, value = kept_edges(sets, chosen, a, b, config)
    return Edges(left[keep], right[keep], value[keep])


def kept_edges(
    sets: Shingles, text: Any | None, left: NDArray[np.int64], right: NDArray[np.int64], config: DedupConfig
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Tell which pairs match, and their similarity (0 where it is below the threshold)."""
    value = similarity(sets, left, right, config.threshold)
    keep = value >= config.threshold
    if config.edit_similarity is not None and text is not None:
        asked = np.flatnonzero(keep)
        rows, places = np.unique(np.concatenate([left[asked], right[asked]]), return_inverse=True)
        spelled = units(text.take(rows))
        half = len(asked)
        agreed = edit_similarity(spelled, places[:half], places[half:], config.edit_similarity)
        keep[asked] = agreed >= config.edit_similarity
    return keep, value


def similarity(
    sets: Shingles, left: NDArray[np.int64], right: NDArray[np.int64], threshold: float = 0.0
) -> NDArray[np.float64]:
    """Return the exact Jaccard similarity of pairs of rows; 0 where one has no shingles or it is below `threshold`."""
    return _pairs(sets.offsets, sets.hashes, left, right, threshold)


@njit(cache=True, nogil=True)
def _jaccard(offsets, hashes, left, right, threshold):  # pyright: ignore
    """Exact Jaccard similarity of two sorted sets, or 0 as soon as it must lie below the threshold."""
    i, i_end = offsets[left], offsets[left + 1]
    j, j_end = offsets[right], offsets[right + 1]
    total = (i_end - i) + (j_end - j)
    if i == i_end or j == j_end:
        return 0.0
    # shared / (total - shared) >= threshold needs shared >= total * threshold / (1 + threshold); one less against
    # rounding.
    needed = np.int64(np.floor(total * threshold / (1.0 + threshold))) - 1
    shared = 0
    while i < i_end and j < j_end:
        a = hashes[i]
        b = hashes[j]
        if a == b:
            shared += 1
            i += 1
            j += 1
        elif a < b:
            i += 1
            if shared + (i_end - i) < needed:
                return 0.0
        else:
            j += 1
            if shared + (j_end - j) < needed:
                return 0.0
    value = shared / (total - shared)
    return value if value >= threshold else 0.0


@njit(cache=True, nogil=True)
def _pairs(offsets, hashes, left, right, threshold):  # pyright: ignore
    values = np.empty(len(left), np.float64)
    for p in range(len(left)):
        values[p] = _jaccard(offsets, hashes, left[p], right[p], threshold)
    return values
