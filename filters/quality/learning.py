"""Training of n-gram models: our own logistic regression, and fastText's.

``linear`` is ours: words and n-grams of words hashed into one table, no dictionary, AdaGrad in an order that a seed
gives; one process, the same bytes every time. ``fasttext`` is the library's supervised training on one thread, DCLM's
way (n-grams to 2 words, 2 million buckets), its two layers multiplied out afterwards. Both are linear models over the
same features and end in the same file; they differ in how weights are found. docs/quality.md has them side by side.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from filters.quality.ngram import NgramModel, from_fasttext, hashed_model
from kernels.logistic import learn
from kernels.strings import text_batch
from kernels.word_ngrams import ngram_rows

__all__ = ["NgramTraining", "learn_ngrams"]


class NgramTraining(BaseModel):
    """How an n-gram model is trained.

    Attributes:
        method: ``linear`` or ``fasttext``.
        word_ngrams: words of the longest n-gram (DCLM: 2).
        buckets: of hashed features; a file has four bytes for each.
        epochs: times that every text is seen (fastText's default is 5).
        rate: of learning; by default 1 for ``linear``, 0.1 for ``fasttext`` (its own).
        dimensions: of fastText's hidden layer (its default, which DCLM keeps).
        balance: texts of both labels count the same in sum.
        seed: of the order.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Literal["linear", "fasttext"] = "linear"
    word_ngrams: Annotated[int, Field(ge=1, le=5)] = 2
    buckets: Annotated[int, Field(ge=1024, le=1 << 30)] = 2_000_000
    epochs: Annotated[int, Field(ge=1, le=1000)] = 5
    rate: Annotated[float, Field(gt=0)] | None = None
    dimensions: Annotated[int, Field(ge=1, le=1000)] = 100
    balance: bool = True
    seed: int = 0


def learn_ngrams(text: pa.ChunkedArray[Any], positive: NDArray[np.bool_], options: NgramTraining) -> NgramModel:
    """Train a model that tells positive texts from others.

    Args:
        text: strings.
        positive: of each text.
        options: how.

    Raises:
        ModuleNotFoundError: method ``fasttext`` without the library.
    """
    return (_fasttext if options.method == "fasttext" else _linear)(text, positive, options)


def _linear(text: pa.ChunkedArray[Any], positive: NDArray[np.bool_], options: NgramTraining) -> NgramModel:
    batch = text_batch(text)
    features, bounds = ngram_rows(batch.data, batch.offsets, options.buckets, options.word_ngrams)
    drawn = np.random.Generator(np.random.PCG64(options.seed))
    orders = np.stack([drawn.permutation(len(positive)) for _ in range(options.epochs)])
    share = positive.mean()
    shares = np.where(positive, 0.5 / share, 0.5 / (1 - share)) if options.balance else np.ones(len(positive))
    weights, offset = learn(
        features, bounds, positive.astype(np.float64), shares, orders, options.buckets, options.rate or 1.0
    )
    return hashed_model(weights, options.word_ngrams, offset)


def _fasttext(text: pa.ChunkedArray[Any], positive: NDArray[np.bool_], options: NgramTraining) -> NgramModel:
    try:
        import fasttext
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "quality: method 'fasttext' needs the library; pip install fasttext-numpy2-wheel, or take method 'linear'",
            name="fasttext",
        ) from error
    with tempfile.TemporaryDirectory(prefix="pomona-quality-") as folder:
        lines, model = Path(folder) / "lines.txt", Path(folder) / "model.bin"
        order = np.random.Generator(np.random.PCG64(options.seed)).permutation(len(positive))
        spaced: Any = pc.replace_substring_regex(text.cast(pa.large_string()), r"[\s\x00]+", " ")
        with lines.open("w", encoding="utf-8") as file:
            for i in order.tolist():
                file.write(f"__label__{'yes' if positive[i] else 'no'} {spaced[i].as_py() or ''}\n")
        with contextlib.redirect_stderr(io.StringIO()):
            trained: Any = fasttext.train_supervised(
                str(lines),
                wordNgrams=options.word_ngrams,
                bucket=options.buckets,
                epoch=options.epochs,
                lr=options.rate or 0.1,
                dim=options.dimensions,
                minn=0,
                maxn=0,
                thread=1,
                seed=options.seed,
                verbose=0,
            )
        trained.save_model(str(model))
        return from_fasttext(model, "yes")
