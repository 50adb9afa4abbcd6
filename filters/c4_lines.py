"""Line rules ``c4_lines``: the lines that C4 strikes out before it looks at the page (preset ``c4``).

Raffel et al. 2020, arXiv 1910.10683, section 2.2, with the thresholds of datatrove 0.10.1 (at least 3 words, where the
paper prints 5; no word of more than 1,000 characters). The rule of terminal punctuation is left out, as in ``c4``:
``{signal: line.terminal_punctuation, min: 1, action: drop_line}`` adds it. Reference marks (``[1]``, ``[edit]``) stay.

C4 looks for "lorem ipsum", "javascript", "{" and the phrases of notices in this order, and the first and third reject
the page: so a line with "lorem ipsum" is not struck out for what follows it, nor one with "{" for a notice, and the
rules of ``c4`` find them in what is left.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from filters.line_family import LineBatch, LineFamily, LineSignal
from filters.rule import Rule

__all__ = ["LINE_FAMILY", "RULES"]

_PHRASES: Final = (
    *("lorem ipsum", "javascript", "{"),
    *("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies"),
)


def _javascript(batch: LineBatch) -> NDArray[np.bool_]:
    present = batch.phrases(_PHRASES)
    return present[:, 1] & ~present[:, 0]


def _policy(batch: LineBatch) -> NDArray[np.bool_]:
    present = batch.phrases(_PHRASES)
    return present[:, 3:].any(axis=1) & ~present[:, 0] & ~present[:, 2]


LINE_FAMILY = LineFamily(
    "c4_lines",
    {
        "javascript": LineSignal('1 where it says "javascript" (and not "lorem ipsum")', _javascript),
        "policy": LineSignal(
            '1 where it has a phrase of a cookie or privacy notice (and neither "lorem ipsum" nor "{")', _policy
        ),
    },
)

RULES = (
    Rule(name="c4-line-long-word", signal="line.longest_word", max=1000, action="drop_line"),
    Rule(name="c4-line-few-words", signal="line.words", min=3, action="drop_line"),
    Rule(name="c4-line-javascript", signal="c4_lines.javascript", max=0, action="drop_line"),
    Rule(name="c4-line-policy", signal="c4_lines.policy", max=0, action="drop_line"),
)
