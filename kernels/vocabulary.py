"""Which words of a short list each text holds."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.blocks import count_bits
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
    numbers = np.zeros(size, np.uint8)  # at the low bits of a word's hash, its number; 0 is no word's
    numbers[hashes % np.uint64(size)] = np.arange(len(hashes)) + 1
    return _distinct(found.offsets, spelled.hashes, numbers, np.concatenate([np.zeros(1, np.uint64), hashes]))


@njit(cache=True, nogil=True)
def _distinct(offsets, hashes, numbers, vocabulary) -> Any:
    counts = np.zeros(len(offsets) - 1, np.int64)
    mask = np.uint64(len(numbers) - 1)
    for i in range(len(counts)):
        seen = np.uint64(0)
        for k in range(offsets[i], offsets[i + 1]):
            number = numbers[hashes[k] & mask]
            # Not a branch: which word comes next cannot be guessed.
            seen |= np.uint64(number > 0 and hashes[k] == vocabulary[number]) << np.uint64((number - 1) & 63)
        counts[i] = count_bits(seen)
    return counts
