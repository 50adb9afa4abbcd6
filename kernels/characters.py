"""Characters of each line or text, counted by what they are: letters, control characters, emoji, mojibake and more."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from enum import IntEnum
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.blocks import (
    at_least_a_block,
    bits_below,
    count_bits,
    first_bit,
    last_block,
    mask_between,
    mask_equal,
)
from kernels.character_kinds import (
    IS_ACCENTED,
    IS_EMOJI,
    IS_INVISIBLE,
    IS_MATHS,
    IS_PRIVATE,
    LIMIT,
    character_kinds,
)
from kernels.lines import Lines
from kernels.strings import TextBatch
from kernels.unicode import ALPHA, BLOCK, CLASS_MASK, SHIFT, SPACE, UPPER, TokenClass, unicode_tables

__all__ = ["COUNTED", "Counted", "LineCharacters", "count_characters", "decoded", "line_characters"]


class Counted(IntEnum):
    """Columns of ``count_characters``."""

    LETTERS = 0  # str.isalpha
    UPPER = 1  # str.isupper
    DIGITS = 2  # decimal digits
    NUMBERS = 3  # other numbers (², Ⅳ, ½): with letters and digits, str.isalnum
    SPACES = 4  # str.isspace
    CONTROLS = 5  # C0 and C1 control characters and DEL, but not tab, newline, form feed and carriage return
    EXCLAMATIONS = 6  # ! ！ ﹗ ❗ ❕ and ‼ (which is two)
    INVALID = 7  # bytes that are not UTF-8, unpaired surrogates among them
    REPLACEMENTS = 8  # U+FFFD
    PRIVATE = 9  # private use, and code points that are no characters
    INVISIBLE = (
        10  # zero-width spaces, soft hyphens, direction marks and overrides, tags; no joiners, which spell words
    )
    EMOJI = 11  # one for each emoji sequence of UTS #51: joined, with a skin tone, a flag
    MATHS = 12  # symbols of mathematics, arrows, mathematical letters, superscripts; no ASCII
    ACCENTED = 13  # the thirteen accented letters that OpenWebMath counts
    MOJIBAKE = 14  # characters of UTF-8 that was read as Windows-1252 or Latin-1


COUNTED: Final = len(Counted)

_SHORT: Final = 12  # ASCII characters in a row that are looked up one by one
# Of them six counts are added up at once, ten bits each.
_FIELD: Final = 10
_RUN: Final = (1 << _FIELD) - 1
_ASCII_COLUMNS: Final = 6
_LETTER: Final = int(TokenClass.LETTER)
_DIGIT: Final = int(TokenClass.DIGIT)
_UNSPACED: Final = int(TokenClass.UNSPACED)
_LETTERS: Final = int(Counted.LETTERS)
_UPPERS: Final = int(Counted.UPPER)
_DIGITS: Final = int(Counted.DIGITS)
_NUMBERS: Final = int(Counted.NUMBERS)
_SPACES: Final = int(Counted.SPACES)
_CONTROLS: Final = int(Counted.CONTROLS)
_EXCLAMATIONS: Final = int(Counted.EXCLAMATIONS)
_INVALID: Final = int(Counted.INVALID)
_REPLACEMENTS: Final = int(Counted.REPLACEMENTS)
_PRIVATES: Final = int(Counted.PRIVATE)
_INVISIBLES: Final = int(Counted.INVISIBLE)
_EMOJIS: Final = int(Counted.EMOJI)
_MATHSES: Final = int(Counted.MATHS)
_ACCENTS: Final = int(Counted.ACCENTED)
_MOJIBAKES: Final = int(Counted.MOJIBAKE)


class LineCharacters(NamedTuple):
    """Characters of texts and of their lines."""

    texts: NDArray[np.int64]
    """(texts, COUNTED), columns as ``Counted``; what lies between the lines is left out."""
    upper: NDArray[np.int64]
    """Of each line, Counted.UPPER."""
    digits: NDArray[np.int64]
    """Counted.DIGITS."""
    spaces: NDArray[np.int64]
    """Counted.SPACES."""


def count_characters(batch: TextBatch, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the characters of each range of bytes (lines, or whole texts).

    Returns:
        (ranges, COUNTED), columns as ``Counted``. Mojibake is a sequence of characters whose Windows-1252 or Latin-1
        bytes are one well-formed UTF-8 sequence of two to four bytes; one that begins with Ã, Â, â, ï, ð always counts
        (é is "Ã©", ’ is "â€™"); with Ä, Å or Æ, unless a quotation mark, a dash or a no-break space follows; with any
        other character only beside another ("Ð¿Ñ€"), since É before ” is no fault.
    """
    return _counted(batch, np.arange(len(starts) + 1), starts, ends)[0]


def line_characters(batch: TextBatch, lines: Lines) -> LineCharacters:
    """Count the characters of each text, line by line, and some of those of each line."""
    return LineCharacters(*_counted(batch, lines.offsets, lines.starts, lines.ends))


def _counted(batch: TextBatch, offsets: NDArray[Any], starts: NDArray[Any], ends: NDArray[Any]) -> Any:
    tables = unicode_tables()
    data = at_least_a_block(batch.data)
    columns = (tables.property_index, tables.properties, *character_kinds(), _packed())
    return _count(data, offsets, starts, ends, *columns)


@cache
def _packed() -> NDArray[np.uint64]:
    """What an ASCII byte adds to the counts."""
    packed = np.zeros(256, np.uint64)
    columns = [_LETTERS, _UPPERS, _DIGITS, _SPACES, _CONTROLS, _EXCLAMATIONS]
    for byte in range(128):
        character = chr(byte)
        holds = [
            *(character.isalpha(), character.isupper(), character.isdigit(), character.isspace()),
            (byte < 32 and character not in "\t\n\f\r") or byte == 127,
            byte == 33,
        ]
        packed[byte] = sum(1 << _FIELD * place for place, true in enumerate(holds) if true)
    assert len(columns) == _ASCII_COLUMNS
    packed.flags.writeable = False
    return packed


@njit(cache=True, nogil=True, inline="always")
def decoded(data, at, end) -> Any:
    """Code point at a byte above 0x7F, and its length; -1 and 1 where it is not UTF-8 (Unicode 15, table 3-7)."""
    code = np.int64(data[at])
    length = 1
    whole = False
    if 0xC2 <= code <= 0xF4:
        length = 2 if code < 0xE0 else (3 if code < 0xF0 else 4)
        if at + length <= end:
            code &= 0x7F >> length
            whole = True
            for k in range(1, length):
                byte = np.int64(data[at + k])
                whole &= byte & 0xC0 == 0x80
                code = (code << 6) | (byte & 0x3F)
            if length == 3:
                whole &= code >= 0x800 and not 0xD800 <= code < 0xE000
            elif length == 4:
                whole &= 0x10000 <= code <= 0x10FFFF
    if not whole:
        code = np.int64(-1)
        length = 1
    return code, length


@njit(cache=True, nogil=True)
def _misread(data, lead, at, end, stands_for) -> Any:
    """The UTF-8 sequence that a lead byte and the characters behind it spell: its characters, its end, its second byte.

    0, 0, 0 where they spell none.
    """
    wanted = 1 if lead < 0xE0 else (2 if lead < 0xF0 else 3)
    second = np.int64(0)
    for k in range(wanted):
        if at >= end or data[at] < 0x80:
            return 0, 0, 0
        code, length = decoded(data, at, end)
        if code < 0 or code >= 0x2200:
            return 0, 0, 0
        byte = np.int64(stands_for[code])
        if byte < 0x80 or byte > 0xBF:
            return 0, 0, 0
        if k == 0:
            second = byte
        at += length
    if (lead == 0xE0 and second < 0xA0) or (lead == 0xED and second > 0x9F):
        return 0, 0, 0
    if (lead == 0xF0 and second < 0x90) or (lead == 0xF4 and second > 0x8F):
        return 0, 0, 0
    return wanted + 1, at, second


@njit(cache=True, nogil=True, inline="always")
def _controls(data, block) -> Any:
    mask = mask_between(data, block, 0, 8) | mask_equal(data, block, 11) | mask_between(data, block, 14, 31)
    return mask | mask_equal(data, block, 127)


@njit(cache=True, nogil=True, inline="always")
def _count_ascii(data, at, size, counts) -> Any:
    """Count up to 64 ASCII characters."""
    block = last_block(at, len(data))
    shift = np.uint64(at - block)
    here = bits_below(size)
    upper = (mask_between(data, block, 65, 90) >> shift) & here
    lower = (mask_between(data, block, 97, 122) >> shift) & here
    digits = (mask_between(data, block, 48, 57) >> shift) & here
    spaces = mask_equal(data, block, 32) | mask_between(data, block, 9, 13) | mask_between(data, block, 28, 31)
    controls = _controls(data, block)
    counts[_UPPERS] += count_bits(upper)
    counts[_LETTERS] += count_bits(upper | lower)
    counts[_DIGITS] += count_bits(digits)
    counts[_SPACES] += count_bits((spaces >> shift) & here)
    counts[_CONTROLS] += count_bits((controls >> shift) & here)
    counts[_EXCLAMATIONS] += count_bits((mask_equal(data, block, 33) >> shift) & here)


@njit(cache=True, nogil=True)
def _count(data, offsets, starts, ends, property_index, properties, kinds, stands_for, packed) -> Any:
    texts = len(offsets) - 1
    found = np.zeros((texts, COUNTED), np.int64)
    upper = np.empty(len(starts), np.int64)
    digits = np.empty(len(starts), np.int64)
    spaces = np.empty(len(starts), np.int64)
    sure_leads = np.zeros(256, np.uint8)  # 2: one sequence is enough; 1: unless it ends as words do
    sure_leads[0xC4:0xC7] = 1
    sure_leads[0xC2] = sure_leads[0xC3] = sure_leads[0xE2] = sure_leads[0xEF] = sure_leads[0xF0] = 2
    quotes = np.zeros(256, np.bool_)  # the bytes of quotation marks, dashes, … and no-break space
    quotes[0x91:0x98] = True
    quotes[0x84] = quotes[0x85] = quotes[0x8B] = quotes[0x9B] = quotes[0xA0] = quotes[0xAB] = quotes[0xBB] = True
    zero = np.uint64(0)
    capitals = smalls = figures = blanks = controls = shouts = foreign = zero
    base = np.int64(-64)  # where the block begins that these masks are of
    for i in range(texts):
        counts = found[i]
        for line in range(offsets[i], offsets[i + 1]):
            # A line of ASCII alone is counted by the masks of the blocks that it lies in; most blocks hold several.
            at = np.int64(starts[line])
            end = np.int64(ends[line])
            some_upper = some_lower = some_digits = some_spaces = some_controls = some_shouts = np.int64(0)
            while at < end:
                if not base <= at < base + 64:
                    base = last_block(at, len(data))
                    capitals = mask_between(data, base, 65, 90)
                    smalls = mask_between(data, base, 97, 122)
                    figures = mask_between(data, base, 48, 57)
                    blanks = mask_equal(data, base, 32) | mask_between(data, base, 9, 13)
                    blanks |= mask_between(data, base, 28, 31)
                    controls = _controls(data, base)
                    shouts = mask_equal(data, base, 33)
                    foreign = mask_between(data, base, 0x80, 0xFF)
                here = bits_below(end - base) & ~bits_below(at - base)
                if foreign & here:
                    break
                some_upper += count_bits(capitals & here)
                some_lower += count_bits(smalls & here)
                some_digits += count_bits(figures & here)
                some_spaces += count_bits(blanks & here)
                some_controls += count_bits(controls & here)
                some_shouts += count_bits(shouts & here)
                at = base + 64
            if at >= end:
                counts[_UPPERS] += some_upper
                counts[_LETTERS] += some_upper + some_lower
                counts[_DIGITS] += some_digits
                counts[_SPACES] += some_spaces
                counts[_CONTROLS] += some_controls
                counts[_EXCLAMATIONS] += some_shouts
                upper[line], digits[line], spaces[line] = some_upper, some_digits, some_spaces
                continue
            uppers_before, digits_before, spaces_before = counts[_UPPERS], counts[_DIGITS], counts[_SPACES]
            _count_range(
                data, starts[line], ends[line], property_index, properties, kinds, stands_for, packed, sure_leads,
                quotes, counts,
            )  # fmt: skip
            upper[line] = counts[_UPPERS] - uppers_before
            digits[line] = counts[_DIGITS] - digits_before
            spaces[line] = counts[_SPACES] - spaces_before
    return found, upper, digits, spaces


@njit(cache=True, nogil=True, inline="always")
def _count_range(
    data, start, end, property_index, properties, kinds, stands_for, packed, sure_leads, quotes, counts
) -> Any:
    field = np.uint64(_RUN)
    at = np.int64(start)
    counted = False  # the character before is, or belongs to, an emoji that was counted
    joined = False  # a joiner stands between that emoji and this character
    flag = False  # the character before is the first half of a flag
    misread_end = np.int64(-1)  # where the last mojibake sequence ended, its length, and whether it was counted
    misread = 0
    sure = False
    while at < end:
        if data[at] < 0x80:
            block = last_block(at, len(data))
            size = min(end - at, first_bit(mask_between(data, block, 0x80, 0xFF) >> np.uint64(at - block)))
            if size >= _SHORT:
                _count_ascii(data, at, size, counts)
                at += size
            else:
                total = np.uint64(0)
                for _ in range(size):
                    total += packed[data[at]]
                    at += 1
                counts[_LETTERS] += np.int64(total & field)
                counts[_UPPERS] += np.int64((total >> np.uint64(_FIELD)) & field)
                counts[_DIGITS] += np.int64((total >> np.uint64(2 * _FIELD)) & field)
                counts[_SPACES] += np.int64((total >> np.uint64(3 * _FIELD)) & field)
                counts[_CONTROLS] += np.int64((total >> np.uint64(4 * _FIELD)) & field)
                counts[_EXCLAMATIONS] += np.int64((total >> np.uint64(5 * _FIELD)) & field)
            counted = joined = flag = False
            continue
        code, length = decoded(data, at, end)
        if code < 0:
            counts[_INVALID] += 1
            counted = joined = flag = False
            at += 1
            continue
        if 0xC2 <= code <= 0xF4:
            size, stop, second = _misread(data, code, at + length, end, stands_for)
            if size:
                adjacent = at == misread_end
                if adjacent and not sure:
                    counts[_MOJIBAKES] += misread
                sure = adjacent or sure_leads[code] == 2 or (sure_leads[code] == 1 and not quotes[second])
                if sure:
                    counts[_MOJIBAKES] += size
                misread = size
                misread_end = stop
        at += length
        word = np.int64(properties[(np.int64(property_index[code >> SHIFT]) << SHIFT) | (code & (BLOCK - 1))])
        nature = word & CLASS_MASK
        if word & ALPHA:
            counts[_LETTERS] += 1
        elif nature == _DIGIT:
            counts[_DIGITS] += 1
        elif nature in (_LETTER, _UNSPACED):
            counts[_NUMBERS] += 1
        counts[_UPPERS] += word & UPPER != 0
        counts[_SPACES] += word & SPACE != 0
        emoji = False
        if code < LIMIT:
            if code < 0xA0:
                counts[_CONTROLS] += 1
            kind = kinds[code]
            if kind == 0 and code != 0x200D and code != 0xFE0F and code != 0xFF01 and code != 0xFFFD and code != 0xFE57:
                counted = joined = flag = False
                if code == 0x203C:
                    counts[_EXCLAMATIONS] += 2
                continue
            emoji = kind & IS_EMOJI != 0
            counts[_MATHSES] += kind & IS_MATHS != 0
            counts[_INVISIBLES] += kind & IS_INVISIBLE != 0
            counts[_PRIVATES] += kind & IS_PRIVATE != 0
            counts[_ACCENTS] += kind & IS_ACCENTED != 0
            counts[_REPLACEMENTS] += code == 0xFFFD
            counts[_EXCLAMATIONS] += code == 0xFF01 or code == 0xFE57 or code == 0x2757 or code == 0x2755
        elif 0xE0000 <= code < 0xE0080:
            counts[_INVISIBLES] += 1
            continue  # a tag belongs to the flag before it
        elif code >= 0xF0000 or code & 0xFFFE == 0xFFFE:
            counts[_PRIVATES] += 1
        if code == 0x200D:
            joined = counted
        elif code == 0xFE0F:
            counts[_EMOJIS] += not counted
            counted = True
        elif emoji:
            regional = 0x1F1E6 <= code <= 0x1F1FF
            part = joined or (counted and 0x1F3FB <= code <= 0x1F3FF) or (flag and regional)
            counts[_EMOJIS] += not part
            flag = regional and not flag
            counted = True
            joined = False
        else:
            # A sign that U+FE0F or a joiner may yet make part of an emoji: ❤️ after a joiner is not another.
            counted = joined
            joined = flag = False
