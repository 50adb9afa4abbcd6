"""The arrays that the compiled loops read and write."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["ALIGN", "COVER", "RUN", "Batch", "Found", "Lookup", "Postings", "Rules", "Text"]

ALIGN: Final = 0  # score by alignment
COVER: Final = 1  # by the share that n-grams cover
RUN: Final = 2  # any n-gram is enough


class Postings(NamedTuple):
    """The n-grams of all pieces, and the pieces themselves. This is what is saved."""

    grams: NDArray[np.uint64]  # ascending, each once
    offsets: NDArray[np.int64]  # g + 1: the postings of each n-gram
    piece: NDArray[np.int32]
    position: NDArray[np.int32]  # of the n-gram's first word in the piece
    piece_offsets: NDArray[np.int64]  # p + 1
    words: NDArray[np.uint16]  # the low bits of the hash of each word of each piece
    weights: NDArray[np.float32]  # of each word; 0 where no n-gram of the index can cover it
    question: NDArray[np.int64]  # words of each piece that are question
    asked: NDArray[np.float64]  # weight of these words
    common: NDArray[np.uint64]  # n-grams in common use in the corpus, ascending
    lead: NDArray[np.int64]
    trail: NDArray[np.int64]


class Lookup(NamedTuple):
    """What makes looking up fast; made from ``Postings`` once, and saved with them."""

    bits: NDArray[np.uint64]  # a Bloom filter: three bits of one word for each n-gram, at least 16 bits for each
    bit_shift: np.uint64
    directory: NDArray[Any]  # where n-grams with given leading bits begin
    directory_shift: np.uint64
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
