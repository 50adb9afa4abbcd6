"""Lines and paragraphs of a batch of texts, with a hash of each."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.blocks import (
    at_least_a_block,
    bits_below,
    count_bits,
    first_bit,
    last_block,
    load_word,
    mask_between,
    mask_equal,
    mask_pair,
)
from kernels.spaces import stripped
from kernels.strings import TextBatch
from kernels.unicode import TERMINAL, UNIT_PROPERTIES, ascii_units, decode_part, unicode_tables
from kernels.word_mixing import mix_end, mix_step

__all__ = ["InnerLines", "LineRule", "Lines", "characters_between", "inner_lines", "lines"]

LineRule = Literal["newline", "unicode", "paragraph"]

_NEWLINE: Final = 0
_UNICODE: Final = 1
_PARAGRAPH: Final = 2
_RULES: Final[dict[LineRule, int]] = {"newline": _NEWLINE, "unicode": _UNICODE, "paragraph": _PARAGRAPH}

_TERMINAL: Final = np.uint32(TERMINAL << UNIT_PROPERTIES)
_SEED: Final = np.uint64(0x9E3779B97F4A7C15)


class Lines(NamedTuple):
    """The lines of ``n`` texts in order: those of text ``i`` have the numbers ``offsets[i]`` to ``offsets[i + 1]``."""

    offsets: NDArray[np.int64]  # n + 1
    starts: NDArray[np.int64]  # byte position in the batch's data
    ends: NDArray[np.int64]
    inner_starts: NDArray[np.int64]  # without white space at either end (str.strip); equal for a blank line
    inner_ends: NDArray[np.int64]
    chars: NDArray[np.int64]  # code points between start and end: bytes that continue no other
    hashes: NDArray[np.uint64]  # of the bytes between start and end
    terminal: NDArray[np.bool_]  # the last code point ends a sentence (Unicode Sentence_Terminal)


class InnerLines(NamedTuple):
    """Lines without the white space at either end."""

    hashes: NDArray[np.uint64]  # of the bytes
    chars: NDArray[np.int64]  # code points


def lines(batch: TextBatch, rule: LineRule = "newline", known: Lines | None = None) -> Lines:
    r"""Split every text of the batch.

    Args:
        batch: the texts.
        rule: ``newline`` is ``text.split("\n")``: at least one line, the empty one. ``unicode`` is
            ``text.splitlines()``: every line break of Unicode, and none for an empty text. ``paragraph`` is
            ``re.split(r"\n{2,}", text.strip())``: at least one.
        known: the same texts' lines by the rule ``newline``, by which others are found sooner; those that are lines
            here too are not read again.

    Raises:
        ValueError: no such rule.
    """
    if rule not in _RULES:
        raise ValueError(f"rule: found {rule!r}, expected one of {', '.join(_RULES)}")
    data, tables = at_least_a_block(batch.data), unicode_tables()
    if known is None or rule == "newline":
        bounds, starts, ends = _lines(data, batch.offsets, _RULES[rule])
        return Lines(bounds, starts, ends, *_read_lines(data, starts, ends, tables))
    if rule == "unicode":
        bounds, starts, ends = _unicode_lines(data, batch.offsets, known.offsets, known.starts, known.ends)
    else:
        bounds, starts, ends = _paragraphs(data, batch.offsets, known.offsets, known.ends)
    return Lines(bounds, starts, ends, *_read_new_lines(data, starts, ends, tables, known))


def inner_lines(batch: TextBatch, found: Lines) -> InnerLines:
    """The lines without the white space at either end."""
    return InnerLines(*_inner(at_least_a_block(batch.data), found))


@njit(cache=True, nogil=True)
def _break_length(data, at, end, rule) -> Any:
    """Bytes of the line break at ``at``; 0 where there is none."""
    byte = data[at]
    if rule == _PARAGRAPH:
        run = at
        while run < end and data[run] == 10:
            run += 1
        return run - at if run - at > 1 else 0
    if byte == 10:
        return 1
    if rule == _NEWLINE:
        return 0
    if byte == 13:
        return 2 if at + 1 < end and data[at + 1] == 10 else 1
    if byte == 11 or byte == 12 or 0x1C <= byte <= 0x1E:
        return 1
    if byte == 0xC2:
        return 2 if at + 1 < end and data[at + 1] == 0x85 else 0
    if byte == 0xE2:
        return 3 if at + 2 < end and data[at + 1] == 0x80 and (data[at + 2] == 0xA8 or data[at + 2] == 0xA9) else 0
    return 0


@njit(cache=True, nogil=True, inline="always")
def _may_break(data, base, rule) -> Any:
    """The bytes of the block at ``base`` that a line break can begin with."""
    at = last_block(base, len(data))
    mask = mask_equal(data, at, 10)
    if rule == _UNICODE:
        mask |= mask_between(data, at, 11, 13) | mask_between(data, at, 0x1C, 0x1E)
        mask |= mask_equal(data, at, 0xC2) | mask_equal(data, at, 0xE2)
    return mask >> np.uint64(base - at)


@njit(cache=True, nogil=True)
def _lines(data, offsets, rule) -> Any:
    """Count the line breaks, then find the lines."""
    n = len(offsets) - 1
    capacity = n
    for base in range(offsets[0], offsets[n], 64):
        capacity += count_bits(_may_break(data, base, rule) & bits_below(offsets[n] - base))
    bounds = np.zeros(n + 1, np.int64)
    starts = np.empty(capacity, np.int64)
    ends = np.empty(capacity, np.int64)
    m = 0
    for i in range(n):
        start = offsets[i]
        end = offsets[i + 1]
        if rule == _PARAGRAPH:
            start, end = stripped(data, start, end)
        for base in range(start, end, 64):
            breaks = _may_break(data, base, rule) & bits_below(end - base)
            while breaks:
                at = base + first_bit(breaks)
                breaks &= breaks - np.uint64(1)
                if at < start:  # inside the break before it
                    continue
                length = _break_length(data, at, end, rule)
                if length == 0:
                    continue
                starts[m] = start
                ends[m] = at
                m += 1
                start = at + length
        if start < end or rule != _UNICODE:  # splitlines() has no empty line after the last break
            starts[m] = start
            ends[m] = end
            m += 1
        bounds[i + 1] = m
    return bounds, starts[:m], ends[:m]


@njit(cache=True, nogil=True)
def _other_breaks(data, start, end) -> Any:
    """How many bytes may begin a line break of Unicode that is no newline."""
    found = 0
    for base in range(start, end, 64):
        at = last_block(base, len(data))
        mask = (mask_between(data, at, 11, 13) | mask_between(data, at, 0x1C, 0x1E)) >> np.uint64(base - at)
        # Where the block lies 64 bytes on, too few are left for a character of two bytes, or of three.
        at = last_block(base, len(data) - 1)
        if base - at < 64:
            mask |= mask_pair(data, at, 0xC2, 1, 0x85, 0) >> np.uint64(base - at)
        at = last_block(base, len(data) - 2)
        if base - at < 64:
            wide = mask_pair(data, at, 0xE2, 2, 0xA8, 0) | mask_pair(data, at, 0xE2, 2, 0xA9, 0)
            mask |= wide >> np.uint64(base - at)
        found += count_bits(mask & bits_below(end - base))
    return found


@njit(cache=True, nogil=True)
def _unicode_lines(data, offsets, line_offsets, line_starts, line_ends) -> Any:
    """Lines by any line break from those by newlines: most texts have no other break."""
    n = len(offsets) - 1
    others = np.empty(n, np.int64)
    capacity = np.int64(len(line_starts))
    for i in range(n):
        others[i] = _other_breaks(data, offsets[i], offsets[i + 1])
        capacity += others[i]
    bounds = np.zeros(n + 1, np.int64)
    starts = np.empty(capacity, np.int64)
    ends = np.empty(capacity, np.int64)
    m = 0
    for i in range(n):
        for line in range(line_offsets[i], line_offsets[i + 1]):
            start = line_starts[line]
            end = line_ends[line]
            newline = line + 1 < line_offsets[i + 1]
            if others[i]:
                for base in range(start, end, 64):
                    breaks = _may_break(data, base, _UNICODE) & bits_below(end - base)
                    while breaks:
                        at = base + first_bit(breaks)
                        breaks &= breaks - np.uint64(1)
                        # A carriage return before the newline belongs to it.
                        length = 0 if at < start else _break_length(data, at, end, _UNICODE)
                        if length == 0 or (newline and at + 1 == end and data[at] == 13):
                            continue
                        starts[m] = start
                        ends[m] = at
                        m += 1
                        start = at + length
                if newline and end > start and data[end - 1] == 13:
                    end -= 1
            if newline or start < end:  # splitlines() has no empty line after the last break
                starts[m] = start
                ends[m] = end
                m += 1
        bounds[i + 1] = m
    return bounds, starts[:m], ends[:m]


@njit(cache=True, nogil=True)
def _paragraphs(data, offsets, line_offsets, line_ends) -> Any:
    """Paragraphs from lines by newlines: two newlines in a row stand on either side of an empty line."""
    n = len(offsets) - 1
    bounds = np.zeros(n + 1, np.int64)
    starts = np.empty(len(line_ends), np.int64)
    ends = np.empty(len(line_ends), np.int64)
    m = 0
    for i in range(n):
        start, end = stripped(data, offsets[i], offsets[i + 1])
        line = line_offsets[i]
        last = line_offsets[i + 1] - 1  # no newline stands behind it
        while line < last and line_ends[line] < end:
            first = line
            while line + 1 < last and line_ends[line + 1] == line_ends[line] + 1:
                line += 1
            if line > first and line_ends[first] >= start:
                starts[m] = start
                ends[m] = line_ends[first]
                m += 1
                start = line_ends[line] + 1
            line += 1
        starts[m] = start
        ends[m] = end
        m += 1
        bounds[i + 1] = m
    return bounds, starts[:m], ends[:m]


@njit(cache=True, nogil=True)
def _hash_of_bytes(data, start, end) -> Any:
    """Hash of a range, eight bytes a step; the last eight may overlap those before them."""
    state = mix_step(_SEED, end - start)
    at = start
    while at + 8 <= end:
        state = mix_step(state, load_word(data, at))
        at += 8
    if at < end:
        if end - start >= 8:
            rest = load_word(data, end - 8)
        else:
            rest = np.uint64(0)
            while at < end:
                rest = (rest << np.uint64(8)) | np.uint64(data[at])
                at += 1
        state = mix_step(state, rest)
    return mix_end(state)


@njit(cache=True, nogil=True)
def _read_lines(data, starts, ends, tables) -> Any:
    m = len(starts)
    inner_starts = np.empty(m, np.int64)
    inner_ends = np.empty(m, np.int64)
    chars = np.empty(m, np.int64)
    hashes = np.empty(m, np.uint64)
    terminal = np.empty(m, np.bool_)
    tail = np.empty(4, np.uint32)
    ascii_table = ascii_units(tables)
    ascii_terminal = ascii_table & _TERMINAL != 0
    for k in range(m):
        start = starts[k]
        end = ends[k]
        hashes[k] = _hash_of_bytes(data, start, end)
        chars[k] = characters_between(data, start, end)
        inner_starts[k], inner_ends[k] = start, end
        if start < end and (_may_be_space(data[start]) or _may_be_space(data[end - 1])):
            inner_starts[k], inner_ends[k] = stripped(data, start, end)
        last = end - 1
        if last < start or data[last] < 0x80:
            terminal[k] = last >= start and ascii_terminal[data[last]]
            continue
        while last > start and last > end - 4 and data[last] & 0xC0 == 0x80:
            last -= 1
        terminal[k] = tail[decode_part(data, last, end, tables, ascii_table, tail) - 1] & _TERMINAL != 0
    return inner_starts, inner_ends, chars, hashes, terminal


@njit(cache=True, nogil=True)
def _read_new_lines(data, starts, ends, tables, known) -> Any:
    m = len(starts)
    inner_starts = np.empty(m, np.int64)
    inner_ends = np.empty(m, np.int64)
    chars = np.empty(m, np.int64)
    hashes = np.empty(m, np.uint64)
    terminal = np.empty(m, np.bool_)
    new = np.empty(m, np.int64)
    count = j = 0
    for k in range(m):
        while j < len(known.starts) and (
            known.starts[j] < starts[k] or (known.starts[j] == starts[k] and known.ends[j] < ends[k])
        ):
            j += 1
        if j < len(known.starts) and known.starts[j] == starts[k] and known.ends[j] == ends[k]:
            inner_starts[k], inner_ends[k] = known.inner_starts[j], known.inner_ends[j]
            chars[k], hashes[k], terminal[k] = known.chars[j], known.hashes[j], known.terminal[j]
        else:
            new[count] = k
            count += 1
    new = new[:count]
    read = _read_lines(data, starts[new], ends[new], tables)
    inner_starts[new], inner_ends[new], chars[new], hashes[new], terminal[new] = read
    return inner_starts, inner_ends, chars, hashes, terminal


@njit(cache=True, nogil=True, inline="always")
def _may_be_space(byte) -> Any:
    return byte <= 32 or byte >= 0x80


@njit(cache=True, nogil=True)
def _inner(data, found) -> Any:
    hashes = np.empty(len(found.starts), np.uint64)
    chars = np.empty(len(found.starts), np.int64)
    for k in range(len(found.starts)):
        start = found.inner_starts[k]
        end = found.inner_ends[k]
        if start == found.starts[k] and end == found.ends[k]:
            hashes[k] = found.hashes[k]
            chars[k] = found.chars[k]
        else:
            hashes[k] = _hash_of_bytes(data, start, end)
            chars[k] = characters_between(data, start, end)
    return hashes, chars


@njit(cache=True, nogil=True)
def characters_between(data, start, end) -> Any:
    """Code points of a range: bytes that continue no other."""
    found = end - start
    for base in range(start, end, 64):
        at = last_block(base, len(data))
        mask = mask_between(data, at, 0x80, 0xBF) >> np.uint64(base - at)
        found -= count_bits(mask & bits_below(end - base))
    return found
