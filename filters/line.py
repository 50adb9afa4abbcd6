"""Signals ``line``: what can be said of a single line, whatever the text it stands in.

``terminal_punctuation`` is C4's test (Raffel et al. 2020, arXiv 1910.10683, section 2.2, as datatrove 0.10.1 has it): a
line ends in ``.``, ``?``, ``!``, ``"`` or ``'``, white space aside, and not in three full stops. The shares of
upper-case letters and of digits are those of RefinedWeb's line rules (Penedo et al. 2023, arXiv 2306.01116, G.2).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from filters.batch import ratio
from filters.line_family import LineBatch, LineFamily, LineSignal
from kernels.phrases import ends_with

__all__ = ["LINE_FAMILY"]


def _terminal_punctuation(batch: LineBatch) -> NDArray[np.bool_]:
    inner = (batch.lines.inner_starts, batch.lines.inner_ends)
    ends_sentence = ends_with(batch.texts, *inner, [".", "?", "!", '"', "'"])
    return ends_sentence & ~ends_with(batch.texts, *inner, ["..."])


LINE_FAMILY = LineFamily(
    "line",
    {
        "words": LineSignal("words between white space", lambda batch: batch.words),
        "chars": LineSignal("code points", lambda batch: batch.lines.chars),
        "longest_word": LineSignal("code points of the longest word", lambda batch: batch.longest_words),
        "terminal_punctuation": LineSignal(
            "1 where it ends in . ? ! or a straight quotation mark, and not in ...", _terminal_punctuation
        ),
        "uppercase_ratio": LineSignal(
            "share of code points that are upper-case letters",
            lambda batch: ratio(batch.characters.upper, batch.lines.chars),
        ),
        "digit_ratio": LineSignal(
            "share of code points that are decimal digits",
            lambda batch: ratio(batch.characters.digits, batch.lines.chars),
        ),
        "blank": LineSignal(
            "1 where it is empty or white space", lambda batch: batch.lines.inner_starts == batch.lines.inner_ends
        ),
    },
)
