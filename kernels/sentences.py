"""Sentences of each line, counted from its tokens.

The rule is that of a punctuation sentencizer: a sentence ends behind a token that ends sentences (Unicode
Sentence_Terminal), and the next word or symbol begins another. A full stop counts only where it cannot belong to what
surrounds it: not before a small letter or a digit without a space between ("v2.x"), and not behind a single letter ("J.
Smith", "e.g."). Citations ("[12]", "[edit]", "[citation needed]") are passed over, as C4 removes them before it counts.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.blocks import at_least_a_block, bits_below, find_byte, first_bit, last_block, mask_equal
from kernels.lines import Lines
from kernels.strings import TextBatch
from kernels.tokens import PUNCTUATION, Tokens
from kernels.words import Spelling, Words

__all__ = ["sentence_counts"]

_EDIT: Final = tuple(b"edit]")
_NEEDED: Final = tuple(b"citation needed]")


def sentence_counts(batch: TextBatch, found: Tokens | Words, spelled: Spelling, breaks: Lines) -> NDArray[np.int64]:
    """Sentences in each line; a line without tokens has none.

    Args:
        batch: the texts.
        found: their tokens.
        spelled: the same tokens' spelling.
        breaks: their lines. No token may lie across two lines, which holds for every rule of ``lines``.
    """
    data = at_least_a_block(batch.data)
    terminal = at_least_a_block(spelled.terminal.view(np.uint8))
    spelling = (spelled.chars, spelled.alphabetic, terminal)
    stops = _stops(data, batch.offsets, found.offsets, found.starts, found.ends, *spelling)
    return _sentences(data, found.offsets, found.starts, found.kinds, stops, breaks.offsets, breaks.starts, breaks.ends)


@njit(cache=True, nogil=True)
def _begins(data, at, end, phrase) -> Any:
    if at + len(phrase) > end:
        return False
    same = True
    for k in range(len(phrase)):
        same &= data[at + k] == phrase[k]
    return same


@njit(cache=True, nogil=True)
def _citation_end(data, at, end) -> Any:
    """Position behind the citation whose bracket is at ``at``; ``at`` itself where there is none."""
    k = at + 1
    while k < end and 48 <= data[k] <= 57:
        k += 1
    if k < end and data[k] == 93:
        return k + 1
    if _begins(data, at + 1, end, _EDIT):
        return at + 1 + len(_EDIT)
    if _begins(data, at + 1, end, _NEEDED):
        return at + 1 + len(_NEEDED)
    return at


@njit(cache=True, nogil=True)
def _stops(data, text_offsets, offsets, starts, ends, chars, alphabetic, terminal) -> Any:
    """Which of the tokens that may end a sentence do so, as bytes.

    Without a branch but for the next token, for nothing foretells what stands around a full stop. What stands behind
    the last one of a line is white space, or the text's end.
    """
    stops = np.zeros(len(terminal), np.uint8)
    one = np.uint64(1)
    for i in range(len(offsets) - 1):
        first = np.uint64(offsets[i])
        end = np.int64(text_offsets[i + 1])
        for base in range(offsets[i], offsets[i + 1], 64):
            block = last_block(base, len(terminal))
            left = (mask_equal(terminal, block, 1) >> np.uint64(base - block)) & bits_below(offsets[i + 1] - base)
            while left:
                token = np.uint64(base) + np.uint64(first_bit(left))
                left &= left - one
                before = max(token, first + one) - one
                at = np.uint64(starts[token])
                behind = np.int64(ends[token])
                initial = (token > first) & (ends[before] == starts[token]) & alphabetic[before]
                initial &= (chars[before] == 1) | (data[max(at, np.uint64(2)) - np.uint64(2)] == 46)
                byte = data[np.uint64(min(behind, end - 1))]
                small = (behind < end) & (((byte >= 97) & (byte <= 122)) | ((byte >= 48) & (byte <= 57)))
                stops[token] = (data[at] != 46) | (not (initial | small))
    return stops


@njit(cache=True, nogil=True, inline="always")
def _token_behind(starts, token, last, end) -> Any:
    """Number of the first token from ``token`` on that does not begin before ``end``."""
    while token + np.uint64(8) <= last:
        before = np.uint64(0)
        for k in range(8):
            before += np.uint64(starts[token + np.uint64(k)] < end)
        token += before
        if before < np.uint64(8):
            return token
    while token < last and starts[token] < end:
        token += np.uint64(1)
    return token


@njit(cache=True, nogil=True)
def _sentences(data, offsets, starts, kinds, stops, line_offsets, line_starts, line_ends) -> Any:
    """Of lines without a bracket only the tokens that end a sentence are looked at, and those that follow them."""
    counts = np.zeros(len(line_starts), np.int64)
    for i in range(len(offsets) - 1):
        last = offsets[i + 1]
        token = offsets[i]
        bracket = np.int64(-1)  # where the next one stands
        base = token - 64  # where the block of tokens begins that ``endings`` is of
        endings = np.uint64(0)
        for line in range(line_offsets[i], line_offsets[i + 1]):
            line_end = line_ends[line]
            begin = token
            token = np.int64(_token_behind(starts, np.uint64(token), np.uint64(last), line_end))
            if token == begin:
                continue
            if bracket < line_starts[line]:
                bracket = find_byte(data, line_starts[line], line_ends[line_offsets[i + 1] - 1], 91)
            count = np.int64(1)
            if bracket >= line_end:
                at = begin
                while at < token:
                    if at >= base + 64:
                        base = at
                        block = last_block(base, len(stops))
                        endings = mask_equal(stops, block, 1) >> np.uint64(base - block)
                    left = endings >> np.uint64(at - base)
                    if left == 0:
                        at = base + 64
                        continue
                    at += first_bit(left) + 1
                    while at < token and (kinds[at] == PUNCTUATION or stops[at]):
                        at += 1
                    count += at < token
                    at += 1
                counts[line] = count
                continue
            count = np.int64(0)
            ended = True  # the next word or symbol begins a sentence
            skip = line_starts[line]
            for at in range(begin, token):
                if starts[at] < skip:
                    continue
                if data[starts[at]] == 91:
                    skip = _citation_end(data, starts[at], line_end)
                    if skip > starts[at]:
                        continue
                if count == 0:  # the line's first token
                    ended = False
                    count = np.int64(1)
                if ended and not stops[at] and kinds[at] != PUNCTUATION:
                    count += 1
                    ended = False
                elif stops[at]:
                    ended = True
            counts[line] = count
    return counts
