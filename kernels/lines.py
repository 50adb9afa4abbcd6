"""Lines and paragraphs of a batch of texts, with a hash of each."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.strings import TextBatch
from kernels.unicode import TERMINAL, UNIT_PROPERTIES, decode_text, unicode_tables
from kernels.words import mix_end, mix_step

__all__ = ["LineRule", "Lines", "SpacedWords", "duplicates", "lines", "spaced_words"]

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


class SpacedWords(NamedTuple):
    """What ``str.split()`` says of each line."""

    counts: NDArray[np.int64]  # words
    longest: NDArray[np.int64]  # code points of the longest


def lines(batch: TextBatch, rule: LineRule = "newline") -> Lines:
    r"""Split every text of the batch.

    Args:
        batch: the texts.
        rule: ``newline`` is ``text.split("\n")``: at least one line, the empty one. ``unicode`` is
            ``text.splitlines()``: every line break of Unicode, and none for an empty text. ``paragraph`` is
            ``re.split(r"\n{2,}", text.strip())``: at least one.

    Raises:
        ValueError: no such rule.
    """
    if rule not in _RULES:
        raise ValueError(f"rule: found {rule!r}, expected one of {', '.join(_RULES)}")
    return Lines(*_lines(batch.data, batch.offsets, unicode_tables(), _RULES[rule]))


def duplicates(found: Lines, considered: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lines of each text that are equal to one before them in it: (how many, their code points).

    Args:
        found: the lines.
        considered: which lines count at all, one flag a line.
    """
    return _duplicates(found.offsets, found.hashes, found.chars, considered)


def spaced_words(batch: TextBatch, found: Lines) -> SpacedWords:
    """Words between white space in each line, as ``str.split()``."""
    return SpacedWords(*_spaced_words(batch.data, found.starts, found.ends))


@njit(cache=True, nogil=True)
def _space_length(first, second, third) -> Any:
    """Bytes of the white space (str.isspace) that begins with these bytes; 0 where they begin something else."""
    if first < 0x80:
        return 1 if first == 32 or 9 <= first <= 13 or 28 <= first <= 31 else 0
    if first == 0xC2:
        return 2 if second == 0x85 or second == 0xA0 else 0
    if first == 0xE1:
        return 3 if second == 0x9A and third == 0x80 else 0
    if first == 0xE2:
        if second == 0x80:
            return 3 if 0x80 <= third <= 0x8A or third == 0xA8 or third == 0xA9 or third == 0xAF else 0
        return 3 if second == 0x81 and third == 0x9F else 0
    return 3 if first == 0xE3 and second == 0x80 and third == 0x80 else 0


@njit(cache=True, nogil=True)
def _stripped(data, start, end) -> Any:
    """Bounds without the white space at either end."""
    while start < end:
        length = _space_length(
            data[start], data[start + 1] if start + 1 < end else 0, data[start + 2] if start + 2 < end else 0
        )
        if length == 0:
            break
        start += length
    while start < end:
        if _space_length(data[end - 1], 0, 0) == 1:
            end -= 1
        elif end - start >= 2 and _space_length(data[end - 2], data[end - 1], 0) == 2:
            end -= 2
        elif end - start >= 3 and _space_length(data[end - 3], data[end - 2], data[end - 1]) == 3:
            end -= 3
        else:
            break
    return start, end


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


@njit(cache=True, nogil=True)
def _lines(data, offsets, tables, rule) -> Any:
    """Count the lines, then find them, then read each."""
    n = len(offsets) - 1
    may_break = np.zeros(256, np.bool_)  # the bytes a line break can begin with
    may_break[10] = True
    if rule == _UNICODE:
        may_break[11:14] = True
        may_break[0x1C:0x1F] = True
        may_break[0xC2] = True
        may_break[0xE2] = True
    capacity = n
    for at in range(offsets[0], offsets[n]):
        capacity += may_break[data[at]]
    bounds = np.zeros(n + 1, np.int64)
    starts = np.empty(capacity, np.int64)
    ends = np.empty(capacity, np.int64)
    m = 0
    for i in range(n):
        at = offsets[i]
        end = offsets[i + 1]
        if rule == _PARAGRAPH:
            at, end = _stripped(data, at, end)
        start = at
        while at < end:
            if not may_break[data[at]]:
                at += 1
                continue
            length = _break_length(data, at, end, rule)
            if length == 0:
                at += 1
                continue
            starts[m] = start
            ends[m] = at
            m += 1
            at += length
            start = at
        if start < end or rule != _UNICODE:  # splitlines() has no empty line after the last break
            starts[m] = start
            ends[m] = end
            m += 1
        bounds[i + 1] = m
    starts = starts[:m]
    ends = ends[:m]
    return bounds, starts, ends, *_read_lines(data, starts, ends, tables)


@njit(cache=True, nogil=True)
def _read_lines(data, starts, ends, tables) -> Any:
    m = len(starts)
    inner_starts = np.empty(m, np.int64)
    inner_ends = np.empty(m, np.int64)
    chars = np.empty(m, np.int64)
    hashes = np.empty(m, np.uint64)
    terminal = np.empty(m, np.bool_)
    tail = np.empty(128, np.uint32)
    decode_text(np.arange(128).astype(np.uint8), 0, 128, tables, tail)
    ascii_terminal = tail & _TERMINAL != 0
    for k in range(m):
        start = starts[k]
        end = ends[k]
        state = _SEED
        continuations = 0
        for at in range(start, end):
            state = mix_step(state, data[at])
            continuations += (data[at] & 0xC0) == 0x80
        hashes[k] = mix_end(state)
        chars[k] = end - start - continuations
        inner_starts[k], inner_ends[k] = _stripped(data, start, end)
        last = end - 1
        if last < start or data[last] < 0x80:
            terminal[k] = last >= start and ascii_terminal[data[last]]
            continue
        while last > start and last > end - 4 and data[last] & 0xC0 == 0x80:
            last -= 1
        terminal[k] = tail[decode_text(data, last, end, tables, tail) - 1] & _TERMINAL != 0
    return inner_starts, inner_ends, chars, hashes, terminal


@njit(cache=True, nogil=True)
def _duplicates(offsets, hashes, chars, considered) -> Any:
    n = len(offsets) - 1
    longest = np.int64(0)
    for i in range(n):
        longest = max(longest, offsets[i + 1] - offsets[i])
    size = 4
    while size < 2 * longest:
        size *= 2
    seen = np.zeros(size, np.uint64)
    counts = np.zeros(n, np.int64)
    repeated = np.zeros(n, np.int64)
    for i in range(n):
        size = 4
        while size < 2 * (offsets[i + 1] - offsets[i]):
            size *= 2
        seen[:size] = 0
        mask = np.uint64(size - 1)
        for k in range(offsets[i], offsets[i + 1]):
            if not considered[k]:
                continue
            key = hashes[k] | np.uint64(1)  # 0 marks a free place
            slot = (key >> np.uint64(1)) & mask
            while seen[slot] != 0 and seen[slot] != key:
                slot = (slot + np.uint64(1)) & mask
            if seen[slot] == key:
                counts[i] += 1
                repeated[i] += chars[k]
            seen[slot] = key
    return counts, repeated


@njit(cache=True, nogil=True)
def _spaced_words(data, starts, ends) -> Any:
    counts = np.zeros(len(starts), np.int64)
    longest = np.zeros(len(starts), np.int64)
    may_space = np.zeros(256, np.uint8)  # 1: white space; 2: may begin some; 3: continues a character
    for byte in range(256):
        may_space[byte] = _space_length(byte, 0, 0)
    may_space[0x80:0xC0] = 3
    may_space[0xC2] = may_space[0xE1] = may_space[0xE2] = may_space[0xE3] = 2
    for k in range(len(starts)):
        at = starts[k]
        end = ends[k]
        length = np.int64(0)
        while at < end:
            nature = may_space[data[at]]
            if nature == 2:
                wide = _space_length(data[at], data[at + 1] if at + 1 < end else 0, data[at + 2] if at + 2 < end else 0)
                if wide:
                    nature = 1
                    at += wide - 1
            at += 1
            if nature == 1:
                longest[k] = max(longest[k], length)
                length = 0
            else:
                counts[k] += length == 0
                length += nature != 3 or length == 0
        longest[k] = max(longest[k], length)
    return counts, longest
