"""The words of a dictionary of fastText's by a hash of 64 bits, and what each adds to its text, made once for all."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.fasttext import Dictionary, sum_word
from kernels.mixing import finish

__all__ = ["MULTIPLY", "NO_WORDS", "KnownWords", "known_rows", "known_words", "numbers_of"]

MULTIPLY: Final = np.uint64(0x9E3779B97F4A7C15)
"""Of the hash of a word: byte by byte from 1 on, its length at the end, and then ``kernels.mixing.finish``."""
_U1: Final = np.uint64(1)
_U32: Final = np.uint64(32)
_LOW: Final = np.uint64(0xFFFFFFFF)


class KnownWords(NamedTuple):
    """The words of a dictionary by a hash of 64 bits, and what each adds to its text."""

    table: NDArray[np.uint64]  # 32 bits of the hash beside the word's number; open addressing
    sums: NDArray[np.float32]  # (words, columns): of its row and its n-grams of characters; empty where there are none
    counts: NDArray[np.int32]  # how many rows that is


NO_WORDS: Final = KnownWords(np.zeros(0, np.uint64), np.zeros((0, 1), np.float32), np.zeros(0, np.int32))
"""Every word is looked up as fastText does, and remembered."""
for _array in NO_WORDS:
    _array.flags.writeable = False


def known_words(rows: NDArray[np.float32], dictionary: Dictionary) -> KnownWords:
    """A table of the dictionary's words, and their sums where they have n-grams of characters.

    A word that is not in it is taken for one that is once in four thousand million times.
    """
    table = np.zeros(max(1024, 1 << (2 * dictionary.words).bit_length()), np.uint64)
    _fill(dictionary.spelling, dictionary.bounds, dictionary.words, table)
    words = dictionary.words if dictionary.longest else 0
    sums, counts = np.zeros((words, rows.shape[1]), np.float32), np.zeros(words, np.int32)
    if words:
        _sum_words(rows, dictionary, sums, counts)
    for array in (table, sums, counts):
        array.flags.writeable = False
    return KnownWords(table, sums, counts)


@njit(cache=True, nogil=True)
def _fill(spelling, bounds, words, table) -> Any:
    mask = np.int64(len(table) - 1)
    for number in range(words):
        mixed = _U1
        for k in range(bounds[number], bounds[number + 1]):
            mixed = (mixed ^ np.uint64(spelling[k])) * MULTIPLY
        key = finish(mixed ^ np.uint64(bounds[number + 1] - bounds[number]))
        slot = np.int64(key >> _U32) & mask
        while table[slot]:
            slot = (slot + 1) & mask
        table[slot] = (key << _U32) | np.uint64(number + 1)


@njit(cache=True, nogil=True)
def _sum_words(rows, dictionary, sums, counts) -> Any:
    token = np.empty(256, np.uint8)
    for number in range(len(counts)):
        start, end = dictionary.bounds[number], dictionary.bounds[number + 1]
        if end - start + 2 > len(token):
            token = np.empty(2 * (end - start + 2), np.uint8)
        counts[number] = sum_word(dictionary.spelling, start, end, rows, dictionary, token, sums[number])


@njit(cache=True, nogil=True, inline="always")
def _number_of(key, table) -> Any:
    """The number of the word with this hash, -1 for one that the table has not."""
    mask = np.int64(len(table) - 1)
    slot = np.int64(key >> _U32) & mask
    tag = key << _U32
    held = table[slot]
    while held and (held ^ tag) > _LOW:
        slot = (slot + 1) & mask
        held = table[slot]
    return np.int64(held & _LOW) - 1


@njit(cache=True, nogil=True)
def known_rows(keys, first, last, table, found) -> Any:
    """Numbers of the words from ``first`` to ``last`` that the table has; how many they are."""
    met = 0
    for k in range(first, last):
        number = _number_of(keys[k, 0], table)
        found[met] = number
        met += number >= 0
    return met


@njit(cache=True, nogil=True)
def numbers_of(keys, first, last, table, found) -> Any:
    """The number of each word from ``first`` to ``last``."""
    for k in range(first, last):
        found[k] = _number_of(keys[k, 0], table)
