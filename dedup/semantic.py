"""Texts that say the same: embeddings clustered, then compared by cosine within their cluster (SemDeDup, 2303.09540).

Llama 3.1's post-training (2407.21783, section 4.2.3) orders each cluster by quality times difficulty and keeps, one
after the other, what is less similar than a threshold to everything kept before it. The threshold is not
published; SemDeDup tunes it to a wished share of the data.

Embeddings become 16-bit whole numbers (a component's error is at most 2^-15 of the vector's length, a cosine's about
10^-4), so that every sum is exact: neither the number of workers nor the machine can change an answer.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Annotated, Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Kept", "SemanticConfig", "assign", "keep", "kmeans", "quantised"]

SCALE: Final = 1 << 14
"""A vector of length 1 becomes one of this length; its products with another fit into 29 bits."""


class SemanticConfig(BaseModel):
    """Parameters.

    `clusters` 0 makes one for about every thousand documents, at most 50,000 (SemDeDup's number for 440 million).
    `sample` is how many of them the clusters are found by, `rounds` how often. A cluster of more than `largest`
    documents is divided (`dedup.semantic_division`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    threshold: Annotated[float, Field(gt=0, le=1)] = 0.95
    clusters: Annotated[int, Field(ge=0)] = 0
    sample: Annotated[int, Field(ge=1)] = 100_000
    rounds: Annotated[int, Field(ge=1, le=1000)] = 10
    seed: Annotated[int, Field(ge=0)] = 0
    largest: Annotated[int, Field(ge=2)] = 4096

    def number(self, documents: int) -> int:
        """How many clusters so many documents get."""
        return self.clusters or min(50_000, max(1, -(-documents // 1000)))


def quantised(vectors: NDArray[Any]) -> NDArray[np.int16]:
    """Scale vectors to one length and round them; (n, d) numbers to (n, d) int16. One of length 0 stays.

    Raises:
        ValueError: a component is not a finite number.
    """
    wide = np.ascontiguousarray(vectors, np.float64)
    if not np.isfinite(wide).all():
        row = int(np.flatnonzero(~np.isfinite(wide).all(axis=1))[0])
        raise ValueError(f"vector {row}: a component is no finite number")
    return _quantised(wide)


def kmeans(vectors: NDArray[np.int16], clusters: int, rounds: int) -> NDArray[np.int16]:
    """Spherical k-means: centroids (clusters, d), at most one for each vector.

    It begins with the first `clusters` vectors, which the caller gives in a random order. A centroid is the direction
    of its vectors' sum, of ties in distance the first cluster has the vector, an empty cluster stays where it is; it
    ends early where no vector moves.
    """
    centroids = vectors[: max(1, clusters)].copy()
    before = np.full(len(vectors), -1, np.int64)
    for _ in range(rounds):
        found = assign(vectors, centroids)
        if (found == before).all():
            break
        before = found
        sums = np.zeros((len(centroids), vectors.shape[1]), np.int64)
        _add(vectors, found, sums)
        moved = sums.any(axis=1)
        centroids[moved] = quantised(sums[moved])
    return centroids


def assign(vectors: NDArray[np.int16], centroids: NDArray[np.int16]) -> NDArray[np.int64]:
    """Return the nearest centroid of each vector, by cosine."""
    return _assign(vectors, centroids, _norms(centroids))


class Kept(NamedTuple):
    """What became of the vectors of one cluster."""

    parent: NDArray[np.int64]  # the most similar one kept before it, -1 for one that stays
    cosine: NDArray[np.float64]  # with it; of one that stays the greatest with what was kept before, 0 of the first


def keep(vectors: NDArray[np.int16], threshold: float) -> Kept:
    """Keep, in the order given, what has a cosine below `threshold` with everything kept before."""
    return Kept(*_keep(vectors, _norms(vectors), threshold))


@njit(cache=True, nogil=True)
def _quantised(vectors) -> Any:
    made = np.zeros(vectors.shape, np.int16)
    for i in range(vectors.shape[0]):
        largest = 0.0
        for j in range(vectors.shape[1]):
            largest = max(largest, abs(vectors[i, j]))
        if largest == 0.0:
            continue
        total = 0.0
        for j in range(vectors.shape[1]):
            total += (vectors[i, j] / largest) * (vectors[i, j] / largest)
        length = np.sqrt(total)
        for j in range(vectors.shape[1]):
            made[i, j] = np.int16(np.rint(vectors[i, j] / largest / length * SCALE))
    return made


@njit(cache=True, nogil=True)
def _dot(a, b) -> Any:
    total = np.int64(0)
    for j in range(len(a)):
        total += np.int32(a[j]) * np.int32(b[j])
    return total


@njit(cache=True, nogil=True)
def _norms(vectors) -> Any:
    norms = np.empty(len(vectors), np.float64)
    for i in range(len(vectors)):
        norms[i] = np.sqrt(float(_dot(vectors[i], vectors[i])))
    return norms


@njit(cache=True, nogil=True)
def _assign(vectors, centroids, norms) -> Any:
    found = np.zeros(len(vectors), np.int64)
    for i in range(len(vectors)):
        best = -np.inf
        for k in range(len(centroids)):
            near = _dot(vectors[i], centroids[k]) / norms[k] if norms[k] > 0 else 0.0
            if near > best:
                best = near
                found[i] = k
    return found


@njit(cache=True, nogil=True)
def _add(vectors, found, sums) -> Any:
    for i in range(len(vectors)):
        for j in range(vectors.shape[1]):
            sums[found[i], j] += vectors[i, j]


@njit(cache=True, nogil=True)
def _keep(vectors, norms, threshold) -> Any:
    n = len(vectors)
    parent = np.full(n, -1, np.int64)
    cosine = np.zeros(n, np.float64)
    kept = np.empty(n, np.int64)
    count = 0
    for i in range(n):
        nearest = -1
        for place in range(count):
            k = kept[place]
            length = norms[i] * norms[k]
            near = _dot(vectors[i], vectors[k]) / length if length > 0 else 0.0
            if nearest < 0 or near > cosine[i]:
                cosine[i] = near
                nearest = k
        if nearest >= 0 and cosine[i] >= threshold:
            parent[i] = nearest
        else:
            kept[count] = i
            count += 1
    return parent, cosine
