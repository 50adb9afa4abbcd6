"""Where a scan writes its hits, and how a hit's passage reaches to the marks beside its words.

A scan knows the words of a text alone. Where they lie in it is asked only of the few texts that have a hit.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from decontam.layout import Found
from decontam.seeds import kept

__all__ = ["cut_to", "grown", "placed", "reported", "room"]

_LOW = np.uint64(0xFFFF)


@njit(cache=True, nogil=True)
def reported(text, piece, first, last, before, after, score, postings, found, size) -> Any:
    """Write a hit: words ``first`` to ``last`` of the text, ``before`` to ``after`` (exclusive) of the piece.

    Words beside them may belong to the item too: templates, and what a change has cut off.
    """
    if size == len(found.text):
        found = _more(found)
    base, length = postings.pieces[piece].begin, np.int64(postings.pieces[piece].words)
    while before > 0 and first > 0 and _same(text.window[first - 1], postings.words[base + before - 1]):
        before -= 1
        first -= 1
    while after < length and last + 1 < len(text.window) and _same(text.window[last + 1], postings.words[base + after]):
        after += 1
        last += 1
    found.text[size] = text.number
    found.piece[size] = piece
    found.first[size] = first
    found.last[size] = last
    found.lead[size] = postings.pieces[piece].lead if before == 0 else 0
    found.trail[size] = postings.pieces[piece].trail if after == length else 0
    found.score[size] = score
    return found, size + 1


@njit(cache=True, nogil=True)
def placed(found, number, batch, drop_labels) -> Any:
    """Turn the words of hits into bytes of their texts.

    Args:
        found: ``Found``, those of one text together.
        number: of each hit's text in the batch.
        batch: ``Batch``.
        drop_labels: as in the scan.

    Returns:
        The first byte of each passage and the one behind its last.
    """
    starts = np.empty(len(number), np.int64)
    ends = np.empty(len(number), np.int64)
    token = np.empty(1, np.int64)  # which token each word of a text is
    text = np.int64(-1)
    for k in range(len(number)):
        bounds = batch.offsets[number[k]], batch.offsets[number[k] + 1]
        if number[k] != text:
            text = number[k]
            if len(token) <= bounds[1] - bounds[0]:
                token = np.empty(bounds[1] - bounds[0] + 1, np.int64)
            count = 0
            for t in range(bounds[0], bounds[1]):
                token[count] = t
                count += kept(batch.data, batch.starts[t], batch.ends[t], batch.kinds[t], drop_labels)
        starts[k] = batch.starts[_reach(token[found.first[k]], -1, found.lead[k], bounds, batch, drop_labels)]
        ends[k] = batch.ends[_reach(token[found.last[k]], 1, found.trail[k], bounds, batch, drop_labels)]
    return starts, ends


@njit(cache=True, nogil=True)
def _same(word, low_bits) -> Any:
    """Tell whether a word is that of a piece; one in 65,536 others passes too."""
    return np.uint16(word & _LOW) == low_bits


@njit(cache=True, nogil=True)
def _reach(token, step, most, bounds, batch, drop_labels) -> Any:
    """Move over tokens that do not count but belong to the item: a quotation mark before, a question mark after."""
    for _ in range(most):
        beside = token + step
        if beside < bounds[0] or beside >= bounds[1]:
            break
        if kept(batch.data, batch.starts[beside], batch.ends[beside], batch.kinds[beside], drop_labels):
            break
        token = beside
    return token


@njit(cache=True, nogil=True)
def room(size) -> Any:
    """Make room for hits."""
    return Found(
        np.zeros(size, np.int64),
        np.zeros(size, np.int64),
        np.zeros(size, np.int64),
        np.zeros(size, np.int64),
        np.zeros(size, np.int64),
        np.zeros(size, np.int64),
        np.zeros(size),
    )


@njit(cache=True, nogil=True)
def cut_to(found, size) -> Any:
    """Give up the room that no hit has taken."""
    return Found(
        found.text[:size],
        found.piece[:size],
        found.first[:size],
        found.last[:size],
        found.lead[:size],
        found.trail[:size],
        found.score[:size],
    )


@njit(cache=True, nogil=True)
def _more(found) -> Any:
    size = 2 * len(found.text)
    return Found(
        grown(found.text, size),
        grown(found.piece, size),
        grown(found.first, size),
        grown(found.last, size),
        grown(found.lead, size),
        grown(found.trail, size),
        grown(found.score, size),
    )


@njit(cache=True, nogil=True)
def grown(values, capacity) -> Any:
    """Copy an array into a larger one."""
    larger = np.empty(capacity, values.dtype)
    larger[: len(values)] = values
    return larger
