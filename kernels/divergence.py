"""How far the tokens of a text are from those of a corpus: unigram counts in hashed buckets.

A token's bucket comes from a hash of its bytes with ASCII case folded (FNV-1a and a finaliser), which is this file's
own: a stored reference must not change with the hashes that other kernels compare within a run.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.mixing import finish
from kernels.strings import TextBatch
from kernels.tokens import Tokens
from kernels.words import Words

__all__ = ["BUCKETS", "Divergence", "bucket_counts", "divergence"]

BUCKETS: Final = 1 << 15
_KNOWN_BITS: Final = 15
_KNOWN: Final = 1 << _KNOWN_BITS
_FEW: Final = 16
_OFFSET: Final = np.uint64(0xCBF29CE484222325)
_PRIME: Final = np.uint64(0x100000001B3)


class Divergence(NamedTuple):
    """Bits; 0 for a text without tokens."""

    relative: NDArray[np.float64]  # Kullback-Leibler divergence of the text's tokens from the reference
    cross: NDArray[np.float64]  # cross entropy: mean bits of a token under the reference


def bucket_counts(batch: TextBatch, found: Words) -> NDArray[np.int64]:
    """Tokens of all texts together in each bucket."""
    return _counts(batch.data, found.starts, found.ends)


def divergence(batch: TextBatch, found: Tokens, hashes: NDArray[np.uint64], bits: NDArray[np.float64]) -> Divergence:
    """Compare each text with a reference.

    Args:
        batch: the texts.
        found: their tokens.
        hashes: of the tokens as they are spelled (``Spelling.hashes``): equal tokens are read once.
        bits: -log2 of the reference's probability of each bucket, all finite.
    """
    return Divergence(*_divergence(batch.data, found.offsets, found.starts, found.ends, hashes, bits))


@njit(cache=True, nogil=True)
def _bucket(data, start, end) -> Any:
    state = _OFFSET
    for k in range(start, end):
        byte = data[k]
        if 65 <= byte <= 90:
            byte += 32
        state = (state ^ np.uint64(byte)) * _PRIME
    return np.int64(finish(state) & np.uint64(BUCKETS - 1))


@njit(cache=True, nogil=True)
def _counts(data, starts, ends) -> Any:
    counts = np.zeros(BUCKETS, np.int64)
    for k in range(len(starts)):
        counts[_bucket(data, starts[k], ends[k])] += 1
    return counts


@njit(cache=True, nogil=True)
def _divergence(data, offsets, starts, ends, hashes, bits) -> Any:
    n = len(offsets) - 1
    relative = np.zeros(n, np.float64)
    cross = np.zeros(n, np.float64)
    counts = np.zeros(BUCKETS, np.int32)
    # The bucket of the token that was last seen with these bits of its hash: nearly all words are among a few thousand.
    seen = np.zeros(_KNOWN, np.uint64)
    known = np.full(_KNOWN, -1, np.int32)
    few = np.empty(_FEW, np.float64)  # what a bucket with so few tokens brings to the entropy
    touched = np.empty(BUCKETS, np.int32)
    for i in range(n):
        count = offsets[i + 1] - offsets[i]
        if count == 0:
            continue
        used = 0
        for k in range(offsets[i], offsets[i + 1]):
            place = hashes[k] >> np.uint64(64 - _KNOWN_BITS)
            bucket = np.int64(known[place])
            if seen[place] != hashes[k] or bucket < 0:
                bucket = _bucket(data, starts[k], ends[k])
                seen[place] = hashes[k]
                known[place] = bucket
            touched[min(used, BUCKETS - 1)] = bucket
            used += counts[bucket] == 0
            counts[bucket] += np.int32(1)
        for times in range(1, _FEW):
            share = times / count
            few[times] = share * np.log2(share)
        total = 0.0
        own = 0.0
        for k in range(used):
            bucket = np.int64(touched[k])
            times = np.int64(counts[bucket])
            share = times / count
            total += share * bits[bucket]
            own -= few[times] if times < _FEW else share * np.log2(share)
            counts[bucket] = 0
        cross[i] = total
        relative[i] = max(total - own, 0.0)
    return relative, cross
