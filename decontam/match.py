"""The scan: n-grams of texts looked up among those of items, and the stretches in which enough of one item is found."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

from decontam.align import scratch
from decontam.cover import cover
from decontam.found import grown, room
from decontam.layout import ALIGN, Found, Text
from decontam.seeds import bits_of, kept, known_gram, power, roll
from decontam.stretches import stretches
from kernels.mixing import finish

__all__ = ["scan"]

# A text with more hits than this (one word repeated, a benchmark in one file) is scored in portions: memory stays
# bounded. A stretch that crosses the border of two portions, one in a million hits, is found in one or both of its
# parts.
_MOST_HITS: Final = 1 << 20

_U32: Final = np.uint64(32)


@njit(cache=True, nogil=True)
def scan(batch, postings, lookup, rules) -> Any:
    """Find the stretches of every text that hold enough of a piece.

    Three passes over each text, the first two without branches: the n-grams of its words, those that the Bloom
    filter knows, and the places of these in the pieces.

    Args:
        batch: ``Batch``.
        postings: ``Postings``.
        lookup: ``Lookup``.
        rules: ``Rules``.

    Returns:
        ``Found``, by text and piece.
    """
    longest = 0
    for i in range(len(batch.offsets) - 1):
        longest = max(longest, batch.offsets[i + 1] - batch.offsets[i])
    window = np.empty(longest + 1, np.uint64)  # hashes of the words that count
    token = np.empty(longest + 1, np.int64)  # and which tokens they are
    grams = np.empty(2 * longest + 2, np.uint64)
    candidates = np.empty(2 * longest + 2, np.int64)
    covered = np.zeros(lookup.longest, np.int64)
    space = scratch(lookup.longest)
    found = room(16)
    size = 0
    capacity = 256
    hit = np.empty(capacity, np.uint64)  # piece, and position in the text
    place = np.empty(capacity, np.int64)  # position in the piece
    n, short = rules.n, rules.short
    oldest, oldest_short = power(n), power(short)
    data, starts, ends, hashes, kinds = batch.data, batch.starts, batch.ends, batch.hashes, batch.kinds
    bits, bit_shift = lookup.bits, lookup.bit_shift
    directory, directory_shift = lookup.directory, lookup.directory_shift
    known = postings.grams
    for i in range(len(batch.offsets) - 1):
        count = 0
        for t in range(batch.offsets[i], batch.offsets[i + 1]):
            window[count] = hashes[t]
            token[count] = t
            count += kept(data, starts[t], ends[t], kinds[t], rules.drop_labels)
        if count < max(1, min(n, short) if short else n):
            continue
        total = 0
        if count >= n:
            rolling = np.uint64(0)
            for k in range(n - 1):
                rolling = roll(rolling, window[k], np.uint64(0), oldest)
            leaving = np.uint64(0)
            previous = np.uint64(0)
            for k in range(count - n + 1):
                rolling = roll(rolling, window[k + n - 1], leaving, oldest)
                leaving = window[k]
                gram = finish(rolling)
                grams[total] = gram
                wanted = bits_of(gram)
                candidates[total] = k
                # A run of one word is looked up once.
                total += np.int64(bits[gram >> bit_shift] & wanted == wanted) & np.int64(gram != previous)
                previous = gram
        if short and count >= short:
            rolling = np.uint64(0)
            for k in range(short - 1):
                rolling = roll(rolling, window[k], np.uint64(0), oldest_short)
            leaving = np.uint64(0)
            previous = np.uint64(0)
            for k in range(count - short + 1):
                rolling = roll(rolling, window[k + short - 1], leaving, oldest_short)
                leaving = window[k]
                gram = finish(rolling)
                grams[total] = gram
                wanted = bits_of(gram)
                candidates[total] = k
                total += np.int64(bits[gram >> bit_shift] & wanted == wanted) & np.int64(gram != previous)
                previous = gram
        hits = 0
        text = Text(i, window[:count], token)
        for c in range(total):
            k = candidates[c]
            at = known_gram(grams[c], known, directory, directory_shift)
            if at < 0:
                continue
            for q in range(postings.offsets[at], postings.offsets[at + 1]):
                if hits == capacity:
                    capacity *= 2
                    hit = grown(hit, capacity)
                    place = grown(place, capacity)
                hit[hits] = (np.uint64(postings.piece[q]) << _U32) | np.uint64(k)
                place[hits] = postings.position[q]
                hits += 1
            if hits >= _MOST_HITS:
                found, size = _scored(
                    text, hit[:hits], place[:hits], batch, postings, rules, covered, space, found, size
                )
                hits = 0
        if hits:
            found, size = _scored(text, hit[:hits], place[:hits], batch, postings, rules, covered, space, found, size)
    return Found(found.text[:size], found.piece[:size], found.start[:size], found.end[:size], found.score[:size])


@njit(cache=True, nogil=True)
def _scored(text, hit, place, batch, postings, rules, covered, space, found, size) -> Any:
    if rules.kind == ALIGN:
        return stretches(text, hit, place, batch, postings, rules, space, found, size)
    return cover(text, hit, place, batch, postings, rules, covered, found, size)
