r"""Words, punctuation and symbols of a batch of texts, with a hash of each.

The rule (UAX #29 word boundaries, reduced to what can be said in a paragraph; classes in ``kernels.unicode``):

- A **word** is a run of letters, marks, digits and other numbers. An apostrophe or middle dot between two letters
  belongs to it ("don't", "l’eau", "col·lecció"), as does ``.`` or ``,`` between two digits ("3.14", "1,000") and ``.``
  between two letters ("example.com", "U.S", "np.array"), unless the second alone is a capital: "end.Next" is two words.
- In a script **written without spaces** (Han, kana, Bopomofo, Thai, Lao, Khmer, Burmese, the Tai scripts, Tangut,
  Nüshu, Khitan) a word is one letter with its marks.
- **Marks** (Mn, Mc, Me), ZWJ and ZWNJ stay with what they follow, and are hashed: ดี ≠ ดู, か ≠ が in NFC and in NFD.
  Kana length and voicing marks do the same. A mark that follows nothing begins a word.
- **Punctuation** and **symbols** are tokens of their own; a run of one and the same character is one token ("...",
  "===="). ``# % & * / @ \ _`` and ``-`` beside a digit are symbols, so that x^2+1 ≠ x-2=1 among words and symbols.
- **Invisible** format characters (soft hyphen, direction marks) neither end a word nor enter its hash. Spaces, control
  characters and U+200B end a word.
- A byte that is not UTF-8 is a symbol.

The hash reads the token's code points under simple case folding; nothing is normalised, so NFC and NFD of one text
differ.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.strings import TextBatch
from kernels.unicode import (
    ALPHA,
    TERMINAL,
    UNIT_CLASS,
    UNIT_CODE_MASK,
    UNIT_LENGTH,
    UNIT_PROPERTIES,
    UPPER,
    TokenClass,
    Unicode,
    decode_text,
    unicode_tables,
)

__all__ = ["PUNCTUATION", "SYMBOL", "WORD", "Spelling", "Words", "spelled_words", "spelling_hash", "words"]

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

# Odd 64-bit constants of MurmurHash3 and splitmix64; the step is a bijection of the state for every code point.
_SEED: Final = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLY_CODE: Final = np.uint64(0x87C37B91114253D5)
_MULTIPLY_STATE: Final = np.uint64(0x4CF5AD432745937F)
_FINAL_1: Final = np.uint64(0xBF58476D1CE4E5B9)
_FINAL_2: Final = np.uint64(0x94D049BB133111EB)
_U27: Final = np.uint64(27)
_U30: Final = np.uint64(30)
_U31: Final = np.uint64(31)
_U37: Final = np.uint64(37)


class Words(NamedTuple):
    """The tokens of ``n`` texts in order: those of text ``i`` have the numbers ``offsets[i]`` to ``offsets[i + 1]``."""

    offsets: NDArray[np.int64]  # n + 1
    starts: NDArray[np.int64]  # byte position in the batch's data
    ends: NDArray[np.int64]
    hashes: NDArray[np.uint64]  # of the case-folded token; the same in every batch, process and version of Unicode
    kinds: NDArray[np.uint8]  # WORD, PUNCTUATION or SYMBOL


class Spelling(NamedTuple):
    """What is written in each token; one entry for each of ``Words``."""

    hashes: NDArray[np.uint64]  # of its bytes, so that "The" ≠ "the"
    chars: NDArray[np.int64]  # code points
    alphabetic: NDArray[np.bool_]  # holds a letter (str.isalpha)
    terminal: NDArray[np.bool_]  # begins with a character that ends a sentence, and is no run of full stops


def words(batch: TextBatch) -> Words:
    """Split every text of the batch into words, punctuation and symbols.

    Returns:
        Tokens in the order of the text; never empty, never across two texts. A text without any has an empty range.
    """
    return Words(*_words(batch.data, batch.offsets, unicode_tables(), False)[:5])


def spelled_words(batch: TextBatch) -> tuple[Words, Spelling]:
    """The same tokens, with their spelling read in the same pass."""
    columns = _words(batch.data, batch.offsets, unicode_tables(), True)
    return Words(*columns[:5]), Spelling(*columns[5:])


def spelling_hash(word: str) -> int:
    """The entry that a word has in ``Spelling.hashes``."""
    return int(_hash(np.frombuffer(word.encode(), np.uint8)))


@njit(cache=True, nogil=True, inline="always")
def mix_step(state, code) -> Any:
    """Take one code point into the state of a hash."""
    state ^= np.uint64(code) * _MULTIPLY_CODE
    return ((state << _U27) | (state >> _U37)) * _MULTIPLY_STATE


@njit(cache=True, nogil=True, inline="always")
def mix_end(state) -> Any:
    """Finish a hash (the finaliser of splitmix64)."""
    state ^= state >> _U30
    state *= _FINAL_1
    state ^= state >> _U27
    state *= _FINAL_2
    return state ^ (state >> _U31)


@njit(cache=True, nogil=True)
def _hash(data) -> Any:
    state = _SEED
    for byte in data:
        state = mix_step(state, byte)
    return mix_end(state)


@njit(cache=True, nogil=True)
def _words_of_text(
    data, units, count, byte, m, starts, ends, hashes, kinds, spelled, exact, chars, alphabetic, terminal
) -> Any:
    """Write the tokens of one text, which begins at ``byte``, from number ``m`` on; return the number after them."""
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
        state = mix_step(_SEED, unit & UNIT_CODE_MASK)
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
                state = mix_step(state, unit & UNIT_CODE_MASK)
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
                state = mix_step(state, units[at] & UNIT_CODE_MASK)
                byte += 1 + (units[at] >> UNIT_LENGTH)
                at += 1
            stop = byte
            sign = here == _SYMBOL or (here == _HYPHEN and (before == _DIGIT or units[at] & UNIT_CLASS == _DIGIT))
            kind = SYMBOL if sign else PUNCTUATION
            before = here
        starts[m] = start
        ends[m] = stop
        hashes[m] = mix_end(state)
        kinds[m] = kind
        if spelled:
            state = _SEED
            continuations = 0
            for k in range(start, stop):
                state = mix_step(state, data[k])
                continuations += data[k] & 0xC0 == 0x80
            exact[m] = mix_end(state)
            chars[m] = stop - start - continuations
            alphabetic[m] = natures & _ALPHA != 0
            terminal[m] = opening & _TERMINAL != 0 and (data[start] != 46 or stop - start == 1)
        m += 1
    return m


@njit(cache=True, nogil=True)
def _words(data, offsets, tables: Unicode, spelled) -> Any:
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
    hashes = np.empty(capacity, np.uint64)
    kinds = np.empty(capacity, np.uint8)
    extra = capacity if spelled else 0
    exact = np.empty(extra, np.uint64)
    chars = np.empty(extra, np.int64)
    alphabetic = np.empty(extra, np.bool_)
    terminal = np.empty(extra, np.bool_)
    m = 0
    for i in range(n):
        count = decode_text(data, offsets[i], offsets[i + 1], tables, units)
        units[count] = units[count + 1] = 0  # class SEPARATOR: what is looked up past the end
        if m + count > capacity:  # a text has no more tokens than code points
            capacity = max(m + count, capacity + capacity // 2)
            starts = _grown(starts, m, capacity)
            ends = _grown(ends, m, capacity)
            hashes = _grown(hashes, m, capacity)
            kinds = _grown(kinds, m, capacity)
            if spelled:
                exact = _grown(exact, m, capacity)
                chars = _grown(chars, m, capacity)
                alphabetic = _grown(alphabetic, m, capacity)
                terminal = _grown(terminal, m, capacity)
        m = _words_of_text(
            data, units, count, offsets[i], m, starts, ends, hashes, kinds, spelled, exact, chars, alphabetic, terminal
        )
        bounds[i + 1] = m
    return bounds, starts[:m], ends[:m], hashes[:m], kinds[:m], exact[:m], chars[:m], alphabetic[:m], terminal[:m]


@njit(cache=True, nogil=True)
def _grown(values, used, capacity) -> Any:
    larger = np.empty(capacity, values.dtype)
    larger[:used] = values[:used]
    return larger
