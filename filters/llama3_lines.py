"""Line rules ``llama3_lines``: lines of repeated content, as the Llama 3 report names them (arXiv 2407.21783, 3.1.1).

The report uses the coverage of duplicated n-grams (Rae et al. 2021) against lines that consist of repeated content,
such as logs and error messages, and says that such lines may be long and unique, so that no deduplication of lines
finds them. So the repeats are those within the line: a value depends on the line alone. Runs that several lines share
are ``llama3.covered_5_gram_ratio``'s, of the document.

No n and no threshold is published; ours is in docs/filters.md with what it drops. Coverage is the share of a line's
tokens (words, punctuation, symbols) that lie in a run of 5 or 10 that occurs more than once in the line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from filters.batch import ratio
from filters.line_family import LineBatch, LineFamily, LineSignal
from filters.rule import Rule
from kernels.ngrams import runs
from kernels.tokens import tokens
from kernels.words import folded_words

__all__ = ["LINE_FAMILY", "RULES"]

_SIZES: Final = (5, 10)


def _covered(n: int) -> Callable[[LineBatch], NDArray[Any]]:
    def measure(batch: LineBatch) -> NDArray[np.float64]:
        words = folded_words(batch.texts, tokens(batch.texts))
        # A token lies in one line: no break of a line is part of one.
        firsts = np.searchsorted(words.starts, batch.lines.starts)
        offsets = np.append(firsts, len(words.starts)).astype(np.int64)
        covered = runs(offsets, words.hashes, None, (), (n,)).covered[:, 0]
        return ratio(covered, np.diff(offsets))

    return measure


LINE_FAMILY = LineFamily(
    "llama3_lines",
    {
        f"covered_{n}_gram_ratio": LineSignal(
            f"share of tokens in a run of {n} that occurs more than once in the line", _covered(n)
        )
        for n in _SIZES
    },
)

RULES = (
    # Runs of 5 cover many a short line of code or of a table's head: they are a signal, and no rule of the preset.
    Rule(
        name="llama3-line-covered-10-grams",
        signal="llama3_lines.covered_10_gram_ratio",
        max=0.5,
        action="drop_line",
    ),
)
