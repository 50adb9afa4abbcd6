"""Train the models of the `auto` engine: two stages of boosted trees, and the tables of names and words.

python -m pipelines.extract.learn.train --gold FOLDER --stopwords FILE --out model.npz
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.extract.learn.dataset import Example, examples, folds, looked_at, tables
from pipelines.extract.learn.gold import SETS, pages, tokens
from pipelines.extract.page.context import in_context
from pipelines.extract.page.forest import MOST_LEAVES, Forest, coarse, forest, joined, probabilities
from pipelines.extract.page.model import SETTLED, Models, arrays
from pipelines.extract.page.tables import stop_table

ALL_WORDS = 0.3
"""How far a page's weight is that of all its words, not of its main text alone."""
INNER = 3
"""Folds within the training pages: what a stage sees of a page was learned without it."""
SETTINGS: dict[str, Any] = {
    "objective": "cross_entropy",
    "extra_trees": True,
    "learning_rate": 0.06,
    "num_leaves": MOST_LEAVES,
    "min_data_in_leaf": 60,
    "feature_fraction": 0.35,
    "bagging_fraction": 0.4,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "max_bin": 63,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
ROUNDS = 400
"""Trees of a forest."""
STAGES = 2
"""A third, tried on one fold in five, added .0001 to the mean F1."""
SEEDS = 4
"""Forests of a stage, which differ by chance; their mean is what counts. Held-out gain: .0364 with two, .0375 with
four, .0383 with eight; each takes 0.35 ms a page."""
STOPS = 80
"""Most frequent words of a language that count as stop words."""
MOST_ROWS = 400
"""Blocks of a page that are learned from, drawn at random where it has more: each page weighs the same anyway."""


@dataclass(frozen=True)
class Rows:
    """The blocks of some pages, one after the other."""

    share: NDArray[np.float32]  # of main text; -1 unknown
    weight: NDArray[np.float64]
    fold: NDArray[np.int64]
    learned: NDArray[np.bool_]  # from which is learned: known, and drawn


def stop_words(file: Path) -> NDArray[np.uint64]:
    """Hashes of the frequent words of every language of a list such as jusText's: {language: [words by frequency]}."""
    with gzip.open(file, "rt", encoding="utf-8") as stream:
        lists: dict[str, list[str]] = json.load(stream)
    found = {tokens(word)[0] for words in lists.values() for word in words[:STOPS] if len(tokens(word)) == 1}
    return stop_table(np.array(sorted(found), np.uint64))


def train(some: Sequence[Example], stops: NDArray[np.uint64], seed: int = 0, threads: int = 1) -> Models:
    """Train on examples.

    Tables and the stages before, which features of a page come from, were learned without the pages of its host.
    """
    some = list(some)
    fold = folds(some, INNER, seed)
    without = [tables([one for one, of in zip(some, fold, strict=True) if of != k], stops) for k in range(INNER)]
    views = looked_at(some, lambda k: without[fold[k]])
    rows = _rows(some, fold, seed)
    bounds = list(pairwise(np.cumsum([0, *(len(one.share) for one in some)]).tolist()))
    everywhere = np.ones(len(rows.share), np.bool_)
    features = coarse(np.concatenate([view.features for view in views]))
    p = _told_without(features, rows, everywhere, seed, threads)
    stages = [_learned(features, rows, everywhere, seed, threads)]
    unsettled = p >= SETTLED
    for stage in range(1, STAGES):
        seen = [
            in_context(view, one.page, p[low:high], np.flatnonzero(unsettled[low:high]))
            for view, one, (low, high) in zip(views, some, bounds, strict=True)
        ]
        features = coarse(np.concatenate(seen))
        stages.append(_learned(features, rows, unsettled, seed, threads))
        if stage + 1 < STAGES:
            p = p.copy()
            p[unsettled] = _told_without(features, rows, unsettled, seed, threads)
    return Models(tables(some, stops), tuple(stages))


def extracted(models: Models, one: Example) -> str:
    """The text that models give for an example, as the engine writes it; "" where it finds none."""
    from pipelines.extract.auto import main_text

    return main_text(one.html, one.page, one.texts, one.words, models)


def _rows(some: list[Example], fold: NDArray[np.int64], seed: int) -> Rows:
    random = np.random.default_rng(seed)
    learned: list[NDArray[np.bool_]] = []
    weight: list[NDArray[np.float64]] = []
    for one in some:
        known = one.share >= 0
        at = np.flatnonzero(known)
        if len(at) > MOST_ROWS:
            known = np.zeros(len(known), np.bool_)
            known[random.choice(at, MOST_ROWS, replace=False)] = True
        learned.append(known)
        weight.append(_weights(one, known))
    page = np.repeat(np.arange(len(some)), [len(one.share) for one in some])
    share = np.concatenate([one.share for one in some])
    return Rows(share, np.concatenate(weight), fold[page], np.concatenate(learned))


def _weights(one: Example, learned: NDArray[np.bool_]) -> NDArray[np.float64]:
    """What a mistake in a block costs its page's F1: about its words over those of the main text.

    Pages with little main text among much else would weigh many times the others, hence all words count too.
    """
    weight = np.where(learned, one.count + 4.0, 0.0)
    main = float((weight * one.share)[learned].sum())
    return weight / max(1.0, ALL_WORDS * weight.sum() + (1 - ALL_WORDS) * main) * 100


def _learned(features: NDArray[np.float32], rows: Rows, wanted: NDArray[np.bool_], seed: int, threads: int) -> Forest:
    """A stage learned from all wanted rows."""
    data, _ = _data(features, rows, wanted)
    return joined([_fitted(data, seed + number, threads, 1 / SEEDS) for number in range(SEEDS)])


def _told_without(
    features: NDArray[np.float32], rows: Rows, wanted: NDArray[np.bool_], seed: int, threads: int
) -> NDArray[np.float32]:
    """What is said of each wanted row by what was learned without its fold."""
    data, fold_of_learned = _data(features, rows, wanted)
    fold = rows.fold[wanted]
    told = np.zeros(len(features), np.float32)
    for k in range(INNER):
        model = _fitted(data.subset(np.flatnonzero(fold_of_learned != k).tolist()), seed, threads)
        told[fold == k] = probabilities(model, features[fold == k])
    return told


def _data(features: NDArray[np.float32], rows: Rows, wanted: NDArray[np.bool_]) -> tuple[Any, NDArray[np.int64]]:
    """The wanted rows from which is learned, as LightGBM takes them, and their folds."""
    import lightgbm

    learned = rows.learned[wanted]
    data = lightgbm.Dataset(
        features[learned],
        rows.share[wanted][learned],
        weight=rows.weight[wanted][learned],
        free_raw_data=True,
        params={"max_bin": SETTINGS["max_bin"], "verbosity": -1},
    ).construct()
    return data, rows.fold[wanted][learned]


def _fitted(data: Any, seed: int, threads: int, share: float = 1.0) -> Forest:
    import lightgbm

    model = lightgbm.train({**SETTINGS, "seed": seed, "num_threads": threads}, data, ROUNDS)
    return forest(model.dump_model()["tree_info"], share)


def main() -> None:
    """Train, and write the models."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gold", type=Path, required=True)
    parser.add_argument("--stopwords", type=Path, required=True)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    some = examples(pages(asked.gold, tuple(asked.sets.split(","))))
    save(train(some, stop_words(asked.stopwords), threads=asked.threads), asked.out)


def save(models: Models, path: Path) -> None:
    """Write models as one file."""
    np.savez_compressed(path, **arrays(models))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
