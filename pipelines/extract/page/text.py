"""The text of blocks: spaces joined, character references resolved, formulas as TeX."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.strings import TextBatch
from pipelines.extract.page.markup import is_space
from pipelines.extract.page.names import FNV_OFFSET, FNV_PRIME, NAMES, TAG, Within
from pipelines.extract.page.parse import ASCIIMATH, BREAK, DISPLAY_TEX, IMAGE, MATHML, TEX, Page

_OFFSET, _PRIME = np.uint64(FNV_OFFSET), np.uint64(FNV_PRIME)
_PRE, _CODE, _LINK = int(Within.PRE), int(Within.CODE), int(Within.LINK)
_ANCHOR = TAG["a"]
_NAME = 33
"""Longest name of a character reference, with its semicolon."""
_SHORT = 6
"""Longest name that may stand without its semicolon."""
FORMULA: Final = "\ufffc"
"""Stands for a formula in MathML that says no TeX of its own, or in AsciiMath."""
# What browsers read numeric references to C1 controls as (HTML, 13.2.5.80).
_C1 = np.array(
    [ord(bytes([code]).decode("cp1252", "replace")) if code not in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else code
     for code in range(0x80, 0xA0)], np.int64,
)  # fmt: skip
_ANNOTATION = np.frombuffer(b"<annotation", np.uint8)
_X_TEX = np.frombuffer(b"x-tex", np.uint8)
_ALTTEXT = np.frombuffer(b"alttext=", np.uint8)
_BLOCK_DISPLAY = np.frombuffer(b'display="block"', np.uint8)


class Texts(NamedTuple):
    """The text of each block, and which element each piece of it stands in."""

    batch: TextBatch  # UTF-8; a text a block
    piece_start: NDArray[np.int32]  # position in the batch's data
    piece_element: NDArray[np.int32]
    block_piece: NDArray[np.int32]  # n + 1: pieces of block b are block_piece[b] to block_piece[b + 1]
    formulas: NDArray[np.int32]  # runs that FORMULA stands for, in order


def texts(html: NDArray[np.uint8], page: Page) -> Texts:
    """Write the text of every block."""
    data, offsets, start, element, pieces, formulas = _texts(html, page, NAMES, _C1)
    data.flags.writeable = offsets.flags.writeable = False
    return Texts(TextBatch(data, offsets), start, element, pieces, formulas)


@njit(cache=True, nogil=True)
def _find(html, low, high, word) -> Any:
    """Position of an ASCII word, in any case, in html[low:high]; -1 where it is not."""
    length = len(word)
    for at in range(low, high - length + 1):
        k = 0
        while k < length:
            byte = html[at + k]
            if 65 <= byte <= 90:
                byte += np.uint8(32)
            if byte != word[k]:
                break
            k += 1
        if k == length:
            return at
    return -1


@njit(cache=True, nogil=True)
def _put_code(code, out, m) -> Any:
    """Write a code point as UTF-8."""
    if code < 0x80:
        out[m] = code
        return m + 1
    if code < 0x800:
        out[m], out[m + 1] = 0xC0 | (code >> 6), 0x80 | (code & 0x3F)
        return m + 2
    if code < 0x10000:
        out[m], out[m + 1], out[m + 2] = 0xE0 | (code >> 12), 0x80 | ((code >> 6) & 0x3F), 0x80 | (code & 0x3F)
        return m + 3
    out[m], out[m + 1] = 0xF0 | (code >> 18), 0x80 | ((code >> 12) & 0x3F)
    out[m + 2], out[m + 3] = 0x80 | ((code >> 6) & 0x3F), 0x80 | (code & 0x3F)
    return m + 4


@njit(cache=True, nogil=True)
def _reference(html, at, high, names, c1, out, m) -> Any:
    """Resolve the character reference at `at` (its "&"); return the position after it and the end of what is written.

    What is no reference is written as it stands: its "&".
    """
    j = at + 1
    if j < high and html[j] == 35:  # &#
        j += 1
        code, digits = np.int64(0), 0
        if j < high and html[j] | 32 == 120:  # x
            j += 1
            while j < high:
                byte = np.int64(html[j])
                if 48 <= byte <= 57:
                    value = byte - 48
                elif 97 <= (byte | 32) <= 102:
                    value = (byte | 32) - 87
                else:
                    break
                code = min(code * 16 + value, 0x200000)
                digits += 1
                j += 1
        else:
            while j < high and 48 <= html[j] <= 57:
                code = min(code * 10 + np.int64(html[j]) - 48, 0x200000)
                digits += 1
                j += 1
        if digits:
            if j < high and html[j] == 59:
                j += 1
            if code == 0 or code > 0x10FFFF or 0xD800 <= code < 0xE000:
                code = np.int64(0xFFFD)
            elif 0x80 <= code < 0xA0:
                code = c1[code - 0x80]
            elif code < 32 and code != 9 and code != 10:
                code = np.int64(32)
            return j, _put_code(code, out, m)
        out[m] = 38
        return at + 1, m + 1
    state = _OFFSET
    size = np.uint64(len(names.references.keys) - 1)
    best, best_end = -1, at
    while j < high and j - at <= _NAME:
        byte = html[j]
        if not (48 <= byte <= 57 or 97 <= (byte | 32) <= 122 or byte == 59):
            break
        state = (state ^ np.uint64(byte)) * _PRIME
        j += 1
        if byte == 59 or j - at - 1 <= _SHORT:
            slot = state & size
            while names.references.values[slot] >= 0:
                if names.references.keys[slot] == state:
                    best, best_end = np.int64(names.references.values[slot]), j
                    break
                slot = (slot + np.uint64(1)) & size
        if byte == 59:
            break
    if best < 0:
        out[m] = 38
        return at + 1, m + 1
    count = names.characters[best, 0]
    for k in range(count):
        out[m + k] = names.characters[best, 1 + k]
    return best_end, m + count


@njit(cache=True, nogil=True)
def _tex(html, low, high, display, names, c1, out, m) -> Any:
    """Write TeX between dollars, outer spaces cut."""
    while low < high and is_space(html[low]):
        low += 1
    while high > low and is_space(html[high - 1]):
        high -= 1
    if low == high:
        return m
    dollars = 2 if display else 1
    for _ in range(dollars):
        out[m] = 36
        m += 1
    at = low
    while at < high:
        byte = html[at]
        if byte == 38:
            at, m = _reference(html, at, high, names, c1, out, m)
            continue
        out[m] = 32 if is_space(byte) else byte
        m += 1
        at += 1
    for _ in range(dollars):
        out[m] = 36
        m += 1
    return m


@njit(cache=True, nogil=True)
def _tex_of_mathml(html, low, high) -> Any:
    """Where a formula's MathML says its TeX: the annotation, else the alttext; an empty range where it does not."""
    at = low
    while True:
        at = _find(html, at, high, _ANNOTATION)
        if at < 0:
            break
        end = at
        while end < high and html[end] != 62:
            end += 1
        if _find(html, at, end, _X_TEX) >= 0:
            stop = end + 1
            while stop < high and html[stop] != 60:
                stop += 1
            return end + 1, stop
        at = end
    end = low
    while end < high and html[end] != 62:
        end += 1
    at = _find(html, low, end, _ALTTEXT)
    if at >= 0:
        at += len(_ALTTEXT)
        quote = html[at]
        if quote == 34 or quote == 39:
            stop = at + 1
            while stop < high and html[stop] != quote:
                stop += 1
            return at + 1, stop
        stop = at
        while stop < end and not is_space(html[stop]):
            stop += 1
        return at, stop
    return low, low


@njit(cache=True, nogil=True)
def _texts(html, page, names, c1) -> Any:
    blocks = len(page.block_element)
    runs = len(page.run_kind)
    room = 64 + 16 * runs
    for r in range(runs):
        length = np.int64(page.run_high[r] - page.run_low[r])
        room += length + length // 4
    out = np.empty(room, np.uint8)
    offsets = np.zeros(blocks + 1, np.int64)
    piece_start = np.empty(runs, np.int32)
    piece_element = np.empty(runs, np.int32)
    block_piece = np.zeros(blocks + 1, np.int32)
    formulas = np.empty(runs, np.int32)
    scratch = np.empty(16, np.uint8)
    m = pieces = waiting = 0
    for b in range(blocks):
        first = m
        pending = False  # a space, if something follows
        before = TEX  # kind of the last run that was no space
        link = -1  # the link that the last text stood in
        for r in range(page.block_run[b], page.block_run[b + 1]):
            kind, element = page.run_kind[r], page.run_element[r]
            low, high = page.run_low[r], page.run_high[r]
            if kind == BREAK:
                while m > first and out[m - 1] == 32:
                    m -= 1
                if m > first:
                    out[m] = 10
                    m += 1
                pending = False
                continue
            if pending and kind != 0:
                out[m] = 32
                m += 1
                pending = False
            piece_start[pieces], piece_element[pieces] = m, element
            pieces += 1
            if kind == ASCIIMATH:
                out[m], out[m + 1], out[m + 2] = 0xEF, 0xBF, 0xBC
                m += 3
                formulas[waiting] = r
                waiting += 1
                before = kind
                continue
            if kind == MATHML:
                tex_low, tex_high = _tex_of_mathml(html, low, high)
                end = low
                while end < high and html[end] != 62:
                    end += 1
                display = _find(html, low, end + 1, _BLOCK_DISPLAY) >= 0
                if tex_high > tex_low:
                    m = _tex(html, tex_low, tex_high, display, names, c1, out, m)
                else:
                    out[m], out[m + 1], out[m + 2] = 0xEF, 0xBF, 0xBC
                    m += 3
                    formulas[waiting] = r
                    waiting += 1
                before = kind
                continue
            if kind in (TEX, DISPLAY_TEX, IMAGE):
                if not (kind == IMAGE and before == MATHML):  # drawn beside its own MathML
                    m = _tex(html, low, high, kind == DISPLAY_TEX, names, c1, out, m)
                before = kind
                continue
            flags = page.within[element]
            kept = flags & _PRE != 0
            wide = flags & (_PRE | _CODE) != 0
            at = low
            if kept and m == first and at < high and html[at] == 10:  # HTML, 13.2.6.4.7: the newline after <pre>
                at += 1
            anchor = -1
            if flags & _LINK:
                anchor = element
                while anchor > 0 and page.tag[anchor] != _ANCHOR:
                    anchor = page.parent[anchor]
            if anchor != link and anchor > 0 and link > 0 and m > first and out[m - 1] > 32:
                pending = True  # links side by side are drawn apart, whatever the markup says
            start = m
            while at < high:
                byte = html[at]
                if byte == 38:
                    at, end = _reference(html, at, high, names, c1, scratch, 0)
                    if end == 2 and scratch[0] == 0xC2 and scratch[1] == 0xAD:
                        continue
                    if end == 2 and scratch[0] == 0xC2 and scratch[1] == 0xA0:
                        if wide:
                            scratch[0] = 32
                            end = 1
                        else:
                            pending = m > first
                            continue
                    if end == 1 and is_space(scratch[0]) and not wide:
                        pending = m > first
                        continue
                    if pending:
                        if out[m - 1] != 10:
                            out[m] = 32
                            m += 1
                        pending = False
                    for k in range(end):
                        out[m + k] = scratch[k]
                    m += end
                    continue
                if byte == 0xC2 and at + 1 < high and html[at + 1] == 0xAD:  # a soft hyphen, which no reader sees
                    at += 2
                    continue
                nbsp = byte == 0xC2 and at + 1 < high and html[at + 1] == 0xA0
                if nbsp:
                    at += 1
                    byte = np.uint8(32)
                if is_space(byte) and not kept and not (nbsp and wide):
                    pending = m > first
                    at += 1
                    continue
                if pending:
                    if out[m - 1] != 10:
                        out[m] = 32
                        m += 1
                    pending = False
                out[m] = byte
                m += 1
                at += 1
            if m > start:
                before = kind
                link = anchor
        while m > first and is_space(out[m - 1]):
            m -= 1
        offsets[b + 1] = m
        block_piece[b + 1] = pieces
    return (
        out[:m].copy(),
        offsets,
        piece_start[:pieces].copy(),
        piece_element[:pieces].copy(),
        block_piece,
        formulas[:waiting].copy(),
    )
