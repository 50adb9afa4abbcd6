"""Fixed phrases in a batch of texts: how often each occurs, and in which lines."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.blocks import at_least_a_block, bits_below, first_bit, last_block, mask_equal, mask_pair
from kernels.lines import Lines
from kernels.occurrences import PhraseGroup, count_occurrences, finder, rarest_pair
from kernels.strings import TextBatch

__all__ = ["begins_with", "count_phrases", "ends_with", "phrase_lines", "words_with"]


def count_phrases(batch: TextBatch, phrases: Sequence[str]) -> NDArray[np.int64]:
    """Occurrences of each phrase in each text, not overlapping, as ``str.count``.

    Returns:
        (texts, phrases).

    Raises:
        ValueError: an empty phrase.
    """
    starts, ends = batch.offsets[:-1], batch.offsets[1:]
    return _count(at_least_a_block(batch.data), starts, ends, *_compiled(tuple(phrases))).astype(np.int64)


def phrase_lines(batch: TextBatch, found: Lines, phrases: Sequence[str]) -> NDArray[np.bool_]:
    """Which lines hold which phrase, in any mixture of ASCII upper and lower case.

    Args:
        batch: the texts.
        found: their lines.
        phrases: lower case.

    Returns:
        (lines, phrases).

    Raises:
        ValueError: an empty phrase.
    """
    groups = tuple(PhraseGroup((phrase,), fold=True) for phrase in phrases)
    return count_occurrences(batch, found.starts, found.ends, finder(groups)) > 0


def words_with(
    batch: TextBatch,
    offsets: NDArray[np.int64],
    ends: NDArray[np.int64],
    some: NDArray[np.bool_],
    signs: Sequence[str],
) -> NDArray[np.int64]:
    """How many words of each text hold one of the signs.

    Args:
        batch: the texts.
        offsets: each text's range of words.
        ends: where each word ends; every sign of a text stands in one of its words.
        some: which texts hold such a sign at all; no others are read.
        signs: single characters.
    """
    encoded, bounds, _ = _compiled(tuple(signs))
    return _words_with(at_least_a_block(batch.data), batch.offsets, offsets, ends, some, encoded, bounds)


@lru_cache(maxsize=64)
def _compiled(phrases: tuple[str, ...]) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """The phrases' bytes in a row, their bounds there, and the place in each of its rarest pair of bytes."""
    encoded = [phrase.encode() for phrase in phrases]
    if not all(encoded):
        raise ValueError(f"phrases: found {list(phrases)}, expected none empty")
    bounds = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    places = np.array([rarest_pair(phrase) for phrase in encoded], np.int64)
    for table in (bounds, places):
        table.flags.writeable = False
    return np.frombuffer(b"".join(encoded), np.uint8), bounds, places


@njit(cache=True, nogil=True)
def _count(data, starts, ends, phrases, bounds, places) -> Any:
    """Occurrences of every phrase between each start and end, in one walk; the ranges rise and do not overlap."""
    number = len(places)
    counts = np.zeros((len(starts), number), np.int32)
    if len(starts) == 0:
        return counts
    free = np.full(number, starts[0])  # where the next occurrence may begin
    rows = np.zeros(number, np.int64)  # the range of the last one
    last = ends[-1]
    for base in range(starts[0], last, 64):
        here = bits_below(last - base)
        for p in range(number):
            first = bounds[p]
            size = bounds[p + 1] - first
            apart = min(size, 2) - 1
            low = first + places[p]
            at = last_block(base, len(data) - apart)
            candidates = mask_pair(data, at, phrases[low], apart, phrases[low + apart], np.uint8(0))
            candidates = (candidates >> np.uint64(base - at)) & here
            while candidates:
                begin = base + first_bit(candidates) - places[p]
                candidates &= candidates - np.uint64(1)
                if begin < free[p]:
                    continue
                row = rows[p]
                while row < len(ends) and ends[row] <= begin:
                    row += 1
                rows[p] = row
                if row == len(ends) or begin < starts[row] or begin + size > ends[row]:
                    continue
                k = 0
                while k < size and data[begin + k] == phrases[first + k]:
                    k += 1
                if k == size:
                    counts[row, p] += 1
                    free[p] = begin + size
    return counts


@njit(cache=True, nogil=True)
def _words_with(data, text_offsets, offsets, ends, some, signs, bounds) -> Any:
    counts = np.zeros(len(offsets) - 1, np.int64)
    for i in range(len(counts)):
        if not some[i]:
            continue
        end = text_offsets[i + 1]
        free = text_offsets[i]  # where the word that was counted last ends
        for base in range(text_offsets[i], end, 64):
            at = last_block(base, len(data))
            found = np.uint64(0)
            for p in range(len(bounds) - 1):
                found |= mask_equal(data, at, signs[bounds[p]])
            found = (found >> np.uint64(base - at)) & bits_below(end - base)
            while found:
                place = base + first_bit(found)
                found &= found - np.uint64(1)
                if place < free:
                    continue
                for p in range(len(bounds) - 1):
                    size = bounds[p + 1] - bounds[p]
                    k = 0
                    while k < size and place + k < end and data[place + k] == signs[bounds[p] + k]:
                        k += 1
                    if k == size:
                        counts[i] += 1
                        free = ends[np.searchsorted(ends[offsets[i] : offsets[i + 1]], place + 1) + offsets[i]]
                        break
    return counts


def begins_with(
    batch: TextBatch,
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    phrases: Sequence[str],
    *,
    fold: bool = False,
) -> NDArray[np.bool_]:
    """Which of the ranges of bytes begin with one of the phrases; with ``fold`` (lower case) in any ASCII case."""
    return _affixed(batch, starts, ends, phrases, at_end=False, fold=fold)


def ends_with(
    batch: TextBatch,
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    phrases: Sequence[str],
    *,
    fold: bool = False,
) -> NDArray[np.bool_]:
    """Which of the ranges of bytes end with one of the phrases; with ``fold`` (lower case) in any ASCII case."""
    return _affixed(batch, starts, ends, phrases, at_end=True, fold=fold)


def _affixed(
    batch: TextBatch,
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    phrases: Sequence[str],
    *,
    at_end: bool,
    fold: bool,
) -> NDArray[np.bool_]:
    compiled = _compiled(tuple(phrases))[:2]
    return _affix(batch.data, starts, ends, *compiled, _edges(tuple(phrases), at_end, fold), at_end, fold)


@lru_cache(maxsize=64)
def _edges(phrases: tuple[str, ...], at_end: bool, fold: bool) -> NDArray[np.bool_]:
    """The bytes that a phrase has at this end."""
    edges = np.zeros(256, np.bool_)
    for phrase in phrases:
        byte = phrase.encode()[-1 if at_end else 0]
        edges[[byte, byte ^ 32 if fold and 97 <= byte <= 122 else byte]] = True
    edges.flags.writeable = False
    return edges


@njit(cache=True, nogil=True)
def _affix(data, starts, ends, phrases, bounds, edges, at_end, fold) -> Any:
    found = np.zeros(len(starts), np.bool_)
    for i in range(len(starts)):
        if starts[i] >= ends[i] or not edges[data[ends[i] - 1 if at_end else starts[i]]]:
            continue
        for p in range(len(bounds) - 1):
            size = bounds[p + 1] - bounds[p]
            if ends[i] - starts[i] < size:
                continue
            begin = ends[i] - size if at_end else starts[i]
            k = 0
            while k < size:
                byte = data[begin + k]
                if fold and 65 <= byte <= 90:
                    byte += 32
                if byte != phrases[bounds[p] + k]:
                    break
                k += 1
            if k == size:
                found[i] = True
                break
    return found
