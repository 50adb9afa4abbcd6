"""Which words of a short list each text holds, and how often."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.blocks import count_bits
from kernels.tokens import Tokens
from kernels.words import Spelling, Words, token_hashes

__all__ = ["count_few", "distinct_known_words"]

_STRETCH: Final = 2048  # words


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
    return _distinct(found.offsets, spelled.hashes, _hashes(tuple(vocabulary)))


@lru_cache(maxsize=64)
def _hashes(vocabulary: tuple[str, ...]) -> NDArray[np.uint64]:
    return token_hashes(vocabulary)


def count_few(
    offsets: NDArray[np.int64], hashes: NDArray[np.uint64], vocabulary: NDArray[np.uint64]
) -> NDArray[np.int64]:
    """How many words of each text are one of a few; those of a long list ``kernels.known_runs`` counts sooner.

    Args:
        offsets: the texts' ranges of words.
        hashes: one hash a word.
        vocabulary: the hashes of the few, all different.
    """
    return _count_few(offsets, hashes, vocabulary)


# Every word is compared with each of the vocabulary, several by one instruction and without a branch: which word comes
# next cannot be guessed. A stretch of them stays in the nearest cache meanwhile.


@njit(cache=True, nogil=True)
def _distinct(offsets, hashes, vocabulary) -> Any:
    counts = np.empty(len(offsets) - 1, np.int64)
    for i in range(len(counts)):
        seen = np.uint64(0)
        for base in range(offsets[i], offsets[i + 1], _STRETCH):
            own = hashes[base : min(base + _STRETCH, offsets[i + 1])]
            for number in range(len(vocabulary)):
                wanted = vocabulary[number]
                found = np.int64(0)
                for k in range(len(own)):
                    found += own[k] == wanted
                seen |= np.uint64(found > 0) << np.uint64(number)
        counts[i] = count_bits(seen)
    return counts


@njit(cache=True, nogil=True)
def _count_few(offsets, hashes, vocabulary) -> Any:
    counts = np.empty(len(offsets) - 1, np.int64)
    for i in range(len(counts)):
        total = np.int64(0)
        for base in range(offsets[i], offsets[i + 1], _STRETCH):
            own = hashes[base : min(base + _STRETCH, offsets[i + 1])]
            for number in range(len(vocabulary)):
                wanted = vocabulary[number]
                found = np.int64(0)
                for k in range(len(own)):
                    found += own[k] == wanted
                total += found
        counts[i] = total
    return counts
