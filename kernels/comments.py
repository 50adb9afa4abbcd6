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

from kernels.blocks import at_least_a_block, bits_below, find_byte, first_bit, last_block, mask_equal
from kernels.lines import characters_between
from kernels.strings import TextBatch

__all__ = ["comment_characters"]

_SLASHES: Final = 1
_HASH: Final = 2
_DASHES: Final = 3
_SEMICOLON: Final = 4
_PERCENT: Final = 5


def comment_characters(batch: TextBatch) -> NDArray[np.int64]:
    """Code points of each text that stand in comments, their signs included."""
    return _comments(at_least_a_block(batch.data), batch.offsets)


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
    at = start
    while True:
        while at < end and _is_space(data[at]):
            at += 1
        if at >= end:
            break
        votes[_sign(data, at, end)] += 1
        at = find_byte(data, at, end, 10)
    votes[0] = 0
    best = np.argmax(votes)
    return best if votes[best] else 0


@njit(cache=True, nogil=True)
def _closed(data, at, end, first, second, third) -> Any:
    """Position behind the closing sign of up to three bytes (0: not used); -1 where it does not come."""
    size = 2 if third == 0 else 3
    while True:
        at = find_byte(data, at, end, first)
        if at + size > end:
            return -1
        if data[at + 1] == second and (third == 0 or data[at + 2] == third):
            return at + size
        at += 1


@njit(cache=True, nogil=True)
def _opens_markup(data, at, end) -> Any:
    return at + 3 < end and data[at + 1] == 33 and data[at + 2] == 45 and data[at + 3] == 45


@njit(cache=True, nogil=True)
def _string_end(data, at, end) -> Any:
    """Whether the string whose quote is at ``at`` ends in its line, and the position behind it.

    Where it does not, the position where the search for its end gave up.
    """
    quote = data[at]
    k = at + 1
    while k < end:
        block = last_block(k, len(data))
        mask = mask_equal(data, block, quote) | mask_equal(data, block, 92) | mask_equal(data, block, 10)
        mask >>= np.uint64(k - block)
        if mask == 0:
            k += 64
            continue
        k += first_bit(mask)
        if k >= end or data[k] == 10:
            return False, k
        if data[k] == quote:
            return True, k + 1
        k += 2
    return False, k


@njit(cache=True, nogil=True)
def _begins_line(data, at, floor, start) -> Any:
    """Whether nothing but white space stands between a line's beginning and ``at``, nor what ended at ``floor``."""
    k = at - 1
    while k >= floor and data[k] != 10 and _is_space(data[k]):
        k -= 1
    return floor == start if k < floor else data[k] == 10


@njit(cache=True, nogil=True, inline="always")
def _signs(data, base, end, style) -> Any:
    """The bytes of the block at ``base`` that a comment or a string may begin with."""
    at = last_block(base, len(data))
    mask = mask_equal(data, at, 34) | mask_equal(data, at, 39) | mask_equal(data, at, 60)
    if style != _HASH:
        mask |= mask_equal(data, at, 47)
    if style == _HASH:
        mask |= mask_equal(data, at, 35)
    elif style == _DASHES:
        mask |= mask_equal(data, at, 45) | mask_equal(data, at, 123)
    elif style == _SEMICOLON:
        mask |= mask_equal(data, at, 59)
    elif style == _PERCENT:
        mask |= mask_equal(data, at, 37)
    return (mask >> np.uint64(base - at)) & bits_below(end - base)


@njit(cache=True, nogil=True)
def _comments(data, offsets) -> Any:
    n = len(offsets) - 1
    counts = np.zeros(n, np.int64)
    for i in range(n):
        start = offsets[i]
        end = offsets[i + 1]
        style = _style(data, start, end)
        open_block = open_markup = open_braces = open_triple = True  # false once it is known that no end follows
        unclosed_single = unclosed_double = start  # up to here a quote of the kind begins no string
        at = start
        floor = start  # where the last comment or string ended
        while at < end:
            mask = _signs(data, at, end, style)
            if mask == 0:
                at += 64
                continue
            at += first_bit(mask)
            byte = data[at]
            beginning = _begins_line(data, at, floor, start)
            after = np.int64(-1)  # where the comment that begins here ends
            spaced = beginning or _is_space(data[at - 1])
            if style and spaced and (byte == 35 or byte == 47 or byte == 45 or byte == 59 or byte == 37):
                sign = _sign(data, at, end)
                if style == _HASH and byte == 35 and beginning:
                    sign = _HASH
                if sign == style:
                    after = find_byte(data, at, end, 10)
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
                        before = data[at - 1] | 32 if at > floor else 0
                        if before == 114 or before == 117 or before == 98:  # r, u, b of a string
                            beginning = _begins_line(data, at - 1, floor, start)
                        if beginning:
                            after = stop
                        else:
                            at = floor = stop
                            continue
                if after < 0:
                    # A quote that a search for the end of its kind went past is no end, and begins nothing either: the
                    # search went on behind it as it would now.
                    if at < (unclosed_double if byte == 34 else unclosed_single):
                        at = floor = at + 1
                        continue
                    whole, stop = _string_end(data, at, end)
                    if whole:
                        at = floor = stop
                        continue
                    if byte == 34:
                        unclosed_double = stop
                    else:
                        unclosed_single = stop
                    at = floor = at + 1
                    continue
            if after < 0:
                at += 1
                continue
            counts[i] += characters_between(data, at, after)
            at = floor = after
    return counts
