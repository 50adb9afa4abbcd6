"""What the families share of a batch of texts: each part is computed when first asked for, and once."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from kernels.lines import Lines, lines
from kernels.strings import TextBatch
from kernels.words import WORD, Spelling, Words, spelled_words

__all__ = ["Batch", "ratio", "sums"]


class Batch:
    """Texts and the parts that the kernels find in them."""

    def __init__(self, texts: TextBatch) -> None:
        """Take the texts; nothing is computed yet."""
        self.texts = texts

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.texts.offsets) - 1

    @cached_property
    def _spelled_words(self) -> tuple[Words, Spelling]:
        return spelled_words(self.texts)

    @property
    def words(self) -> Words:
        """All tokens: words, punctuation and symbols."""
        return self._spelled_words[0]

    @property
    def spelling(self) -> Spelling:
        """The spelling of each token."""
        return self._spelled_words[1]

    @cached_property
    def tokens(self) -> NDArray[np.int64]:
        """Tokens in each text."""
        return np.diff(self.words.offsets)

    @cached_property
    def word_counts(self) -> NDArray[np.int64]:
        """Words in each text, without punctuation and symbols."""
        return sums(self.words.kinds == WORD, self.words.offsets)

    @cached_property
    def lines(self) -> Lines:
        """Lines between newlines, one more than there are newlines."""
        return lines(self.texts, "newline")

    @cached_property
    def unicode_lines(self) -> Lines:
        """Lines between any of Unicode's line breaks, ``text.splitlines()``."""
        return lines(self.texts, "unicode")

    @cached_property
    def paragraphs(self) -> Lines:
        """Paragraphs between empty lines."""
        return lines(self.texts, "paragraph")

    @cached_property
    def newlines(self) -> NDArray[np.int64]:
        """Newlines in each text."""
        return np.diff(self.lines.offsets) - 1

    @cached_property
    def chars(self) -> NDArray[np.int64]:
        """Code points in each text."""
        return sums(self.lines.chars, self.lines.offsets) + self.newlines


def sums(values: NDArray[np.int64] | NDArray[np.bool_], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sum of the values of each text."""
    total = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=total[1:])
    return total[offsets[1:]] - total[offsets[:-1]]


def ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """``part / whole``, and 0 where there is no whole: a signal is a number for every text, the empty one too."""
    return np.divide(part, whole, out=np.zeros(len(part), np.float64), where=whole != 0)
