"""Where a scan writes its hits, and how a hit's passage reaches to the marks beside its words."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from decontam.layout import Found
from decontam.seeds import kept

__all__ = ["grown", "reported", "room"]

_LOW = np.uint64(0xFFFF)


@njit(cache=True, nogil=True)
def reported(text, piece, first, last, before, after, score, batch, postings, rules, found, size) -> Any:
    """Write a hit: words ``first`` to ``last`` of the text, ``before`` to ``after`` (exclusive) of the piece.

    Words beside them may belong to the item too: templates, and what a change has cut off.
    """
    if size == len(found.text):
        found = _more(found)
    base = postings.piece_offsets[piece]
    length = postings.piece_offsets[piece + 1] - base
    while before > 0 and first > 0 and _same(text.window[first - 1], postings.words[base + before - 1]):
        before -= 1
        first -= 1
    while after < length and last + 1 < len(text.window) and _same(text.window[last + 1], postings.words[base + after]):
        after += 1
        last += 1
    bounds = batch.offsets[text.number], batch.offsets[text.number + 1]
    lead = postings.lead[piece] if before == 0 else 0
    trail = postings.trail[piece] if after == length else 0
    head = _reach(text.token[first], -1, lead, bounds, batch, rules.drop_labels)
    tail = _reach(text.token[last], 1, trail, bounds, batch, rules.drop_labels)
    found.text[size] = text.number
    found.piece[size] = piece
    found.start[size] = batch.starts[head]
    found.end[size] = batch.ends[tail]
    found.score[size] = score
    return found, size + 1


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
    whole = np.zeros((4, size), np.int64)
    return Found(whole[0].copy(), whole[1].copy(), whole[2].copy(), whole[3].copy(), np.zeros(size))


@njit(cache=True, nogil=True)
def _more(found) -> Any:
    size = 2 * len(found.text)
    return Found(
        grown(found.text, size),
        grown(found.piece, size),
        grown(found.start, size),
        grown(found.end, size),
        grown(found.score, size),
    )


@njit(cache=True, nogil=True)
def grown(values, capacity) -> Any:
    """Copy an array into a larger one."""
    larger = np.empty(capacity, values.dtype)
    larger[: len(values)] = values
    return larger
