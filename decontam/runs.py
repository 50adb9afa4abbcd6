"""Any n-gram of an item is enough, unless it is in common use in the corpus (AFM; with one length, GPT-3).

The longest n-gram of an item that begins at a word of the text decides: every shorter one there is at least as common.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

from decontam.found import grown, reported, room
from decontam.layout import Found, Text
from decontam.seeds import bits_of, gram_hash, kept, known_gram, power, roll
from kernels.mixing import finish

__all__ = ["counted", "scan_runs"]

_U32: Final = np.uint64(32)
_LOW: Final = np.uint64(0xFFFFFFFF)
_LOW_16: Final = np.uint64(0xFFFF)


@njit(cache=True, nogil=True)
def _window(batch, i, window, token, drop_labels) -> Any:
    count = 0
    for t in range(batch.offsets[i], batch.offsets[i + 1]):
        window[count] = batch.hashes[t]
        token[count] = t
        count += kept(batch.data, batch.starts[t], batch.ends[t], batch.kinds[t], drop_labels)
    return count


@njit(cache=True, nogil=True)
def _places(window, count, n, lookup, postings, at) -> Any:
    """Write for every word of a text the place among the known ones of the n-gram that begins there, or -1."""
    total = 0
    oldest = power(n)
    rolling = np.uint64(0)
    for k in range(min(n - 1, count)):
        rolling = roll(rolling, window[k], np.uint64(0), oldest)
    leaving = np.uint64(0)
    for k in range(count - n + 1):
        rolling = roll(rolling, window[k + n - 1], leaving, oldest)
        leaving = window[k]
        gram = finish(rolling)
        wanted = bits_of(gram)
        at[k] = -1
        if lookup.bits[gram >> lookup.bit_shift] & wanted == wanted:
            at[k] = known_gram(gram, postings.grams, lookup.directory, lookup.directory_shift)
            total += at[k] >= 0
    return total


@njit(cache=True, nogil=True)
def _extent(window, count, k, postings, q, n, longest) -> Any:
    """Return how many words from ``k`` on, up to ``longest``, are those of a posting's piece from its place on."""
    piece = postings.piece[q]
    at = postings.piece_offsets[piece] + postings.position[q]
    most = min(min(longest, count - k), postings.piece_offsets[piece + 1] - at)
    size = n
    while size < most and np.uint16(window[k + size] & _LOW_16) == postings.words[at + size]:
        size += 1
    return size


@njit(cache=True, nogil=True)
def _is_common(gram, common) -> Any:
    at = np.searchsorted(common, gram)
    return at < len(common) and common[at] == gram


@njit(cache=True, nogil=True)
def scan_runs(batch, postings, lookup, rules, longest) -> Any:
    """Find every n-gram of an item that is not in common use; n-grams that meet or overlap are one passage.

    Arguments and result as ``decontam.match.scan``; ``longest`` is the number of words of the longest n-gram. The score
    is the share of the item's words in the passage.
    """
    most = 0
    for i in range(len(batch.offsets) - 1):
        most = max(most, batch.offsets[i + 1] - batch.offsets[i])
    window = np.empty(most + 1, np.uint64)
    token = np.empty(most + 1, np.int64)
    at = np.empty(most + 1, np.int64)
    found = room(16)
    size = 0
    capacity = 256
    hit = np.empty(capacity, np.uint64)  # piece, and position in the text
    reach = np.empty(capacity, np.int64)  # words
    place = np.empty(capacity, np.int64)  # position in the piece
    n = rules.n
    for i in range(len(batch.offsets) - 1):
        count = _window(batch, i, window, token, rules.drop_labels)
        if count < n or _places(window, count, n, lookup, postings, at) == 0:
            continue
        hits = 0
        for k in range(count - n + 1):
            if at[k] < 0:
                continue
            first, last = postings.offsets[at[k]], postings.offsets[at[k] + 1]
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
                    hit[hits] = (np.uint64(postings.piece[q]) << _U32) | np.uint64(k)
                    reach[hits] = best
                    place[hits] = postings.position[q]
                    hits += 1
        text = Text(i, window[:count], token)
        order = np.argsort(hit[:hits], kind="mergesort")
        begin = 0
        while begin < hits:
            piece = np.int64(hit[order[begin]] >> _U32)
            start = np.int64(hit[order[begin]] & _LOW)
            stop = start + reach[order[begin]]
            before, after = place[order[begin]], place[order[begin]] + reach[order[begin]]
            begin += 1
            while begin < hits and np.int64(hit[order[begin]] >> _U32) == piece:
                here = np.int64(hit[order[begin]] & _LOW)
                if here > stop:
                    break
                if here + reach[order[begin]] > stop:
                    stop = here + reach[order[begin]]
                    after = place[order[begin]] + reach[order[begin]]
                begin += 1
            length = postings.piece_offsets[piece + 1] - postings.piece_offsets[piece]
            score = min(1.0, (stop - start) / length)
            found, size = reported(
                text, piece, start, stop - 1, before, after, score, batch, postings, rules, found, size
            )
    return Found(found.text[:size], found.piece[:size], found.start[:size], found.end[:size], found.score[:size])


@njit(cache=True, nogil=True)
def counted(batch, postings, lookup, rules, longest) -> Any:
    """Return the hashes of all n-grams of items that each text holds, a text's once: what is counted over a corpus.

    Of lengths between ``rules.n`` and ``longest``, and ``rules.short``.
    """
    most = 0
    for i in range(len(batch.offsets) - 1):
        most = max(most, batch.offsets[i + 1] - batch.offsets[i])
    window = np.empty(most + 1, np.uint64)
    token = np.empty(most + 1, np.int64)
    at = np.empty(most + 1, np.int64)
    seen = np.empty(256, np.uint64)
    total = 0
    for i in range(len(batch.offsets) - 1):
        count = _window(batch, i, window, token, rules.drop_labels)
        begin = total
        for n in (rules.n, rules.short):
            if n == 0 or count < n or _places(window, count, n, lookup, postings, at) == 0:
                continue
            for k in range(count - n + 1):
                if at[k] < 0:
                    continue
                reach = n
                if n == rules.n and longest > n:
                    for q in range(postings.offsets[at[k]], postings.offsets[at[k] + 1]):
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
