"""Any n-gram of an item is enough, unless it is in common use in the corpus (AFM; with one length, GPT-3).

The longest n-gram of an item that begins at a word of the text decides: every shorter one there is at least as common.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

from decontam.found import cut_to, grown, reported, room
from decontam.layout import Text
from decontam.lookup import behind, confirmed, sifted
from decontam.reading import desk, read
from decontam.seeds import gram_hash

__all__ = ["MOST_HITS", "counted", "scan_runs"]

MOST_HITS: Final = 10_000
"""Passages of one text that a scan lists; the others are counted."""
_MOST_GRAMS: Final = 1 << 20
"""n-grams of one text that are held at a time, each once for every item that has it. One in a million passages may be
parted where they are too many."""

_U32: Final = np.uint64(32)
_LOW: Final = np.uint64(0xFFFFFFFF)
_LOW_16: Final = np.uint64(0xFFFF)


@njit(cache=True, nogil=True)
def _extent(window, count, k, postings, q, n, longest) -> Any:
    """Return how many words from ``k`` on, up to ``longest``, are those of a posting's piece from its place on."""
    gram = postings.grams[q]
    piece = postings.pieces[gram.piece]
    at = piece.begin + gram.position
    most = min(min(longest, count - k), np.int64(piece.words - gram.position))
    size = n
    while size < most and np.uint16(window[k + size] & _LOW_16) == postings.words[at + size]:
        size += 1
    return size


@njit(cache=True, nogil=True)
def _is_common(gram, common) -> Any:
    at = np.searchsorted(common, gram)
    return at < len(common) and common[at] == gram


@njit(cache=True, nogil=True)
def scan_runs(texts, postings, lookup, rules, longest) -> Any:
    """Find every n-gram of an item that is not in common use; n-grams that meet or overlap are one passage.

    Arguments as ``decontam.match.scan``; ``longest`` is the number of words of the longest n-gram. The score is the
    share of the item's words in the passage.

    Returns:
        ``Found``, of each text at most ``MOST_HITS``, and how many more each text has.
    """
    place_of = desk(texts)
    window, where, which = place_of.window, place_of.where, place_of.which
    found = room(16)
    beyond = np.zeros(len(texts.offsets) - 1, np.int64)
    size = 0
    capacity = 256
    hit = np.empty(capacity, np.uint64)  # piece, and position in the text
    reach = np.empty(capacity, np.int64)  # words
    place = np.empty(capacity, np.int64)  # position in the piece
    n = rules.n
    for i in range(len(texts.offsets) - 1):
        count = read(texts, i, rules.drop_labels, place_of)
        total, _ = sifted(window, count, n, 0, lookup, where, place_of.where_short)
        total = confirmed(window, where, total, n, False, postings.grams, lookup, place_of.hashes, which)
        hits = 0
        listed = 0
        for c in range(total):
            k = where[c]
            first, last = which[c], behind(postings.grams, which[c])
            best = 0
            for q in range(first, last):
                best = max(best, _extent(window, count, k, postings, q, n, longest))
                if best == longest:
                    break
            if len(postings.common) and _is_common(gram_hash(window, k, best), postings.common):
                continue
            for q in range(first, last):
                if _extent(window, count, k, postings, q, n, longest) == best:
                    if hits == capacity:
                        capacity *= 2
                        hit, reach, place = grown(hit, capacity), grown(reach, capacity), grown(place, capacity)
                    hit[hits] = (np.uint64(postings.grams[q].piece) << _U32) | np.uint64(k)
                    reach[hits] = best
                    place[hits] = postings.grams[q].position
                    hits += 1
            if hits >= _MOST_GRAMS:
                found, size, more = _passages(
                    Text(i, window[:count]), hit[:hits], reach, place, postings, found, size, MOST_HITS - listed
                )
                listed, beyond[i], hits = listed + more[0], beyond[i] + more[1], 0
        if hits:
            found, size, more = _passages(
                Text(i, window[:count]), hit[:hits], reach, place, postings, found, size, MOST_HITS - listed
            )
            beyond[i] += more[1]
    return cut_to(found, size), beyond


@njit(cache=True, nogil=True)
def _passages(text, hit, reach, place, postings, found, size, most) -> Any:
    """Report the passages that n-grams of one text make: at most ``most``; how many, and how many more there are."""
    order = np.argsort(hit, kind="mergesort")
    listed = 0
    beyond = 0
    begin = 0
    while begin < len(hit):
        piece = np.int64(hit[order[begin]] >> _U32)
        start = np.int64(hit[order[begin]] & _LOW)
        stop = start + reach[order[begin]]
        before, after = place[order[begin]], place[order[begin]] + reach[order[begin]]
        begin += 1
        while begin < len(hit) and np.int64(hit[order[begin]] >> _U32) == piece:
            here = np.int64(hit[order[begin]] & _LOW)
            if here > stop:
                break
            if here + reach[order[begin]] > stop:
                stop = here + reach[order[begin]]
                after = place[order[begin]] + reach[order[begin]]
            begin += 1
        if listed == most:
            beyond += 1
            continue
        listed += 1
        score = min(1.0, (stop - start) / postings.pieces[piece].words)
        found, size = reported(text, piece, start, stop - 1, before, after, score, postings, found, size)
    return found, size, (listed, beyond)


@njit(cache=True, nogil=True)
def counted(texts, postings, lookup, rules, longest) -> Any:
    """Return the hashes of all n-grams of items that each text holds, a text's once: what is counted over a corpus.

    Of lengths between ``rules.n`` and ``longest``, and ``rules.short``.
    """
    place_of = desk(texts)
    window, which = place_of.window, place_of.which
    seen = np.empty(256, np.uint64)
    total = 0
    for i in range(len(texts.offsets) - 1):
        count = read(texts, i, rules.drop_labels, place_of)
        begin = total
        long, short = sifted(window, count, rules.n, rules.short, lookup, place_of.where, place_of.where_short)
        for n, where, there in ((rules.n, place_of.where, long), (rules.short, place_of.where_short, short)):
            there = confirmed(window, where, there, n, False, postings.grams, lookup, place_of.hashes, which)
            for c in range(there):
                k = where[c]
                reach = n
                if n == rules.n and longest > n:
                    for q in range(which[c], behind(postings.grams, which[c])):
                        reach = max(reach, _extent(window, count, k, postings, q, n, longest))
                        if reach == longest:
                            break
                for size in range(n, reach + 1):
                    if total == len(seen):
                        seen = grown(seen, 2 * total)
                    seen[total] = gram_hash(window, k, size)
                    total += 1
        # A text that repeats an n-gram counts once.
        if total > begin + 1:
            ordered = np.sort(seen[begin:total])
            end = begin
            for k in range(len(ordered)):
                if k == 0 or ordered[k] != ordered[k - 1]:
                    seen[end] = ordered[k]
                    end += 1
            total = end
    return seen[:total]
