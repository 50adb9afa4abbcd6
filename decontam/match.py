"""The scan: n-grams of texts looked up among those of items, and the stretches in which enough of one item is found."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

from decontam.align import scratch
from decontam.cover import cover
from decontam.found import cut_to, grown, room
from decontam.layout import ALIGN, Text
from decontam.lookup import behind, hashed, held, possible, sifted
from decontam.reading import desk, read
from decontam.stretches import stretches
from kernels.blocks import prefetch

__all__ = ["scan"]

# A text with more hits than this (one word repeated, a benchmark in one file) is scored in portions: memory stays
# bounded. A stretch that crosses the border of two portions, one in a million hits, is found in one or both of its
# parts.
_MOST_HITS: Final = 1 << 20

_U32: Final = np.uint64(32)


@njit(cache=True, nogil=True)
def scan(texts, postings, lookup, rules) -> Any:
    """Find the stretches of every text that hold enough of a piece.

    Args:
        texts: ``Texts``.
        postings: ``Postings``.
        lookup: ``Lookup``.
        rules: ``Rules``.

    Returns:
        ``Found``, by text and piece.
    """
    place_of = desk(texts)
    covered = np.zeros(lookup.longest, np.int64)
    space = scratch(lookup.longest)
    found = room(16)
    size = 0
    capacity = 256
    hit = np.empty(capacity, np.uint64)  # piece, and position in the text
    place = np.empty(capacity, np.int64)  # position in the piece
    window, grams = place_of.window, postings.grams
    where, hashes, which = place_of.where, place_of.hashes, place_of.which
    where_short, hashes_short, which_short = place_of.where_short, place_of.hashes_short, place_of.which_short
    for i in range(len(texts.offsets) - 1):
        count = read(texts, i, rules.drop_labels, place_of)
        hits = 0
        text = Text(i, window[:count])
        long, short = sifted(window, count, rules.n, rules.short, lookup, where, where_short)
        hashed(window, where, long, rules.n, lookup, hashes)
        hashed(window, where_short, short, rules.short, lookup, hashes_short)
        long = possible(where, long, True, grams, lookup, hashes, which)
        short = possible(where_short, short, True, grams, lookup, hashes_short, which_short)
        long = held(where, long, grams, hashes, which)
        short = held(where_short, short, grams, hashes_short, which_short)
        for total, first_words, places in ((long, where, which), (short, where_short, which_short)):
            for c in range(total):
                for q in range(places[c], behind(grams, places[c])):
                    if hits == capacity:
                        capacity *= 2
                        hit = grown(hit, capacity)
                        place = grown(place, capacity)
                    gram = grams[q]
                    prefetch(postings.pieces, gram.piece)
                    hit[hits] = (np.uint64(gram.piece) << _U32) | np.uint64(first_words[c])
                    place[hits] = gram.position
                    hits += 1
                if hits >= _MOST_HITS:
                    found, size = _scored(text, hit[:hits], place[:hits], postings, rules, covered, space, found, size)
                    hits = 0
        if hits:
            found, size = _scored(text, hit[:hits], place[:hits], postings, rules, covered, space, found, size)
    return cut_to(found, size)


@njit(cache=True, nogil=True)
def _scored(text, hit, place, postings, rules, covered, space, found, size) -> Any:
    if rules.kind == ALIGN:
        return stretches(text, hit, place, postings, rules, space, found, size)
    return cover(text, hit, place, postings, rules, covered, found, size)
