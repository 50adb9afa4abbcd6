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

from kernels.blocks import at_least_a_block, load_word
from kernels.mixing import finish
from kernels.strings import TextBatch
from kernels.token_types import TokenTypes
from kernels.tokens import Tokens
from kernels.words import Words, case_folded

__all__ = ["BUCKETS", "Divergence", "bucket_counts", "divergence"]

BUCKETS: Final = 1 << 15
_FEW: Final = 16
_OFFSET: Final = np.uint64(0xCBF29CE484222325)
_PRIME: Final = np.uint64(0x100000001B3)
_BYTE: Final = np.uint64(0xFF)
_U8: Final = np.uint64(8)
_STRETCH: Final = 512  # types


class Divergence(NamedTuple):
    """Bits; 0 for a text without tokens."""

    relative: NDArray[np.float64]  # Kullback-Leibler divergence of the text's tokens from the reference
    cross: NDArray[np.float64]  # cross entropy: mean bits of a token under the reference


def bucket_counts(batch: TextBatch, found: Words) -> NDArray[np.int64]:
    """Tokens of all texts together in each bucket."""
    return _counts(batch.data, found.starts, found.ends)


def divergence(batch: TextBatch, found: Tokens, types: TokenTypes, bits: NDArray[np.float64]) -> Divergence:
    """Compare each text with a reference.

    Args:
        batch: the texts.
        found: their tokens.
        types: the tokens' types as they are spelled: each is read once.
        bits: -log2 of the reference's probability of each bucket, all finite.
    """
    buckets = _buckets(at_least_a_block(batch.data), found.starts, found.ends, types.firsts)
    return Divergence(*_divergence(found.offsets, types.numbers, buckets, bits))


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
def _buckets(data, starts, ends, chosen) -> Any:
    """The bucket of each chosen token.

    They lie far apart: a stretch of them is first fetched, so that one is not waited for before the next is asked for.
    Of nearly all, sixteen steps are made of which those behind the end are not taken, of several tokens at once.
    """
    buckets = np.empty(len(chosen), np.int32)
    firsts = np.empty(_STRETCH, np.uint64)
    seconds = np.empty(_STRETCH, np.uint64)
    sizes = np.empty(_STRETCH, np.int64)
    limit = len(data) - 16
    for base in range(0, len(chosen), _STRETCH):
        own = chosen[base : base + _STRETCH]
        others = np.int64(0)
        for k in range(len(own)):
            at = starts[own[k]]
            sizes[k] = ends[own[k]] - at
            others += (sizes[k] > 16) | (at > limit)
            firsts[k] = load_word(data, min(at, limit))
            seconds[k] = load_word(data, min(at, limit) + 8)
        for k in range(len(own)):
            state = _OFFSET
            word = case_folded(firsts[k])
            for place in range(8):
                taken = (state ^ (word & _BYTE)) * _PRIME
                state = taken if place < sizes[k] else state
                word >>= _U8
            word = case_folded(seconds[k])
            for place in range(8, 16):
                taken = (state ^ (word & _BYTE)) * _PRIME
                state = taken if place < sizes[k] else state
                word >>= _U8
            buckets[base + k] = np.int32(finish(state) & np.uint64(BUCKETS - 1))
        if others:
            for k in range(len(own)):
                if sizes[k] > 16 or starts[own[k]] > limit:
                    buckets[base + k] = _bucket(data, starts[own[k]], ends[own[k]])
    return buckets


@njit(cache=True, nogil=True)
def _divergence(offsets, numbers, buckets, bits) -> Any:
    n = len(offsets) - 1
    relative = np.zeros(n, np.float64)
    cross = np.zeros(n, np.float64)
    counts = np.zeros(BUCKETS, np.int32)
    few = np.empty(_FEW, np.float64)  # what a bucket with so few tokens brings to the entropy
    touched = np.empty(BUCKETS, np.int32)
    full = np.uint64(BUCKETS - 1)
    for i in range(n):
        count = offsets[i + 1] - offsets[i]
        if count == 0:
            continue
        own_numbers = numbers[offsets[i] : offsets[i + 1]]
        used = np.uint64(0)
        most = np.int32(0)
        for k in range(count):
            bucket = np.uint64(buckets[np.uint64(own_numbers[k])])
            touched[min(used, full)] = bucket
            times = counts[bucket]
            used += np.uint64(times == 0)
            counts[bucket] = times + np.int32(1)
            most = max(most, times)
        for times in range(1, min(_FEW, most + 2)):
            share = times / count
            few[times] = share * np.log2(share)
        total = 0.0
        own = 0.0
        for k in range(np.int64(used)):
            bucket = np.uint64(touched[k])
            times = np.int64(counts[bucket])
            share = times / count
            total += share * bits[bucket]
            own -= few[times] if times < _FEW else share * np.log2(share)
            counts[bucket] = 0
        cross[i] = total
        relative[i] = max(total - own, 0.0)
    return relative, cross
