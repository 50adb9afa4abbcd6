"""The classifiers: one linear model over hashed words and runs of letters, an output a category, calibrated.

A text is read in passages of a few sentences, and counts as bad as the mean of the worst tenth of them: one passage
of a long page is not the page, and one of ten is. The probability is Platt's logistic of that margin, fitted on texts
that the model had not seen (Platt 1999), and moved so that the point from which on a text is flagged is 0.5.
``model.npz`` is made by ``python -m filters.safety.train``; ``CARD.json`` says from what.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import yaml
from numpy.typing import NDArray

from filters.batch import Batch
from kernels.known_runs import known_hashes
from kernels.linear_texts import OUTPUTS, LinearTexts, alike, margins, worst_tenth
from kernels.segments import counts_of
from kernels.sentence_spans import Spans, passages
from kernels.strings import text_batch
from kernels.tokens import WORD
from kernels.words import Words, words

__all__ = [
    "PASSAGE",
    "Classifier",
    "classifier",
    "probabilities",
    "read_words",
    "sentence_probabilities",
    "text_margins",
]

PASSAGE: Final = 24
"""Words of a passage at least: about a tweet."""

_NOTHING: Final = -1e3
"""Margin of a text without words: its probability is 0."""


class Classifier(NamedTuple):
    """The weights, and what makes a probability of a margin."""

    weights: LinearTexts
    slope: NDArray[np.float64]  # a column each
    shift: NDArray[np.float64]
    names: tuple[str, ...]
    """The categories of the first columns; the others are not used."""


@cache
def classifier() -> Classifier:
    """The classifier of this package."""
    with files("filters.safety").joinpath("model.npz").open("rb") as stream, np.load(stream) as arrays:
        loaded: dict[str, NDArray[Any]] = {name: arrays[name] for name in arrays.files}
    names = tuple(str(name) for name in loaded["names"])
    table = np.zeros((len(loaded["table"]), OUTPUTS), np.int8)
    table[:, : len(names)] = loaded["table"]
    table.flags.writeable = False

    def wide(name: str) -> NDArray[np.float64]:
        values = np.zeros(OUTPUTS)
        values[: len(names)] = loaded[name]
        return values

    weights = LinearTexts(table, wide("scale"), wide("bias"))
    return Classifier(weights, loaded["slope"], loaded["shift"], names)


def text_margins(batch: Batch, sentences: Spans, weights: LinearTexts) -> NDArray[np.float64]:
    """The margin of each text and output."""
    found = passages(sentences, batch.found.kinds, PASSAGE)
    margin = worst_tenth(margins(batch.texts, read_words(batch), found.bounds, weights), found.offsets, _NOTHING)
    margin[batch.word_counts == 0] = _NOTHING  # punctuation and emoji: a passage, of which the model knows its bias
    return margin


def read_words(batch: Batch) -> Words:
    """The words as the classifiers read them: those for what people are, all as one."""
    return batch.words._replace(hashes=alike(batch.words.hashes, _identities()))


@cache
def _identities() -> NDArray[np.uint64]:
    with files("filters.safety").joinpath("own_lists.yaml").open(encoding="utf-8") as stream:
        listed: list[str] = yaml.safe_load(stream)["identities"]
    return known_hashes([int(one) for one in words(text_batch(pa.array(listed))).hashes])


def probabilities(batch: Batch, sentences: Spans) -> dict[str, NDArray[np.float64]]:
    """The probability of each category that has a classifier, for each text."""
    return _calibrated(text_margins(batch, sentences, classifier().weights))


def sentence_probabilities(batch: Batch, sentences: Spans) -> dict[str, NDArray[np.float64]]:
    """The same for each sentence, as if it stood alone."""
    found = margins(batch.texts, read_words(batch), sentences.bounds, classifier().weights)
    found[counts_of(batch.found.kinds, WORD, sentences.bounds) == 0] = _NOTHING
    return _calibrated(found)


def _calibrated(found: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    model = classifier()
    found = found[:, : len(model.names)]
    values = 1 / (1 + np.exp(np.clip(-(model.slope * found + model.shift), -60, 700)))
    values[found <= _NOTHING] = 0
    return {name: np.ascontiguousarray(values[:, column]) for column, name in enumerate(model.names)}
