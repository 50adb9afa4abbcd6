"""What a scan reads of a text: the hashes of its words that count, look-alikes folded, one text at a time."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from decontam.folding import fold, look_alikes
from kernels.blocks import SPARE, at_least_a_block
from kernels.plain_text import NOT_PLAIN, characters, plain
from kernels.strings import TextBatch
from kernels.unicode import Unicode, unicode_tables
from kernels.word_hashes import PADDING, decoded_word_hashes, plain_word_hashes, reader

__all__ = ["Desk", "Texts", "desk", "read", "texts_of"]


class Texts(NamedTuple):
    """Texts as they come, with the tables that reading takes."""

    data: NDArray[np.uint8]  # at least a block
    offsets: NDArray[np.int64]
    look_alikes: NDArray[np.uint8]
    characters: NDArray[np.uint64]  # what becomes of each in a plain text
    unicode: Unicode


class Desk(NamedTuple):
    """Room for the text that is read."""

    written: NDArray[np.uint8]  # the text put plainly, or folded
    room: Any  # kernels.word_hashes.Reader
    window: NDArray[np.uint64]
    where: NDArray[np.int64]  # the first words of candidates for n-grams of items
    hashes: NDArray[np.uint64]  # of the candidates
    which: NDArray[np.int64]  # which n-grams those found are
    where_short: NDArray[np.int64]  # the same of the short ones
    hashes_short: NDArray[np.uint64]
    which_short: NDArray[np.int64]


def texts_of(batch: TextBatch) -> Texts:
    """Put the tables beside the texts."""
    return Texts(at_least_a_block(batch.data), batch.offsets, look_alikes(), _characters(), unicode_tables())


@cache
def _characters() -> NDArray[np.uint64]:
    return characters(look_alikes())


@njit(cache=True, nogil=True)
def desk(texts) -> Any:
    """Make room for the longest of the texts."""
    longest = 0
    for i in range(len(texts.offsets) - 1):
        longest = max(longest, texts.offsets[i + 1] - texts.offsets[i])
    return Desk(
        np.zeros(2 * longest + PADDING, np.uint8),
        reader(longest, texts.unicode),
        np.empty(longest + 1, np.uint64),
        np.empty(longest + SPARE, np.int64),
        np.empty(longest + 1, np.uint64),
        np.empty(longest + 1, np.int64),
        np.empty(longest + SPARE, np.int64),
        np.empty(longest + 1, np.uint64),
        np.empty(longest + 1, np.int64),
    )


@njit(cache=True, nogil=True)
def read(texts, i, drop_labels, place) -> Any:
    """Read a text: its words that count stand in ``place.window`` then; return how many they are."""
    data, begin, end = texts.data, texts.offsets[i], texts.offsets[i + 1]
    written, room = place.written, place.room
    size = plain(data, begin, end, texts.characters, room.natures, written)
    if size != NOT_PLAIN:
        return plain_word_hashes(written, size, drop_labels, room, place.window)
    size = fold(data, begin, end, texts.look_alikes, written)
    return decoded_word_hashes(written, size, drop_labels, room, place.window)
