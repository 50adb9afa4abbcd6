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

from kernels.strings import TextBatch

__all__ = ["folded"]

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


def folded(batch: TextBatch) -> TextBatch:
    """Return the texts with characters replaced by the ASCII ones they look like; the same batch if there is none."""
    offsets = batch.offsets
    begin, end = int(offsets[0]), int(offsets[-1])
    leads = np.flatnonzero(batch.data[begin:end] >= 0xC3) + begin
    if not len(leads):
        return batch
    places, lengths, letters = _replaced(batch.data, leads, end, _table())
    if not len(places):
        return batch
    data, moved = _written(batch.data, offsets, places, lengths, letters)
    data.flags.writeable = False
    moved.flags.writeable = False
    return TextBatch(data, moved)


@njit(cache=True, nogil=True)
def _replaced(data, leads, end, table) -> Any:
    """Return where a character is to be replaced, its bytes, and by what."""
    places = np.empty(len(leads), np.int64)
    lengths = np.empty(len(leads), np.int64)
    letters = np.empty(len(leads), np.uint8)
    m = 0
    for at in leads:
        first = np.int64(data[at])
        length = 2 if first < 0xE0 else (3 if first < 0xF0 else 4)
        if first > 0xF4 or at + length > end:
            continue
        code = first & (0x7F >> length)
        whole = True
        for k in range(1, length):
            byte = np.int64(data[at + k])
            whole &= byte & 0xC0 == 0x80
            code = (code << 6) | (byte & 0x3F)
        if whole and 0x80 <= code < len(table) and table[code]:
            places[m] = at
            lengths[m] = length
            letters[m] = table[code]
            m += 1
    return places[:m], lengths[:m], letters[:m]


@njit(cache=True, nogil=True)
def _written(data, offsets, places, lengths, letters) -> Any:
    """Write the texts anew."""
    size = offsets[-1] - offsets[0]
    for length in lengths:
        size -= length - 1
    written = np.empty(size, np.uint8)
    moved = np.empty(len(offsets), np.int64)
    moved[0] = 0
    at = offsets[0]
    to = 0
    k = 0
    for i in range(len(offsets) - 1):
        while at < offsets[i + 1]:
            stop = offsets[i + 1]
            if k < len(places) and places[k] < stop:
                stop = places[k]
            for b in range(at, stop):
                written[to + b - at] = data[b]
            to += stop - at
            at = stop
            if at < offsets[i + 1] and k < len(places) and places[k] == at:
                written[to] = letters[k]
                to += 1
                at += lengths[k]
                k += 1
        moved[i + 1] = to
    return written, moved
