"""Signals and rules ``llama3``: the heuristics that the Llama 3 report names (arXiv 2407.21783, section 3.1.1).

Three are named: the coverage of duplicated n-grams "to remove lines that consist of repeated content such as logging or
error messages", a count of "dirty words" for adult sites, and the Kullback-Leibler divergence of a document's tokens
from the training corpus "to filter out documents containing excessive numbers of outlier tokens". No n, no threshold,
no list and no tokenizer is published. Ours: coverage is the share of tokens (words, punctuation, symbols) that lie in a
run of 5 or 10 that occurs more than once, of a document and of each line; dirty words are LDNOOBW's English list, which
C4 uses (Raffel et al. 2020, that the report cites), as whole words in any case; the divergence is in bits, over tokens
in 32,768 hashed buckets, from a reference that comes with the package (English) or from a file (``filters.reference``).

The thresholds were set on pages of the web: see docs/filters.md for what they drop. A short text has few distinct
tokens and so a large divergence: of 50 words, about 6 bits; the cross entropy does not depend on the length. All are 0
for the empty text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from filters.batch import Batch, ratio
from filters.family import Family
from filters.naughty import naughty_runs
from filters.reference import load_reference, own_reference
from filters.rule import Rule
from kernels.divergence import divergence
from kernels.known_runs import count_known_runs

__all__ = ["FAMILY", "RULES"]

_SIZES: Final = (5, 10)


def _measure(batch: Batch, bits: NDArray[np.float64] | None = None) -> Mapping[str, NDArray[Any]]:
    return {**_repetition(batch.apart()), **_divergence(batch.apart(), own_reference() if bits is None else bits)}


def _repetition(batch: Batch) -> dict[str, NDArray[Any]]:
    covered = batch.folded_runs(_SIZES).covered
    dirty = count_known_runs(batch.found.offsets, batch.folded, naughty_runs())
    return {
        **{f"covered_{n}_gram_ratio": ratio(covered[:, column], batch.tokens) for column, n in enumerate(_SIZES)},
        "dirty_words": dirty,
        "dirty_word_ratio": ratio(dirty, batch.word_counts),
    }


def _divergence(batch: Batch, bits: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    far = divergence(batch.texts, batch.found, batch.types, bits)
    return {"token_divergence": far.relative, "token_cross_entropy": far.cross}


def _with_reference(path: Path) -> Callable[[Batch], Mapping[str, NDArray[Any]]]:
    bits = load_reference(path)
    return lambda batch: _measure(batch, bits)


FAMILY = Family(
    "llama3",
    {
        **{f"covered_{n}_gram_ratio": f"share of tokens in a run of {n} that occurs more than once" for n in _SIZES},
        "dirty_words": "words and phrases of LDNOOBW's English list",
        "dirty_word_ratio": "the same for each word",
        "token_divergence": "Kullback-Leibler divergence of the tokens from the reference, bits",
        "token_cross_entropy": "cross entropy of the tokens under the reference, bits a token",
    },
    _measure,
    with_reference=_with_reference,
    check=load_reference,
)

RULES = (
    Rule(name="llama3-covered-5-grams", signal="llama3.covered_5_gram_ratio", max=0.6),
    Rule(name="llama3-covered-10-grams", signal="llama3.covered_10_gram_ratio", max=0.4),
    Rule(name="llama3-dirty-words", signal="llama3.dirty_word_ratio", max=0.01),
    Rule(name="llama3-token-divergence", signal="llama3.token_divergence", max=9),
)
