"""Byte-pair encoding of a whole batch of texts: pieces by rule, merges by rank, pieces seen before from a table.

The merges are applied as the tokenizers library does it (`models/bpe/word.rs`, a queue ordered by rank and place, with
entries that no longer hold passed over), so that both give the same tokens also where two merges make one token.
"""

# pyright: reportMissingParameterType=false

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.pretokens import code_point, piece_end
from kernels.strings import TextBatch

__all__ = ["Known", "Merges", "Vocabulary", "encode", "first_difference", "known", "merges", "remember"]

_EMPTY = np.uint64(0)
_MIX = np.uint64(0x9E3779B97F4A7C15)
_FIELDS = 3  # hash; where the piece's bytes are, and how many; where its tokens are, and how many
_LENGTH = 20  # bits of a length


class Vocabulary(NamedTuple):
    """First symbols of a piece: a token for each character, or for each byte where the character has none."""

    characters: NDArray[np.int32]
    """[0x110000], -1 where a character is written as bytes; empty where all are."""
    bytes: NDArray[np.int32]
    """[256]"""


class Merges(NamedTuple):
    """The merges as a hash table from a pair of tokens to its rank."""

    pairs: NDArray[np.uint64]
    """left << 32 | right; all ones where the place is empty."""
    ranks: NDArray[np.int32]
    made: NDArray[np.int32]
    """Token that the merge of a rank makes."""


class Known(NamedTuple):
    """Pieces with their tokens: an open hash table over two stores. Full, it is emptied and fills again."""

    table: NDArray[np.uint64]
    """[places, 3]"""
    pieces: NDArray[np.uint8]
    tokens: NDArray[np.uint32]
    used: NDArray[np.int64]
    """Entries, bytes of `pieces`, items of `tokens`."""


def merges(left: NDArray[np.int64], right: NDArray[np.int64], made: NDArray[np.int64]) -> Merges:
    """Build the table; merge i has rank i, and of equal pairs the last counts (as in the library)."""
    size = 1 << max(4, (2 * len(left)).bit_length())
    pairs = np.full(size, np.iinfo(np.uint64).max, np.uint64)
    ranks = np.full(size, -1, np.int32)
    keys = left.astype(np.uint64) << np.uint64(32) | right.astype(np.uint64)
    _fill(keys, pairs, ranks)
    return Merges(pairs, ranks, made.astype(np.int32))


def known(places: int = 1 << 18, pieces: int = 1 << 22, tokens: int = 1 << 20) -> Known:
    """An empty table; `places` must be a power of two."""
    table = np.zeros((places, _FIELDS), np.uint64)
    return Known(table, np.empty(pieces, np.uint8), np.empty(tokens, np.uint32), np.zeros(3, np.int64))


def remember(into: Known, data: NDArray[np.uint8], offsets: NDArray[np.int64], tokens: NDArray[np.uint32]) -> None:
    """Put in pieces that are one token each: piece i is data[offsets[i]:offsets[i + 1]]."""
    _put_all(into, data, offsets, tokens)


def encode(
    texts: TextBatch,
    rule: int,
    classes: NDArray[np.uint8],
    vocabulary: Vocabulary,
    table: Merges,
    seen: Known,
    whole: Known,
) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """Encode texts.

    Args:
        texts: the texts, as UTF-8.
        rule: how they are cut into pieces, see `kernels.pretokens`.
        classes: uint8 of each code point.
        vocabulary: first symbols.
        table: merges.
        seen: pieces already encoded; new ones are put in.
        whole: pieces that are taken as they are, without merges; may be empty.

    Returns:
        Offsets [texts + 1] and tokens: text i is tokens[offsets[i]:offsets[i + 1]].
    """
    size = int(texts.offsets[-1] - texts.offsets[0])
    longest = int(np.diff(texts.offsets).max(initial=0))
    scratch = np.empty((3, longest), np.int32)
    queue = np.empty(3 * longest + 1, np.int64)
    offsets = np.zeros(len(texts.offsets), np.int64)
    out = np.empty(size, np.uint32)
    _encode(
        texts.data,
        texts.offsets,
        rule,
        classes,
        vocabulary,
        table,
        seen,
        whole,
        scratch,
        queue,
        offsets,
        out,
    )
    return offsets, out[: offsets[-1]].copy()


def first_difference(
    texts: TextBatch,
    offsets: NDArray[np.int64],
    tokens: NDArray[np.uint32],
    spelled: NDArray[np.uint8],
    spelled_offsets: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Byte at which the tokens of each text, spelled out, first differ from it; -1 where they do not. int64 [texts]."""
    found = np.empty(len(texts.offsets) - 1, np.int64)
    _compare(texts.data, texts.offsets, offsets, tokens, spelled, spelled_offsets, found)
    return found


@njit(cache=True, nogil=True)
def _fill(keys, pairs, ranks):
    mask = np.uint64(len(pairs) - 1)
    for rank in range(len(keys)):
        place = _spot(keys[rank]) & mask
        while ranks[place] >= 0 and pairs[place] != keys[rank]:
            place = (place + np.uint64(1)) & mask
        pairs[place] = keys[rank]
        ranks[place] = rank


@njit(cache=True, nogil=True)
def _spot(key):
    key *= _MIX
    return key ^ key >> np.uint64(32)


@njit(cache=True, nogil=True)
def _rank(table, left, right):
    """Rank of a pair, -1 where no merge takes it."""
    key = np.uint64(left) << np.uint64(32) | np.uint64(right)
    mask = np.uint64(len(table.pairs) - 1)
    place = _spot(key) & mask
    while table.ranks[place] >= 0:
        if table.pairs[place] == key:
            return table.ranks[place]
        place = (place + np.uint64(1)) & mask
    return np.int32(-1)


@njit(cache=True, nogil=True)
def _hash(data, begin, end):
    value = np.uint64(end - begin)
    for at in range(begin, end):
        value = (value ^ np.uint64(data[at])) * np.uint64(0x100000001B3)
    value = _spot(value)
    return value if value else np.uint64(1)


@njit(cache=True, nogil=True)
def _find(seen, key, data, begin, end):
    """Place of a piece in the table, or the empty place where it would go, and whether it is there."""
    mask = np.uint64(len(seen.table) - 1)
    place = key & mask
    while seen.table[place, 0] != _EMPTY:
        if seen.table[place, 0] == key:
            packed = seen.table[place, 1]
            length = np.int64(packed & np.uint64((1 << _LENGTH) - 1))
            if length == end - begin:
                start = np.int64(packed >> np.uint64(_LENGTH))
                same = True
                for i in range(length):
                    if seen.pieces[start + i] != data[begin + i]:
                        same = False
                        break
                if same:
                    return place, True
        place = (place + np.uint64(1)) & mask
    return place, False


@njit(cache=True, nogil=True)
def _put(seen, place, key, data, begin, end, tokens, first, count):
    """Put a piece in at an empty place; the table is emptied first where it has no room."""
    length = end - begin
    if length > len(seen.pieces) >> 4 or count > len(seen.tokens) >> 4 or length >> _LENGTH:
        return
    full = seen.used[0] >= len(seen.table) >> 1
    if full or seen.used[1] + length > len(seen.pieces) or seen.used[2] + count > len(seen.tokens):
        seen.table[:] = _EMPTY
        seen.used[:] = 0
        place = key & np.uint64(len(seen.table) - 1)
    start, where = seen.used[1], seen.used[2]
    for i in range(length):
        seen.pieces[start + i] = data[begin + i]
    for i in range(count):
        seen.tokens[where + i] = tokens[first + i]
    seen.table[place, 0] = key
    seen.table[place, 1] = np.uint64(start) << np.uint64(_LENGTH) | np.uint64(length)
    seen.table[place, 2] = np.uint64(where) << np.uint64(_LENGTH) | np.uint64(count)
    seen.used[0] += 1
    seen.used[1] += length
    seen.used[2] += count


@njit(cache=True, nogil=True)
def _put_all(seen, data, offsets, tokens):
    for i in range(len(offsets) - 1):
        key = _hash(data, offsets[i], offsets[i + 1])
        place, there = _find(seen, key, data, offsets[i], offsets[i + 1])
        if not there:
            _put(seen, place, key, data, offsets[i], offsets[i + 1], tokens, i, 1)


@njit(cache=True, nogil=True)
def _push(queue, size, entry):
    at = size
    while at > 0:
        up = (at - 1) >> 1
        if queue[up] <= entry:
            break
        queue[at] = queue[up]
        at = up
    queue[at] = entry


@njit(cache=True, nogil=True)
def _pop(queue, size):
    """Take the smallest of `size` entries out."""
    top, last = queue[0], queue[size - 1]
    size -= 1
    at = 0
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and queue[child + 1] < queue[child]:
            child += 1
        if queue[child] >= last:
            break
        queue[at] = queue[child]
        at = child
    queue[at] = last
    return top


@njit(cache=True, nogil=True)
def _merge(data, begin, end, vocabulary, table, scratch, queue, out, count):
    """Encode one piece at out[count:]; returns the new count."""
    symbol, before, after = scratch[0], scratch[1], scratch[2]
    size, at = 0, begin
    by_character = len(vocabulary.characters) > 0
    while at < end:
        width = 1
        token = np.int32(-1)
        if by_character:
            point, width = code_point(data, at)
            token = vocabulary.characters[point]
        if token >= 0:
            symbol[size] = token
            size += 1
        else:
            for i in range(at, at + width):
                symbol[size] = vocabulary.bytes[data[i]]
                size += 1
        at += width
    held = 0
    for i in range(size):
        before[i] = i - 1
        after[i] = i + 1
        if i + 1 < size:
            rank = _rank(table, symbol[i], symbol[i + 1])
            if rank >= 0:
                _push(queue, held, np.int64(rank) << 32 | i)
                held += 1
    while held:
        entry = _pop(queue, held)
        held -= 1
        place = entry & 0xFFFFFFFF
        if symbol[place] < 0 or after[place] >= size:
            continue
        right = after[place]
        rank = _rank(table, symbol[place], symbol[right])
        made = table.made[entry >> 32]
        if rank < 0 or table.made[rank] != made:
            continue
        symbol[place] = made
        symbol[right] = -1
        after[place] = after[right]
        if after[place] < size:
            before[after[place]] = place
            rank = _rank(table, made, symbol[after[place]])
            if rank >= 0:
                _push(queue, held, np.int64(rank) << 32 | place)
                held += 1
        if before[place] >= 0:
            rank = _rank(table, symbol[before[place]], made)
            if rank >= 0:
                _push(queue, held, np.int64(rank) << 32 | np.int64(before[place]))
                held += 1
    at = 0
    while at < size:
        out[count] = symbol[at]
        count += 1
        at = after[at]
    return count


# Python's lock is kept: threads that share a tokenizer share its table of known pieces.
@njit(cache=True)
def _encode(data, text_offsets, rule, classes, vocabulary, table, seen, whole, scratch, queue, offsets, out):
    count = 0
    has_whole = whole.used[0] > 0
    length_mask = np.uint64((1 << _LENGTH) - 1)
    for text in range(len(text_offsets) - 1):
        at, end = text_offsets[text], text_offsets[text + 1]
        while at < end:
            stop = piece_end(rule, data, at, end, classes)
            key = _hash(data, at, stop)
            if has_whole:
                place, there = _find(whole, key, data, at, stop)
                if there:
                    out[count] = whole.tokens[whole.table[place, 2] >> np.uint64(_LENGTH)]
                    count += 1
                    at = stop
                    continue
            place, there = _find(seen, key, data, at, stop)
            if there:
                packed = seen.table[place, 2]
                where = np.int64(packed >> np.uint64(_LENGTH))
                for i in range(np.int64(packed & length_mask)):
                    out[count] = seen.tokens[where + i]
                    count += 1
            else:
                first = count
                count = _merge(data, at, stop, vocabulary, table, scratch, queue, out, count)
                _put(seen, place, key, data, at, stop, out, first, count - first)
            at = stop
        offsets[text + 1] = count


@njit(cache=True, nogil=True)
def _compare(data, text_offsets, offsets, tokens, spelled, spelled_offsets, found):
    for text in range(len(text_offsets) - 1):
        begin, end = text_offsets[text], text_offsets[text + 1]
        at = begin
        found[text] = -1
        for i in range(offsets[text], offsets[text + 1]):
            for place in range(spelled_offsets[tokens[i]], spelled_offsets[tokens[i] + 1]):
                if at >= end or spelled[place] != data[at]:
                    found[text] = at - begin
                    break
                at += 1
            if found[text] >= 0:
                break
        if found[text] < 0 and at < end:
            found[text] = at - begin
