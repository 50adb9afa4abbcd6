"""Signals and rules ``c4``: the heuristics of C4 (Raffel et al. 2020, arXiv 1910.10683, section 2.2).

The rule of terminal punctuation is left out. Order and thresholds are those of datatrove 0.10.1
(``C4QualityFilter(filter_no_terminal_punct=False)``: at least 3 words a line and 5 sentences a page, where the paper
prints 5 and 3). C4 first strikes out lines (a word of more than
1,000 characters; fewer than 3 words; "javascript"; a phrase of a cookie or privacy notice) and then counts the
sentences of what is left; "lorem ipsum" and "{" reject the page, where they stand in a line that is not struck out
before they are looked for. Words of a line are those between white space.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from filters.batch import Batch, ratio, sums
from filters.family import Family
from filters.rule import Rule
from kernels.occurrences import PhraseGroup
from kernels.sentences import sentence_counts
from kernels.spaced import longest_words

__all__ = ["FAMILY", "RULES"]

_LONGEST_WORD: Final = 1000  # code points
_FEWEST_WORDS: Final = 3  # in a line
_POLICY: Final = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
_PHRASES: Final = tuple(
    PhraseGroup(phrases, fold=True) for phrases in (("lorem ipsum",), ("javascript",), ("{",), _POLICY)
)


def _measure(batch: Batch) -> Mapping[str, NDArray[Any]]:
    lines = batch.unicode_lines
    count = np.diff(lines.offsets)
    present = batch.occur_in(_PHRASES, lines.offsets, (lines.starts, lines.ends))
    long_word = np.zeros(len(lines.starts), np.bool_)
    rows = np.flatnonzero(lines.ends - lines.starts > _LONGEST_WORD)  # a word has no more code points than bytes
    long_word[rows] = longest_words(batch.texts, lines.starts[rows], lines.ends[rows]) > _LONGEST_WORD
    short = ~long_word & (batch.unicode_line_words < _FEWEST_WORDS)
    considered = ~long_word & ~short
    lorem_ipsum = considered & present[:, 0]
    javascript = considered & present[:, 1]
    curly_bracket = considered & ~javascript & present[:, 2]
    policy = considered & ~javascript & present[:, 3]
    kept = considered & ~javascript & ~policy
    sentences = sentence_counts(batch.texts, batch.found, batch.spelling, lines)

    def share(which: NDArray[np.bool_]) -> NDArray[np.float64]:
        return ratio(sums(which, lines.offsets), count)

    return {
        "sentences": sums(np.where(kept, sentences, 0), lines.offsets),
        "lorem_ipsum_lines": sums(lorem_ipsum, lines.offsets),
        "curly_bracket_lines": sums(curly_bracket, lines.offsets),
        "kept_line_ratio": share(kept),
        "short_line_ratio": share(short),
        "long_word_line_ratio": share(long_word),
        "javascript_line_ratio": share(javascript),
        "policy_line_ratio": share(policy),
    }


FAMILY = Family(
    "c4",
    {
        "sentences": "sentences in the lines that C4 keeps",
        "lorem_ipsum_lines": 'lines that say "lorem ipsum"',
        "curly_bracket_lines": "lines with {",
        "kept_line_ratio": "share of lines that C4 keeps",
        "short_line_ratio": "share of lines struck out for fewer than 3 words",
        "long_word_line_ratio": "share of lines struck out for a word of more than 1,000 characters",
        "javascript_line_ratio": 'share of lines struck out for "javascript"',
        "policy_line_ratio": "share of lines struck out for a phrase of a cookie or privacy notice",
    },
    _measure,
    phrases=_PHRASES,
)

RULES = (
    Rule(name="c4-lorem-ipsum", signal="c4.lorem_ipsum_lines", max=0),
    Rule(name="c4-curly-bracket", signal="c4.curly_bracket_lines", max=0),
    Rule(name="c4-few-sentences", signal="c4.sentences", min=5),
)
