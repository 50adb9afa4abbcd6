"""The words by which items and texts are compared.

Only words of ``kernels.words`` count, case-folded: punctuation and symbols are left out, and with them line breaks,
Markdown, HTML entities' leftovers, TeX's dollars and the spelling of operators. With ``drop_labels`` the single letters
a to j are left out too: they are option labels ("B. television") more often than anything that tells an item from
another text.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from decontam.folding import folded
from decontam.seeds import kept_words
from kernels.strings import portions, text_batch
from kernels.tokens import Tokens as Found
from kernels.tokens import tokens as tokens_of
from kernels.words import folded_spelling, token_spelling

__all__ = ["PART_BYTES", "Tokens", "tokens"]

# Bytes of text whose words are in memory at a time; borders lie between texts and change nothing.
PART_BYTES = 1 << 19


class Tokens(NamedTuple):
    """The words that count of ``n`` texts; those of text ``i`` are ``hashes[offsets[i]:offsets[i + 1]]``."""

    offsets: NDArray[np.int64]
    hashes: NDArray[np.uint64]
    lead: NDArray[np.int64]  # per text: tokens of any kind before its first word that counts
    trail: NDArray[np.int64]  # and after its last


def tokens(text: pa.Array[Any] | pa.ChunkedArray[Any], drop_labels: bool) -> Tokens:
    """Return the words that count of every text, in order."""
    offsets = [np.zeros(1, np.int64)]
    columns: list[tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]] = []
    total = 0
    for portion in portions(text_batch(text), PART_BYTES):
        part = folded(portion)
        found = tokens_of(part)
        hashes = folded_spelling(part, found, token_spelling(part, found))
        counts, rest = _words_that_count(part.data, found, hashes, drop_labels)
        offsets.append(counts[1:] + total)
        total += int(counts[-1])
        columns.append(rest)
    if not columns:
        empty = np.zeros(0, np.int64)
        return Tokens(np.zeros(1, np.int64), np.zeros(0, np.uint64), empty, empty)
    hashes, lead, trail = (np.concatenate(column) for column in zip(*columns, strict=True))
    return Tokens(np.concatenate(offsets), hashes, lead, trail)


def _words_that_count(data: NDArray[np.uint8], found: Found, hashes: NDArray[np.uint64], drop_labels: bool) -> Any:
    offsets, kept, lead, trail = kept_words(
        data, found.offsets, found.starts, found.ends, hashes, found.kinds, drop_labels
    )
    return offsets, (kept, lead, trail)
