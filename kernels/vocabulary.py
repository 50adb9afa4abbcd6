"""Which words of a short list each text holds."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.words import Spelling, Words, spelling_hash

__all__ = ["distinct_known_words"]


def distinct_known_words(found: Words, spelled: Spelling, vocabulary: Sequence[str]) -> NDArray[np.int64]:
    """How many different words of the vocabulary occur in each text as tokens, spelled exactly so.

    Args:
        found: the tokens.
        spelled: their spelling.
        vocabulary: at most 64 different words.

    Raises:
        ValueError: more than 64 words, or one twice.
    """
    if len(vocabulary) > 64 or len(set(vocabulary)) < len(vocabulary):
        raise ValueError(f"vocabulary: found {len(vocabulary)} words, expected at most 64, all different")
    return _distinct(found.offsets, spelled.hashes, np.array([spelling_hash(word) for word in vocabulary], np.uint64))


@njit(cache=True, nogil=True)
def _distinct(offsets, hashes, vocabulary) -> Any:
    possible = np.zeros(64, np.bool_)  # by the low bits of the hash: rules most tokens out
    for word in vocabulary:
        possible[word & np.uint64(63)] = True
    counts = np.zeros(len(offsets) - 1, np.int64)
    seen = np.empty(len(vocabulary), np.bool_)
    for i in range(len(offsets) - 1):
        seen[:] = False
        for k in range(offsets[i], offsets[i + 1]):
            if possible[hashes[k] & np.uint64(63)]:
                for v in range(len(vocabulary)):
                    if hashes[k] == vocabulary[v]:
                        seen[v] = True
        counts[i] = seen.sum()
    return counts
