"""Boosted trees and the choice of blocks."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from pipelines.extract.page.forest import chosen, forest, probabilities


def test_probabilities_are_lightgbms() -> None:
    lightgbm = pytest.importorskip("lightgbm")
    random = np.random.default_rng(0)
    rows = random.normal(size=(3000, 12)).astype(np.float32)
    share = (1 / (1 + np.exp(-(rows[:, 0] * rows[:, 1] + rows[:, 2])))).astype(np.float32)
    model = lightgbm.train(
        {"objective": "cross_entropy", "num_leaves": 15, "verbosity": -1, "num_threads": 1},
        lightgbm.Dataset(rows, share),
        40,
    )
    ours = probabilities(forest(model.dump_model()["tree_info"]), rows)
    assert np.abs(ours - model.predict(rows)).max() < 1e-5


def test_a_tree_that_is_one_leaf() -> None:
    only = forest([{"tree_structure": {"leaf_value": 0.0}}, {"tree_structure": {"leaf_value": 2.0}}])
    assert probabilities(only, np.zeros((2, 1), np.float32)) == pytest.approx([0.880797] * 2)


def test_the_chosen_blocks_have_the_best_expected_f1() -> None:
    random = np.random.default_rng(1)
    for _ in range(50):
        p = random.random(7).astype(np.float32)
        words = random.integers(1, 30, 7).astype(np.int32)
        total = float((p * words).sum())

        def expected(
            some: tuple[int, ...], p: np.ndarray = p, words: np.ndarray = words, total: float = total
        ) -> float:
            at = list(some)
            return float(2 * (p[at] * words[at]).sum() / (words[at].sum() + total))

        best = max(expected(some) for size in range(1, 8) for some in combinations(range(7), size))
        assert expected(tuple(np.flatnonzero(chosen(p, words)))) == pytest.approx(best)


def test_nothing_is_chosen_where_nothing_is_likely() -> None:
    assert not chosen(np.zeros(3, np.float32), np.ones(3, np.int32)).any()
    assert not chosen(np.zeros(0, np.float32), np.ones(0, np.int32)).any()
