r"""Comments of source code in a language that nobody names.

Which sign begins a comment is read from the text: of ``//``, ``#``, ``--``, ``;`` and ``%``, the one that most lines
begin with (``#`` only before a space, another ``#``, ``!`` or the line's end, so that a directive of C is none; a tie
goes to the first). That sign then comments out the rest of a line, where the line begins with it or white space stands
before it (``#`` within a line also needs white space behind it). ``/* */`` are comments unless the sign is ``#``,
``<!-- -->`` always, ``{- -}`` where it is ``--``. Triple-quoted strings at the beginning of a line are docstrings where
the sign is ``#`` or there is none, and count as comments, as in BigCode's measure for Python; other strings are passed
over, so that signs within them are none.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.strings import TextBatch

__all__ = ["comment_characters"]

_SLASHES: Final = 1
_HASH: Final = 2
_DASHES: Final = 3
_SEMICOLON: Final = 4
_PERCENT: Final = 5


def comment_characters(batch: TextBatch) -> NDArray[np.int64]:
    """Code points of each text that stand in comments, their signs included."""
    return _comments(batch.data, batch.offsets)


@njit(cache=True, nogil=True)
def _is_space(byte) -> Any:
    return byte == 32 or 9 <= byte <= 13


@njit(cache=True, nogil=True)
def _sign(data, at, end) -> Any:
    """The comment sign at a place where a line's text begins; 0 where there is none."""
    byte = data[at]
    following = data[at + 1] if at + 1 < end else 10
    if byte == 47 and following == 47:
        return _SLASHES
    if byte == 35 and (_is_space(following) or following == 33 or following == 35):
        return _HASH
    if byte == 45 and following == 45:
        return 0 if at + 2 < end and data[at + 2] == 45 else _DASHES
    if byte == 59:
        return _SEMICOLON
    return _PERCENT if byte == 37 else 0


@njit(cache=True, nogil=True)
def _style(data, start, end) -> Any:
    """The sign that most lines begin with."""
    votes = np.zeros(6, np.int64)
    beginning = True
    for at in range(start, end):
        byte = data[at]
        if byte == 10:
            beginning = True
        elif beginning and not _is_space(byte):
            beginning = False
            votes[_sign(data, at, end)] += 1
    votes[0] = 0
    best = np.argmax(votes)
    return best if votes[best] else 0


@njit(cache=True, nogil=True)
def _closed(data, at, end, first, second, third) -> Any:
    """Position behind the closing sign of up to three bytes (0: not used); -1 where it does not come."""
    size = 2 if third == 0 else 3
    while at + size <= end:
        if data[at] == first and data[at + 1] == second and (third == 0 or data[at + 2] == third):
            return at + size
        at += 1
    return -1


@njit(cache=True, nogil=True)
def _opens_markup(data, at, end) -> Any:
    return at + 3 < end and data[at + 1] == 33 and data[at + 2] == 45 and data[at + 3] == 45


@njit(cache=True, nogil=True)
def _string_end(data, at, end) -> Any:
    """Position behind the string whose quote is at ``at``; behind the quote itself where its line has no other."""
    quote = data[at]
    k = at + 1
    while k < end and data[k] != 10:
        if data[k] == 92:
            k += 1
        elif data[k] == quote:
            return k + 1
        k += 1
    return at + 1


@njit(cache=True, nogil=True)
def _comments(data, offsets) -> Any:
    n = len(offsets) - 1
    counts = np.zeros(n, np.int64)
    for i in range(n):
        start = offsets[i]
        end = offsets[i + 1]
        style = _style(data, start, end)
        open_block = open_markup = open_braces = open_triple = True  # false once it is known that no end follows
        at = start
        beginning = True  # nothing but white space stands before on this line
        while at < end:
            byte = data[at]
            if byte == 10:
                beginning = True
                at += 1
                continue
            if _is_space(byte):
                at += 1
                continue
            after = np.int64(-1)  # where the comment that begins here ends
            spaced = beginning or _is_space(data[at - 1])
            if style and spaced and (byte == 35 or byte == 47 or byte == 45 or byte == 59 or byte == 37):
                sign = _sign(data, at, end)
                if style == _HASH and byte == 35 and beginning:
                    sign = _HASH
                if sign == style:
                    after = at
                    while after < end and data[after] != 10:
                        after += 1
            if after < 0 and byte == 47 and style != _HASH and open_block and at + 1 < end and data[at + 1] == 42:
                before = data[at - 1] if at > start else 10
                if spaced or before in (40, 41, 44, 59, 61, 62, 123, 125):
                    after = _closed(data, at + 2, end, 42, 47, 0)
                    open_block = after >= 0
            if after < 0 and byte == 60 and open_markup and _opens_markup(data, at, end):
                after = _closed(data, at + 4, end, 45, 45, 62)
                open_markup = after >= 0
            if after < 0 and byte == 123 and style == _DASHES and open_braces and at + 1 < end and data[at + 1] == 45:
                after = _closed(data, at + 2, end, 45, 125, 0)
                open_braces = after >= 0
            if after < 0 and (byte == 34 or byte == 39):
                triple = style <= _HASH and style != _SLASHES and at + 2 < end
                if triple and open_triple and data[at + 1] == byte and data[at + 2] == byte:
                    stop = _closed(data, at + 3, end, byte, byte, byte)
                    open_triple = stop >= 0
                    if stop >= 0:
                        if beginning:
                            after = stop
                        else:
                            at = stop
                            beginning = False
                            continue
                if after < 0:
                    at = _string_end(data, at, end)
                    beginning = False
                    continue
            if after < 0:
                prefix = byte | 32 == 114 or byte | 32 == 117 or byte | 32 == 98  # r, u, b of a string
                quoted = at + 1 < end and (data[at + 1] == 34 or data[at + 1] == 39)
                beginning = beginning and prefix and quoted
                at += 1
                continue
            for k in range(at, after):
                counts[i] += data[k] & 0xC0 != 0x80
            at = after
            beginning = False
    return counts
