"""The scan: n-grams of texts looked up among those of items, and the stretches in which enough of one item is found.

All compiled loops of this package are in this file: Numba notices that a file has changed, but not that another one has
whose functions it calls.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from decontam.layout import Found, Lookup, Postings, Text
from kernels.mixing import finish
from kernels.words import WORD

__all__ = ["code_points", "kept_words", "ngrams", "prepare", "scan", "sequence_hashes"]

# A text with more hits than this (one word repeated, a benchmark in one file) is scored in portions: memory stays
# bounded. A stretch that crosses the border of two portions, one in a million hits, is found in one or both of its
# parts.
_MOST_HITS = 1 << 20

_BASE = np.uint64(6364136223846793005)
_U1 = np.uint64(1)
_U6 = np.uint64(6)
_U32 = np.uint64(32)
_U63 = np.uint64(63)
_LOW = np.uint64(0xFFFFFFFF)


def prepare(postings: Postings) -> Lookup:
    """Make the tables: a bit table that turns away 15 of 16 unknown n-grams at once, and a directory of the rest."""
    grams = postings.grams
    size = max(16, (len(grams) * 16 - 1).bit_length())
    bits = np.zeros(1 << (size - 6), np.uint64)
    _set_bits(bits, np.uint64(64 - size), grams)
    leading = max(4, len(grams).bit_length() - 1)
    borders = np.arange(1 << leading, dtype=np.uint64) << np.uint64(64 - leading)
    directory = np.append(np.searchsorted(grams, borders), len(grams)).astype(np.int64)
    return Lookup(
        bits,
        np.uint64(64 - size),
        directory,
        np.uint64(64 - leading),
        int(np.diff(postings.piece_offsets).max(initial=0)),
    )


@njit(cache=True, nogil=True, inline="always")
def kept(data, start, end, kind, drop_labels):  # pyright: ignore
    """Tell whether a token counts."""
    letter = np.int64(data[start] | 32)
    label = drop_labels & (end - start == 1) & (letter >= 97) & (letter <= 106)
    return (kind == WORD) & (not label)


@njit(cache=True, nogil=True)
def kept_words(data, offsets, starts, ends, hashes, kinds, drop_labels):  # pyright: ignore
    """Return the words that count, and how many tokens of each text lie before the first and after the last of them."""
    n = len(offsets) - 1
    bounds = np.zeros(n + 1, np.int64)
    found = np.empty(len(hashes), np.uint64)
    lead = np.zeros(n, np.int64)
    trail = np.zeros(n, np.int64)
    m = 0
    for i in range(n):
        first = -1
        last = offsets[i] - 1
        for t in range(offsets[i], offsets[i + 1]):
            if kept(data, starts[t], ends[t], kinds[t], drop_labels):
                if first < 0:
                    first = t
                last = t
                found[m] = hashes[t]
                m += 1
        if first >= 0:
            lead[i] = first - offsets[i]
            trail[i] = offsets[i + 1] - 1 - last
        bounds[i + 1] = m
    return bounds, found[:m].copy(), lead, trail


@njit(cache=True, nogil=True)
def sequence_hashes(offsets, hashes):  # pyright: ignore
    """Hash each text's whole sequence of words."""
    found = np.empty(len(offsets) - 1, np.uint64)
    for i in range(len(found)):
        value = np.uint64(offsets[i + 1] - offsets[i])
        for t in range(offsets[i], offsets[i + 1]):
            value = finish(value * _BASE + hashes[t])
        found[i] = value
    return found


@njit(cache=True, nogil=True)
def ngrams(offsets, hashes, n):  # pyright: ignore
    """Hash every run of ``n`` words inside each text: (hash, text, position of its first word), in order."""
    total = 0
    for i in range(len(offsets) - 1):
        total += max(0, offsets[i + 1] - offsets[i] - n + 1)
    grams = np.empty(total, np.uint64)
    text = np.empty(total, np.int32)
    position = np.empty(total, np.int32)
    oldest = power(n)
    m = 0
    for i in range(len(offsets) - 1):
        rolling = np.uint64(0)
        for t in range(offsets[i], offsets[i + 1]):
            count = t - offsets[i] + 1
            rolling = rolling * _BASE + hashes[t]
            if count > n:
                rolling -= hashes[t - n] * oldest
            if count >= n:
                grams[m] = finish(rolling)
                text[m] = i
                position[m] = count - n
                m += 1
    return grams, text, position


@njit(cache=True, nogil=True, inline="always")
def roll(rolling, arriving, leaving, oldest):  # pyright: ignore
    """Move the window of an n-gram on by one word."""
    return rolling * _BASE + arriving - leaving * oldest


@njit(cache=True, nogil=True, inline="always")
def power(n):  # pyright: ignore
    """Return the factor of the word that leaves a window of ``n``."""
    value = np.uint64(1)
    for _ in range(n):
        value *= _BASE
    return value


@njit(cache=True, nogil=True)
def _set_bits(bits, shift, grams):  # pyright: ignore
    for gram in grams:
        slot = gram >> shift
        bits[slot >> _U6] |= _U1 << (slot & _U63)


@njit(cache=True, nogil=True)
def scan(batch, postings, lookup, rules):  # pyright: ignore
    """Find the stretches of every text that hold enough of a piece.

    Three passes over each text, the first two without branches: the n-grams of its words, those that the bit table
    knows, and the places of these in the pieces.

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
    grams = np.empty(longest + 1, np.uint64)
    candidates = np.empty(longest + 1, np.int64)
    covered = np.zeros(lookup.longest, np.int64)
    found = _room(16)
    size = 0
    capacity = 256
    hit = np.empty(capacity, np.uint64)  # piece, and position in the text
    place = np.empty(capacity, np.int64)  # position in the piece
    n = rules.n
    oldest = power(n)
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
        if count < n:
            continue
        rolling = np.uint64(0)
        for k in range(n - 1):
            rolling = roll(rolling, window[k], np.uint64(0), oldest)
        leaving = np.uint64(0)
        total = 0
        previous = np.uint64(0)
        for k in range(count - n + 1):
            rolling = roll(rolling, window[k + n - 1], leaving, oldest)
            leaving = window[k]
            gram = finish(rolling)
            grams[k] = gram
            slot = gram >> bit_shift
            candidates[total] = k
            # A run of one word is looked up once.
            total += np.int64((bits[slot >> _U6] >> (slot & _U63)) & _U1) & np.int64(gram != previous)
            previous = gram
        hits = 0
        for c in range(total):
            k = candidates[c]
            gram = grams[k]
            at = directory[gram >> directory_shift]
            end = directory[(gram >> directory_shift) + _U1]
            while at < end and known[at] < gram:
                at += 1
            if at == end or known[at] != gram:
                continue
            for q in range(postings.offsets[at], postings.offsets[at + 1]):
                if hits == capacity:
                    capacity *= 2
                    hit = _grown(hit, capacity)
                    place = _grown(place, capacity)
                hit[hits] = (np.uint64(postings.piece[q]) << _U32) | np.uint64(k)
                place[hits] = postings.position[q]
                hits += 1
            if hits >= _MOST_HITS:
                text = Text(i, window[:count], token)
                found, size = _score(text, hit[:hits], place[:hits], batch, postings, rules, covered, found, size)
                hits = 0
        if hits:
            text = Text(i, window[:count], token)
            found, size = _score(text, hit[:hits], place[:hits], batch, postings, rules, covered, found, size)
    return Found(found.text[:size], found.piece[:size], found.start[:size], found.end[:size], found.score[:size])


@njit(cache=True, nogil=True)
def _score(text, hit, place, batch, postings, rules, covered, found, size):  # pyright: ignore
    """Gather one text's hits into stretches, and keep those that hold enough of their piece."""
    n = rules.n
    order = np.argsort(hit, kind="mergesort")
    begin = 0
    while begin < len(order):
        piece = np.int64(hit[order[begin]] >> _U32)
        first = np.int64(hit[order[begin]] & _LOW)
        last = first
        end = begin + 1
        while end < len(order):
            following = np.int64(hit[order[end]] & _LOW)
            if np.int64(hit[order[end]] >> _U32) != piece or following - last > n + rules.max_gap:
                break
            last = following
            end += 1
        if (end - begin) * n >= rules.min_words:
            base = postings.piece_offsets[piece]
            length = postings.piece_offsets[piece + 1] - base
            covered[:length] = 0
            reached = first
            inside = 0  # words of the text covered by n-grams, each counted once
            for k in range(begin, end):
                for w in range(place[order[k]], place[order[k]] + n):
                    covered[w] = 1
                here = np.int64(hit[order[k]] & _LOW)
                inside += here + n - max(here, reached)
                reached = here + n
            words = 0
            evidence = 0.0
            asked = 0.0
            answered = 0.0
            for w in range(length):
                weight = np.float64(postings.weights[base + w])
                words += covered[w]
                evidence += weight * covered[w]
                if w < postings.question[piece]:
                    asked += weight
                    answered += weight * covered[w]
            enough = words >= rules.min_words and evidence >= rules.min_evidence and answered > 0.0
            dense = inside >= rules.min_density * (last + n - first)
            if enough and dense and answered >= rules.min_score * asked:
                if size == len(found.text):
                    found = _more(found)
                # Words beside the outermost n-grams may belong to the item too: templates, and what a change has cut
                # off.
                before = place[order[begin]]
                while before > 0 and first > 0 and _same(text.window[first - 1], postings.words[base + before - 1]):
                    before -= 1
                    first -= 1
                last += n - 1
                after = place[order[end - 1]] + n
                while (
                    after < length
                    and last + 1 < len(text.window)
                    and _same(text.window[last + 1], postings.words[base + after])
                ):
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
                found.score[size] = answered / asked
                size += 1
        begin = end
    return found, size


@njit(cache=True, nogil=True)
def _same(word, low_bits):  # pyright: ignore
    """Tell whether a word is that of a piece; one in 65,536 others passes too."""
    return np.uint16(word & np.uint64(0xFFFF)) == low_bits


@njit(cache=True, nogil=True)
def _reach(token, step, most, bounds, batch, drop_labels):  # pyright: ignore
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
def _room(size):  # pyright: ignore
    whole = np.zeros((4, size), np.int64)
    return Found(whole[0].copy(), whole[1].copy(), whole[2].copy(), whole[3].copy(), np.zeros(size))


@njit(cache=True, nogil=True)
def _more(found):  # pyright: ignore
    size = 2 * len(found.text)
    return Found(
        _grown(found.text, size),
        _grown(found.piece, size),
        _grown(found.start, size),
        _grown(found.end, size),
        _grown(found.score, size),
    )


@njit(cache=True, nogil=True)
def code_points(data, starts, positions):  # pyright: ignore
    """Return the number of code points between each start and position (bytes)."""
    counts = np.zeros(len(positions), np.int64)
    for k in range(len(positions)):
        for at in range(starts[k], positions[k]):
            if data[at] & 0xC0 != 0x80:
                counts[k] += 1
    return counts


@njit(cache=True, nogil=True)
def _grown(values: Any, capacity: int) -> Any:  # pyright: ignore
    larger = np.empty(capacity, values.dtype)
    larger[: len(values)] = values
    return larger
