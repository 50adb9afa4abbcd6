"""Signals and rules ``refinedweb``: document and line rules (Penedo et al. 2023, arXiv 2306.01116, section G.2).

The document passes Gopher's quality and repetition rules; then lines are flagged that are mainly upper case, only
digits, a counter ("3 likes") or a single word, and "sign-in", "Read more..." and "items in cart" are cut from lines
of at most 10 words. A document of which that takes more than 5% of the words is dropped. The paper does not define
the flags further; here they are as DCLM rebuilt them (``dclm_baseline_refinedweb.yaml``: upper case over half of the
characters, its list of counters), with these differences: words are ours, without punctuation, where DCLM counts what
stands between white space and begins with a letter or digit (so that a line of Chinese is no single word, and
"covid-19" is two); white space does not count among digits; the dots of "Read more..." are dots. A text without words
has a removed share of 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from filters import gopher
from filters.batch import Batch, ratio, sums
from filters.family import Family
from filters.rule import Rule
from kernels.counters import counter_lines
from kernels.lines import Lines
from kernels.occurrences import PhraseGroup
from kernels.phrases import begins_with, ends_with
from kernels.segments import counts_until
from kernels.tokens import WORD, Tokens

__all__ = ["COUNTERS", "FAMILY", "RULES", "words_of_lines"]

COUNTERS: Final = (
    *("likes", "shares", "comments", "retweets", "reposts", "quotes", "bookmarks", "upvotes", "downvotes"),
    *("downloads", "views", "followers"),
)
_UPPERCASE: Final = 0.5
_PATTERN_WORDS: Final = 10
_BEGINS: Final = "sign-in"
_ENDS: Final = "read more..."
_ANYWHERE: Final = PhraseGroup(("items in cart",), fold=True)


def words_of_lines(found: Tokens, lines: Lines) -> NDArray[np.int64]:
    """Words of each line, without punctuation and symbols."""
    return counts_until(found.kinds, WORD, found.starts, lines.ends)


def _lines(batch: Batch) -> dict[str, NDArray[Any]]:
    lines, characters, texts = batch.lines, batch.line_characters, batch.texts
    starts, ends = lines.inner_starts, lines.inner_ends
    words = words_of_lines(batch.found, lines)
    short = words <= _PATTERN_WORDS
    return {
        "uppercase_ratio": ratio(characters.upper, lines.chars),
        "digit_ratio": ratio(characters.digits, lines.chars - characters.spaces),
        "counter": counter_lines(texts, starts, ends, COUNTERS),
        "words": words,
        "cut_words": short
        * (
            begins_with(texts, starts, ends, [_BEGINS], fold=True) * 1
            + ends_with(texts, starts, ends, [_ENDS], fold=True) * 2
            + batch.occur_in((_ANYWHERE,), lines.offsets, (starts, ends))[:, 0] * 3
        ),
    }


def _measure(batch: Batch) -> Mapping[str, NDArray[Any]]:
    lines = batch.lines
    found = _lines(batch)
    words = found["words"]
    blank = lines.inner_ends <= lines.inner_starts
    uppercase = found["uppercase_ratio"] > _UPPERCASE
    digits = ~blank & (found["digit_ratio"] >= 1)
    counter = found["counter"]
    single = words == 1
    flagged = uppercase | digits | counter | single
    cut = ~flagged & (found["cut_words"] > 0)
    removed = np.where(flagged, words, np.minimum(found["cut_words"], words))
    count = sums(~blank, lines.offsets)
    return {
        "uppercase_line_ratio": ratio(sums(uppercase, lines.offsets), count),
        "digit_line_ratio": ratio(sums(digits, lines.offsets), count),
        "counter_line_ratio": ratio(sums(counter, lines.offsets), count),
        "single_word_line_ratio": ratio(sums(single, lines.offsets), count),
        "cut_line_ratio": ratio(sums(cut, lines.offsets), count),
        "removed_word_ratio": ratio(sums(removed, lines.offsets), sums(words, lines.offsets)),
    }


FAMILY = Family(
    "refinedweb",
    {
        "uppercase_line_ratio": "share of lines (not blank) with more than half of their characters in upper case",
        "digit_line_ratio": "share of lines of nothing but digits",
        "counter_line_ratio": 'share of lines that are a counter ("3 likes")',
        "single_word_line_ratio": "share of lines of one word",
        "cut_line_ratio": 'share of short lines with "sign-in", "Read more..." or "items in cart"',
        "removed_word_ratio": "share of words that striking out and cutting these lines takes",
    },
    _measure,
    phrases=(_ANYWHERE,),
)

RULES = (
    *gopher.RULES,
    Rule(name="refinedweb-removed-words", signal="refinedweb.removed_word_ratio", max=0.05),
)
