"""Linear models over words and n-grams of words: fastText's supervised models of few labels, and our own.

fastText's classifier is linear in the mean of its rows, and so is the score of each label: multiplied out beforehand, a
row is one number for a model of two labels, whatever its dimensions. Of a model like DCLM's (2 million buckets, 100
dimensions), a hundredth of the file is left, with the same probabilities to 1e-4. The same file holds what
``filters.quality.learning`` trains, where single words are hashed too and there is no dictionary.

A model is a safetensors file: ``rows`` (float32, a column a label, one in all for two labels), ``words`` and ``bounds``
(the dictionary), ``end`` (the row of a line's end), ``kept`` (buckets that a pruned model has), ``offset`` (added to a
score) and ``numbers`` (sizes).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from filters import fasttext_file
from filters.quality.card import QualityModelError
from kernels.fasttext import Dictionary
from kernels.known_words import NO_WORDS, KnownWords, known_words
from kernels.strings import TextBatch
from kernels.word_ngrams import ngram_sums, word_slots

__all__ = ["NgramModel", "from_fasttext", "hashed_model", "load", "save"]

_NUMBERS: Final = ("buckets", "shortest", "longest", "end_row", "word_ngrams", "hashed", "positive")
_EMPTY: Final = np.zeros(0, np.uint8)


@dataclass(frozen=True)
class NgramModel:
    """A linear model, ready for whole batches.

    Attributes:
        rows: a row a word, then a row a bucket.
        dictionary: where the row of a word is, and of a bucket.
        word_ngrams: words of the longest n-gram.
        end: the row of the end of a line, added once to every text; empty where there is none.
        offset: added to each score.
        hashed: single words are looked up by their hash.
        positive: the label whose probability is the score, by its column; 0 where there is one column.
        known: the words of the dictionary, each with what it adds to its text.
    """

    rows: NDArray[np.float32]
    dictionary: Dictionary
    word_ngrams: int
    end: NDArray[np.float32]
    offset: NDArray[np.float32]
    hashed: bool
    positive: int
    known: KnownWords

    def scores(self, batch: TextBatch) -> NDArray[np.float64]:
        """The probability of the positive label of each text, 0 to 1."""
        d = self.dictionary
        sums, counts = ngram_sums(
            batch.data, batch.offsets, self.rows, d, self.word_ngrams, hashed=self.hashed, known=self.known
        )
        if len(self.end):
            sums += self.end
            counts = counts + 1
        means = sums / np.maximum(counts, 1)[:, None] + self.offset
        if means.shape[1] == 1:
            return 1 / (1 + np.exp(-np.clip(means[:, 0], -700, 700)))
        powers = np.exp(means - means.max(axis=1, keepdims=True))
        return powers[:, self.positive] / powers.sum(axis=1)


def from_fasttext(path: Path, positive: str) -> NgramModel:
    """Read a fastText model (``.bin``, ``.ftz``; softmax) and multiply its two layers out.

    Args:
        path: the file.
        positive: the label whose probability is the score, without ``__label__``.

    Raises:
        QualityModelError: it is no such model, or has no such label.
    """
    try:
        model = fasttext_file.read(path)
    except ValueError as error:
        raise QualityModelError(f"quality: {error}") from error
    if len(model.classifier.left):
        raise QualityModelError(f"quality: {path}: found hierarchical softmax, expected softmax (fastText's default)")
    positive = positive.removeprefix("__label__")
    if positive not in model.labels or len(model.labels) < 2:
        raise QualityModelError(
            f"quality: {path}: found the labels {', '.join(model.labels[:8])}, expected {positive!r} among them"
        )
    column = model.labels.index(positive)
    weights = model.classifier.weights
    if len(model.labels) == 2:
        weights = weights[:, column : column + 1] - weights[:, 1 - column : 2 - column]
        column = 0
    model = replace(model, classifier=model.classifier._replace(weights=weights)).projected()
    return _made(
        model.rows,
        model.dictionary,
        model.word_ngrams,
        model.end,
        np.zeros(weights.shape[1], np.float32),
        False,
        column,
    )


def hashed_model(rows: NDArray[np.float32], word_ngrams: int, offset: float) -> NgramModel:
    """A model without a dictionary: one number a bucket."""
    dictionary = _dictionary(_EMPTY, np.zeros(1, np.int64), len(rows), None, 0, 0, -1)
    nothing = np.zeros(0, np.float32)
    return _made(rows.reshape(-1, 1), dictionary, word_ngrams, nothing, np.array([offset], np.float32), True, 0)


def save(path: Path, model: NgramModel) -> None:
    """Write a model so that ``load`` can read it; the same model gives the same bytes."""
    d = model.dictionary
    whole = len(model.rows) == d.words + d.buckets
    kept = _EMPTY if whole else np.unpackbits(d.kept.view(np.uint8), bitorder="little")[: d.buckets]
    arrays = {
        "rows": model.rows,
        "words": d.spelling[: d.bounds[d.words]],
        "bounds": d.bounds[: d.words + 1],
        "end": model.end,
        "kept": np.packbits(kept, bitorder="little"),
        "offset": model.offset,
    }
    numbers = (d.buckets, d.shortest, d.longest, d.end, model.word_ngrams, int(model.hashed), model.positive)
    arrays["numbers"] = np.array(numbers, np.int64)  # safetensors writes its metadata in an order that changes
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)


def load(path: Path) -> NgramModel:
    """Read a model.

    Raises:
        QualityModelError: it is none.
    """
    try:
        values: dict[str, Any] = load_file(path)
        numbers = dict(zip(_NUMBERS, values["numbers"].tolist(), strict=True))
        buckets, words = numbers["buckets"], len(values["bounds"]) - 1
        kept = None
        if len(values["kept"]):
            kept = np.unpackbits(values["kept"], count=buckets, bitorder="little")
        dictionary = _dictionary(
            values["words"],
            values["bounds"],
            buckets,
            kept,
            numbers["shortest"],
            numbers["longest"],
            numbers["end_row"],
        )
        rows, end, offset = values["rows"], values["end"], values["offset"]
        found = (rows.ndim, len(rows), rows.shape[1:], offset.shape)
        expected = (2, words + (buckets if kept is None else int(kept.sum())), offset.shape, (len(offset),))
        if found != expected:
            raise ValueError(f"found arrays of {found}, expected {expected}")
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise QualityModelError(
            f"quality: {path}: found no n-gram model ({error!r}); `pomona quality train` or `import` makes one"
        ) from error
    return _made(rows, dictionary, numbers["word_ngrams"], end, offset, bool(numbers["hashed"]), numbers["positive"])


def _made(
    rows: NDArray[np.float32],
    dictionary: Dictionary,
    word_ngrams: int,
    end: NDArray[np.float32],
    offset: NDArray[np.float32],
    hashed: bool,
    positive: int,
) -> NgramModel:
    rows = np.ascontiguousarray(rows, np.float32)
    rows.flags.writeable = False
    known = NO_WORDS if hashed else known_words(rows, dictionary)
    return NgramModel(rows, dictionary, word_ngrams, end, offset, hashed, positive, known)


def _dictionary(
    spelling: NDArray[np.uint8],
    bounds: NDArray[np.int64],
    buckets: int,
    kept: NDArray[np.uint8] | None,
    shortest: int,
    longest: int,
    end: int,
) -> Dictionary:
    if kept is None:
        kept = np.ones(buckets, np.uint8)
    blocks = np.zeros((buckets // 64 + 1) * 8, np.uint8)
    packed = np.packbits(kept, bitorder="little")
    blocks[: len(packed)] = packed
    bits = blocks.view(np.uint64)
    before = np.zeros(len(bits), np.int64)
    np.cumsum(np.bitwise_count(bits)[:-1], out=before[1:])
    spelling, bounds = np.ascontiguousarray(spelling), np.ascontiguousarray(bounds)
    for one in (spelling, bounds, bits, before):
        one.flags.writeable = False
    slots = word_slots(spelling, bounds)
    slots.flags.writeable = False
    words = len(bounds) - 1
    return Dictionary(slots, spelling, bounds, bits, before, words, words, buckets, shortest, longest, end)
