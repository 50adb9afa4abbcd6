"""Passages that a corpus repeats word for word (Lee et al. 2107.06499, section 4.1: substrings of at least 50 tokens).

Tokens are those of `kernels.words` as they are spelled; white space between them does not count. A window of
`min_tokens` tokens of which the corpus holds more than one stays where it is first, in the order of rank, id and place,
and goes everywhere else: every token that lies in a later occurrence is cut. Of what is left

- no run of `min_tokens` tokens that stood in a row occurs twice: each of its later occurrences is cut;
- no token is lost for good: what is cut has an earlier copy, and so on to a copy that lies in no later occurrence.

Lee et al. drop all occurrences, or keep one at random; here the kept one is told. Theirs are 50 tokens of GPT-2's
vocabulary, about 40 words. Cuts lie between tokens and therefore between characters.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from dedup.repeats import KnownKeys, Repeated, find, occurrences
from dedup.spans import Cut, cut_tokens
from dedup.suffix_array import later_copies
from dedup.windows import anchors, windows
from kernels.strings import TextBatch, portions, text_batch
from kernels.tokens import tokens
from kernels.words import folded_words, token_spelling

__all__ = ["SubstringConfig", "Tokenised", "anchor_keys", "cut", "repeated_spans", "tokenised", "window_keys"]

_PIECE_BYTES = 1 << 20


class SubstringConfig(BaseModel):
    """What counts as a repeated passage.

    `profile` says when tokens are equal: "formal" as they are spelled, "words" in whatever letter case.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_tokens: Annotated[int, Field(ge=2, le=10_000)] = 50
    profile: Literal["formal", "words"] = "formal"

    @property
    def anchor(self) -> int:
        """Tokens in an anchor (`dedup.windows`): half a window."""
        return max(1, self.min_tokens // 2)


class Tokenised(NamedTuple):
    """The tokens of a batch of texts; those of text ``i`` have the numbers ``offsets[i]`` to ``offsets[i + 1]``."""

    batch: TextBatch
    offsets: NDArray[np.int64]
    starts: NDArray[np.int64]  # byte position in the batch's data
    ends: NDArray[np.int64]
    hashes: NDArray[np.uint64]


def tokenised(text: pa.Array[Any] | pa.ChunkedArray[Any], config: SubstringConfig) -> Tokenised:
    """Split texts into tokens and hash them."""
    batch = text_batch(text)
    offsets = [np.zeros(1, np.int64)]
    parts: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint64]]] = []
    total = 0
    for piece in portions(batch, _PIECE_BYTES):
        found = tokens(piece)
        hashed = token_spelling if config.profile == "formal" else folded_words
        offsets.append(found.offsets[1:] + total)
        parts.append((found.starts, found.ends, hashed(piece, found).hashes))
        total += len(found.starts)
    starts, ends, hashes = (np.concatenate(one) for one in zip(*parts, strict=True))
    return Tokenised(batch, np.concatenate(offsets), starts, ends, hashes)


def anchor_keys(text: pa.Array[Any] | pa.ChunkedArray[Any], group: int, config: SubstringConfig) -> pa.Table:
    """Sum the anchors of a batch of documents, for `dedup.repeats.repeated`; which is the first does not matter."""
    found = tokenised(text, config)
    keys, _, _ = anchors(found.offsets, found.hashes, config.min_tokens, config.anchor)
    nobody = pa.array([""])
    zeros = np.zeros(len(keys), np.int64)
    return occurrences(keys, zeros, zeros, nobody, np.zeros(1, np.int32), group)


def window_keys(
    text: pa.Array[Any] | pa.ChunkedArray[Any],
    ids: pa.Array[Any],
    rank: NDArray[np.int32],
    group: int,
    anchored: KnownKeys,
    config: SubstringConfig,
) -> pa.Table:
    """Sum the windows of a batch of documents that have a repeated anchor, for `dedup.repeats.repeated`.

    Args:
        text: the documents' texts.
        ids: their ids.
        rank: their ranks.
        group: number of the documents' group.
        anchored: keys of the anchors that are repeated.
        config: parameters.
    """
    found = tokenised(text, config)
    some = windows(found.offsets, found.hashes, config.min_tokens, config.anchor, anchored)
    return occurrences(some.keys, some.row, some.place, ids, rank, group)


def cut(
    text: pa.Array[Any] | pa.ChunkedArray[Any],
    ids: pa.Array[Any],
    anchored: KnownKeys,
    known: Repeated,
    config: SubstringConfig,
) -> Cut:
    """Cut what is repeated out of documents, given the anchors and windows that are repeated among their group.

    In the result, `source` is the number (in `known.ids`) of a document that keeps the span's beginning.
    """
    found = tokenised(text, config)
    some = windows(found.offsets, found.hashes, config.min_tokens, config.anchor, anchored)
    repeat = find(some.keys, known.known)
    hit = np.flatnonzero(repeat >= 0)
    stays = known.first_of(repeat[hit], ids, some.row[hit]) & (known.places[repeat[hit]] == some.place[hit])
    hit = hit[~stays]
    first = found.offsets[some.row[hit]] + some.place[hit]
    return cut_tokens(found, _covered(first, config.min_tokens, len(found.hashes)), first, repeat[hit])


def repeated_spans(text: pa.Array[Any] | pa.ChunkedArray[Any], config: SubstringConfig | None = None) -> Cut:
    """Cut what is repeated among texts that fit into memory, by a suffix array: earlier texts keep it.

    The same answer as that of the windows over a whole corpus, found in another way: token by token, 56 bytes of memory
    each.
    """
    config = config or SubstringConfig()
    found = tokenised(text, config)
    gone = later_copies(found.offsets, found.hashes, config.min_tokens)
    return cut_tokens(found, gone, np.zeros(0, np.int64), np.zeros(0, np.int64))


def _covered(first: NDArray[np.int64], size: int, count: int) -> NDArray[np.bool_]:
    """Mark the tokens of windows that begin at the given places."""
    edges = np.zeros(count + 1, np.int64)
    np.add.at(edges, first, 1)
    np.add.at(edges, first + size, -1)
    return np.cumsum(edges)[:-1] > 0
