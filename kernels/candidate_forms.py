"""What the bytes around a digit tell: groups and their separators, an IBAN and its checksum, a street, a date.

Each is asked at one place by the walk of `kernels.candidates`, and looks no further than what it names is long.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

__all__ = ["HASHES", "LETTERS", "iban_end", "is_date", "is_digit", "is_letter", "is_word", "separators", "street"]

HASHES: Final = 4096
"""Size of the table of words for streets."""
LETTERS: Final = 26
_STREET_BYTES: Final = 72
_STREET_WORDS: Final = 7


@njit(cache=True, nogil=True, inline="always")
def is_digit(byte) -> Any:
    """Whether a byte is an ASCII digit."""
    return 48 <= byte <= 57


@njit(cache=True, nogil=True, inline="always")
def is_letter(byte) -> Any:
    """Whether a byte is an ASCII letter."""
    return 97 <= (byte | 32) <= 122


@njit(cache=True, nogil=True, inline="always")
def is_word(byte) -> Any:
    """Whether a byte can be part of a token: a letter, a digit or an underscore."""
    return is_digit(byte) or is_letter(byte) or byte == 95


@njit(cache=True, nogil=True)
def separators(data, at, end) -> Any:
    """Bytes of the separators from ``at`` to the next digit, and whether it is one point; 0 where there is no group.

    One of space, hyphen, point, slash, no-break and thin space, Unicode's hyphens and dashes; two if one is a
    parenthesis.
    """
    at_first = at
    count = 0
    brackets = 0
    while at < end and count < 3:
        byte = data[at]
        if byte in (32, 45, 46, 47):
            at += 1
        elif byte in (40, 41):
            at += 1
            brackets += 1
        elif byte == 0xC2 and at + 1 < end and data[at + 1] == 0xA0:
            at += 2
        elif (
            byte == 0xE2
            and at + 2 < end
            and data[at + 1] == 0x80
            and (data[at + 2] in (0x89, 0xAF) or 0x90 <= data[at + 2] <= 0x93)
        ):
            at += 3
        else:
            break
        count += 1
    if count == 0 or at >= end or not is_digit(data[at]) or count > 1 + brackets:
        return 0, False
    return at - at_first, count == 1 and data[at_first] == 46


@njit(cache=True, nogil=True)
def iban_end(data, start, end, lengths) -> Any:
    """End of the IBAN that begins here; 0 where none does."""
    first, second = (data[start] | 32) - 97, (data[start + 1] | 32) - 97
    length = lengths[first * LETTERS + second]
    if length == 0 or not (is_digit(data[start + 2]) and is_digit(data[start + 3])):
        return 0
    at = start
    count = 0
    spaced = False
    head = np.int64(0)  # the first four characters as digits, which the checksum wants behind the others
    scale = np.int64(1)
    rest = np.int64(0)
    while at < end and count < length:
        byte = data[at]
        if byte == 32 and count % 4 == 0 and count > 0 and (spaced or count == 4):
            spaced = True
            at += 1
            continue
        if spaced and count % 4 == 0 and count > 4 and data[at - 1] != 32:
            return 0
        if is_digit(byte):
            value, width = np.int64(byte - 48), np.int64(10)
        elif is_letter(byte):
            value, width = np.int64((byte | 32) - 87), np.int64(100)
        else:
            return 0
        if count < 4:
            head = head * width + value
            scale *= width
        else:
            rest = (rest * width + value) % 97
        count += 1
        at += 1
    if count < length or (at < end and is_word(data[at])):
        return 0
    return at if (rest * (scale % 97) + head) % 97 == 1 else 0


@njit(cache=True, nogil=True)
def street(data, at, end, words) -> Any:
    """Whether a word for streets is among the next, or a postal code is next (``12, 10115 Berlin``)."""
    place = at
    if place < end and is_letter(data[place]) and (place + 1 == end or not is_word(data[place + 1])):
        place += 1  # 12a
    gap = place
    while gap < end and gap < place + 4 and data[gap] in (32, 44, 10, 45):
        gap += 1
    if place < gap < end:
        code = gap
        while code < end and code < gap + 3 and (65 <= data[code] <= 90 or data[code] == 45):
            code += 1
        first = code
        digits = 0
        while code < end and code < first + 7 and (is_digit(data[code]) or data[code] in (32, 45)):
            digits += is_digit(data[code])
            code += 1
        if 4 <= digits <= 5 and code < end and data[code - 1] == 32 and data[first] not in (32, 45):
            return True
    if at >= end or data[at] not in (32, 44):
        return False
    last = min(end, at + _STREET_BYTES)
    seen = 0
    state = np.uint32(0)
    size = 0
    for k in range(at, last + 1):
        byte = data[k] if k < last else 32
        if is_letter(byte) or byte >= 128:
            state = np.uint32(state * np.uint32(31) + np.uint32(byte | 32 if byte < 128 else byte))
            size += 1
            continue
        if size:
            if words[state % np.uint32(HASHES)]:
                return True
            seen += 1
            if seen == _STREET_WORDS:
                return False
        if byte in (10, 33, 63, 59):  # the end of a line or a sentence
            return False
        state = np.uint32(0)
        size = 0
    return False


@njit(cache=True, nogil=True)
def is_date(sizes, heads, groups) -> Any:
    """Whether groups have the sizes of a date, with an hour behind it or not, or of two years; a year begins 1 or 2."""
    if groups == 2:
        return sizes[0] == 4 and sizes[1] == 4 and heads[0] in (49, 50) and heads[1] in (49, 50)
    if groups in (3, 4):
        early = sizes[0] == 4 and sizes[1] <= 2 and sizes[2] <= 2 and heads[0] in (49, 50)
        late = sizes[0] <= 2 and sizes[1] <= 2 and sizes[2] == 4 and heads[2] in (49, 50)
        return (early or late) and (groups == 3 or sizes[3] <= 2)
    return False
