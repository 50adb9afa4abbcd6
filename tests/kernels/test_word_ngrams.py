"""Rows of words and n-grams of words beside fastText's own."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import fasttext
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters import fasttext_file
from kernels.known_words import known_words
from kernels.strings import TextBatch, text_batch
from kernels.word_ngrams import _bucket_of as bucket_of  # pyright: ignore[reportPrivateUsage]
from kernels.word_ngrams import ngram_rows, ngram_sums
from tests.fasttext_model import TREE, written

LINES = [
    *(f"__label__yes the water of a river {n} flows down to the sea because the land slopes" for n in range(40)),
    *(f"__label__no buy now offer {n} best price free shipping click here ünïcode 東京 😀" for n in range(40)),
]


def batch(texts: list[str]) -> TextBatch:
    return text_batch(pa.array(texts, pa.large_string()))


def made(folder: Path, kind: str) -> tuple[Any, Any]:
    """A model as the library reads it, and as we do."""
    words = " ".join(line.partition(" ")[2] for line in LINES).split()
    path = written(folder / "model.bin", words, ["yes", "no"], **OPTIONS[kind])
    with contextlib.redirect_stderr(io.StringIO()):
        return fasttext.load_model(str(path)), fasttext_file.read(path)


OPTIONS: dict[str, dict[str, Any]] = {
    "pairs": {"word_ngrams": 2, "buckets": 5000, "dim": 12},
    "threes with characters": {"word_ngrams": 3, "characters": (2, 4), "buckets": 3000, "dim": 8},
    "tree": {"word_ngrams": 2, "buckets": 4096, "dim": 8, "loss": TREE},
}
TEXTS = [
    *(line.partition(" ")[2] for line in LINES[::7]),
    *("", " ", "x", "\x00", "the\x00water\tof", "__label__yes the", "__label__unseen offer offer", "__labe the"),
    *("\ufeff the", "😀" * 300, "the " * 3000, "a" * 100_000, " ".join(f"w{n}" for n in range(5000)), "נ\u200f ب"),
]


@pytest.fixture(scope="module", params=OPTIONS)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    return made(tmp_path_factory.mktemp("fasttext"), request.param)


def expected(library: Any, labels: tuple[str, ...], texts: list[str]) -> np.ndarray:
    found = np.zeros((len(texts), len(labels)))
    for row, text in enumerate(texts):
        names, values = library.predict(text.replace("\n", " "), k=len(labels))
        for name, value in zip(names, values, strict=True):
            found[row, labels.index(name.removeprefix("__label__"))] = value
    return found


def test_the_librarys_probabilities(both: tuple[Any, Any]) -> None:
    library, model = both
    should = expected(library, model.labels, TEXTS)
    assert should[:, 0].max() - should[:, 0].min() > 0.5  # the model does tell them apart
    for one in (model, model.projected()):
        np.testing.assert_allclose(one.probabilities(*one.sums(batch(TEXTS))), should, atol=1e-4)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=4))
def test_any_text(both: tuple[Any, Any], texts: list[str]) -> None:
    library, model = both
    short = model.projected()
    np.testing.assert_allclose(
        short.probabilities(*short.sums(batch(texts))), expected(library, model.labels, texts), atol=1e-4
    )


def test_neither_batches_nor_order_show(both: tuple[Any, Any]) -> None:
    model = both[1].projected()
    sums, counts = model.sums(batch(TEXTS))
    turned, turned_counts = model.sums(batch(TEXTS[::-1]))
    assert np.array_equal(turned[::-1], sums)
    assert np.array_equal(turned_counts[::-1], counts)
    for row, text in enumerate(TEXTS):
        assert np.array_equal(model.sums(batch([text]))[0][0], sums[row])


@pytest.mark.parametrize("kind", ["pairs", "threes with characters"])
def test_what_is_known_of_words_changes_nothing(tmp_path: Path, kind: str) -> None:
    model = made(tmp_path, kind)[1].projected()
    known = known_words(model.rows, model.dictionary)
    assert len(known.counts) == (model.dictionary.words if "characters" in kind else 0)
    assert len(known.counts) == 0 or known.counts.max() > 2
    texts = batch([*TEXTS, "</s> the river </s>", "rivers seas landed " * 700])  # words that no dictionary has, too
    plain = ngram_sums(texts.data, texts.offsets, model.rows, model.dictionary, model.word_ngrams)
    quick = ngram_sums(texts.data, texts.offsets, model.rows, model.dictionary, model.word_ngrams, known=known)
    np.testing.assert_allclose(quick[0], plain[0], atol=1e-5, rtol=1e-6)
    assert np.array_equal(quick[1], plain[1])


@pytest.mark.parametrize("buckets", [1, 2, 1000, 8191, 8192, 8193, 100_003, 2_000_000, 1 << 20, (1 << 31) - 1])
def test_a_bucket_is_the_rest_of_a_division(buckets: int) -> None:
    drawn = np.random.default_rng(5).integers(0, 2**64, 20_000, np.uint64, endpoint=False)
    near = np.arange(-3, 4).astype(np.uint64)  # about multiples, and about the least and largest numbers
    values = [*drawn.tolist(), *near.tolist(), *((drawn[:500] // np.uint64(buckets)) * np.uint64(buckets)).tolist()]
    values += [value - 1 for value in values[-500:] if value]
    for value in values:
        assert bucket_of(np.uint64(value), np.uint64(buckets), 1 / buckets) == value % buckets


@pytest.mark.slow
def test_rows_of_a_hashed_model_are_those_of_its_sums() -> None:
    buckets, longest = 10_007, 3
    weights = np.random.default_rng(2).normal(size=(buckets, 1)).astype(np.float32)
    weights.flags.writeable = False
    nothing = fasttext_file.Dictionary(
        np.full(2, -1, np.int32), np.zeros(0, np.uint8), np.zeros(1, np.int64), np.zeros(1, np.uint64),
        np.zeros(1, np.int64), 0, 0, buckets, 0, 0, -1,
    )  # fmt: skip
    texts = batch(TEXTS)
    rows, bounds = ngram_rows(texts.data, texts.offsets, buckets, longest)
    sums, counts = ngram_sums(texts.data, texts.offsets, weights, nothing, longest, hashed=True)
    assert np.array_equal(np.diff(bounds), counts)
    for row in range(len(TEXTS)):
        np.testing.assert_allclose(weights[rows[bounds[row] : bounds[row + 1]], 0].sum(), sums[row, 0], atol=1e-2)
