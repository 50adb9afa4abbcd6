"""Train the models of the `auto` engine: stages of boosted trees, and the tables of names and words.

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
from pipelines.extract.page.forest import Forest, forest, joined, probabilities
from pipelines.extract.page.model import SETTLED, Models, arrays
from pipelines.extract.page.tables import stop_table

ALL_WORDS = 1.0
"""How far a page's weight is that of all its words, not of its main text alone."""
INNER = 4
"""Folds within the training pages: what a stage sees of a page was learned without it."""
SETTINGS: dict[str, Any] = {
    "objective": "cross_entropy",
    "extra_trees": True,
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
ROUNDS = (250, 250, 250)
"""Trees of a seed in each stage."""
SEEDS = 2
"""Forests of a stage, which differ by chance; their mean is what counts."""
STOPS = 80
"""Most frequent words of a language that count as stop words."""
MOST_ROWS = 400
"""Blocks of a page that are learned from, drawn at random where it has more: each page weighs the same anyway."""


@dataclass(frozen=True)
class Rows:
    """The blocks of some pages, one after the other."""

    share: NDArray[np.float32]  # of main text; -1 unknown
    weight: NDArray[np.float64]
    page: NDArray[np.int64]
    fold: NDArray[np.int64]
    learned: NDArray[np.bool_]  # from which is learned: known, and drawn


@dataclass(frozen=True)
class Trained:
    """Models, and how likely they find the training pages' blocks where the page's host is left out."""

    models: Models
    without: list[NDArray[np.float32]]  # by example


def stop_words(file: Path) -> NDArray[np.uint64]:
    """Hashes of the frequent words of every language of a list such as jusText's: {language: [words by frequency]}."""
    with gzip.open(file, "rt", encoding="utf-8") as stream:
        lists: dict[str, list[str]] = json.load(stream)
    found = {tokens(word)[0] for words in lists.values() for word in words[:STOPS] if len(tokens(word)) == 1}
    return stop_table(np.array(sorted(found), np.uint64))


def train(some: Sequence[Example], stops: NDArray[np.uint64], seed: int = 0, threads: int = 1) -> Trained:
    """Train on examples.

    Tables and the stages before, which features of a page come from, were learned without the pages of its host.
    """
    some = list(some)
    fold = folds(some, INNER, seed)
    without = [tables([one for one, of in zip(some, fold, strict=True) if of != k], stops) for k in range(INNER)]
    views = looked_at(some, lambda k: without[fold[k]])
    rows = _rows(some, fold, seed)
    stages: list[Forest] = []
    p = np.zeros(0, np.float32)
    unsettled = np.ones(len(rows.share), np.bool_)
    bounds = np.cumsum([0, *(len(one.share) for one in some)])
    for stage, rounds in enumerate(ROUNDS):
        if stage == 0:
            features = np.concatenate([view.features for view in views])
        else:
            features = np.concatenate(
                [
                    in_context(view, one.page, p[low:high], np.flatnonzero(unsettled[low:high]))
                    for view, one, low, high in zip(views, some, bounds[:-1], bounds[1:], strict=True)
                ]
            )
        model, told = _stage(features, rows, unsettled, rounds, seed, threads)
        stages.append(model)
        if stage == 0:
            p = told
            unsettled = p >= SETTLED
        else:
            p = p.copy()
            p[unsettled] = told
    models = Models(tables(some, stops), tuple(stages))
    return Trained(models, [p[low:high] for low, high in pairwise(bounds)])


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
    return Rows(
        np.concatenate([one.share for one in some]), np.concatenate(weight), page, fold[page], np.concatenate(learned)
    )


def _weights(one: Example, learned: NDArray[np.bool_]) -> NDArray[np.float64]:
    """What a mistake in a block costs its page's F1: about its words over those of the main text.

    Pages with little main text among much else would weigh many times the others, hence all words count too.
    """
    weight = np.where(learned, one.count + 4.0, 0.0)
    main = float((weight * one.share)[learned].sum())
    return weight / max(1.0, ALL_WORDS * weight.sum() + (1 - ALL_WORDS) * main) * 100


def _stage(
    features: NDArray[np.float32], rows: Rows, wanted: NDArray[np.bool_], rounds: int, seed: int, threads: int
) -> tuple[Forest, NDArray[np.float32]]:
    """A stage learned from all wanted rows, and what it says of each by what was learned without its fold."""
    import lightgbm

    fold, learned = rows.fold[wanted], rows.learned[wanted]
    data = lightgbm.Dataset(
        features[learned],
        rows.share[wanted][learned],
        weight=rows.weight[wanted][learned],
        free_raw_data=True,
        params={"max_bin": SETTINGS["max_bin"], "verbosity": -1},
    ).construct()
    of = fold[learned]

    def fitted(part: Any, seed: int, share: float = 1.0) -> Forest:
        model = lightgbm.train({**SETTINGS, "seed": seed, "num_threads": threads}, part, rounds)
        return forest(model.dump_model()["tree_info"], share)

    told = np.zeros(len(features), np.float32)
    for k in range(INNER):
        model = fitted(data.subset(np.flatnonzero(of != k).tolist()), seed)
        told[fold == k] = probabilities(model, features[fold == k])
    return joined([fitted(data, seed + number, 1 / SEEDS) for number in range(SEEDS)]), told


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
    found = train(some, stop_words(asked.stopwords), threads=asked.threads)
    save(found.models, asked.out)


def save(models: Models, path: Path) -> None:
    """Write models as one file."""
    np.savez_compressed(path, **arrays(models))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
