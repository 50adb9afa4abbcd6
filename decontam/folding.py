"""Characters that look alike, made one: digits of other scripts, letters of full width, Cyrillic for Latin ones.

Every character becomes one other, so code points keep their numbers; bytes move. Accents, ligatures and marks stay as
they are. Greek and Cyrillic letters become Latin in items and texts alike, so that a word of one script still equals
itself; that a Russian word may then equal an English one costs nothing that an alignment would not see.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.blocks import at_least_a_block, bits_below, first_bit, last_block, mask_between
from kernels.strings import TextBatch

__all__ = ["fold", "folded", "look_alikes"]

_LIMIT: Final = 0x20000
# Letters that common fonts draw as the Latin ones (Unicode's confusables.txt, single letters), capitals and small.
_LIKE: Final = {
    "АВЕЅІЈКМНОРСТУХԌҺԚԜ": "ABESIJKMHOPCTYXGhQW",
    "авеѕіјкмнорстухԍһԛԝѵ": "abesijkmhopctyxghqwv",
    "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ": "ABEZHIKMNOPTYX",
    "ονι": "ovi",
}


@cache
def _table() -> NDArray[np.uint8]:
    """The ASCII character that a code point looks like, or 0."""
    table = np.zeros(_LIMIT, np.uint8)
    for code in range(0x80, _LIMIT):
        character = chr(code)
        digit = unicodedata.decimal(character, None)
        if digit is not None:
            table[code] = ord("0") + digit
            continue
        plain = unicodedata.normalize("NFKC", character)
        kind = unicodedata.decomposition(character).partition(" ")[0]
        if len(plain) == 1 and plain < "\x80" and plain.isalnum() and kind in ("<wide>", "<font>", "<circle>"):
            table[code] = ord(plain)
    for theirs, ours in _LIKE.items():
        for one, other in zip(theirs, ours, strict=True):
            table[ord(one)] = ord(other)
    table.flags.writeable = False
    return table


def look_alikes() -> NDArray[np.uint8]:
    """The ASCII character that each code point is replaced by, or 0; for ``fold``."""
    return _table()


def folded(batch: TextBatch) -> TextBatch:
    """Return the texts with characters replaced by the ASCII ones they look like; the same batch if there is none."""
    data, offsets = at_least_a_block(batch.data), batch.offsets
    room = np.empty(int(np.diff(offsets).max(initial=0)), np.uint8)
    moved = _sizes(data, offsets, _table(), room)
    if moved[-1] == offsets[-1] - offsets[0]:  # every replacement makes a text shorter
        return batch
    written = np.empty(int(moved[-1]), np.uint8)
    _write(data, offsets, _table(), moved, written)
    written.flags.writeable = False
    moved.flags.writeable = False
    return TextBatch(written, moved)


@njit(cache=True, nogil=True)
def _sizes(data, offsets, table, room) -> Any:
    moved = np.zeros(len(offsets), np.int64)
    for i in range(len(offsets) - 1):
        moved[i + 1] = moved[i] + fold(data, offsets[i], offsets[i + 1], table, room)
    return moved


@njit(cache=True, nogil=True)
def _write(data, offsets, table, moved, written) -> None:
    for i in range(len(offsets) - 1):
        fold(data, offsets[i], offsets[i + 1], table, written[moved[i] :])


@njit(cache=True, nogil=True)
def fold(data, begin, end, table, room) -> Any:
    """Write one text folded to ``room`` and return its bytes.

    Args:
        data: at least a block of bytes.
        begin: of the text.
        end: of the text; what lies behind it is another text's.
        table: ``look_alikes()``.
        room: at least as many bytes as the text has.
    """
    at = begin  # up to here it is written
    to = 0
    for base in range(begin, end, 64):
        block = last_block(base, len(data))
        leads = mask_between(data, block, 0xC3, 0xF4) >> np.uint64(base - block) & bits_below(end - base)
        while leads:
            place = base + first_bit(leads)
            leads &= leads - np.uint64(1)
            letter, length = _looks_like(data, place, end, table)
            if letter:
                to = _copied(data[at:place], room, to)
                room[to] = letter
                to += 1
                at = place + length
    return _copied(data[at:end], room, to)


@njit(cache=True, nogil=True)
def _copied(part, room, to) -> Any:
    """Write bytes to ``room[to:]`` and return where they end."""
    there = room[to : to + len(part)]
    for k in range(len(part)):
        there[k] = part[k]
    return to + len(part)


@njit(cache=True, nogil=True)
def _looks_like(data, at, end, table) -> Any:
    """Return what the character at a place looks like, and its bytes; 0 where nothing, or where it is not UTF-8."""
    first = np.int64(data[at])
    length = 2 if first < 0xE0 else (3 if first < 0xF0 else 4)
    if at + length > end:
        return np.uint8(0), length
    code = first & (0x7F >> length)
    whole = True
    for k in range(1, length):
        byte = np.int64(data[at + k])
        whole &= byte & 0xC0 == 0x80
        code = (code << 6) | (byte & 0x3F)
    least = 0x80 if length == 2 else (0x800 if length == 3 else 0x10000)
    if not whole or code < least or code >= len(table):
        return np.uint8(0), length
    return table[code], length
