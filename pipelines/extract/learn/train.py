"""Train the models of the `auto` engine: two boosted-tree stages and the tables of names and words.

python -m pipelines.extract.learn.train --gold FOLDER --stopwords FILE --out model.npz
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.extract.learn.dataset import Example, examples, folds, looked_at, tables
from pipelines.extract.learn.gold import SETS, pages, tokens
from pipelines.extract.page.features import Seen, second, stop_table
from pipelines.extract.page.forest import Forest, forest, probabilities
from pipelines.extract.page.model import Models

INNER = 5
"""Folds within the training pages: what a stage sees of a page was learned without it."""
SETTINGS: dict[str, Any] = {
    "objective": "cross_entropy",
    "learning_rate": 0.06,
    "num_leaves": 24,
    "min_data_in_leaf": 60,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "max_bin": 127,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
ROUNDS = (150, 200)
"""Trees of the first and the second stage."""
STOPS = 80
"""Most frequent words of a language that count as stop words."""


def stop_words(file: Path) -> NDArray[np.uint64]:
    """Hashes of the frequent words of every language of a list such as jusText's: {language: [words by frequency]}."""
    with gzip.open(file, "rt", encoding="utf-8") as stream:
        lists: dict[str, list[str]] = json.load(stream)
    found = {tokens(word)[0] for words in lists.values() for word in words[:STOPS] if len(tokens(word)) == 1}
    return stop_table(np.array(sorted(found), np.uint64))


def train(some: Sequence[Example], stops: NDArray[np.uint64], seed: int = 0, threads: int = 2) -> Models:
    """Train on examples.

    Tables and the first stage that features of a page come from were learned without the pages of its host.
    """
    some = list(some)
    fold = folds(some, INNER, seed)
    without = [tables([one for one, of in zip(some, fold, strict=True) if of != k], stops) for k in range(INNER)]
    views = looked_at(some, lambda k: without[fold[k]])
    rows = np.concatenate([view.features for view in views])
    share = np.concatenate([one.share for one in some])
    weight = np.concatenate([_weights(one) for one in some])
    of_row = np.concatenate([np.full(len(one.share), of) for one, of in zip(some, fold, strict=True)])
    known = share >= 0

    p = np.zeros(len(rows), np.float32)
    for k in range(INNER):
        model = _fit(
            rows[known & (of_row != k)], share[known & (of_row != k)], weight[known & (of_row != k)], 0, seed, threads
        )
        p[of_row == k] = probabilities(model, rows[of_row == k])
    first = _fit(rows[known], share[known], weight[known], 0, seed, threads)
    bounds = np.cumsum([0, *(len(one.share) for one in some)])
    both = np.concatenate(
        [second(view, p[low:high]) for view, low, high in zip(views, bounds[:-1], bounds[1:], strict=True)]
    )
    last = _fit(both[known], share[known], weight[known], 1, seed, threads)
    return Models(tables(some, stops), first, last)


def predicted(models: Models, view: Seen) -> NDArray[np.float32]:
    """Each block's probability by both stages."""
    return probabilities(models.second, second(view, probabilities(models.first, view.features)))


def extracted(models: Models, one: Example) -> str:
    """The text that models give for an example, as the engine writes it; "" where it finds none."""
    from pipelines.extract.auto import main_text

    return main_text(one.html, one.page, one.texts, one.words, models)


def _weights(one: Example) -> NDArray[np.float64]:
    """Each page weighs as much as another, and each block by its words."""
    known = one.share >= 0
    weight = np.where(known, one.count + 4.0, 0.0)
    return weight / max(1.0, weight.sum()) * 100


def _fit(
    rows: NDArray[np.float32],
    share: NDArray[np.float32],
    weight: NDArray[np.float64],
    stage: int,
    seed: int,
    threads: int,
) -> Forest:
    import lightgbm

    data = lightgbm.Dataset(
        rows, share, weight=weight, free_raw_data=True, params={"max_bin": SETTINGS["max_bin"], "verbosity": -1}
    )
    model = lightgbm.train({**SETTINGS, "seed": seed, "num_threads": threads}, data, ROUNDS[stage])
    return forest(model.dump_model()["tree_info"])


def main() -> None:
    """Train, and write the models."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gold", type=Path, required=True)
    parser.add_argument("--stopwords", type=Path, required=True)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    models = train(examples(pages(asked.gold, tuple(asked.sets.split(",")))), stop_words(asked.stopwords))
    save(models, asked.out)


def save(models: Models, path: Path) -> None:
    """Write models as one file."""
    arrays: dict[str, Any] = {}
    for name, part in zip(("tables", "first", "second"), (models.tables, models.first, models.second), strict=True):
        arrays |= {f"{name}.{field}": value for field, value in part._asdict().items()}
    np.savez_compressed(path, **arrays)


if __name__ == "__main__":
    main()
