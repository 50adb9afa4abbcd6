"""Rows of words and of n-grams of words, added up for a whole batch of texts: fastText's ``wordNgrams``.

The features are fastText's (``Dictionary::getLine`` and ``addWordNgrams`` of facebookresearch/fastText 0.9.2): each
word's row and those of its character n-grams, then a row for each run of 2 to n words, the end of the line among them,
by the hash ``h * 116049371 + next`` of the words' own 32-bit hashes. A model may also have no words and look a single
word up by its hash (``hashed``).

A row may be a vector or one number. A linear model of few labels is read with its rows already multiplied by those of
the labels, so that a run of words costs one number fetched: that, what each word of the dictionary adds, made once for
all texts, and a memory of the other words met last, are what makes it many times as fast as the library. Each text's
rows are added in their order alone: neither batches nor order show.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.fasttext import FNV_BASIS, Dictionary, kept_row, step, sum_word
from kernels.known_words import MULTIPLY, NO_WORDS, KnownWords, known_rows, numbers_of
from kernels.mixing import finish

__all__ = ["END", "ngram_rows", "ngram_sums", "word_slots"]

_FACTOR: Final = np.uint64(116049371)
_U1: Final = np.uint64(1)
# Words remembered (the power of two), each in the place that its hash says, a later word taking an earlier one's place:
# as many as the second cache of a core holds, where a row is a few numbers.
_REMEMBERED: Final = 14
_REMEMBERED_SHORT: Final = 17
_FEW: Final = np.uint64(1 << 13)
_STRETCH: Final = 1024  # words gone through at a time
_LABEL: Final = np.frombuffer(b"__label__", np.uint8)


def _hashed(word: bytes) -> np.uint32:
    state = 2166136261
    for byte in word:
        state = ((state ^ (byte | 0xFFFFFF00 if byte > 127 else byte)) * 16777619) & 0xFFFFFFFF
    return np.uint32(state)


END: Final = _hashed(b"</s>")
"""Hash of the end of a line, which is a word to the n-grams."""


def ngram_sums(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    rows: NDArray[np.float32],
    dictionary: Dictionary,
    longest: int,
    *,
    hashed: bool = False,
    known: KnownWords = NO_WORDS,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Add up the rows of every text's words and n-grams of words; the end's own row is not among them.

    Args:
        data: UTF-8 bytes.
        offsets: where each text begins and ends in them.
        rows: a row a word, then a row a bucket that was kept.
        dictionary: where a word's and a bucket's row is.
        longest: words of the longest n-gram, 2 or more (1 where words are hashed).
        hashed: a word has the row of its hash's bucket, whether or not it is in the dictionary.
        known: what ``known_words`` made of the dictionary; words that it has not are looked up as fastText does, and
            remembered.

    Returns:
        Sums (texts, columns of a row), and how many rows each is made of.
    """
    return _sums(data, offsets, rows, dictionary, longest, hashed, *known)


def ngram_rows(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], buckets: int, longest: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The buckets of each text's words and n-grams, for a model without a dictionary: what a trainer goes through.

    Returns:
        Buckets of all texts in order, and where each text's begin (texts + 1).
    """
    return _rows(data, offsets, buckets, longest)


def word_slots(spelling: NDArray[np.uint8], bounds: NDArray[np.int64]) -> NDArray[np.int32]:
    """The open-addressed table of ``Dictionary.slots`` for words in this order."""
    entries = len(bounds) - 1
    return _slots(spelling, bounds, np.full(1 << (2 * entries).bit_length(), -1, np.int32))


@njit(cache=True, nogil=True)
def _slots(spelling, bounds, slots) -> Any:
    mask = len(slots) - 1
    for number in range(len(bounds) - 1):
        state = FNV_BASIS
        for k in range(bounds[number], bounds[number + 1]):
            state = step(state, spelling[k])
        slot = np.int64(state) & mask
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = number
    return slots


@njit(cache=True, nogil=True, inline="always")
def _signed(state) -> Any:
    """A 32-bit hash as fastText puts it into 64 bits: through a signed integer."""
    return np.uint64(np.int64(np.int32(state)))


@njit(cache=True, nogil=True, inline="always")
def _row_of(bucket, dictionary, whole) -> Any:
    """The row of a bucket, -1 where the model has dropped it."""
    if whole:
        return dictionary.words + bucket
    return kept_row(bucket, dictionary)


@njit(cache=True, nogil=True)
def _is_label(data, start, end) -> Any:
    if end - start < len(_LABEL):
        return False
    for k in range(len(_LABEL)):  # noqa: SIM110 (Numba compiles no generator)
        if data[start + k] != _LABEL[k]:
            return False
    return True


@njit(cache=True, nogil=True, inline="always")
def _is_space(byte) -> Any:
    """White space and NUL, as ``Dictionary::readWord`` parts words."""
    return byte <= 32 and (byte == 32 or byte == 0 or 9 <= byte <= 13)


@njit(cache=True, nogil=True, inline="always")
def _bucket_of(value, buckets, share) -> Any:
    """``value % buckets`` by a multiplication.

    The quotient in floating point is at most one beside the true one where it is below 2**52.
    """
    if buckets < _FEW:
        return np.int64(value % buckets)
    rest = np.int64(value - np.uint64(np.float64(value) * share) * buckets)
    if rest < 0:
        return rest + np.int64(buckets)
    if rest >= np.int64(buckets):
        return rest - np.int64(buckets)
    return rest


@njit(cache=True, nogil=True)
def _read(data, at, last, keys, hashes, first) -> Any:
    """Read words into ``keys`` and ``hashes`` from the place ``first`` on until they are full; return where it ended.

    Two hashes are made of each word at once, which costs no more than one: fastText's, and one of 64 bits by which the
    word is remembered.
    """
    m = first
    while at < last and m < len(hashes):
        start = at
        state = FNV_BASIS
        mixed = _U1
        while at < last and not _is_space(data[at]):
            byte = data[at]
            state = step(state, byte)
            mixed = (mixed ^ np.uint64(byte)) * MULTIPLY
            at += 1
        if at > start and not (data[start] == _LABEL[0] and _is_label(data, start, at)):
            keys[m, 0] = finish(mixed ^ np.uint64(at - start))
            keys[m, 1] = np.uint64(start)
            hashes[m] = _signed(state)
            m += 1
        if at < last:
            at += 1
    return at, m


@njit(cache=True, nogil=True)
def _gather(rows, found, met, total) -> Any:
    """Add up the rows whose numbers were found."""
    if rows.shape[1] == 1:
        value = 0.0
        for k in range(met):
            value += np.float64(rows[found[k], 0])
        total[0] += value
    else:
        for k in range(met):
            for d in range(rows.shape[1]):
                total[d] += rows[found[k], d]


@njit(cache=True, nogil=True)
def _sums(data, offsets, rows, dictionary, longest, hashed, table, word_sums, word_counts) -> Any:
    n = len(offsets) - 1
    columns = rows.shape[1]
    buckets = np.uint64(max(dictionary.buckets, 1))
    share = 1.0 / np.float64(buckets)
    ngrams = longest if dictionary.buckets > 0 else 1
    whole = len(rows) == dictionary.words + dictionary.buckets
    summed = len(word_counts) > 0
    remembering = not hashed and (len(table) == 0 or summed)
    sums = np.zeros((n, columns), np.float64)
    counts = np.zeros(n, np.int64)
    power = _REMEMBERED_SHORT if columns <= 4 else _REMEMBERED
    shift = np.uint64(64 - power)
    known = np.zeros(1 << power if remembering else 0, np.uint64)
    known_sums = np.zeros((len(known), columns), np.float32)
    known_counts = np.zeros(len(known), np.int64)
    # Words are gone through a stretch at a time, each thing for all of them, so that what is fetched from memory is
    # asked for before it is waited for.
    keys = np.empty((_STRETCH, 2), np.uint64)
    hashes = np.empty(_STRETCH, np.uint64)
    found = np.empty(_STRETCH, np.int64)
    token = np.empty(256, np.uint8)
    total = np.empty(columns, np.float64)
    for i in range(n):
        at = np.int64(offsets[i])
        last = np.int64(offsets[i + 1])
        carried = 0  # words before the stretch that its runs begin in
        count = np.int64(0)
        total[:] = 0
        ended = False
        while not ended:
            at, m = _read(data, at, last, keys, hashes, carried)
            if hashed:
                met = 0
                for k in range(carried, m):
                    row = _row_of(_bucket_of(hashes[k], buckets, share), dictionary, whole)
                    found[met] = row
                    met += row >= 0
                count += met
                _gather(rows, found, met, total)
            elif not remembering:
                met = known_rows(keys, carried, m, table, found)
                count += met
                _gather(rows, found, met, total)
            else:
                if summed:
                    numbers_of(keys, carried, m, table, found)
                for k in range(carried, m):
                    if summed and found[k] >= 0:
                        count += word_counts[found[k]]
                        for d in range(columns):
                            total[d] += word_sums[found[k], d]
                        continue
                    key = keys[k, 0] | _U1
                    slot = np.int64(key >> shift)
                    if known[slot] != key:
                        known[slot] = key
                        start = np.int64(keys[k, 1])
                        end = start
                        while end < last and not _is_space(data[end]):
                            end += 1
                        if end - start + 2 > len(token):
                            token = np.empty(2 * (end - start + 2), np.uint8)
                        known_counts[slot] = sum_word(data, start, end, rows, dictionary, token, known_sums[slot])
                    count += known_counts[slot]
                    for d in range(columns):
                        total[d] += known_sums[slot, d]
            if at >= last and m < len(hashes):
                hashes[m] = _signed(END)
                m += 1
                ended = True
            for size in range(2, ngrams + 1):
                met = 0
                for k in range(max(0, carried - size + 1), m - size + 1):
                    value = hashes[k]
                    for j in range(k + 1, k + size):
                        value = value * _FACTOR + hashes[j]
                    row = _row_of(_bucket_of(value, buckets, share), dictionary, whole)
                    found[met] = row
                    met += row >= 0
                count += met
                _gather(rows, found, met, total)
            carried = min(ngrams - 1, m)
            for k in range(carried):
                hashes[k] = hashes[m - carried + k]
        for d in range(columns):
            sums[i, d] = total[d]
        counts[i] = count
    return sums, counts


@njit(cache=True, nogil=True)
def _rows(data, offsets, buckets, longest) -> Any:
    n = len(offsets) - 1
    modulus = np.uint64(buckets)
    capacity = ((offsets[n] - offsets[0]) // 2 + 2 * n + 1) * longest
    found = np.empty(capacity, np.int32)
    bounds = np.zeros(n + 1, np.int64)
    chains = np.zeros(longest + 1, np.uint64)
    m = 0
    for i in range(n):
        at = np.int64(offsets[i])
        last = np.int64(offsets[i + 1])
        met = 0
        while at <= last:
            start = at
            state = FNV_BASIS
            while at < last and not _is_space(data[at]):
                state = step(state, data[at])
                at += 1
            if at == start and at < last:
                at += 1
                continue
            if at == start:
                own = _signed(END)
            elif _is_label(data, start, at):
                continue
            else:
                own = _signed(state)
                found[m] = np.int32(own % modulus)
                m += 1
            for size in range(min(met + 1, longest), 1, -1):
                chains[size] = chains[size - 1] * _FACTOR + own
                found[m] = np.int32(chains[size] % modulus)
                m += 1
            chains[1] = own
            met = min(met + 1, longest)
            if at == start:
                break
        bounds[i + 1] = m
    return found[:m].copy(), bounds
