"""The scan: n-grams of texts looked up among those of items, and the stretches in which enough of one item is found.

All compiled loops of this package are in this file: Numba notices that a file has changed, but not that another one has
whose functions it calls.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.words import WORD

__all__ = ["Lookup", "Postings", "code_points", "kept_words", "ngrams", "prepare", "scan", "sequence_hashes"]

# A text with more hits than this (one word repeated, a benchmark in one file) is scored in portions: memory stays
# bounded. A stretch that crosses the border of two portions, one in a million hits, is found in one or both of its
# parts.
_MOST_HITS = 1 << 20

_BASE = np.uint64(6364136223846793005)
_MIX_1 = np.uint64(0xFF51AFD7ED558CCD)
_MIX_2 = np.uint64(0xC4CEB9FE1A85EC53)
_U33 = np.uint64(33)
_U1 = np.uint64(1)
_U6 = np.uint64(6)
_U63 = np.uint64(63)


class Postings(NamedTuple):
    """The n-grams of all pieces, and the pieces themselves. This is what is saved."""

    grams: NDArray[np.uint64]  # ascending, each once
    offsets: NDArray[np.int64]  # g + 1: the postings of each n-gram
    piece: NDArray[np.int32]
    position: NDArray[np.int32]  # of the n-gram's first word in the piece
    piece_offsets: NDArray[np.int64]  # p + 1
    weights: NDArray[np.float32]  # of each word of each piece; 0 where no n-gram of the index can cover it
    question: NDArray[np.int64]  # words of each piece that are question
    lead: NDArray[np.int64]
    trail: NDArray[np.int64]


class Lookup(NamedTuple):
    """What makes looking up fast; made from ``Postings.grams``."""

    bits: NDArray[np.uint64]  # one bit set for every n-gram among at least 16 times as many
    bit_shift: np.uint64
    directory: NDArray[np.int64]  # where n-grams with given leading bits begin
    directory_shift: np.uint64


def prepare(grams: NDArray[np.uint64]) -> Lookup:
    """Make the tables: a bit table that turns away 15 of 16 unknown n-grams at once, and a directory of the rest."""
    size = max(16, (len(grams) * 16 - 1).bit_length())
    bits = np.zeros(1 << (size - 6), np.uint64)
    _set_bits(bits, np.uint64(64 - size), grams)
    leading = max(4, len(grams).bit_length() - 1)
    borders = np.arange(1 << leading, dtype=np.uint64) << np.uint64(64 - leading)
    directory = np.append(np.searchsorted(grams, borders), len(grams)).astype(np.int64)
    return Lookup(bits, np.uint64(64 - size), directory, np.uint64(64 - leading))


@njit(cache=True, nogil=True, inline="always")
def kept(data, start, end, kind, drop_labels):  # pyright: ignore
    """Tell whether a token counts."""
    if kind != WORD:
        return False
    return not (drop_labels and end - start == 1 and 97 <= (data[start] | 32) <= 106)


@njit(cache=True, nogil=True, inline="always")
def finish(value):  # pyright: ignore
    """Mix a polynomial hash so that every bit depends on every other (the 64-bit finaliser of MurmurHash3)."""
    value ^= value >> _U33
    value *= _MIX_1
    value ^= value >> _U33
    value *= _MIX_2
    return value ^ (value >> _U33)


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
def scan(data, offsets, starts, ends, hashes, kinds, postings, lookup, n, drop_labels, limits):  # pyright: ignore
    """Find the stretches of every text that hold enough of a piece.

    Args:
        data: bytes of the texts.
        offsets: each text's tokens; starts, ends, hashes, kinds: the tokens (``kernels.words``).
        starts: first byte of each token.
        ends: byte after each token.
        hashes: hash of each token.
        kinds: kind of each token.
        postings: ``Postings``.
        lookup: ``Lookup``.
        n: words in an n-gram.
        drop_labels: see ``decontam.tokens``.
        limits: min_words, min_evidence, min_score, min_density, max_gap.

    Returns:
        (text, piece, first byte, byte after the last, score) of each hit, by text and piece.
    """
    longest = 0
    for i in range(len(offsets) - 1):
        longest = max(longest, offsets[i + 1] - offsets[i])
    window = np.empty(longest, np.uint64)  # hashes of the words that count
    token = np.empty(longest, np.int64)  # and which tokens they are
    longest_piece = 0
    for p in range(len(postings.piece_offsets) - 1):
        longest_piece = max(longest_piece, postings.piece_offsets[p + 1] - postings.piece_offsets[p])
    covered = np.zeros(longest_piece, np.int64)
    found = Found(
        np.empty(16, np.int64),
        np.empty(16, np.int64),
        np.empty(16, np.int64),
        np.empty(16, np.int64),
        np.empty(16, np.float64),
    )
    size = 0
    capacity = 256
    hit = np.empty(capacity, np.uint64)  # piece and position in the text
    hit_position = np.empty(capacity, np.int64)  # position in the piece
    oldest = power(n)
    grams = postings.grams
    bits, bit_shift, directory, directory_shift = (
        lookup.bits,
        lookup.bit_shift,
        lookup.directory,
        lookup.directory_shift,
    )
    for i in range(len(offsets) - 1):
        count = 0
        hits = 0
        rolling = np.uint64(0)
        previous = np.uint64(0)
        for t in range(offsets[i], offsets[i + 1]):
            if not kept(data, starts[t], ends[t], kinds[t], drop_labels):
                continue
            window[count] = hashes[t]
            token[count] = t
            count += 1
            if count <= n:
                rolling = roll(rolling, hashes[t], np.uint64(0), oldest)
                if count < n:
                    continue
            else:
                rolling = roll(rolling, hashes[t], window[count - 1 - n], oldest)
            gram = finish(rolling)
            repeated = gram == previous  # a run of one word is looked up once
            previous = gram
            slot = gram >> bit_shift
            if repeated or (bits[slot >> _U6] >> (slot & _U63)) & _U1 == 0:
                continue
            at = directory[gram >> directory_shift]
            end = directory[(gram >> directory_shift) + _U1]
            while at < end and grams[at] < gram:
                at += 1
            if at == end or grams[at] != gram:
                continue
            for q in range(postings.offsets[at], postings.offsets[at + 1]):
                if hits == capacity:
                    capacity *= 2
                    hit = _grown(hit, capacity)
                    hit_position = _grown(hit_position, capacity)
                hit[hits] = (np.uint64(postings.piece[q]) << np.uint64(32)) | np.uint64(count - n)
                hit_position[hits] = postings.position[q]
                hits += 1
            if hits >= _MOST_HITS:
                found, size = _score(
                    i, hit[:hits], hit_position[:hits], token[:count], offsets[i], offsets[i + 1], data, starts, ends, kinds,
                    postings, n, drop_labels, limits, covered, found, size,
                )  # fmt: skip
                hits = 0
        if hits:
            found, size = _score(
                i, hit[:hits], hit_position[:hits], token[:count], offsets[i], offsets[i + 1], data, starts, ends, kinds,
                postings, n, drop_labels, limits, covered, found, size,
            )  # fmt: skip
    return found.text[:size], found.piece[:size], found.start[:size], found.end[:size], found.score[:size]


class Found(NamedTuple):
    """Hits so far; the arrays are longer than the hits."""

    text: NDArray[np.int64]
    piece: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    score: NDArray[np.float64]


@njit(cache=True, nogil=True)
def _score(
    text, hit, hit_position, token, first_token, last_token, data, starts, ends, kinds, postings, n, drop_labels, limits, covered,
    found, size,
):  # fmt: skip
    """Gather one text's hits into stretches, and keep those that hold enough of their piece."""
    min_words, min_evidence, min_score, min_density, max_gap = limits
    order = np.argsort(hit, kind="mergesort")
    low = np.uint64(0xFFFFFFFF)
    begin = 0
    while begin < len(order):
        piece = np.int64(hit[order[begin]] >> np.uint64(32))
        end = begin + 1
        last = np.int64(hit[order[begin]] & low)
        while end < len(order):
            following = hit[order[end]]
            if np.int64(following >> np.uint64(32)) != piece or np.int64(following & low) - last > n + max_gap:
                break
            last = np.int64(following & low)
            end += 1
        if (end - begin) * n >= min_words:
            base = postings.piece_offsets[piece]
            length = postings.piece_offsets[piece + 1] - base
            covered[:length] = 0
            first = np.int64(hit[order[begin]] & low)
            reached = first  # words of the text covered by n-grams, each counted once
            inside = 0
            for k in range(begin, end):
                position = hit_position[order[k]]
                for w in range(position, position + n):
                    covered[w] = 1
                here = np.int64(hit[order[k]] & low)
                inside += here + n - max(here, reached)
                reached = here + n
            count = 0
            evidence = 0.0
            asked = 0.0
            answered = 0.0
            for w in range(length):
                weight = np.float64(postings.weights[base + w])
                if w < postings.question[piece]:
                    asked += weight
                if covered[w]:
                    count += 1
                    evidence += weight
                    if w < postings.question[piece]:
                        answered += weight
            enough = count >= min_words and evidence >= min_evidence and answered > 0.0
            if enough and answered >= min_score * asked and inside >= min_density * (last + n - first):
                if size == len(found.text):
                    found = Found(
                        _grown(found.text, 2 * size), _grown(found.piece, 2 * size), _grown(found.start, 2 * size),
                        _grown(found.end, 2 * size), _grown(found.score, 2 * size),
                    )  # fmt: skip
                head = token[first]
                tail = token[last + n - 1]
                if covered[0]:
                    for _ in range(postings.lead[piece]):
                        if head == first_token or kept(
                            data, starts[head - 1], ends[head - 1], kinds[head - 1], drop_labels
                        ):
                            break
                        head -= 1
                if covered[length - 1]:
                    for _ in range(postings.trail[piece]):
                        if tail + 1 == last_token or kept(
                            data, starts[tail + 1], ends[tail + 1], kinds[tail + 1], drop_labels
                        ):
                            break
                        tail += 1
                found.text[size] = text
                found.piece[size] = piece
                found.start[size] = starts[head]
                found.end[size] = ends[tail]
                found.score[size] = answered / asked
                size += 1
        begin = end
    return found, size


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
def _grown(values, capacity):  # pyright: ignore
    larger = np.empty(capacity, values.dtype)
    larger[: len(values)] = values
    return larger
