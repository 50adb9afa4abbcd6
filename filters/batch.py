"""What the families share of a batch of texts: each part is computed when first asked for, and once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from kernels.characters import LineCharacters, line_characters
from kernels.lines import Lines, lines
from kernels.ngrams import Runs, runs
from kernels.occurrences import PhraseGroup, count_occurrences, finder
from kernels.ratios import ratios
from kernels.segments import counts_of, range_sums, range_sums_where
from kernels.spaced import SpacedTokens, carried_counts, spaced_counts, spaced_tokens
from kernels.strings import TextBatch
from kernels.token_types import TokenTypes, token_types
from kernels.tokens import WORD, Tokens, tokens
from kernels.words import Spelling, Words, folded_spelling, folded_words, token_spelling

__all__ = ["Batch", "ratio", "sums"]


class Batch:
    """Texts and the parts that the kernels find in them."""

    def __init__(self, texts: TextBatch, phrases: tuple[PhraseGroup, ...] = (), *, lean: bool = False) -> None:
        """Take the texts, and the phrases that will be asked for; nothing is computed yet.

        A batch that is ``lean`` shares nothing among those that are given it ``apart``.
        """
        self.texts = texts
        self._phrases = phrases
        self._lean = lean

    def apart(self) -> Batch:
        """The batch for a part of a family's work; of texts so large that nothing is shared, one that is let go of."""
        return Batch(self.texts, self._phrases, lean=True) if self._lean else self

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.texts.offsets) - 1

    def occurrences(self, group: PhraseGroup) -> NDArray[np.int64]:
        """How often the phrases of a group occur in each text, as ``kernels.occurrences.count_occurrences``."""
        starts, ends = self.texts.offsets[:-1], self.texts.offsets[1:]
        if group not in self._phrases:
            return count_occurrences(self.texts, starts, ends, finder((group,)))[:, 0]
        return self._occurrences[:, self._phrases.index(group)]

    def occur_in(
        self, groups: tuple[PhraseGroup, ...], offsets: NDArray[np.int64], ranges: tuple[NDArray[np.int64], ...]
    ) -> NDArray[np.bool_]:
        """Which ranges of bytes (their starts and ends: lines, words) hold a phrase of each group.

        Args:
            groups: the groups; no phrase of theirs may lie across two ranges.
            offsets: the texts' ranges.
            ranges: where they begin and end, rising.

        Returns:
            (ranges, groups). Only the ranges of texts that hold such a phrase at all are read.
        """
        starts, ends = ranges
        found = np.zeros((len(starts), len(groups)), np.bool_)
        some = np.zeros(len(self), np.bool_)
        for group in groups:
            some |= self.occurrences(group) > 0
        if some.any():
            rows = np.flatnonzero(np.repeat(some, np.diff(offsets)))
            found[rows] = count_occurrences(self.texts, starts[rows], ends[rows], finder(groups)) > 0
        return found

    @cached_property
    def _occurrences(self) -> NDArray[np.int64]:
        """The same of all groups that the families named, in one walk."""
        return count_occurrences(self.texts, self.texts.offsets[:-1], self.texts.offsets[1:], finder(self._phrases))

    @cached_property
    def found(self) -> Tokens:
        """All tokens: words, punctuation and symbols."""
        return tokens(self.texts)

    @cached_property
    def folded(self) -> NDArray[np.uint64]:
        """A hash of each token's spelling under case folding."""
        return folded_spelling(self.texts, self.found, self.spelling, self.types)

    @cached_property
    def types(self) -> TokenTypes:
        """The different spellings among the tokens."""
        return token_types(self.spelling.hashes)

    @cached_property
    def words(self) -> Words:
        """The same tokens with the hashes that models are learned by; ``folded`` is cheaper where any hash will do."""
        return folded_words(self.texts, self.found)

    @cached_property
    def spelling(self) -> Spelling:
        """The spelling of each token."""
        return token_spelling(self.texts, self.found)

    @cached_property
    def tokens(self) -> NDArray[np.int64]:
        """Tokens in each text."""
        return np.diff(self.found.offsets)

    @cached_property
    def word_counts(self) -> NDArray[np.int64]:
        """Words in each text, without punctuation and symbols."""
        return counts_of(self.found.kinds, WORD, self.found.offsets)

    @cached_property
    def word_chars(self) -> NDArray[np.int64]:
        """Code points of the words of each text."""
        return range_sums_where(self.spelling.chars, self.found.kinds, WORD, self.found.offsets)

    def token_runs(self, top: Sequence[int], repeated: Sequence[int], *, words: bool = False) -> Runs:
        """Runs of tokens as they are spelled, or of words alone (``kernels.ngrams.runs``), in characters."""
        batch = self.apart()
        offsets, hashes, chars, kinds = batch.found.offsets, batch.spelling.hashes, batch.spelling.chars, None
        if words:
            kinds = batch.found.kinds
        del batch  # and with it what runs do not need, where nothing is shared
        return runs(offsets, hashes, chars, top, repeated, kinds, WORD)

    def folded_runs(self, repeated: Sequence[int]) -> Runs:
        """Runs of tokens that occur twice under case folding, in tokens."""
        batch = self.apart()
        offsets, hashes = batch.found.offsets, batch.folded
        del batch
        return runs(offsets, hashes, None, (), repeated)

    @cached_property
    def lines(self) -> Lines:
        """Lines between newlines, one more than there are newlines."""
        return lines(self.texts, "newline")

    @cached_property
    def unicode_lines(self) -> Lines:
        """Lines between any of Unicode's line breaks, ``text.splitlines()``."""
        return lines(self.texts, "unicode", self.lines)  # mostly the same ones

    @cached_property
    def paragraphs(self) -> Lines:
        """Paragraphs between empty lines."""
        return lines(self.texts, "paragraph", self.lines)

    @cached_property
    def newlines(self) -> NDArray[np.int64]:
        """Newlines in each text."""
        return np.diff(self.lines.offsets) - 1

    @cached_property
    def chars(self) -> NDArray[np.int64]:
        """Code points in each text."""
        return sums(self.lines.chars, self.lines.offsets) + self.newlines

    @cached_property
    def spaced(self) -> SpacedTokens:
        """Words between white space of each text."""
        return spaced_tokens(self.texts)

    @cached_property
    def line_words(self) -> NDArray[np.int64]:
        """Words between white space of each of ``lines``."""
        return spaced_counts(self.texts, self.lines.starts, self.lines.ends)

    @cached_property
    def unicode_line_words(self) -> NDArray[np.int64]:
        """The same of each of ``unicode_lines``."""
        known = (self.lines.starts, self.lines.ends, self.line_words)
        return carried_counts(self.texts, self.unicode_lines.starts, self.unicode_lines.ends, known)

    @cached_property
    def line_characters(self) -> LineCharacters:
        """Characters of each text and of each of ``lines`` by what they are."""
        return line_characters(self.texts, self.lines)

    @cached_property
    def characters(self) -> NDArray[np.int64]:
        """Those of each text, columns as ``kernels.characters.Counted``; newlines are left out."""
        return self.line_characters.texts


def sums(values: NDArray[np.int64] | NDArray[np.bool_], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sum of the values of each text."""
    return range_sums(values, offsets)


def ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """``part / whole``, and 0 where there is no whole: a signal is a number for every text, the empty one too."""
    return ratios(part, whole)
