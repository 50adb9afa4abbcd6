"""Where the sentences of a text lie, and passages of a few sentences: ranges of its tokens.

A sentence ends with its line, or behind a token that ends sentences (Unicode Sentence_Terminal) and the punctuation
that closes it, where white space follows or the script needs none ("。"). A full stop behind a single letter ends none
("J. Smith"). A sentence without an end is cut at ``LONGEST`` tokens, so that none is without bound. A passage is
sentences in a row until they hold enough words: what is too short alone is read with what follows.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.strings import TextBatch
from kernels.tokens import PUNCTUATION, WORD, Tokens

__all__ = ["LONGEST", "Spans", "passages", "sentence_spans"]

LONGEST: Final = 128
"""Tokens of the longest sentence."""


class Spans(NamedTuple):
    """Ranges of tokens in a row, which together are all tokens of the batch."""

    offsets: NDArray[np.int64]  # texts + 1: which ranges are whose
    bounds: NDArray[np.int64]  # ranges + 1: range i is the tokens bounds[i] to bounds[i + 1]


def sentence_spans(batch: TextBatch, found: Tokens) -> Spans:
    """The sentences of each text; a text without tokens has none."""
    columns = (found.offsets, found.starts, found.ends, found.kinds, found.alphabetic, found.terminal)
    return Spans(*_sentences(batch.data, *columns))


def passages(sentences: Spans, kinds: NDArray[np.uint8], words: int) -> Spans:
    """Sentences in a row with at least so many words together; the last of a text joins the one before it if short."""
    return Spans(*_passages(sentences.offsets, sentences.bounds, kinds, words))


@njit(cache=True, nogil=True)
def _breaks(data, start, end) -> Any:
    found = False
    for at in range(start, end):
        found |= data[at] == 10 or data[at] == 13
    return found


@njit(cache=True, nogil=True)
def _sentences(data, offsets, starts, ends, kinds, alphabetic, terminal) -> Any:
    texts = len(offsets) - 1
    counts = np.zeros(texts + 1, np.int64)
    bounds = np.empty(offsets[texts] - offsets[0] + 1, np.int64)
    bounds[0] = offsets[0]
    number = 0
    for i in range(texts):
        begun = offsets[i]
        ended = False  # a token that ends the sentence was read, and since then only what closes it
        for k in range(offsets[i], offsets[i + 1]):
            if k > begun:
                spaced = starts[k] > ends[k - 1]
                if (
                    (ended and (spaced or data[starts[k - 1]] >= 0x80 or kinds[k] != PUNCTUATION))
                    or (spaced and _breaks(data, ends[k - 1], starts[k]))
                    or k - begun >= LONGEST
                ):
                    number += 1
                    bounds[number] = k
                    begun = k
                    ended = False
            if terminal[k]:
                ended = True
                if data[starts[k]] == 46:
                    near = k > begun and ends[k - 1] == starts[k]
                    initial = near and alphabetic[k - 1] and ends[k - 1] - starts[k - 1] == 1
                    ended = not initial and (k + 1 == offsets[i + 1] or starts[k + 1] > ends[k] or data[ends[k]] > 122)
                    ended |= not initial and k + 1 < offsets[i + 1] and kinds[k + 1] == PUNCTUATION
            elif kinds[k] != PUNCTUATION:
                ended = False
        if offsets[i + 1] > begun:
            number += 1
            bounds[number] = offsets[i + 1]
        counts[i + 1] = number
    return counts, bounds[: number + 1].copy()


@njit(cache=True, nogil=True)
def _passages(offsets, bounds, kinds, words) -> Any:
    texts = len(offsets) - 1
    counts = np.zeros(texts + 1, np.int64)
    found = np.empty(len(bounds), np.int64)
    found[0] = bounds[0]
    number = 0
    for i in range(texts):
        first = number
        held = 0
        for s in range(offsets[i], offsets[i + 1]):
            for k in range(bounds[s], bounds[s + 1]):
                held += kinds[k] == WORD
            if held >= words:
                number += 1
                found[number] = bounds[s + 1]
                held = 0
        last = bounds[offsets[i + 1]]
        if found[number] < last:
            if number == first:
                number += 1
            found[number] = last
        counts[i + 1] = number
    return counts, found[: number + 1].copy()
