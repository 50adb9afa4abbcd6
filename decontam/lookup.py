"""Which n-grams of a text are n-grams of items: three sieves, each finer and dearer than the one before.

1. **Pairs.** Two words that follow each other in an n-gram of an item are marked in a small table, those of long and of
   short n-grams apart. As many marked pairs in a row as an n-gram has are a candidate; most of a text ends here, in the
   processor's cache, nothing hashed.
2. **Slots**, one for the n-grams with given leading bits, say where these begin and hold a Bloom filter of them, which
   turns away 99 of 100 candidates: one line of memory for both.
3. **The n-grams themselves**, in order.

The first two let pass too much and never too little, so what is found is what the third alone would find.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from decontam.layout import Lookup, Postings
from decontam.seeds import BASE
from kernels.blocks import count_bits, prefetch, write_places
from kernels.mixing import finish

__all__ = ["behind", "confirmed", "hashed", "held", "lookup_of", "possible", "prepare", "sifted"]

_U1: Final = np.uint64(1)
_U5: Final = np.uint64(5)
_U10: Final = np.uint64(10)
_U16: Final = np.uint64(16)
_U31: Final = np.uint64(31)
_U32: Final = np.uint64(32)
_U63: Final = np.uint64(63)
_U64: Final = np.uint64(64)
_ALL: Final = np.uint64(0xFFFFFFFFFFFFFFFF)
_EVEN: Final = np.uint64(0x5555555555555555)
_LOW: Final = np.uint64(0xFFFF)
_SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)
_MOST_GRAMS: Final = 1 << 32
_MOST_BITS: Final = 26  # of the table of pairs while it is filled: 16 MB
_LEAST_BITS: Final = 12
_SPARSE: Final = 3  # of the table's pairs one in so many is marked, at most: a smaller table is nearer the processor


def prepare(postings: Postings, brief: NDArray[np.bool_], n: int, short: int) -> Lookup:
    """Make the tables for n-grams of ``n`` words and, where ``brief`` says so of a posting, of ``short`` words.

    Raises:
        ValueError: there are more n-grams than a slot can number.
    """
    grams = postings.grams
    if len(grams) >= _MOST_GRAMS:
        raise ValueError(
            f"benchmarks: {len(grams):,} n-grams, more than one index holds ({_MOST_GRAMS - 1:,}); "
            "make an index of some of them, and another of the rest"
        )
    leading = max(4, len(grams).bit_length() - 1)
    slots = np.zeros(1 << leading, np.uint64)
    _set_slots(slots, np.uint64(64 - leading), grams)
    pair_bits = min(_MOST_BITS, max(_LEAST_BITS, (_SPARSE * len(postings.words)).bit_length()))
    pairs = np.zeros(1 << (pair_bits - 5), np.uint64)
    _set_pairs(pairs, np.uint64(64 - pair_bits), postings, brief, n, short)
    while pair_bits > _LEAST_BITS and 2 * _SPARSE * _most(pairs) <= 1 << pair_bits:
        pairs = _halved(pairs)  # pairs repeat: there are far fewer than words
        pair_bits -= 1
    return lookup_of(postings, slots, pairs)


def lookup_of(postings: Postings, slots: NDArray[np.uint64], pairs: NDArray[np.uint64]) -> Lookup:
    """Put tables that were made before to their use: a place in one is the leading bits of a number."""
    return Lookup(
        slots,
        np.uint64(65 - len(slots).bit_length()),
        pairs,
        np.uint64(60 - len(pairs).bit_length()),
        int(postings.pieces["words"].max(initial=0)),
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
        of_long: takes the numbers of the first words, rising; room for ``count`` of them and ``SPARE`` more.
        of_short: the same of the short ones.

    Returns:
        How many there are of each.
    """
    pairs, shift = lookup.pairs, lookup.pair_shift
    found = np.uint64(0)
    found_short = np.uint64(0)
    last = last_short = before = np.uint64(0)
    for base in range(0, count, 64):
        # Of 64 words, those that end a marked pair, as the bits of one number: nothing is guessed from word to word.
        mask = mask_short = np.uint64(0)
        for k in range(base, min(base + 64, count)):
            word = window[k] & _LOW
            at = ((before << _U16 | word) * _SPREAD) >> shift
            marked = pairs[at >> _U5] >> ((at & _U31) << _U1)
            mask = (mask >> _U1) | (marked << _U63)
            mask_short = (mask_short >> _U1) | (marked >> _U1 << _U63)
            before = word
        rest = np.uint64(max(0, base + 64 - count))
        mask >>= rest
        mask_short >>= rest
        if base == 0:  # no word stands before the first
            mask &= ~_U1
            mask_short &= ~_U1
        ends = _runs(mask, last, long - 1)
        found = write_places(of_long, found, base - long + 1, ends)
        if short:
            ends = _runs(mask_short, last_short, short - 1) if short > 1 else _ALL >> rest
            found_short = write_places(of_short, found_short, base - short + 1, ends)
        last, last_short = mask, mask_short
    return np.int64(found), np.int64(found_short)


@njit(cache=True, nogil=True, inline="always")
def _runs(mask, before, size) -> Any:
    """Return the bits of ``mask`` that end a run of ``size`` bits; it may begin in ``before``, the mask before it."""
    whole = mask
    for step in range(1, size):
        shift = np.uint64(step)
        whole &= (mask << shift) | (before >> (_U64 - shift))
    return whole


@njit(cache=True, nogil=True)
def hashed(window, where, candidates, size, lookup, hashes) -> None:
    """Hash n-grams of ``size`` words, and ask for their slots.

    What is asked for in one loop is there in the next: each place in memory would be waited for otherwise. So the steps
    of ``confirmed`` stand apart, for a scan to take with the n-grams of both lengths in turn.
    """
    slots, shift = lookup.slots, lookup.slot_shift
    for c in range(candidates):
        rolling = np.uint64(0)  # as ``gram_hash``, to which the window would be passed and counted, atomically
        for k in range(where[c], where[c] + size):
            rolling = rolling * BASE + window[k]
        gram = finish(rolling)
        hashes[c] = gram
        prefetch(slots, gram >> shift)


@njit(cache=True, nogil=True)
def possible(where, candidates, once, known, lookup, hashes, which) -> Any:
    """Keep the n-grams that their slots do not turn away, and ask for the known ones; return how many are kept."""
    slots, shift = lookup.slots, lookup.slot_shift
    total = 0
    last = np.int64(-2)
    previous = np.uint64(0)
    for c in range(candidates):
        k = where[c]
        gram = hashes[c]
        slot = slots[gram >> shift]
        wanted = _bits_of(gram)
        again = once & (k == last + 1) & (gram == previous)
        last = k
        previous = gram
        if slot & wanted == wanted and not again:
            which[total] = slot >> _U32
            prefetch(known, which[total])
            hashes[total] = gram
            where[total] = k
            total += 1
    return total


@njit(cache=True, nogil=True)
def held(where, candidates, known, hashes, which) -> Any:
    """Keep the n-grams that are among the known ones; return how many they are."""
    found = 0
    for c in range(candidates):
        at = _first(known, which[c], hashes[c])
        where[found] = where[c]
        which[found] = at
        found += at < len(known) and known[at].gram == hashes[c]
    return found


@njit(cache=True, nogil=True)
def _first(known, at, gram) -> Any:
    """Return the first place from ``at`` on whose n-gram is not below ``gram``.

    It is near, but behind an n-gram that a million items have: steps grow, and the last is halved.
    """
    if known[at].gram >= gram:
        return at
    step = 1
    while at + step < len(known) and known[at + step].gram < gram:
        at += step
        step *= 2
    high = min(at + step, len(known))
    while high - at > 1:
        middle = (at + high) >> 1
        if known[middle].gram < gram:
            at = middle
        else:
            high = middle
    return high


@njit(cache=True, nogil=True)
def confirmed(window, where, candidates, size, once, known, lookup, hashes, which) -> Any:
    """Keep the candidates that are known n-grams.

    Args:
        window: hashes of the text's words that count.
        where: the candidates' first words, rising; takes those of the known ones.
        candidates: how many they are.
        size: words of an n-gram.
        once: of equal n-grams that begin at words beside each other (a run of one word) keep the first alone.
        known: n-grams (``GRAM``), ascending.
        lookup: ``Lookup`` of them.
        hashes: room for as many numbers as there are candidates.
        which: takes the place of each among the known ones: of the first, where it stands there several times.

    Returns:
        How many are kept.
    """
    hashed(window, where, candidates, size, lookup, hashes)
    candidates = possible(where, candidates, once, known, lookup, hashes, which)
    return held(where, candidates, known, hashes, which)


@njit(cache=True, nogil=True)
def behind(known, first) -> Any:
    """Return the place behind the last of equal n-grams, of which ``first`` is the first."""
    gram = known[first].gram
    last = first + 1
    while last < len(known) and known[last].gram == gram:
        last += 1
    return last


@njit(cache=True, nogil=True, inline="always")
def _bits_of(gram) -> Any:
    """Return the three bits of an n-gram in the filter of its slot."""
    return (_U1 << (gram & _U31)) | (_U1 << ((gram >> _U5) & _U31)) | (_U1 << ((gram >> _U10) & _U31))


@njit(cache=True, nogil=True)
def _set_slots(slots, shift, grams) -> None:
    """Write where the n-grams with given leading bits begin, above the bits of all of them."""
    for q in range(len(grams)):
        gram = grams[q].gram
        at = gram >> shift
        if slots[at] == 0:
            slots[at] = np.uint64(q) << _U32
        slots[at] |= _bits_of(gram)


@njit(cache=True, nogil=True)
def _set_pairs(pairs, shift, postings, brief, n, short) -> None:
    """Mark the pairs of words inside the n-grams of all pieces, two bits a pair: of long ones, and of short ones."""
    words = postings.words
    for q in range(len(postings.grams)):
        gram = postings.grams[q]
        at = postings.pieces[gram.piece].begin + gram.position
        kind = np.uint64(brief[q])
        for k in range(at + 1, at + (short if brief[q] else n)):
            pair = ((np.uint64(words[k - 1]) << _U16 | np.uint64(words[k])) * _SPREAD) >> shift
            pairs[pair >> _U5] |= _U1 << (((pair & _U31) << _U1) | kind)


@njit(cache=True, nogil=True)
def _most(pairs) -> Any:
    """How many pairs are marked, of long n-grams or of short ones, whichever are more."""
    long = np.int64(0)
    short = np.int64(0)
    for word in pairs:
        long += count_bits(word & _EVEN)
        short += count_bits(word & ~_EVEN)
    return max(long, short)


@njit(cache=True, nogil=True)
def _halved(pairs) -> Any:
    """Make a table of half the size: a pair's place loses its lowest bit, so two pairs side by side become one."""
    half = np.zeros(len(pairs) // 2, np.uint64)
    for at in range(64 * len(half)):
        bits = (pairs[at >> 5] >> np.uint64((at & 31) << 1)) & np.uint64(3)
        half[at >> 6] |= bits << np.uint64(((at >> 1) & 31) << 1)
    return half
