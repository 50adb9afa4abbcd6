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
    return _sentences(
        batch.data,
        *(found.offsets, found.starts, found.ends, found.kinds),
        *(spelled.chars, spelled.alphabetic, spelled.terminal),
        *(breaks.offsets, breaks.starts, breaks.ends),
    )


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
def _sentences(
    data, offsets, starts, ends, kinds, chars, alphabetic, terminal, line_offsets, line_starts, line_ends
) -> Any:
    counts = np.zeros(len(line_starts), np.int64)
    for i in range(len(offsets) - 1):
        token = offsets[i]
        last = offsets[i + 1]
        for line in range(line_offsets[i], line_offsets[i + 1]):
            ended = True  # the next word or symbol begins a sentence
            begun = False  # the line has a token
            skip = line_starts[line]
            while token < last and starts[token] < line_ends[line]:
                if starts[token] < skip:
                    token += 1
                    continue
                if data[starts[token]] == 91:
                    skip = _citation_end(data, starts[token], line_ends[line])
                    if skip > starts[token]:
                        token += 1
                        continue
                if not begun:
                    begun = True
                    ended = False
                    counts[line] = 1
                stops = terminal[token]
                if stops and data[starts[token]] == 46:
                    initial = (
                        token > offsets[i]
                        and ends[token - 1] == starts[token]
                        and alphabetic[token - 1]
                        and (chars[token - 1] == 1 or data[ends[token - 1] - 2] == 46)
                    )
                    small = (
                        97 <= data[ends[token]] <= 122 or 48 <= data[ends[token]] <= 57
                        if ends[token] < line_ends[line]
                        else False
                    )
                    stops = not initial and not small
                if ended and not stops and kinds[token] != PUNCTUATION:
                    counts[line] += 1
                    ended = False
                elif stops:
                    ended = True
                token += 1
    return counts
