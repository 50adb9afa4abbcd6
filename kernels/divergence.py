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
from kernels.word_mixing import case_folded
from kernels.words import Words

__all__ = ["BUCKETS", "Divergence", "bucket_counts", "divergence"]

BUCKETS: Final = 1 << 15
_FEW: Final = 16
_OFFSET: Final = np.uint64(0xCBF29CE484222325)
_PRIME: Final = np.uint64(0x100000001B3)
_LAST: Final = np.uint64(BUCKETS - 1)
_BYTE: Final = np.uint64(0xFF)
_STRETCH: Final = 256  # tokens whose buckets are found at once
_LONG: Final = 17  # stands for a token's size where sixteen bytes cannot be read


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
    return np.int64(finish(state) & _LAST)


@njit(cache=True, nogil=True)
def _counts(data, starts, ends) -> Any:
    counts = np.zeros(BUCKETS, np.int64)
    for k in range(len(starts)):
        counts[_bucket(data, starts[k], ends[k])] += 1
    return counts


@njit(cache=True, nogil=True, inline="always")
def _taken(state, word, size) -> Any:
    """The state of a bucket's hash with the first ``size`` of eight bytes, without a branch."""
    for place in range(8):
        taken = (state ^ ((word >> np.uint64(8 * place)) & _BYTE)) * _PRIME
        state = taken if place < size else state
    return state


@njit(cache=True, nogil=True)
def _buckets(data, starts, ends, chosen) -> Any:
    """Buckets of the chosen tokens, a stretch at a time: a byte waits for the one before, a token for no other."""
    buckets = np.empty(len(chosen), np.int32)
    firsts = np.empty(_STRETCH, np.uint64)
    seconds = np.empty(_STRETCH, np.uint64)
    sizes = np.empty(_STRETCH, np.int64)
    limit = len(data) - 16
    for base in range(0, len(chosen), _STRETCH):
        count = min(_STRETCH, len(chosen) - base)
        for k in range(count):
            token = np.uint64(chosen[base + k])
            start = starts[token]
            at = min(start, limit)
            firsts[k] = case_folded(load_word(data, at))
            seconds[k] = case_folded(load_word(data, at + 8))
            sizes[k] = ends[token] - start if start <= limit else _LONG
        for k in range(count):
            state = _taken(_taken(_OFFSET, firsts[k], sizes[k]), seconds[k], sizes[k] - 8)
            firsts[k] = finish(state) & _LAST
        for k in range(count):
            buckets[base + k] = firsts[k]
            if sizes[k] > 16:
                token = chosen[base + k]
                buckets[base + k] = _bucket(data, starts[token], ends[token])
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
