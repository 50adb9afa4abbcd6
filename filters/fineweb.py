"""Signals and rules ``fineweb``: FineWeb's own quality filter (Penedo et al. 2024, arXiv 2406.17557, section 3.6).

Definitions and thresholds are those of datatrove 0.10.1 (``FineWebQualityFilter``). The share of characters in
duplicated lines is 0.01 in the released code and in the paper's appendix E.4 (its section 3.6 prints 0.1); the ratio of
newlines to tokens is in the code alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from numpy.typing import NDArray

from filters.batch import Batch, ratio, sums
from filters.family import Family
from filters.rule import Rule
from kernels.repeated_lines import repeated

__all__ = ["FAMILY", "RULES"]

_SHORT_LINE: Final = 30  # code points


def _measure(batch: Batch) -> Mapping[str, NDArray[Any]]:
    lines = batch.lines
    considered = lines.inner_ends > lines.inner_starts  # lines that are not blank
    count = sums(considered, lines.offsets)
    repeated_chars = repeated(lines.offsets, lines.hashes, lines.chars, considered).later_chars
    return {
        "line_punctuation_ratio": ratio(sums(considered & lines.terminal, lines.offsets), count),
        "short_line_ratio": ratio(sums(considered & (lines.chars <= _SHORT_LINE), lines.offsets), count),
        "duplicate_line_char_ratio": ratio(repeated_chars, batch.chars - batch.newlines),
        "newline_ratio": ratio(batch.newlines, batch.tokens),
    }


FAMILY = Family(
    "fineweb",
    {
        "line_punctuation_ratio": "share of lines (not blank) whose last character ends a sentence",
        "short_line_ratio": "share of lines (not blank) of at most 30 characters",
        "duplicate_line_char_ratio": "share of characters, newlines apart, in lines equal to one before them",
        "newline_ratio": "newlines for each token",
    },
    _measure,
)

RULES = (
    Rule(name="fineweb-line-punctuation", signal="fineweb.line_punctuation_ratio", min=0.12),
    Rule(name="fineweb-short-lines", signal="fineweb.short_line_ratio", max=0.67),
    Rule(name="fineweb-duplicate-lines", signal="fineweb.duplicate_line_char_ratio", max=0.01),
    Rule(name="fineweb-newlines", signal="fineweb.newline_ratio", max=0.3),
)
