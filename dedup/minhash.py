"""MinHash signatures, and the band keys of locality-sensitive hashing.

Broder, "On the resemblance and containment of documents" (1997): the smallest value of a random hash over a set of
shingles is the same for two sets with a probability equal to their Jaccard similarity. Here every permutation is x ->
(x ^ s) * a mod 2^32 with a random s and a random odd a, over a well-mixed 32-bit hash of each shingle.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from dedup.shingles import Profile, shingle_pieces

__all__ = ["EMPTY", "MinHashConfig", "band_keys", "has_shingles", "jaccard", "signatures"]

EMPTY: Final = np.uint32(0xFFFFFFFF)  # every value of the signature of a text without shingles

_GOLDEN: Final = 0x9E3779B97F4A7C15
_MASK: Final = (1 << 64) - 1
_U32 = np.uint64(32)


class MinHashConfig(BaseModel):
    """How signatures are made. Two texts can be compared only under one configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    permutations: Annotated[int, Field(ge=1, le=65536)] = 112
    shingle: Annotated[int, Field(ge=1, le=1000)] = 5
    seed: Annotated[int, Field(ge=0, lt=1 << 64)] = 0
    profile: Profile = "auto"


def signatures(text: pa.Array[Any] | pa.ChunkedArray[Any], config: MinHashConfig | None = None) -> NDArray[np.uint32]:
    """Return the MinHash signature of each text.

    Args:
        text: ``n`` texts, string or large_string; a null counts as an empty text.
        config: by default 112 permutations of 5-word shingles.

    Returns:
        Array (n, permutations) of uint32, rows in the order of ``text``. A text shorter than a shingle has a signature
        like any other; a text without any word or symbol has ``EMPTY`` throughout (see ``has_shingles``).
    """
    config = config or MinHashConfig()
    permutations = _permutations(config.permutations, config.seed)
    signature = np.empty((len(text), config.permutations), np.uint32)
    at = 0
    for piece in shingle_pieces(text, config.shingle, config.profile):
        rows = signature[at : at + len(piece.offsets) - 1]
        _minima(*piece, *permutations, rows)
        at += len(rows)
    return signature


def has_shingles(signature: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Tell for each row whether its text had a shingle; rows without must not be banded, all would fall together."""
    return np.any(signature != EMPTY, axis=1)


def jaccard(left: NDArray[np.uint32], right: NDArray[np.uint32]) -> NDArray[np.float64]:
    """Estimate the Jaccard similarity of pairs of texts, row by row.

    The share of equal values: unbiased, with standard error sqrt(s(1 - s)/permutations) (Broder 1997). 0 where both are
    ``EMPTY``.

    Raises:
        ValueError: the two arrays differ in shape.
    """
    if left.shape != right.shape:
        raise ValueError(f"signatures of shapes {left.shape} and {right.shape} cannot be compared row by row")
    return np.where(has_shingles(left), np.mean(left == right, axis=1), 0.0)


def band_keys(signature: NDArray[np.uint32], bands: int, rows: int) -> NDArray[np.uint64]:
    """Hash each band of ``rows`` values to one key; two texts are candidates where they share a key.

    Returns:
        Array (n, bands) of uint64. The number of the band is part of the key, so that all bands can be grouped in one
        column.

    Raises:
        ValueError: a signature is not ``bands * rows`` values long.
    """
    if signature.ndim != 2 or signature.shape[1] != bands * rows or bands < 1 or rows < 1:
        raise ValueError(
            f"signatures of shape {signature.shape}, expected (documents, {bands * rows}): {bands} bands of {rows} rows"
        )
    return _band_keys(np.ascontiguousarray(signature), bands, rows)


def _permutations(count: int, seed: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Draw the constants from splitmix64: the first ``count`` are the same whatever the count."""
    shifts = np.empty(count, np.uint32)
    factors = np.empty(count, np.uint32)
    state = seed
    for k in range(count):
        state = (state + _GOLDEN) & _MASK
        value = state
        value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
        value ^= value >> 31
        shifts[k] = value >> 32
        factors[k] = (value & 0xFFFFFFFF) | 1
    return shifts, factors


@njit(cache=True, nogil=True)
def _minima(offsets, hashes, shifts, factors, signature):  # pyright: ignore
    """Write the minimum of every permutation over every text's shingles.

    The loops over ``k`` are independent 32-bit lanes, which the compiler turns into vector instructions; the casts keep
    them 32 bits wide. Four shingles a pass spare three of four loads and stores of the row.
    """
    n = len(offsets) - 1
    width = len(shifts)
    for i in range(n):
        row = signature[i]
        row[:] = EMPTY
        at = offsets[i]
        end = offsets[i + 1]
        while at + 4 <= end:
            # The low halves are dropped: `finish` has spread each hash over its high half.
            x0 = np.uint32(hashes[at] >> _U32)
            x1 = np.uint32(hashes[at + 1] >> _U32)
            x2 = np.uint32(hashes[at + 2] >> _U32)
            x3 = np.uint32(hashes[at + 3] >> _U32)
            for k in range(width):
                shift = shifts[k]
                factor = factors[k]
                y0 = np.uint32(np.uint32(x0 ^ shift) * factor)
                y1 = np.uint32(np.uint32(x1 ^ shift) * factor)
                y2 = np.uint32(np.uint32(x2 ^ shift) * factor)
                y3 = np.uint32(np.uint32(x3 ^ shift) * factor)
                row[k] = min(min(min(y0, y1), min(y2, y3)), row[k])
            at += 4
        while at < end:
            x0 = np.uint32(hashes[at] >> _U32)
            for k in range(width):
                row[k] = min(np.uint32(np.uint32(x0 ^ shifts[k]) * factors[k]), row[k])
            at += 1
        if end > offsets[i] and row[0] == EMPTY:
            row[0] = EMPTY - np.uint32(1)  # EMPTY throughout means no shingle: this value in 2^32 makes way


@njit(cache=True, nogil=True)
def _band_keys(signature, bands, rows):  # pyright: ignore
    n = len(signature)
    keys = np.empty((n, bands), np.uint64)
    for i in range(n):
        for band in range(bands):
            key = np.uint64(band + 1)
            for k in range(band * rows, (band + 1) * rows):
                # A step of splitmix64 for each value (written out: Numba does not notice changes behind an import).
                key = (key ^ np.uint64(signature[i, k])) * np.uint64(0x9E3779B97F4A7C15)
                key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
                key ^= key >> np.uint64(27)
            keys[i, band] = key
    return keys
