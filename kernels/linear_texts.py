"""Linear models over hashed words, pairs of words and runs of letters, many outputs at once.

What a range of tokens gives, for each output k:

    margin = bias[k] + scale[k] * (A / sqrt(a + 8) + C / sqrt(c + 24))

A is the sum of the weights of the range's a words and pairs of neighbouring words, C of its c runs of 3 to 5 letters;
a pair passes over punctuation, and a run of letters may reach over a word's beginning or end, which count as letters.
Words are taken under case folding. Runs of letters are those of words in ASCII alone: there folding is one byte's
business, and what a word brings can be kept, so that of a word that was read before a single entry is looked up. Sums
are of whole numbers, so that neither order nor neighbours change them.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.strings import TextBatch
from kernels.tokens import WORD
from kernels.words import Words

__all__ = ["OUTPUTS", "LinearTexts", "alike", "features", "margins", "worst_tenth"]

OUTPUTS: Final = 16
"""Columns of a table of weights, used or not: a row is one load of 16 bytes."""

_LONGEST: Final = 30
"""Letters of a word of which runs are taken; what follows is left out."""

_FEW_WORDS: Final = 8
_FEW_LETTERS: Final = 24
"""What is added to the counts: a range of few words says little."""

_ALIKE: Final = np.uint64(0x5851F42D4C957F2D)
"""Stands for every word that is to be one and the same word."""

_PAIR: Final = np.uint64(0xD6E8FEB86659FD93)
_RUN: Final = np.uint64(0xA0761D6478BD642F)
_FINAL: Final = np.uint64(0x9E3779B97F4A7C15)
_U32: Final = np.uint64(32)
_U29: Final = np.uint64(29)
_SLOTS: Final = 1 << 13


class LinearTexts(NamedTuple):
    """A model; the number of rows of ``table`` is a power of two."""

    table: NDArray[np.int8]  # (buckets, OUTPUTS)
    scale: NDArray[np.float64]  # OUTPUTS
    bias: NDArray[np.float64]  # OUTPUTS


def margins(batch: TextBatch, found: Words, bounds: NDArray[np.int64], model: LinearTexts) -> NDArray[np.float64]:
    """The margin of each range of tokens and each output; a range without words has the bias alone.

    Args:
        batch: the texts.
        found: their tokens with folded hashes.
        bounds: range i is the tokens ``bounds[i]`` to ``bounds[i + 1]``.
        model: the weights.

    Returns:
        (ranges, OUTPUTS).
    """
    tokens = (found.starts, found.ends, found.hashes, found.kinds)
    return _margins(batch.data, *tokens, bounds, model.table, model.scale, model.bias)


def alike(hashes: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The hashes with all known ones (``kernels.known_runs.known_hashes``) as one word, without letters."""
    return _alike(hashes, known)


def features(
    batch: TextBatch, found: Words, bounds: NDArray[np.int64], buckets: int
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """The same features as rows of a sparse matrix, to train on: offsets, buckets, values."""
    return _features(batch.data, found.starts, found.ends, found.hashes, found.kinds, bounds, buckets)


def worst_tenth(values: NDArray[np.float64], offsets: NDArray[np.int64], without: float) -> NDArray[np.float64]:
    """The mean of the highest tenth (at least one) of each text's rows, column by column.

    Args:
        values: (rows, columns).
        offsets: the texts' ranges of rows.
        without: what a text without rows gets.
    """
    return _worst_tenth(values, offsets, without)


@njit(cache=True, nogil=True, inline="always")
def _mixed(value) -> Any:
    value = (value ^ (value >> _U32)) * _FINAL
    return value ^ (value >> _U29)


@njit(cache=True, nogil=True, inline="always")
def _letter(data, start, size, place) -> Any:
    """A letter of a word between its two ends, which are 1 and 2."""
    if place == 0:
        return np.uint64(1)
    if place == size + 1:
        return np.uint64(2)
    byte = data[start + place - 1]
    return np.uint64(byte + 32 if 65 <= byte <= 90 else byte)


@njit(cache=True, nogil=True)
def _runs_of(data, start, end, mask, out) -> Any:
    """Write the buckets of a word's runs of 3 to 5 letters; return their number, -1 for a word beyond ASCII."""
    size = min(end - start, _LONGEST)
    for at in range(start, end):
        if data[at] >= 0x80:
            return -1
    number = 0
    for first in range(size + 2):
        state = _RUN
        for n in range(5):
            if first + n >= size + 2:
                break
            state = _mixed(state + (_letter(data, start, size, first + n) + np.uint64(1)) * _PAIR)
            if n >= 2:
                out[number] = np.int32(state & mask)
                number += 1
    return number


@njit(cache=True, nogil=True)
def _margins(data, starts, ends, hashes, kinds, bounds, table, scale, bias) -> Any:
    mask = np.uint64(len(table) - 1)
    ranges = len(bounds) - 1
    found = np.empty((ranges, OUTPUTS), np.float64)
    known = np.zeros(_SLOTS, np.uint64)
    kept = np.zeros((_SLOTS, OUTPUTS), np.int32)
    sizes = np.zeros(_SLOTS, np.int64)
    room = np.empty(3 * (_LONGEST + 2), np.int32)
    words = np.empty(OUTPUTS, np.int32)
    letters = np.empty(OUTPUTS, np.int32)
    for i in range(ranges):
        words[:] = 0
        letters[:] = 0
        of_words = 0
        of_letters = 0
        before = np.uint64(0)
        for k in range(bounds[i], bounds[i + 1]):
            if kinds[k] != WORD:
                continue
            hashed = hashes[k]
            row = np.int64(_mixed(hashed) & mask)
            for c in range(OUTPUTS):
                words[c] += table[row, c]
            if of_words:
                row = np.int64(_mixed(hashed + before * _PAIR) & mask)
                for c in range(OUTPUTS):
                    words[c] += table[row, c]
                of_words += 1
            of_words += 1
            before = hashed
            if hashed == _ALIKE:
                continue
            slot = np.int64(hashed & np.uint64(_SLOTS - 1))
            if known[slot] != hashed or hashed == 0:
                number = _runs_of(data, starts[k], ends[k], mask, room)
                if number < 0:
                    continue
                known[slot] = hashed
                sizes[slot] = number
                kept[slot] = 0
                for j in range(number):
                    row = np.int64(room[j])
                    for c in range(OUTPUTS):
                        kept[slot, c] += table[row, c]
            elif data[starts[k]] >= 0x80 or _beyond(data, starts[k], ends[k]):
                continue  # it folds to a word in ASCII ("K" the sign of kelvin), and has no runs wherever it stands
            for c in range(OUTPUTS):
                letters[c] += kept[slot, c]
            of_letters += sizes[slot]
        by_words = 1 / np.sqrt(of_words + _FEW_WORDS)
        by_letters = 1 / np.sqrt(of_letters + _FEW_LETTERS)
        for c in range(OUTPUTS):
            found[i, c] = bias[c] + scale[c] * (words[c] * by_words + letters[c] * by_letters)
    return found


@njit(cache=True, nogil=True, inline="always")
def _beyond(data, start, end) -> Any:
    bits = np.uint8(0)
    for at in range(start, end):
        bits |= data[at]
    return bits >= 0x80


@njit(cache=True, nogil=True)
def _alike(hashes, known) -> Any:
    found = hashes.copy()
    mask = np.uint64(len(known) - 1)
    for k in range(len(hashes)):
        key = hashes[k] | np.uint64(1)
        slot = (key >> np.uint64(1)) & mask
        while known[slot] != 0:
            if known[slot] == key:
                found[k] = _ALIKE
                break
            slot = (slot + np.uint64(1)) & mask
    return found


@njit(cache=True, nogil=True)
def _features(data, starts, ends, hashes, kinds, bounds, buckets) -> Any:
    mask = np.uint64(buckets - 1)
    room = np.empty(3 * (_LONGEST + 2), np.int32)
    offsets = np.zeros(len(bounds), np.int64)
    columns = np.empty(0, np.int32)
    values = np.empty(0, np.float32)
    for write in range(2):
        if write:
            columns = np.empty(offsets[-1], np.int32)
            values = np.empty(offsets[-1], np.float32)
        for i in range(len(bounds) - 1):
            at = offsets[i]
            number = 0
            of_words = 0
            before = np.uint64(0)
            for turn in range(2):  # words and pairs, then letters
                for k in range(bounds[i], bounds[i + 1]):
                    if kinds[k] != WORD:
                        continue
                    if turn == 0:
                        if write:
                            columns[at + number] = np.int32(_mixed(hashes[k]) & mask)
                        number += 1
                        if number > 1:
                            if write:
                                columns[at + number] = np.int32(_mixed(hashes[k] + before * _PAIR) & mask)
                            number += 1
                        before = hashes[k]
                    elif hashes[k] != _ALIKE:
                        runs = _runs_of(data, starts[k], ends[k], mask, room)
                        if runs > 0:
                            if write:
                                columns[at + number : at + number + runs] = room[:runs]
                            number += runs
                if turn == 0:
                    of_words = number
            if write:
                values[at : at + of_words] = 1 / np.sqrt(of_words + _FEW_WORDS)
                values[at + of_words : at + number] = 1 / np.sqrt(number - of_words + _FEW_LETTERS)
            else:
                offsets[i + 1] = offsets[i] + number
    return offsets, columns, values


@njit(cache=True, nogil=True)
def _worst_tenth(values, offsets, without) -> Any:
    texts = len(offsets) - 1
    columns = values.shape[1]
    found = np.full((texts, columns), without, np.float64)
    for i in range(texts):
        first, last = offsets[i], offsets[i + 1]
        count = last - first
        if count == 0:
            continue
        taken = (count + 9) // 10
        for c in range(columns):
            if taken == 1:
                highest = values[first, c]
                for row in range(first + 1, last):
                    highest = max(highest, values[row, c])
                found[i, c] = highest
                continue
            ordered = np.sort(values[first:last, c].copy())
            total = 0.0
            for row in range(count - taken, count):
                total += ordered[row]
            found[i, c] = total / taken
    return found
