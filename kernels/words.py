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

Why characters, in the scripts without spaces, and no dictionary (Chinese, Japanese, Thai, Lao, Khmer, Burmese): a
dictionary's words change with its version, with its words for what it does not know, and with a character far behind;
the tokens of a text must be the same on every machine and for years, for indexes of their hashes outlive both, and one
changed character must change few of them. Runs of characters find copies as well as runs of words do. What is lost is
the count: one of these languages has two or three times as many tokens as words, and rules on numbers or lengths of
words need thresholds of their own there.

Who compares texts chooses among profiles of the same tokens: **prose** takes words and symbols, case-folded
(``dedup.shingles`` ``auto``, ``decontam``); **mathematics and code** takes every token as it is spelled (``formal``),
for there ``!``, brackets and letter case say something.

The hash reads the token's code points under simple case folding; nothing is normalised, so NFC and NFD of one text
differ.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.blocks import at_least_a_block, count_bits, load_word
from kernels.folded_hashes import ascii_hashes, decoded_hashes
from kernels.strings import TextBatch
from kernels.token_types import TokenTypes, of_tokens, token_types
from kernels.tokens import PUNCTUATION, SYMBOL, WORD, Tokens, tokens
from kernels.unicode import (
    UNIT_CLASS,
    UNIT_CODE_MASK,
    UNIT_PROPERTIES,
    TokenClass,
    ascii_units,
    decode_part,
    unicode_tables,
)
from kernels.word_mixing import FIRST_STATE, case_folded, mix_end, mix_step, two_words

__all__ = [
    "PUNCTUATION",
    "SYMBOL",
    "WORD",
    "Spelling",
    "Words",
    "folded_spelling",
    "folded_words",
    "spelled_words",
    "token_hashes",
    "token_spelling",
    "words",
]

_FORMAT: Final = np.uint32(int(TokenClass.FORMAT) << UNIT_PROPERTIES)
_STRETCH: Final = 512  # tokens that are fetched before they are hashed: they stay in the nearest cache
_ALL: Final = np.uint64(0xFFFFFFFFFFFFFFFF)
_TOPS: Final = np.uint64(0x8080808080808080)


class Words(NamedTuple):
    """The tokens of ``n`` texts in order: those of text ``i`` have the numbers ``offsets[i]`` to ``offsets[i + 1]``."""

    offsets: NDArray[np.int64]  # n + 1
    starts: NDArray[np.int64]  # byte position in the batch's data
    ends: NDArray[np.int64]
    hashes: NDArray[np.uint64]  # of the case-folded token; the same in every batch, process and version of Unicode
    kinds: NDArray[np.uint8]  # WORD, PUNCTUATION or SYMBOL


class Spelling(NamedTuple):
    """What is written in each token; one entry for each of ``Words``."""

    hashes: NDArray[np.uint64]  # of its bytes, so that "The" ≠ "the"; as fixed as ``Words.hashes``
    chars: NDArray[np.int64]  # code points
    alphabetic: NDArray[np.bool_]  # holds a letter (str.isalpha)
    terminal: NDArray[np.bool_]  # begins with a character that ends a sentence, and is no run of full stops


def words(batch: TextBatch) -> Words:
    """Split every text of the batch into words, punctuation and symbols.

    Returns:
        Tokens in the order of the text; never empty, never across two texts. A text without any has an empty range.
    """
    return folded_words(batch, tokens(batch))


def folded_words(batch: TextBatch, found: Tokens) -> Words:
    """The words of tokens that are found already."""
    data = at_least_a_block(batch.data)
    if _mostly_beyond_ascii(batch):
        hashes = _decoded(data, found.starts, found.ends)
    else:
        hashes, others = ascii_hashes(data, found.starts, found.ends)
        if len(others):
            hashes[others] = _decoded(data, found.starts[others], found.ends[others])
    return Words(found.offsets, found.starts, found.ends, hashes, found.kinds)


def _mostly_beyond_ascii(batch: TextBatch) -> bool:
    """Whether to look for tokens of ASCII is not worth its time; it changes no hash."""
    read = batch.data[batch.offsets[0] : batch.offsets[-1]]
    return 2 * int(np.count_nonzero(read >= 0x80)) > len(read)


def _decoded(data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Decode each type of token once, since that costs more than to tell the types."""
    types = token_types(_spelling(data, starts, ends)[0])
    firsts = types.firsts
    return of_tokens(decoded_hashes(data, starts[firsts], ends[firsts], unicode_tables()), types)


def spelled_words(batch: TextBatch) -> tuple[Words, Spelling]:
    """The words, and the spelling of each."""
    found = tokens(batch)
    return folded_words(batch, found), token_spelling(batch, found)


def token_spelling(batch: TextBatch, found: Tokens) -> Spelling:
    """The spelling of tokens that are found already."""
    hashes, chars = _spelling(at_least_a_block(batch.data), found.starts, found.ends)
    return Spelling(hashes, chars, found.alphabetic, found.terminal)


def folded_spelling(
    batch: TextBatch, found: Tokens, spelled: Spelling, types: TokenTypes | None = None
) -> NDArray[np.uint64]:
    """Hash of each token under case folding, without what is invisible in it; of the same tokens as ``Words.hashes``.

    It is that of ``Spelling.hashes`` for the token as it would be spelled then. It is cheaper than that of ``Words``,
    which is kept in files and so must stay as it is.

    Args:
        batch: the texts.
        found: their tokens.
        spelled: the tokens' spelling.
        types: the tokens' types by the same hashes, where they are known already.
    """
    types = types or token_types(spelled.hashes)
    data, tables = at_least_a_block(batch.data), unicode_tables()
    return of_tokens(_folded_spelling(data, found.starts, found.ends, spelled.hashes, types.firsts, tables), types)


def token_hashes(tokens: Sequence[str]) -> NDArray[np.uint64]:
    """The entries that tokens have in ``Spelling.hashes``."""
    encoded = [token.encode() for token in tokens]
    ends = np.cumsum([len(token) for token in encoded], dtype=np.int64)
    starts = ends - np.array([len(token) for token in encoded], np.int64)
    return _spelling(at_least_a_block(np.frombuffer(b"".join(encoded), np.uint8)), starts, ends)[0]


@njit(cache=True, nogil=True)
def _spelling(data, starts, ends) -> Any:
    """Hash of each token's bytes, eight a step, with zeros behind the last (no token holds a NUL); its code points.

    A stretch of tokens is first fetched and then hashed: what has no memory to wait for and no branch is done for
    several tokens by one instruction.
    """
    m = len(starts)
    hashes = np.empty(m, np.uint64)
    chars = np.empty(m, np.int64)
    firsts = np.empty(_STRETCH, np.uint64)
    seconds = np.empty(_STRETCH, np.uint64)
    sizes = np.empty(_STRETCH, np.int64)
    limit = len(data) - 16
    for base in range(0, m, _STRETCH):
        count = min(_STRETCH, m - base)
        own_starts = starts[base : base + count]
        own_ends = ends[base : base + count]
        own_hashes = hashes[base : base + count]
        own_chars = chars[base : base + count]
        others = np.int64(0)
        for k in range(count):
            start = own_starts[k]
            size = own_ends[k] - start
            others += (size > 16) | (start > limit)
            sizes[k] = size
            firsts[k], seconds[k] = two_words(data, min(start, limit), min(size, 16))
        for k in range(count):
            short = mix_step(FIRST_STATE, firsts[k])
            long = mix_step(short, seconds[k])
            own_hashes[k] = mix_end(long if sizes[k] > 8 else short)
            own_chars[k] = sizes[k] - _continuations(firsts[k]) - _continuations(seconds[k])
        if others:
            for k in range(count):
                if sizes[k] > 16 or own_starts[k] > limit:
                    own_hashes[k], own_chars[k] = _long_spelling(data, own_starts[k], own_ends[k])
    return hashes, chars


@njit(cache=True, nogil=True)
def _long_spelling(data, start, end) -> Any:
    """The same of a token of any length, wherever it stands."""
    limit = len(data) - 8
    size = end - start
    chars = size
    state = FIRST_STATE
    while size > 8:
        word = load_word(data, start)
        state = mix_step(state, word)
        chars -= _continuations(word)
        start += 8
        size -= 8
    rest = load_word(data, min(start, limit)) >> np.uint64(8 * max(start - limit, 0))
    rest &= _ALL >> np.uint64(64 - 8 * size)
    return mix_end(mix_step(state, rest)), chars - _continuations(rest)


@njit(cache=True, nogil=True)
def _folded_bytes(units, count, folded) -> Any:
    """Write the characters under case folding, without those that are invisible, as UTF-8; how many bytes they are."""
    size = 0
    for number in range(count):
        if units[number] & UNIT_CLASS == _FORMAT:
            continue
        code = np.int64(units[number] & UNIT_CODE_MASK)
        if code < 0x80:
            folded[size] = code
            size += 1
            continue
        length = 2 if code < 0x800 else (3 if code < 0x10000 else 4)
        for place in range(length - 1, 0, -1):
            folded[size + place] = 0x80 | (code & 0x3F)
            code >>= 6
        folded[size] = (0xF00 >> length) & 0xFF | code
        size += length
    return size


@njit(cache=True, nogil=True)
def _folded_ascii(data, starts, ends, chosen, hashes, others) -> Any:
    """Hash the chosen tokens that are ASCII alone; the places of the others, in ``others``, and how many they are."""
    firsts = np.empty(_STRETCH, np.uint64)
    seconds = np.empty(_STRETCH, np.uint64)
    sizes = np.empty(_STRETCH, np.int64)
    limit = len(data) - 16
    left = np.uint64(0)
    for base in range(0, len(chosen), _STRETCH):
        own = chosen[base : base + _STRETCH]
        for k in range(len(own)):
            start = starts[own[k]]
            sizes[k] = ends[own[k]] - start
            firsts[k], seconds[k] = two_words(data, min(start, limit), min(sizes[k], 16))
        for k in range(len(own)):
            short = mix_step(FIRST_STATE, case_folded(firsts[k]))
            long = mix_step(short, case_folded(seconds[k]))
            hashes[base + k] = mix_end(long if sizes[k] > 8 else short)
        for k in range(len(own)):
            high = firsts[k] | seconds[k]
            if sizes[k] > 16 or starts[own[k]] > limit:
                hashes[base + k], high = _long_folded(data, starts[own[k]], ends[own[k]])
            others[left] = base + k
            left += np.uint64(high & _TOPS != 0)
    return np.int64(left)


@njit(cache=True, nogil=True)
def _long_folded(data, at, end) -> Any:
    """The same hash of a token of any length, wherever it stands, and the bits of its bytes."""
    limit = len(data) - 8
    size = end - at
    state = FIRST_STATE
    high = np.uint64(0)
    while size > 8:
        word = load_word(data, at)
        state = mix_step(state, case_folded(word))
        high |= word
        at += 8
        size -= 8
    word = load_word(data, min(at, limit)) >> np.uint64(8 * max(at - limit, 0))
    word &= _ALL >> np.uint64(64 - 8 * size)
    return mix_end(mix_step(state, case_folded(word))), high | word


@njit(cache=True, nogil=True)
def _folded_spelling(data, starts, ends, spelled, chosen, tables) -> Any:
    """The hashes of the tokens with the numbers in ``chosen``; ``spelled`` are those of all tokens as they stand."""
    hashes = np.empty(len(chosen), np.uint64)
    others = np.empty(len(chosen), np.int32)
    ascii_table = ascii_units(tables)
    units = np.empty(64, np.uint32)
    folded = np.zeros(4 * 64 + 8, np.uint8)
    for number in range(_folded_ascii(data, starts, ends, chosen, hashes, others)):
        k = others[number]
        start = starts[chosen[k]]
        end = ends[chosen[k]]
        size = end - start
        if size > len(units):
            units = np.empty(size, np.uint32)
            folded = np.zeros(4 * size + 8, np.uint8)
        length = _folded_bytes(units, decode_part(data, start, end, tables, ascii_table, units), folded)
        same = length == size
        for place in range(min(length, size)):
            same &= folded[place] == data[start + place]
        hashes[k] = spelled[chosen[k]] if same else _long_spelling(folded, 0, length)[0]
    return hashes


@njit(cache=True, nogil=True, inline="always")
def _continuations(word) -> Any:
    """How many of eight bytes continue a character: those of the form 10xxxxxx."""
    return count_bits(word & ~(word << np.uint64(1)) & _TOPS)
