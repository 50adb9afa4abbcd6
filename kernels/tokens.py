"""Where the tokens of a batch of texts begin and end, and what they are: the rule of ``kernels.words``.

The rule itself is ``tokens_of_units``, over decoded characters. ``_tokens_of_ascii`` is the same rule for the bytes
below 128, 64 of them at once: whether a character belongs to the token before it depends there on its two neighbours
alone.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.blocks import (
    SPARE,
    at_least_a_block,
    bits_below,
    first_bit,
    last_block,
    mask_between,
    mask_doubled,
    mask_equal,
    write_places,
)
from kernels.strings import TextBatch
from kernels.unicode import (
    ALPHA,
    TERMINAL,
    UNIT_CLASS,
    UNIT_LENGTH,
    UNIT_PROPERTIES,
    UPPER,
    TokenClass,
    Unicode,
    ascii_units,
    decode_part,
    unicode_tables,
)

__all__ = [
    "IS_DIGIT",
    "IS_LETTER",
    "IS_SEPARATOR",
    "IS_UPPER",
    "IS_WORD",
    "PUNCTUATION",
    "SYMBOL",
    "WORD",
    "Tokens",
    "ascii_natures",
    "ascii_words",
    "foreign_part",
    "tokens",
    "tokens_of_units",
]

WORD: Final = 0
PUNCTUATION: Final = 1
SYMBOL: Final = 2

_UPPER: Final = np.uint32(UPPER << UNIT_PROPERTIES)
_ALPHA: Final = np.uint32(ALPHA << UNIT_PROPERTIES)
_TERMINAL: Final = np.uint32(TERMINAL << UNIT_PROPERTIES)
_SEPARATOR: Final = np.uint32(int(TokenClass.SEPARATOR) << UNIT_PROPERTIES)
_LETTER: Final = np.uint32(int(TokenClass.LETTER) << UNIT_PROPERTIES)
_MARK: Final = np.uint32(int(TokenClass.MARK) << UNIT_PROPERTIES)
_DIGIT: Final = np.uint32(int(TokenClass.DIGIT) << UNIT_PROPERTIES)
_UNSPACED: Final = np.uint32(int(TokenClass.UNSPACED) << UNIT_PROPERTIES)
_FORMAT: Final = np.uint32(int(TokenClass.FORMAT) << UNIT_PROPERTIES)
_SYMBOL: Final = np.uint32(int(TokenClass.SYMBOL) << UNIT_PROPERTIES)
_MID_LETTER: Final = np.uint32(int(TokenClass.MID_LETTER) << UNIT_PROPERTIES)
_MID_COMMA: Final = np.uint32(int(TokenClass.MID_COMMA) << UNIT_PROPERTIES)
_FULL_STOP: Final = np.uint32(int(TokenClass.FULL_STOP) << UNIT_PROPERTIES)
_HYPHEN: Final = np.uint32(int(TokenClass.HYPHEN) << UNIT_PROPERTIES)

# Natures of an ASCII character.
IS_LETTER: Final = 1
IS_DIGIT: Final = 2
IS_WORD: Final = 3  # letter or digit
IS_SEPARATOR: Final = 4
IS_SIGN: Final = 8
IS_UPPER: Final = 16
IS_TERMINAL: Final = 32

_NEAR: Final = 24  # bytes: characters beyond ASCII that are as near as this are decoded together with what lies between


class Tokens(NamedTuple):
    """The tokens of ``n`` texts in order: those of text ``i`` have the numbers ``offsets[i]`` to ``offsets[i + 1]``."""

    offsets: NDArray[np.int64]  # n + 1
    starts: NDArray[np.int64]  # byte position in the batch's data
    ends: NDArray[np.int64]
    kinds: NDArray[np.uint8]  # WORD, PUNCTUATION or SYMBOL
    alphabetic: NDArray[np.bool_]  # holds a letter (str.isalpha)
    terminal: NDArray[np.bool_]  # begins with a character that ends a sentence, and is no run of full stops


def tokens(batch: TextBatch) -> Tokens:
    """Find every word, punctuation and symbol of the batch; none is empty, none lies across two texts."""
    return Tokens(*_tokens(at_least_a_block(batch.data), batch.offsets, unicode_tables()))


@njit(cache=True, nogil=True)
def tokens_of_units(data, units, count, byte, m, starts, ends, kinds, alphabetic, terminal) -> Any:
    """Write the tokens of a part that begins at ``byte``, from number ``m`` on; return the number after them."""
    at = 0
    before = np.uint32(0)
    while at < count:
        unit = units[at]
        here = unit & UNIT_CLASS
        start = byte
        byte += 1 + (unit >> UNIT_LENGTH)
        at += 1
        if here in (_SEPARATOR, _FORMAT):
            before = here
            continue
        stop = byte
        opening = natures = unit
        capital = unit & _UPPER
        if here <= _UNSPACED:  # a word
            kind = WORD
            last = here
            while True:
                unit = units[at]
                following = unit & UNIT_CLASS
                if following in (_LETTER, _DIGIT):
                    if here == _UNSPACED:
                        break
                    last = following
                elif following == _FORMAT:
                    byte += 1 + (unit >> UNIT_LENGTH)
                    at += 1
                    continue
                elif following >= _MID_LETTER and following <= _FULL_STOP:
                    beyond = units[at + 1]
                    if last != beyond & UNIT_CLASS or last == _UNSPACED:
                        break
                    if last == _LETTER:
                        if following == _MID_COMMA or (
                            following == _FULL_STOP and beyond & _UPPER != 0 and capital == 0
                        ):
                            break
                    elif last != _DIGIT or following == _MID_LETTER:
                        break
                elif following != _MARK:  # a mark shares the nature of its base
                    break
                natures |= unit
                if following != _MARK:
                    capital = unit & _UPPER
                byte += 1 + (unit >> UNIT_LENGTH)
                at += 1
                stop = byte
            before = last
        else:  # a run of one sign, with its marks
            run = unit
            while units[at] == run or units[at] & UNIT_CLASS == _MARK:
                byte += 1 + (units[at] >> UNIT_LENGTH)
                at += 1
            stop = byte
            sign = here == _SYMBOL or (here == _HYPHEN and (before == _DIGIT or units[at] & UNIT_CLASS == _DIGIT))
            kind = SYMBOL if sign else PUNCTUATION
            before = here
        starts[m] = start
        ends[m] = stop
        kinds[m] = kind
        alphabetic[m] = natures & _ALPHA != 0
        terminal[m] = opening & _TERMINAL != 0 and (data[start] != 46 or stop - start == 1)
        m += 1
    return m


@njit(cache=True, nogil=True, inline="always")
def ascii_words(data, base, end, natures, letter_before, digit_before, upper_before, letters_beyond) -> Any:
    """Which of the 64 bytes from ``base`` on belong to words; which are letters, digits and capitals.

    Args:
        data: at least a block of bytes, of which the part that is walked holds ASCII alone, or letters beyond it.
        base: where the block begins.
        end: of the part.
        natures: of each character.
        letter_before: bit 0 says whether the byte before the block is a letter.
        digit_before: the same of a digit.
        upper_before: the same of a capital.
        letters_beyond: whether bytes of 128 and more are letters; in ``natures`` too, then.
    """
    one = np.uint64(1)
    top = np.uint64(63)
    at = last_block(base, len(data))
    shift = np.uint64(base - at)
    here = bits_below(end - base)
    upper = (mask_between(data, at, 65, 90) >> shift) & here
    letter = ((mask_between(data, at, 97, 122) >> shift) & here) | upper
    if letters_beyond:
        letter |= (mask_between(data, at, 128, 255) >> shift) & here
    digit = (mask_between(data, at, 48, 57) >> shift) & here
    apostrophe = mask_equal(data, at, 39) >> shift
    comma = mask_equal(data, at, 44) >> shift
    stop = mask_equal(data, at, 46) >> shift
    # What stands beside each character; beyond the block's end it is looked up, beyond the part's there is nothing.
    beyond = natures[data[base + 64]] if base + 64 < end else np.uint16(0)
    after_letter = (letter << one) | letter_before
    after_digit = (digit << one) | digit_before
    after_upper = (upper << one) | upper_before
    before_letter = (letter >> one) | (np.uint64(beyond & IS_LETTER != 0) << top)
    before_digit = (digit >> one) | (np.uint64(beyond & IS_DIGIT != 0) << top)
    before_upper = (upper >> one) | (np.uint64(beyond & IS_UPPER != 0) << top)
    inside = after_letter & before_letter & (apostrophe | (stop & ~(before_upper & ~after_upper)))
    inside |= after_digit & before_digit & (comma | stop)
    return letter | digit | (inside & here), letter, digit, upper


@njit(cache=True, nogil=True)
def _tokens_of_ascii(data, begin, end, natures, m, starts, ends, kinds, alphabetic, terminal) -> Any:
    """Write the tokens of a part that holds ASCII alone and has white space or nothing at either end."""
    first = last = np.uint64(m)
    one = np.uint64(1)
    top = np.uint64(63)
    letter_before = digit_before = upper_before = word_before = sign_before = doubled_before = np.uint64(0)
    for base in range(begin, end, 64):
        at = last_block(base, len(data))
        shift = np.uint64(base - at)
        here = bits_below(end - base)
        word, letter, digit, upper = ascii_words(
            data, base, end, natures, letter_before, digit_before, upper_before, letters_beyond=False
        )
        space = ((mask_between(data, at, 0, 32) | mask_equal(data, at, 127)) >> shift) & here
        pairs = last_block(base, len(data) - 1)
        doubled = mask_doubled(data, pairs) >> np.uint64(base - pairs)
        sign = here & ~(word | space)
        after_word = (word << one) | word_before
        after_sign = (sign << one) | sign_before
        after_equal = (doubled << one) | doubled_before
        opening = (word & ~after_word) | (sign & ~(after_sign & after_equal))
        closing = (after_word | after_sign) & (opening | space)
        letter_before, digit_before, upper_before = letter >> top, digit >> top, upper >> top
        word_before, sign_before, doubled_before = word >> top, sign >> top, doubled >> top
        first = write_places(starts, first, base, opening)
        last = write_places(ends, last, base, closing)
    if last < first:
        ends[last] = end
    for k in range(m, np.int64(first)):
        start = starts[k]
        stop_at = ends[k]
        byte = data[start]
        nature = natures[byte]
        alphabetic[k] = nature & IS_LETTER != 0
        terminal[k] = nature & IS_TERMINAL != 0 and (byte != 46 or stop_at - start == 1)
        # No branch on what the token is, which nothing foretells: WORD, PUNCTUATION and SYMBOL are 0, 1 and 2.
        kinds[k] = np.uint8(nature & IS_WORD == 0) + np.uint8(nature & IS_SIGN != 0)
        if nature & IS_DIGIT:
            for place in range(start + 1, stop_at):
                alphabetic[k] |= natures[data[place]] & IS_LETTER != 0
        elif byte == 45 and (
            (start > begin and natures[data[start - 1]] & IS_DIGIT != 0)
            or (stop_at < end and natures[data[stop_at]] & IS_DIGIT != 0)
        ):
            kinds[k] = SYMBOL
    return np.int64(first)


@njit(cache=True, nogil=True)
def ascii_natures(units) -> Any:
    """What the rule needs of each character below 128."""
    natures = np.zeros(256, np.uint16)
    for code in range(128):
        unit = units[code]
        here = unit & UNIT_CLASS
        nature = 0
        if here in (_SEPARATOR, _FORMAT):
            nature = IS_SEPARATOR
        elif here == _LETTER:
            nature = IS_LETTER
        elif here == _DIGIT:
            nature = IS_DIGIT
        elif here == _SYMBOL:
            nature = IS_SIGN
        if unit & _UPPER:
            nature |= IS_UPPER
        if unit & _TERMINAL:
            nature |= IS_TERMINAL
        natures[code] = nature
    return natures


@njit(cache=True, nogil=True)
def _beyond_ascii(data, at, end) -> Any:
    """Position of the first byte from ``at`` on that is not ASCII; ``end`` where there is none."""
    for base in range(at, end, 64):
        block = last_block(base, len(data))
        mask = mask_between(data, block, 0x80, 0xFF) >> np.uint64(base - block)
        if mask:
            return min(end, base + first_bit(mask))
    return end


@njit(cache=True, nogil=True)
def foreign_part(data, at, end, natures) -> Any:
    """Bounds of the first part from ``at`` on that is to be decoded; (``end``, ``end``) where all is ASCII.

    No token and no look ahead reaches beyond ASCII white space, so a text falls into parts there: those of ASCII alone,
    and those that are decoded first.
    """
    foreign = _beyond_ascii(data, at, end)
    begin = foreign
    if foreign == end:
        return begin, end
    while begin > at and not natures[data[begin - 1]] & IS_SEPARATOR:
        begin -= 1
    while True:  # on to the next space with ASCII alone behind it
        part = foreign
        while part < end and not natures[data[part]] & IS_SEPARATOR:
            part += 1
        foreign = _beyond_ascii(data, part, end)
        if foreign == end or foreign - part >= _NEAR:
            return begin, part


@njit(cache=True, nogil=True)
def _tokens(data, offsets, tables: Unicode) -> Any:
    """Walk all texts once.

    Arrays grow here and not in the loop over characters: a variable that may be assigned there is counted at every
    turn.
    """
    n = len(offsets) - 1
    longest = np.int64(0)
    for i in range(n):
        longest = max(longest, offsets[i + 1] - offsets[i])
    units = np.empty(longest + 2, np.uint32)
    capacity = (offsets[n] - offsets[0]) // 4 + 64
    bounds = np.zeros(n + 1, np.int64)
    starts = np.empty(capacity, np.int64)
    ends = np.empty(capacity, np.int64)
    kinds = np.empty(capacity, np.uint8)
    alphabetic = np.empty(capacity, np.bool_)
    terminal = np.empty(capacity, np.bool_)
    m = 0
    ascii_table = ascii_units(tables)
    natures = ascii_natures(ascii_table)
    for i in range(n):
        size = offsets[i + 1] - offsets[i]
        if m + size + SPARE > capacity:  # a text has no more tokens than bytes
            capacity = max(m + size + SPARE, capacity + capacity // 2)
            starts = _grown(starts, m, capacity)
            ends = _grown(ends, m, capacity)
            kinds = _grown(kinds, m, capacity)
            alphabetic = _grown(alphabetic, m, capacity)
            terminal = _grown(terminal, m, capacity)
        at = offsets[i]
        end = offsets[i + 1]
        while at < end:
            part, beyond = foreign_part(data, at, end, natures)
            m = _tokens_of_ascii(data, at, part, natures, m, starts, ends, kinds, alphabetic, terminal)
            if part < beyond:
                count = decode_part(data, part, beyond, tables, ascii_table, units)
                units[count] = units[count + 1] = 0  # class SEPARATOR: what is looked up past the end
                m = tokens_of_units(data, units, count, part, m, starts, ends, kinds, alphabetic, terminal)
            at = beyond
        bounds[i + 1] = m
    return bounds, starts[:m], ends[:m], kinds[:m], alphabetic[:m], terminal[:m]


@njit(cache=True, nogil=True)
def _grown(values, used, capacity) -> Any:
    larger = np.empty(capacity, values.dtype)
    larger[:used] = values[:used]
    return larger
