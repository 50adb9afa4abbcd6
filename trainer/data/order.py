"""A seeded permutation of 0..n-1 that can be asked for any single place without the others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ROUNDS = 8


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The output function of SplitMix64 (Steele et al. 2014): a bijection on 64 bits with good avalanche."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def permute(index: NDArray[np.int64], size: int, seed: int, epoch: int, phase: int = 0) -> NDArray[np.int64]:
    """Where the permutation of (seed, epoch, phase) sends each index, 0 <= index < size.

    A balanced Feistel network over the next even number of bits, walked until the value falls below `size` (cycle
    walking, Black and Rogaway 2002): a bijection for every size, in constant memory, so that the data order of a step
    can be computed without the steps before it. Fixed integer arithmetic: the same on every machine and version.

    Raises:
        ValueError: an index outside 0..size-1.
    """
    return _walked(index, size, _keys(seed, epoch, phase), back=False)


def unpermute(value: NDArray[np.int64], size: int, seed: int, epoch: int, phase: int = 0) -> NDArray[np.int64]:
    """The index that `permute` sends to each value: the rounds backwards, cycles walked the other way.

    Raises:
        ValueError: a value outside 0..size-1.
    """
    return _walked(value, size, _keys(seed, epoch, phase), back=True)


def _walked(numbers: NDArray[np.int64], size: int, keys: NDArray[np.uint64], *, back: bool) -> NDArray[np.int64]:
    """Send numbers through the network, forwards or back, until they fall below `size`."""
    if size < 1 or (len(numbers) and (int(numbers.min()) < 0 or int(numbers.max()) >= size)):
        raise ValueError(f"{'values' if back else 'indices'} must lie in 0..{size - 1}")
    half = np.uint64(max(1, ((size - 1).bit_length() + 1) // 2))
    mask = (np.uint64(1) << half) - np.uint64(1)
    with np.errstate(over="ignore"):
        found = numbers.astype(np.uint64)
        walking = np.ones(len(found), dtype=bool)
        while walking.any():
            left, right = found[walking] >> half, found[walking] & mask
            for key in keys[::-1] if back else keys:
                if back:
                    left, right = right ^ (_mix(left ^ key) & mask), left
                else:
                    left, right = right, left ^ (_mix(right ^ key) & mask)
            found[walking] = (left << half) | right
            walking = found >= np.uint64(size)
    return found.astype(np.int64)


def _keys(seed: int, epoch: int, phase: int) -> NDArray[np.uint64]:
    with np.errstate(over="ignore"):
        base = _mix(_mix(np.array([seed & 0xFFFFFFFFFFFFFFFF], np.uint64)) ^ np.uint64(epoch))
        if phase:
            base = _mix(base ^ np.uint64(phase))
        return _mix(base + np.arange(_ROUNDS, dtype=np.uint64))
