"""Texts without some of their tokens: cuts between tokens, and the white space around them."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.ranges import range_chars, without_ranges
from kernels.strings import TextBatch

__all__ = ["Cut", "cut_tokens"]


class _Tokens(Protocol):
    @property
    def batch(self) -> TextBatch: ...
    @property
    def offsets(self) -> NDArray[np.int64]: ...
    @property
    def starts(self) -> NDArray[np.int64]: ...
    @property
    def ends(self) -> NDArray[np.int64]: ...


class Cut(NamedTuple):
    """What is left of a batch of texts, and the spans that went."""

    text: TextBatch
    before: TextBatch
    row: NDArray[np.int64]  # the text of each span
    starts: NDArray[np.int64]  # of its first token, a byte position in the data of `before`
    ends: NDArray[np.int64]  # of its last token
    tokens: NDArray[np.int64]
    source: NDArray[np.int64]  # what the span's first window is a copy of, -1 where that is not told

    def code_points(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return where each span begins and ends in its text, in code points."""
        opens = self.before.offsets[:-1][self.row]
        first = range_chars(self.before, opens, self.starts)
        return first, first + range_chars(self.before, self.starts, self.ends)


def cut_tokens(found: _Tokens, gone: NDArray[np.bool_], first: NDArray[np.int64], source: NDArray[np.int64]) -> Cut:
    """Cut tokens out of texts.

    With a span goes the white space on one side: that with fewer line breaks, behind it where both have as many. So a
    passage out of a line leaves one space, and a paragraph one break. A text that loses nothing is the same bytes; of
    one that loses all its tokens nothing is left.

    Args:
        found: the texts' tokens.
        gone: which go, one flag a token.
        first: tokens at which a copy begins, rising.
        source: what it is a copy of.
    """
    row, begin, end = _spans(found.offsets, gone)
    starts, ends = found.starts[begin], found.ends[end - 1]
    cut_from, cut_to = _widened(
        found.batch.data, found.batch.offsets, found.offsets, found.starts, found.ends, row, begin, end
    )
    bounds = np.searchsorted(row, np.arange(len(found.offsets)))
    text = without_ranges(found.batch, bounds, cut_from, cut_to)
    told = np.full(len(row), -1, np.int64)
    if len(first):
        at = np.searchsorted(first, begin)  # a span begins with a window
        told = source[at]
    return Cut(text, found.batch, row, starts, ends, end - begin, told)


@njit(cache=True, nogil=True)
def _spans(offsets, gone) -> Any:
    count = 0
    for i in range(len(offsets) - 1):
        for t in range(offsets[i], offsets[i + 1]):
            count += gone[t] and (t == offsets[i] or not gone[t - 1])
    row = np.empty(count, np.int64)
    begin = np.empty(count, np.int64)
    end = np.empty(count, np.int64)
    m = 0
    for i in range(len(offsets) - 1):
        for t in range(offsets[i], offsets[i + 1]):
            if gone[t]:
                if t == offsets[i] or not gone[t - 1]:
                    row[m] = i
                    begin[m] = t
                    m += 1
                end[m - 1] = t + 1
    return row, begin, end


@njit(cache=True, nogil=True)
def _breaks(data, start, end) -> Any:
    found = 0
    for at in range(start, end):
        found += data[at] == 10
    return found


@njit(cache=True, nogil=True)
def _widened(data, text_offsets, offsets, starts, ends, row, begin, end) -> Any:
    cut_from = np.empty(len(row), np.int64)
    cut_to = np.empty(len(row), np.int64)
    for k in range(len(row)):
        i = row[k]
        opens = begin[k] == offsets[i]
        closes = end[k] == offsets[i + 1]
        left = text_offsets[i] if opens else ends[begin[k] - 1]
        right = text_offsets[i + 1] if closes else starts[end[k]]
        first = starts[begin[k]]
        last = ends[end[k] - 1]
        if opens:
            cut_from[k] = left
            cut_to[k] = right
        elif closes or left == first or _breaks(data, left, first) < _breaks(data, last, right):
            cut_from[k] = left
            cut_to[k] = right if closes else last
        else:
            cut_from[k] = first
            cut_to[k] = right
    return cut_from, cut_to
