"""How byte-pair tokenizers cut a text into pieces that no merge crosses.

The rules are the regular expressions of published tokenizers, each written out as a scanner: what a backtracking engine
finds at a position is decided here by looking at the next characters. Which characters are letters, marks, numbers and
white space is asked of the tokenizers library itself (see `pipelines.token_encoder`), so that both agree on every code
point whatever their versions of Unicode.
"""

# pyright: reportMissingParameterType=false

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

__all__ = ["AFM", "GPT2", "LETTER", "LLAMA3", "MARK", "NUMBER", "QWEN2", "SPACE"]

AFM: Final = 0
GPT2: Final = 1
LLAMA3: Final = 2
QWEN2: Final = 3

LETTER: Final = np.uint8(1)
MARK: Final = np.uint8(2)
NUMBER: Final = np.uint8(4)
SPACE: Final = np.uint8(8)

_WORD: Final = np.uint8(LETTER | MARK)
_NOT_OTHER: Final = np.uint8(LETTER | NUMBER | SPACE)


@njit(cache=True, nogil=True)
def code_point(data, at):
    """Return the code point that begins at a byte, and its length."""
    lead = np.uint32(data[at])
    if lead < 0x80:
        return lead, 1
    if lead < 0xE0:
        return (lead & 0x1F) << 6 | (np.uint32(data[at + 1]) & 0x3F), 2
    if lead < 0xF0:
        middle = (np.uint32(data[at + 1]) & 0x3F) << 6 | (np.uint32(data[at + 2]) & 0x3F)
        return (lead & 0x0F) << 12 | middle, 3
    middle = (np.uint32(data[at + 1]) & 0x3F) << 12 | (np.uint32(data[at + 2]) & 0x3F) << 6
    return (lead & 0x07) << 18 | middle | (np.uint32(data[at + 3]) & 0x3F), 4


@njit(cache=True, nogil=True)
def _run(data, at, end, classes, mask):
    """End of the run of characters that are of any class in the mask."""
    while at < end:
        point, size = code_point(data, at)
        if not classes[point] & mask:
            break
        at += size
    return at


@njit(cache=True, nogil=True)
def _others(data, at, end, classes):
    """End of the run of characters that are neither white space nor letters nor numbers."""
    while at < end:
        point, size = code_point(data, at)
        if classes[point] & _NOT_OTHER:
            break
        at += size
    return at


@njit(cache=True, nogil=True)
def _contraction(data, at, end, fold):
    """Bytes of `'s 't 're 've 'm 'll 'd` at an apostrophe, 0 where there is none; `fold` takes any case."""
    if at + 1 >= end:
        return 0
    first = np.uint32(data[at + 1])
    if fold:
        if first == 0xC5 and at + 2 < end and data[at + 2] == 0xBF:
            return 3  # ſ, which folds to s
        if first < 0x80:
            first |= np.uint32(0x20)
    if first in (0x73, 0x74, 0x6D, 0x64):  # s t m d
        return 2
    if at + 2 < end:
        second = np.uint32(data[at + 2])
        if fold and second < 0x80:
            second |= np.uint32(0x20)
        if (first in (0x72, 0x76) and second == 0x65) or (first == 0x6C and second == 0x6C):  # re ve ll
            return 3
    return 0


@njit(cache=True, nogil=True)
def _blank(data, at, end, classes):
    r"""`\s+(?!\S)|\s+`: all white space, less its last character where something follows and it is not alone."""
    begin, last = at, at
    while at < end:
        point, size = code_point(data, at)
        if not classes[point] & SPACE:
            return last if last > begin else at
        last = at
        at += size
    return at


@njit(cache=True, nogil=True)
def _afm(data, at, end, classes):
    point, size = code_point(data, at)
    kind = classes[point]
    if kind & LETTER:
        return _run(data, at + size, end, classes, _WORD)
    if kind & NUMBER:
        return at + size
    if not kind & SPACE:
        return _others(data, at, end, classes)
    if point == 0x0A:
        while at < end and data[at] == 0x0A:
            at += 1
        return at
    if point == 0x20 and at + 1 < end:
        following, width = code_point(data, at + 1)
        after = classes[following]
        if after & LETTER:
            return _run(data, at + 1 + width, end, classes, _WORD)
        if not after & _NOT_OTHER:
            return _others(data, at + 1, end, classes)
    begin, last = at, at
    while at < end:
        point, size = code_point(data, at)
        if point == 0x0A:
            return at
        if not classes[point] & SPACE:
            return last if last > begin else at
        last = at
        at += size
    return at


@njit(cache=True, nogil=True)
def _gpt2(data, at, end, classes):
    point, size = code_point(data, at)
    if point == 0x27:
        length = _contraction(data, at, end, False)
        if length:
            return at + length
    begin = at
    kind = classes[point]
    if point == 0x20 and at + 1 < end:
        begin = at + 1
        point, size = code_point(data, begin)
        kind = classes[point]
    if kind & LETTER:
        return _run(data, begin + size, end, classes, LETTER)
    if kind & NUMBER:
        return _run(data, begin + size, end, classes, NUMBER)
    if not kind & SPACE:
        return _others(data, begin, end, classes)
    return _blank(data, at, end, classes)


@njit(cache=True, nogil=True)
def _llama3(data, at, end, classes, digits):
    point, size = code_point(data, at)
    if point == 0x27:
        length = _contraction(data, at, end, True)
        if length:
            return at + length
    kind = classes[point]
    if kind & LETTER:
        return _run(data, at + size, end, classes, LETTER)
    if kind & NUMBER:
        at += size
        for _ in range(digits - 1):
            if at >= end:
                break
            point, size = code_point(data, at)
            if not classes[point] & NUMBER:
                break
            at += size
        return at
    if point != 0x0A and point != 0x0D and at + size < end:
        following, width = code_point(data, at + size)
        if classes[following] & LETTER:
            return _run(data, at + size + width, end, classes, LETTER)
        if point == 0x20 and not classes[following] & _NOT_OTHER:
            return _ended(data, _others(data, at + 1, end, classes), end)
    if not kind & SPACE:
        return _ended(data, _others(data, at, end, classes), end)
    newline, here = -1, at
    while here < end:
        point, size = code_point(data, here)
        if not classes[point] & SPACE:
            break
        here += size
        if point == 0x0A or point == 0x0D:
            newline = here
    return newline if newline > 0 else _blank(data, at, end, classes)


@njit(cache=True, nogil=True)
def _ended(data, at, end):
    """Take the line ends that follow."""
    while at < end and (data[at] == 0x0A or data[at] == 0x0D):
        at += 1
    return at


@njit(cache=True, nogil=True)
def piece_end(rule, data, at, end, classes):
    """Where the piece that begins at a byte ends.

    Args:
        rule: AFM, GPT2, LLAMA3 or QWEN2.
        data: UTF-8 bytes.
        at: first byte of the piece, less than `end`.
        end: where the text ends.
        classes: uint8 of each code point: LETTER, MARK, NUMBER, SPACE.
    """
    if rule == AFM:
        return _afm(data, at, end, classes)
    if rule == GPT2:
        return _gpt2(data, at, end, classes)
    return _llama3(data, at, end, classes, 3 if rule == LLAMA3 else 1)
