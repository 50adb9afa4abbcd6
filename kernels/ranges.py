"""Ranges of bytes: texts without some of them, and hashes of what they say."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.blocks import at_least_a_block, load_word
from kernels.spaces import stripped
from kernels.strings import TextBatch
from kernels.unicode import (
    UNIT_CLASS,
    UNIT_CODE_MASK,
    UNIT_PROPERTIES,
    TokenClass,
    Unicode,
    ascii_units,
    decode_part,
    unicode_tables,
)
from kernels.word_mixing import mix_end, mix_step

__all__ = ["CCNET_PUNCTUATION", "blank_texts", "normalised_hashes", "range_chars", "range_hashes", "without_ranges"]

# The characters that CCNet takes out of a paragraph before it hashes it (facebookresearch/cc_net, text_normalizer.py);
# ASCII punctuation stays.
CCNET_PUNCTUATION: Final = "，。、„”“«»１」「《》´∶：？！（）；–—．～’…━〈〉【】％►"

_SEED: Final = np.uint64(0x9E3779B97F4A7C15)
_DIGIT: Final = np.uint32(int(TokenClass.DIGIT) << UNIT_PROPERTIES)
_CODES: Final = 0x10000


def normalised_hashes(batch: TextBatch, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Hash ranges of bytes as CCNet's paragraphs are compared: case-folded, each digit as 0, without punctuation.

    Control characters (U+0000 to U+001F, U+007F to U+009F) and `CCNET_PUNCTUATION` do not count. A range of which
    nothing is left has the hash of the empty range.
    """
    skipped = np.zeros(_CODES, np.bool_)
    skipped[:32] = skipped[127:160] = True
    skipped[[ord(one) for one in CCNET_PUNCTUATION]] = True
    return _normalised(at_least_a_block(batch.data), starts, ends, skipped, unicode_tables())


def range_hashes(batch: TextBatch, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Hash ranges of bytes as they stand."""
    return _hashes(at_least_a_block(batch.data), starts, ends)


def range_chars(batch: TextBatch, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Code points of ranges of bytes: bytes that continue no other."""
    return _chars(batch.data, starts, ends)


def blank_texts(batch: TextBatch) -> NDArray[np.bool_]:
    """Which texts hold nothing but ASCII white space and control characters."""
    return _blank(batch.data, batch.offsets)


def without_ranges(
    batch: TextBatch, offsets: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> TextBatch:
    """Copy the texts without some ranges of their bytes.

    Args:
        batch: the texts.
        offsets: each text's ranges, those of text ``i`` have the numbers ``offsets[i]`` to ``offsets[i + 1]``.
        starts: byte positions in the batch's data, rising within a text.
        ends: where each range ends; ranges of one text do not overlap.
    """
    data, ranges = _without(batch.data, batch.offsets, offsets, starts, ends)
    data.flags.writeable = False
    ranges.flags.writeable = False
    return TextBatch(data, ranges)


@njit(cache=True, nogil=True)
def _normalised(data, starts, ends, skipped, tables: Unicode) -> Any:
    longest = np.int64(0)
    for k in range(len(starts)):
        longest = max(longest, ends[k] - starts[k])
    units = np.empty(longest, np.uint32)
    ascii_table = ascii_units(tables)
    hashes = np.empty(len(starts), np.uint64)
    for k in range(len(starts)):
        state = _SEED
        for number in range(decode_part(data, starts[k], ends[k], tables, ascii_table, units)):
            unit = units[number]
            code = np.int64(unit & UNIT_CODE_MASK)
            if code < _CODES and skipped[code]:
                continue
            state = mix_step(state, 48 if unit & UNIT_CLASS == _DIGIT else code)
        hashes[k] = mix_end(state)
    return hashes


@njit(cache=True, nogil=True)
def _hashes(data, starts, ends) -> Any:
    hashes = np.empty(len(starts), np.uint64)
    for k in range(len(starts)):
        state = mix_step(_SEED, ends[k] - starts[k])
        at = starts[k]
        while at + 8 <= ends[k]:
            state = mix_step(state, load_word(data, at))
            at += 8
        rest = np.uint64(0)
        while at < ends[k]:
            rest = (rest << np.uint64(8)) | np.uint64(data[at])
            at += 1
        hashes[k] = mix_end(mix_step(state, rest))
    return hashes


@njit(cache=True, nogil=True)
def _chars(data, starts, ends) -> Any:
    found = np.zeros(len(starts), np.int64)
    for k in range(len(starts)):
        for at in range(starts[k], ends[k]):
            found[k] += data[at] & 0xC0 != 0x80
    return found


@njit(cache=True, nogil=True)
def _blank(data, offsets) -> Any:
    found = np.ones(len(offsets) - 1, np.bool_)
    for i in range(len(found)):
        start, end = offsets[i], offsets[i + 1]
        while start < end:
            start, end = stripped(data, start, end)
            if start < end and data[start] > 32:
                found[i] = False
                break
            start += 1  # a control character
    return found


@njit(cache=True, nogil=True)
def _without(data, text_offsets, offsets, starts, ends) -> Any:
    n = len(text_offsets) - 1
    copied = np.empty(text_offsets[n] - text_offsets[0], np.uint8)
    ranges = np.zeros(n + 1, np.int64)
    to = np.int64(0)
    for i in range(n):
        at = text_offsets[i]
        for k in range(offsets[i], offsets[i + 1]):
            copied[to : to + starts[k] - at] = data[at : starts[k]]
            to += starts[k] - at
            at = ends[k]
        copied[to : to + text_offsets[i + 1] - at] = data[at : text_offsets[i + 1]]
        to += text_offsets[i + 1] - at
        ranges[i + 1] = to
    return copied[:to].copy(), ranges
