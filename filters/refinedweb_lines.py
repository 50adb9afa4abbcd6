"""Line rules ``refinedweb_lines``: the lines that RefinedWeb flags (Penedo et al. 2023, arXiv 2306.01116, section G.2).

Mainly upper case, only digits, a counter ("3 likes") or a single word, as ``filters.refinedweb`` defines them. What
the paper cuts out of a line ("sign-in", "Read more...", "items in cart") stays; ``refinedweb.removed_word_ratio``
counts it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from filters.line import LINE_FAMILY as LINE
from filters.line_family import LineBatch, LineFamily, LineSignal
from filters.refinedweb import COUNTERS, words_of_lines
from filters.rule import Rule
from kernels.counters import counter_lines
from kernels.tokens import tokens

__all__ = ["LINE_FAMILY", "RULES"]


def _digits(batch: LineBatch) -> NDArray[np.bool_]:
    digits = batch.characters.digits
    return (digits > 0) & (digits == batch.lines.chars - batch.characters.spaces)


LINE_FAMILY = LineFamily(
    "refinedweb_lines",
    {
        "uppercase_ratio": LINE.signals["uppercase_ratio"],
        "digits": LineSignal("1 where it is nothing but digits, white space apart", _digits),
        "counter": LineSignal(
            '1 where the line is a counter ("3 likes")',
            lambda batch: counter_lines(batch.texts, batch.lines.inner_starts, batch.lines.inner_ends, COUNTERS),
        ),
        "single_word": LineSignal(
            "1 where it is one word", lambda batch: words_of_lines(tokens(batch.texts), batch.lines) == 1
        ),
    },
)

RULES = (
    Rule(name="refinedweb-uppercase-line", signal="refinedweb_lines.uppercase_ratio", max=0.5, action="drop_line"),
    Rule(name="refinedweb-digit-line", signal="refinedweb_lines.digits", max=0, action="drop_line"),
    Rule(name="refinedweb-counter-line", signal="refinedweb_lines.counter", max=0, action="drop_line"),
    Rule(name="refinedweb-single-word-line", signal="refinedweb_lines.single_word", max=0, action="drop_line"),
)
