"""Source code that is there twice: files of the same content, and repositories that are mostly the same files.

A file's content is its tokens as they are spelled (`kernels.words`): white space and line ends do not count, everything
else does. A repository is the set of its files' contents; two are copies where the Jaccard similarity
of these sets reaches a threshold. Candidates come from MinHash bands over the sets; each is verified by the smallest
`sketch` hashes of both (bottom-k; exact up to so many different files, else unbiased with a standard error of
sqrt(J (1 - J) / sketch)).
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from dedup.substrings import SubstringConfig, tokenised
from kernels.mixing import finish

__all__ = ["RepositoryConfig", "Resolved", "bands_of", "content_keys", "resemblances", "resolve"]

_BASE = np.uint64(6364136223846793005)
_STEP = np.uint64(0x9E3779B97F4A7C15)


class RepositoryConfig(BaseModel):
    """Parameters. With 20 bands of 5 rows, 99.9% of pairs of similarity 0.8 share a band, and 47% of 0.5."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    threshold: Annotated[float, Field(gt=0, le=1)] = 0.8
    min_files: Annotated[int, Field(ge=1)] = 3
    bands: Annotated[int, Field(ge=1, le=1000)] = 20
    rows: Annotated[int, Field(ge=1, le=100)] = 5
    sketch: Annotated[int, Field(ge=1)] = 1024


def content_keys(text: pa.Array[Any] | pa.ChunkedArray[Any]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Return a key of each text's content, and whether it has any: a text without tokens equals no other."""
    found = tokenised(text, SubstringConfig())
    return _contents(found.offsets, found.hashes), np.diff(found.offsets) > 0


def bands_of(contents: NDArray[np.uint64], config: RepositoryConfig) -> NDArray[np.uint64]:
    """Return the band keys of a set of contents."""
    return _bands(contents, config.bands, config.rows)


def resemblances(
    offsets: NDArray[np.int64],
    contents: NDArray[np.uint64],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    sketch: int,
) -> NDArray[np.float64]:
    """Return the Jaccard similarity of pairs of sets, from the smallest `sketch` hashes of each, rising and distinct.

    Args:
        offsets: set i is `contents[offsets[i]:offsets[i + 1]]`.
        contents: hashes.
        left: the first set of each pair.
        right: the second one.
        sketch: how many are looked at.
    """
    return _resemblances(offsets, contents, left, right, sketch)


class Resolved(NamedTuple):
    """Repositories that go, and for each the best of those that stay and resemble it."""

    repository: NDArray[np.int64]
    parent: NDArray[np.int64]
    similarity: NDArray[np.float64]


def resolve(better: NDArray[np.int64], worse: NDArray[np.int64], similarity: NDArray[np.float64]) -> Resolved:
    """Decide, from the best repository to the worst: one goes where one that stays resembles it.

    So none goes for the sake of one that goes itself, however long a chain of forks is.

    Args:
        better: of each pair that resemble each other the one that is better: places in the order, the best is 0.
        worse: the other.
        similarity: of the pair.
    """
    order = np.lexsort((better, worse))
    parent, value = _resolve(better[order], worse[order], similarity[order])
    gone = np.flatnonzero(parent >= 0)
    return Resolved(gone, parent[gone], value[gone])


@njit(cache=True, nogil=True)
def _contents(offsets, hashes) -> Any:
    keys = np.empty(len(offsets) - 1, np.uint64)
    for i in range(len(keys)):
        state = np.uint64(offsets[i + 1] - offsets[i])
        for t in range(offsets[i], offsets[i + 1]):
            state = state * _BASE + hashes[t]
        keys[i] = finish(state)
    return keys


@njit(cache=True, nogil=True)
def _bands(contents, bands, rows) -> Any:
    keys = np.empty(bands, np.uint64)
    for band in range(bands):
        state = np.uint64(band)
        for row in range(rows):
            smallest = np.uint64(0xFFFFFFFFFFFFFFFF)
            seed = np.uint64(band * rows + row + 1) * _STEP
            for content in contents:
                smallest = min(smallest, finish(content ^ seed))
            state = finish(state * _BASE + smallest)
        keys[band] = state
    return keys


@njit(cache=True, nogil=True)
def _resolve(better, worse, similarity) -> Any:
    n = worse[-1] + 1 if len(worse) else 0
    parent = np.full(n, -1, np.int64)
    value = np.zeros(n)
    for p in range(len(worse)):  # rising, so that it is settled of every better one whether it goes
        if parent[worse[p]] < 0 and parent[better[p]] < 0:
            parent[worse[p]] = better[p]
            value[worse[p]] = similarity[p]
    return parent, value


@njit(cache=True, nogil=True)
def _resemblances(offsets, contents, left, right, sketch) -> Any:
    found = np.empty(len(left), np.float64)
    for p in range(len(left)):
        a, b = left[p], right[p]
        found[p] = _resemblance(contents[offsets[a] : offsets[a + 1]], contents[offsets[b] : offsets[b + 1]], sketch)
    return found


@njit(cache=True, nogil=True)
def _resemblance(left, right, sketch) -> Any:
    i = j = both = union = 0
    while union < sketch and (i < len(left) or j < len(right)):
        if j == len(right) or (i < len(left) and left[i] < right[j]):
            i += 1
        elif i == len(left) or right[j] < left[i]:
            j += 1
        else:
            both += 1
            i += 1
            j += 1
        union += 1
    return both / union if union else 0.0
