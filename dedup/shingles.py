"""Shingles: what two texts are compared by.

A shingle is ``size`` units in a row, and the units are those of the profile:

- ``auto``: words and symbols of ``kernels.words``, case-folded, punctuation left out. In scripts without spaces a word
  is one character, so that these texts get character shingles. Symbols stay in, so that x^2+1 and x-2=1 differ;
  punctuation, white space, letter case and line breaks do not count.
- ``formal``: for mathematics and code, every token of ``kernels.words`` as it is spelled: punctuation and letter case
  count too, so that n! and n, (a+b)*c and a+(b*c), X and x differ. White space does not count.
- ``characters``: code points as they stand, a run of white space counting as one space, none at either end.

A text with fewer units than ``size``, but at least one, has one shingle of all its units. A text without units (empty,
or only punctuation) has no shingle and is near no other text; its copies are found by content (``dedup.exact``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from kernels.mixing import finish
from kernels.strings import portions, text_batch
from kernels.tokens import WORD, tokens
from kernels.words import PUNCTUATION, token_spelling, words

__all__ = ["Profile", "Shingles", "shingle_pieces", "shingle_sets", "shingles"]

Profile = Literal["auto", "formal", "characters"]

# Texts are split into units about this many bytes at a time: the tokens of a piece stay in the cache, and memory does
# not grow with the batch. Borders lie between texts and change nothing.
_PIECE_BYTES = 1 << 19

# A 64-bit odd multiplier (Knuth's MMIX); the hash of a shingle is the polynomial in it of its units' hashes.
_BASE = np.uint64(6364136223846793005)
_SPACE = np.uint64(32)


class Shingles(NamedTuple):
    """Hashes of shingles; those of text ``i`` are ``hashes[offsets[i]:offsets[i + 1]]``."""

    offsets: NDArray[np.int64]  # n + 1, from 0
    hashes: NDArray[np.uint64]


def shingles(text: pa.Array[Any] | pa.ChunkedArray[Any], size: int = 5, profile: Profile = "auto") -> Shingles:
    """Hash every shingle of every text, in the order of the text, repeats included.

    Args:
        text: ``n`` texts, string or large_string; a null counts as an empty text.
        size: units in a shingle, 1 or more.
        profile: what a unit is; see the module.

    Raises:
        ValueError: ``size`` is below 1, or the profile is unknown.
    """
    offsets = [np.zeros(1, np.int64)]
    hashes = [np.zeros(0, np.uint64)]
    total = 0
    for piece in shingle_pieces(text, size, profile):
        offsets.append(piece.offsets[1:] + total)
        hashes.append(piece.hashes)
        total += len(piece.hashes)
    return Shingles(np.concatenate(offsets), np.concatenate(hashes))


def shingle_pieces(
    text: pa.Array[Any] | pa.ChunkedArray[Any], size: int = 5, profile: Profile = "auto"
) -> Iterator[Shingles]:
    """Yield what ``shingles`` returns, for some texts at a time: in all of them, each once and in order.

    Who needs no more than one text's shingles at a time holds no more than a piece of them, in the cache.
    """
    if size < 1:
        raise ValueError(f"size: found {size}, expected 1 or more units in a shingle")
    if profile not in get_args(Profile):
        raise ValueError(f'profile: found "{profile}", expected "auto", "formal" or "characters"')
    for piece in portions(text_batch(text), _PIECE_BYTES):
        if profile == "auto":
            units = words(piece)
            yield Shingles(*_token_shingles(units.offsets, units.hashes, units.kinds, size))
        elif profile == "formal":
            found = tokens(piece)
            spelled = token_spelling(piece, found).hashes
            yield Shingles(*_token_shingles(found.offsets, spelled, np.full_like(found.kinds, WORD), size))
        else:
            yield Shingles(*_character_shingles(piece.data, piece.offsets, size))


def shingle_sets(text: pa.Array[Any] | pa.ChunkedArray[Any], size: int = 5, profile: Profile = "auto") -> Shingles:
    """Return each text's set of shingles: hashes ascending, each once. Arguments and errors as ``shingles``."""
    return Shingles(*_sets(*shingles(text, size, profile)))


@njit(cache=True, nogil=True)
def _token_shingles(token_offsets, token_hashes, kinds, size):  # pyright: ignore
    n = len(token_offsets) - 1
    offsets = np.zeros(n + 1, np.int64)
    hashes = np.empty(len(token_hashes), np.uint64)  # never more shingles than units
    longest = 0
    for i in range(n):
        longest = max(longest, token_offsets[i + 1] - token_offsets[i])
    # The units of a text, behind as many zeros as leave a shingle when the first units enter it.
    units = np.zeros(size + longest, np.uint64)
    begin = np.uint64(size)
    oldest = np.uint64(1)
    for _ in range(size):
        oldest *= _BASE
    m = 0
    for i in range(n):
        behind = begin
        for t in range(token_offsets[i], token_offsets[i + 1]):
            units[behind] = token_hashes[t]
            behind += np.uint64(kinds[t] != PUNCTUATION)  # no branch on it: nothing foretells where punctuation stands
        count = np.int64(behind - begin)
        rolling = np.uint64(0)
        for u in range(min(count, size - 1)):
            rolling = rolling * _BASE + units[begin + np.uint64(u)]
        if 0 < count < size:
            hashes[m] = finish(rolling)
            m += 1
        for u in range(size - 1, count):
            left = np.uint64(u)
            rolling = rolling * _BASE + units[begin + left] - units[left] * oldest
            hashes[np.uint64(m)] = finish(rolling)
            m += 1
        offsets[i + 1] = m
    return offsets, hashes[:m].copy()


@njit(cache=True, nogil=True)
def _character_shingles(data, text_offsets, size):  # pyright: ignore
    n = len(text_offsets) - 1
    offsets = np.zeros(n + 1, np.int64)
    hashes = np.empty(text_offsets[n] - text_offsets[0], np.uint64)
    longest = 0
    for i in range(n):
        longest = max(longest, text_offsets[i + 1] - text_offsets[i])
    units = np.empty(longest, np.uint64)
    oldest = np.uint64(1)
    for _ in range(size):
        oldest *= _BASE
    m = 0
    for i in range(n):
        count = 0
        at = text_offsets[i]
        end = text_offsets[i + 1]
        while at < end:
            code = np.uint64(data[at])
            at += 1
            if code <= _SPACE:
                if count > 0 and units[count - 1] != _SPACE:
                    units[count] = _SPACE
                    count += 1
                continue
            # The unit is the code point's own bytes; a stray continuation byte stands for itself.
            while code >= 0xC0 and at < end and (data[at] & 0xC0) == 0x80:
                code = (code << np.uint64(8)) | np.uint64(data[at])
                at += 1
            units[count] = code
            count += 1
        if count > 0 and units[count - 1] == _SPACE:
            count -= 1
        rolling = np.uint64(0)
        for u in range(count):
            rolling = rolling * _BASE + finish(units[u])
            if u >= size:
                rolling -= finish(units[u - size]) * oldest
            if u >= size - 1:
                hashes[m] = finish(rolling)
                m += 1
        if 0 < count < size:
            hashes[m] = finish(rolling)
            m += 1
        offsets[i + 1] = m
    return offsets, hashes[:m].copy()


@njit(cache=True, nogil=True)
def _sets(offsets, hashes):  # pyright: ignore
    n = len(offsets) - 1
    set_offsets = np.zeros(n + 1, np.int64)
    kept = np.empty(len(hashes), np.uint64)
    m = 0
    for i in range(n):
        ordered = np.sort(hashes[offsets[i] : offsets[i + 1]])
        for j in range(len(ordered)):
            if j == 0 or ordered[j] != ordered[j - 1]:
                kept[m] = ordered[j]
                m += 1
        set_offsets[i + 1] = m
    return set_offsets, kept[:m].copy()
