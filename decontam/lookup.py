"""Which n-grams of a text are n-grams of items: three sieves, each finer and dearer than the one before.

1. **Pairs.** Two words that follow each other in an n-gram of an item are marked in a small table. As many marked pairs
   in a row as an n-gram has are a candidate; most of a text ends here, in the processor's cache, nothing hashed.
2. **A Bloom filter** of the n-grams turns away 99 of 100 candidates.
3. **The n-grams themselves**, in order, with a directory of their leading bits.

The first two let pass too much and never too little, so what is found is what the third alone would find.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

from decontam.layout import Lookup, Postings
from decontam.seeds import gram_hash
from kernels.blocks import count_bits

__all__ = ["confirmed", "prepare", "sifted"]

_U1: Final = np.uint64(1)
_U6: Final = np.uint64(6)
_U12: Final = np.uint64(12)
_U16: Final = np.uint64(16)
_U63: Final = np.uint64(63)
_LOW: Final = np.uint64(0xFFFF)
_SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)
_MOST_BITS: Final = 26  # of the table of pairs while it is filled: 8 MB
_LEAST_BITS: Final = 12
_SPARSE: Final = 8  # of the table's bits one in so many is set, at most, where it can be as large as that


def prepare(postings: Postings, n: int) -> Lookup:
    """Make the tables for n-grams of at most ``n`` words."""
    grams = postings.grams
    size = max(10, (len(grams) // 4).bit_length())
    bits = np.zeros(1 << size, np.uint64)
    _set_bits(bits, np.uint64(64 - size), grams)
    leading = max(4, len(grams).bit_length() - 1)
    borders = np.arange(1 << leading, dtype=np.uint64) << np.uint64(64 - leading)
    directory = np.append(np.searchsorted(grams, borders), len(grams)).astype(np.int64)
    pair_bits = min(_MOST_BITS, max(_LEAST_BITS, (_SPARSE * len(postings.words)).bit_length()))
    pairs = np.zeros(1 << (pair_bits - 6), np.uint64)
    _set_pairs(pairs, np.uint64(64 - pair_bits), postings, n)
    while pair_bits > _LEAST_BITS and 2 * _SPARSE * _count(pairs) <= 1 << pair_bits:
        pairs = _halved(pairs)  # pairs repeat: there are far fewer than words
        pair_bits -= 1
    return Lookup(
        bits,
        np.uint64(64 - size),
        directory,
        np.uint64(64 - leading),
        pairs,
        np.uint64(64 - pair_bits),
        int(np.diff(postings.piece_offsets).max(initial=0)),
    )


@njit(cache=True, nogil=True)
def sifted(window, count, long, short, lookup, of_long, of_short) -> Any:
    """Find where n-grams of two lengths may begin: every pair of words in them is one of items.

    Args:
        window: hashes of the text's words that count.
        count: how many they are.
        long: words of an n-gram.
        short: the same; 0 for none.
        lookup: ``Lookup``.
        of_long: takes the numbers of the first words, rising; room for ``count`` of them.
        of_short: the same of the short ones.

    Returns:
        How many there are of each.
    """
    pairs, shift = lookup.pairs, lookup.pair_shift
    found = np.int64(0)
    found_short = np.int64(0)
    least_short = short - 1 if short else count
    run = np.int64(-1)  # marked pairs up to here
    before = np.uint64(0)
    for k in range(count):
        word = window[k] & _LOW
        at = ((before << _U16 | word) * _SPREAD) >> shift
        run = (run + 1) & -np.int64(pairs[at >> _U6] >> (at & _U63) & _U1)
        before = word
        of_long[found] = k - long + 1
        found += run >= long - 1
        of_short[found_short] = k - short + 1
        found_short += run >= least_short
    return found, found_short


@njit(cache=True, nogil=True)
def confirmed(window, where, candidates, size, once, known, lookup, hashes, which) -> Any:
    """Keep the candidates that are known n-grams.

    Args:
        window: hashes of the text's words that count.
        where: the candidates' first words, rising; takes those of the known ones.
        candidates: how many they are.
        size: words of an n-gram.
        once: of equal n-grams that begin at words beside each other (a run of one word) keep the first alone.
        known: n-grams, ascending.
        lookup: ``Lookup`` of them.
        hashes: room for as many numbers as there are candidates.
        which: takes the place of each among the known ones.

    Returns:
        How many are kept.
    """
    bits, bit_shift = lookup.bits, lookup.bit_shift
    total = 0
    last = np.int64(-2)
    previous = np.uint64(0)
    for c in range(candidates):
        k = where[c]
        gram = gram_hash(window, k, size)
        wanted = _bits_of(gram)
        again = once & (k == last + 1) & (gram == previous)
        hashes[total] = gram
        where[total] = k
        total += np.int64(bits[gram >> bit_shift] & wanted == wanted) & np.int64(not again)
        last = k
        previous = gram
    directory, directory_shift = lookup.directory, lookup.directory_shift
    found = 0
    for c in range(total):
        at = _place(hashes[c], known, directory, directory_shift)
        where[found] = where[c]
        which[found] = at
        found += at >= 0
    return found


@njit(cache=True, nogil=True, inline="always")
def _place(gram, known, directory, directory_shift) -> Any:
    """Return the place of an n-gram among the known ones, or -1."""
    at = directory[gram >> directory_shift]
    end = directory[(gram >> directory_shift) + _U1]
    while at < end and known[at] < gram:
        at += 1
    return at if at < end and known[at] == gram else -1


@njit(cache=True, nogil=True, inline="always")
def _bits_of(gram) -> Any:
    """Return the three bits of an n-gram in its word of the filter."""
    return (_U1 << (gram & _U63)) | (_U1 << ((gram >> _U6) & _U63)) | (_U1 << ((gram >> _U12) & _U63))


@njit(cache=True, nogil=True)
def _set_bits(bits, shift, grams) -> None:
    for gram in grams:
        bits[gram >> shift] |= _bits_of(gram)


@njit(cache=True, nogil=True)
def _set_pairs(pairs, shift, postings, n) -> None:
    """Mark the pairs of words inside the n-grams of all pieces; shorter ones mark a few pairs more than theirs."""
    words, offsets = postings.words, postings.piece_offsets
    for q in range(len(postings.piece)):
        piece = postings.piece[q]
        at = offsets[piece] + postings.position[q]
        for k in range(at + 1, min(at + n, offsets[piece + 1])):
            pair = ((np.uint64(words[k - 1]) << _U16 | np.uint64(words[k])) * _SPREAD) >> shift
            pairs[pair >> _U6] |= _U1 << (pair & _U63)


@njit(cache=True, nogil=True)
def _count(pairs) -> Any:
    total = 0
    for word in pairs:
        total += count_bits(word)
    return total


@njit(cache=True, nogil=True)
def _halved(pairs) -> Any:
    """Make a table of half the bits: a pair's place loses its lowest bit, so two bits side by side become one."""
    half = np.zeros(len(pairs) // 2, np.uint64)
    for at in range(128 * len(half)):
        bit = pairs[at >> 6] >> np.uint64(at & 63) & _U1
        half[at >> 7] |= bit << np.uint64((at >> 1) & 63)
    return half
