"""A text put so that its words can be found byte by byte: what is beyond ASCII is a letter there, or ASCII.

Words alone count, so a dash may as well be a quotation mark and a no-break space a space. Every byte of 128 or more
that is left belongs to a letter or to a mark on one, under case folding, and the masks of ``kernels.tokens`` then find
the words of the rule in ``kernels.words`` in any script, 64 bytes at once. A character of a script without spaces,
which is a word by itself, gets spaces around it. Few characters cannot be put so (a digit with a mark before a full
stop); a text with one of them is left to be decoded.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.blocks import (
    bits_below,
    copy_block,
    count_bits,
    first_bit,
    last_block,
    load_word,
    mask_between,
    store_word,
)
from kernels.tokens import IS_DIGIT, IS_LETTER, IS_SEPARATOR, IS_UPPER, IS_WORD
from kernels.unicode import BLOCK, CLASS_MASK, SHIFT, UPPER, TokenClass, unicode_tables

__all__ = ["NOT_PLAIN", "characters", "plain"]

NOT_PLAIN: Final = -1

# What becomes of a character beyond ASCII: its kind, the length of what is written for it, and those bytes.
_KIND: Final = np.uint64(40)
_LENGTH: Final = np.uint64(32)
_WRITTEN: Final = 0  # whatever stands beside it
_LIKE: Final = 1  # an ASCII capital
_CAPITAL: Final = 2
_UNSPACED: Final = 3
_MARK: Final = 4
_FORMAT: Final = 5
_MID_LETTER: Final = 6
_OTHER: Final = 7

_QUOTE: Final = np.uint8(34)  # stands for every sign
_BLANK: Final = np.uint8(32)
_STOP: Final = 46
_BYTE: Final = np.uint64(0xFF)


def characters(look_alikes: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """What becomes of each code point; for ``plain``.

    Args:
        look_alikes: the ASCII letter or digit that stands for each of the first code points, or 0.
    """
    tables = unicode_tables()
    codes = np.arange(0x110000)
    block, low = codes >> SHIFT, codes & (BLOCK - 1)
    properties = tables.properties[(tables.property_index[block].astype(np.int64) << SHIFT) | low].astype(np.int64)
    folds = codes + tables.folds[(tables.fold_index[block].astype(np.int64) << SHIFT) | low]
    kind = np.full(len(codes), _OTHER)
    here = properties & CLASS_MASK
    same = folds == codes
    becomes = folds
    kind[here == TokenClass.LETTER] = _WRITTEN
    kind[(here == TokenClass.LETTER) & (properties & UPPER != 0)] = _CAPITAL
    for sign in (TokenClass.PUNCTUATION, TokenClass.SYMBOL):
        kind[here == sign] = _WRITTEN
        becomes[here == sign] = _QUOTE
    kind[here == TokenClass.SEPARATOR] = _WRITTEN
    becomes[here == TokenClass.SEPARATOR] = _BLANK
    kind[here == TokenClass.FORMAT] = _FORMAT
    for name, of in ((_UNSPACED, TokenClass.UNSPACED), (_MARK, TokenClass.MARK), (_MID_LETTER, TokenClass.MID_LETTER)):
        kind[(here == of) & same] = name
    alike = np.flatnonzero(look_alikes)
    becomes[alike] = look_alikes[alike]
    kind[alike] = np.where((becomes[alike] >= 65) & (becomes[alike] <= 90), _LIKE, _WRITTEN)
    length, spelled = _utf8(becomes)
    found = kind.astype(np.uint64) << _KIND | length << _LENGTH | spelled
    found.flags.writeable = False
    return found


def _utf8(codes: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The length in bytes of each code point, and the bytes as a number."""
    size = 1 + (codes >= 0x80).astype(np.int64) + (codes >= 0x800) + (codes >= 0x10000)
    leads = np.array([0, 0, 0xC0, 0xE0, 0xF0])[size]
    spelled = leads | codes >> 6 * (size - 1)
    for place in range(1, 4):
        following = 0x80 | (codes >> 6 * np.maximum(size - 1 - place, 0) & 0x3F)
        spelled |= np.where(place < size, following << 8 * place, 0)
    return size.astype(np.uint64), spelled.astype(np.uint64)


@njit(cache=True, nogil=True, inline="always")
def _decoded(bytes_there, left) -> Any:
    """Code point and length of the character that some bytes begin with, of which ``left`` count; -1 if not UTF-8."""
    first = bytes_there & 0xFF
    second = (bytes_there >> 8) & 0x3F
    third = (bytes_there >> 16) & 0x3F
    if first < 0xE0:
        length = 2
        code = ((first & 0x1F) << 6) | second
        fits = bytes_there & 0xC000 == 0x8000
    elif first < 0xF0:
        length = 3
        code = ((first & 0x0F) << 12) | (second << 6) | third
        # Neither overlong nor a surrogate.
        fits = (bytes_there & 0xC0C000 == 0x808000) & (code >= 0x800) & ((code < 0xD800) | (code >= 0xE000))
    else:
        length = 4
        code = ((first & 0x07) << 18) | (second << 12) | (third << 6) | ((bytes_there >> 24) & 0x3F)
        fits = (bytes_there & 0xC0C0C000 == 0x80808000) & (code >= 0x10000) & (code <= 0x10FFFF)
    return (code if fits & (length <= left) else -1), length


@njit(cache=True, nogil=True)
def plain(data, begin, end, table, natures, room) -> Any:
    """Write a text put plainly and return its bytes, or ``NOT_PLAIN`` where it cannot be put so.

    Args:
        data: at least a block of bytes.
        begin: of the text.
        end: of the text; what lies behind it is another text's.
        table: ``characters()``.
        natures: of each byte (``kernels.tokens.ascii_natures``), those from 128 on letters.
        room: twice as many bytes as the text has, and a block.
    """
    at = np.int64(begin)  # up to here it is written
    to = np.int64(0)
    inner = np.int64(0)  # bytes inside characters that were read, and those there are
    there = np.int64(0)
    # Where the last character of a kind ends: what follows it there stands beside it.
    after_capital = np.int64(-1)
    after_unspaced = np.int64(-1)
    after_digit = np.int64(-1)  # or a capital, with a mark on it: only its base says whether a full stop joins it
    for base in range(begin, end, 64):
        block = last_block(base, len(data))
        shift = np.uint64(base - block)
        here = bits_below(end - base)
        high = (mask_between(data, block, 0x80, 0xFF) >> shift) & here
        if high == 0:
            continue
        leads = (mask_between(data, block, 0xC2, 0xF4) >> shift) & here
        others = (mask_between(data, block, 0x80, 0xBF) >> shift) & here
        if leads | others != high:
            return NOT_PLAIN
        there += count_bits(others)
        while leads:
            place = base + first_bit(leads)
            leads &= leads - np.uint64(1)
            # No helper takes an array here: those that are passed on are counted, atomically, at every character.
            if place > at:
                whole = place if place + 64 <= len(data) else at  # by blocks; what they write too much is written over
                for k in range(at, whole, 64):
                    copy_block(data, k, room, to + k - at)
                for k in range(max(at, whole), place):
                    room[to + k - at] = data[k]
                to += place - at
            last = min(place, len(data) - 8)
            code, length = _decoded(np.int64(load_word(data, last) >> np.uint64(8 * (place - last))), end - place)
            if code < 0:
                return NOT_PLAIN
            inner += length - 1
            at = place + length
            entry = table[code]
            kind = np.int64(entry >> _KIND)
            size = np.int64(entry >> _LENGTH & _BYTE)
            if kind == _WRITTEN:
                store_word(room, to, np.uint32(entry))
                to += size
                continue
            beyond = np.int64(data[at]) if at < end else 0
            before = np.int64(room[to - 1]) if to > 0 else np.int64(_BLANK)
            nature = np.int64(natures[before])
            if kind == _UNSPACED:
                room[to] = _BLANK
                to += np.int64(before != _BLANK)
                store_word(room, to, np.uint32(entry))
                to += size
                room[to] = _BLANK
                to += 1
                after_unspaced = at
            elif kind == _MARK:
                if after_unspaced == place:
                    to -= 1
                elif nature & IS_WORD:
                    if after_digit == place or after_capital == place or nature & (IS_DIGIT | IS_UPPER) != 0:
                        after_digit = at
                        if beyond == 39 or beyond == 44 or beyond == _STOP:
                            return NOT_PLAIN
                elif nature & IS_SEPARATOR:
                    return NOT_PLAIN  # it begins a word, which nothing in the middle joins to another
                else:  # it stays with the sign
                    room[to] = _QUOTE
                    to += 1
                    continue
                store_word(room, to, np.uint32(entry))
                to += size
                if after_unspaced == place:
                    room[to] = _BLANK
                    to += 1
                    after_unspaced = at
            elif kind == _FORMAT:
                if after_unspaced == place:
                    after_unspaced = at
                elif nature & IS_WORD:
                    if after_digit == place or after_capital == place:
                        if beyond == 39 or beyond == 44 or beyond == _STOP:
                            return NOT_PLAIN
                        after_digit = at if after_digit == place else after_digit
                        after_capital = at if after_capital == place else after_capital
                else:
                    room[to] = _BLANK
                    to += 1
            elif kind == _MID_LETTER:
                if after_digit == place:
                    return NOT_PLAIN
                joins = nature & IS_LETTER != 0 and natures[beyond] & IS_LETTER != 0
                if joins and beyond >= 0x80:
                    last = min(at, len(data) - 8)
                    following = np.int64(load_word(data, last) >> np.uint64(8 * (at - last)))
                    following, _ = _decoded(following, end - at)
                    if following < 0 or beyond < 0xC2 or beyond > 0xF4:
                        return NOT_PLAIN
                    becomes = table[following]
                    joins = np.int64(becomes >> _KIND) <= _CAPITAL and natures[becomes & _BYTE] & IS_LETTER != 0
                if joins:
                    store_word(room, to, np.uint32(entry))
                    to += size
                else:
                    room[to] = _QUOTE
                    to += 1
            elif kind == _OTHER:
                return NOT_PLAIN
            else:  # a capital
                capital = kind == _CAPITAL
                spelled = np.uint32(entry)
                if before == _STOP:
                    # "U.S" is a word and "end.Next" are two: a full stop joins two capitals, or what is not one.
                    joined = after_capital == place - 1
                    first = natures[room[to - 2]] if to > 1 else natures[_BLANK]
                    if kind == _LIKE:
                        capital = joined and first & IS_LETTER != 0
                        spelled = np.uint32(entry) | np.uint32(32 * capital)
                    elif first & IS_LETTER != 0 and first & IS_UPPER == 0 and not joined:
                        room[to - 1] = _QUOTE
                store_word(room, to, np.uint32(spelled))
                to += size
                if capital:
                    while at + 1 < end and data[at] == _STOP and 65 <= data[at + 1] <= 90:
                        room[to] = _STOP
                        room[to + 1] = data[at + 1] | 32
                        to += 2
                        at += 2
                    after_capital = at
    whole = end if end + 64 <= len(data) else at
    for k in range(at, whole, 64):
        copy_block(data, k, room, to + k - at)
    for k in range(max(at, whole), end):
        room[to + k - at] = data[k]
    to += end - at
    return to if inner == there else NOT_PLAIN
