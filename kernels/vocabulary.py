"""Which words of a short list each text holds."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.tokens import Tokens
from kernels.words import Spelling, Words, token_hashes

__all__ = ["distinct_known_words"]


def distinct_known_words(found: Tokens | Words, spelled: Spelling, vocabulary: Sequence[str]) -> NDArray[np.int64]:
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
    hashes = token_hashes(vocabulary)
    size = 64
    while len(set((hashes % np.uint64(size)).tolist())) < len(hashes):
        size *= 2
    table = np.zeros(size, np.uint64)  # a word's place is the low bits of its hash, and it is alone there
    table[0] = 1  # a free place holds what belongs elsewhere: 0 belongs to the first alone
    table[hashes % np.uint64(size)] = hashes
    return _distinct(found.offsets, spelled.hashes, table)


@njit(cache=True, nogil=True)
def _distinct(offsets, hashes, table) -> Any:
    counts = np.zeros(len(offsets) - 1, np.int64)
    mask = np.uint64(len(table) - 1)
    seen = np.empty(len(table), np.uint8)
    for i in range(len(counts)):
        seen[:] = 0
        for k in range(offsets[i], offsets[i + 1]):
            place = hashes[k] & mask
            # Not a branch: which word comes next cannot be guessed. Nor one number with a bit for each word: every turn
            # would wait for the one before.
            seen[place] |= np.uint8(table[place] == hashes[k])
        counts[i] = seen.sum()
    return counts
