"""The arrays that the compiled loops read and write."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["ALIGN", "COVER", "GRAM", "PIECE", "RUN", "Batch", "Found", "Lookup", "Postings", "Rules", "Text"]

ALIGN: Final = 0  # score by alignment
COVER: Final = 1  # by the share that n-grams cover
RUN: Final = 2  # any n-gram is enough


# What is asked for together lies together: in an index of gigabytes each line of memory is waited for.
GRAM: Final = np.dtype([("gram", "<u8"), ("piece", "<i4"), ("position", "<i4")])
"""An n-gram where it stands: its hash, the piece, and the place of its first word there."""
PIECE: Final = np.dtype(
    [("begin", "<i8"), ("asked", "<f8"), ("words", "<i4"), ("question", "<i4"), ("lead", "<i4"), ("trail", "<i4")]
)
"""Where a piece's words begin among those of all; the weight of its question; how many words it has, and how many of
them are question; tokens before its first word and behind its last that belong to the passage."""


class Postings(NamedTuple):
    """The n-grams of all pieces, and the pieces themselves. This is what is saved."""

    grams: NDArray[Any]  # ``GRAM``, by n-gram, piece and position
    pieces: NDArray[Any]  # ``PIECE``
    words: NDArray[np.uint16]  # the low bits of the hash of each word of each piece
    weights: NDArray[np.float32]  # of each word; 0 where no n-gram of the index can cover it
    common: NDArray[np.uint64]  # n-grams in common use in the corpus, ascending


class Lookup(NamedTuple):
    """What makes looking up fast; made from ``Postings`` once, and saved with them."""

    slots: NDArray[np.uint64]  # by the leading bits of n-grams: where those begin, and three of 32 bits for each
    slot_shift: np.uint64
    pairs: NDArray[np.uint64]  # two bits for each pair of words side by side in an n-gram: a long, a short one
    pair_shift: np.uint64
    longest: int  # words of the longest piece


class Batch(NamedTuple):
    """Texts with hits and their tokens, as ``kernels.tokens`` finds them."""

    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]  # of each text's tokens
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    kinds: NDArray[np.uint8]


class Rules(NamedTuple):
    """What counts as a hit; see ``decontam.method.Method``."""

    kind: int
    n: int
    short: int
    drop_labels: bool
    min_words: int
    min_evidence: float
    min_score: float
    min_choices: float
    min_density: float
    max_gap: int
    gap_cost: float
    band: int


class Found(NamedTuple):
    """Hits: stretches of texts that hold enough of a piece, by the numbers of their words that count."""

    text: NDArray[np.int64]
    piece: NDArray[np.int64]
    first: NDArray[np.int64]  # word
    last: NDArray[np.int64]
    lead: NDArray[np.int64]  # tokens before the first word that belong to the item, at most
    trail: NDArray[np.int64]  # and behind the last
    score: NDArray[np.float64]


class Text(NamedTuple):
    """One text of a batch during its scan."""

    number: int
    window: NDArray[np.uint64]  # hashes of its words that count
