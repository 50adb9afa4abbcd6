"""Boosted trees."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipelines.extract.page.forest import coarse, forest, joined, probabilities


@pytest.mark.slow
def test_probabilities_are_lightgbms() -> None:
    lightgbm = pytest.importorskip("lightgbm")
    random = np.random.default_rng(0)
    rows = coarse(random.normal(size=(3000, 12)).astype(np.float32))
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


def test_the_mean_of_two_forests() -> None:
    one = {"tree_structure": {"leaf_value": 1.0}}
    split = {
        "tree_structure": {
            "split_feature": 1, "threshold": 0.5, "left_child": {"leaf_value": 1.0}, "right_child": {"leaf_value": 3.0},
        }
    }  # fmt: skip
    both = joined([forest([one], 1 / 2), forest([split], 1 / 2)])
    rows = np.array([[9, 0.5], [9, 0.6]], np.float32)
    assert probabilities(both, rows) == pytest.approx([1 / (1 + np.exp(-1)), 1 / (1 + np.exp(-2))])


def test_rows_do_not_depend_on_their_neighbours() -> None:
    random = np.random.default_rng(2)
    trees = [_tree(random, 4) for _ in range(20)]
    rows = random.normal(size=(200, 6)).astype(np.float32)
    together = probabilities(forest(trees), rows)
    assert together.tolist() == [probabilities(forest(trees), rows[k : k + 1])[0] for k in range(200)]
    assert together == pytest.approx([_walked(trees, row) for row in coarse(rows)], abs=1e-6)


@given(st.floats(-(2.0**100), 2.0**100, width=32), st.floats(-(2.0**100), 2.0**100, width=32))
@settings(deadline=None)
def test_a_threshold_parts_numbers_as_they_are_in_full(one: float, other: float) -> None:
    low, high = sorted(coarse(np.array([one, other], np.float32)).tolist())
    assume(low < high)
    for threshold in (low, (low + high) / 2, np.nextafter(high, -np.inf)):
        tree = {"split_feature": 0, "threshold": float(threshold),
                "left_child": {"leaf_value": -9.0}, "right_child": {"leaf_value": 9.0}}  # fmt: skip
        p = probabilities(forest([{"tree_structure": tree}]), np.array([[low], [high]], np.float32))
        assert p[0] < 0.5 < p[1]


def test_coarse_numbers_keep_their_sign_and_three_digits() -> None:
    rows = np.array([0.0, -0.0, 1.0, -1.0, 1.00390625, 3.14159, -3.14159, 1e-20, 1e20], np.float32)
    cut = coarse(rows)
    assert np.all(np.abs(cut) <= np.abs(rows))
    assert cut == pytest.approx(rows, rel=0.008)
    assert coarse(cut).tolist() == cut.tolist()


def test_a_tree_with_more_leaves_than_bits_is_refused() -> None:
    random = np.random.default_rng(3)
    with pytest.raises(ValueError, match="32 leaves, at most 16"):
        forest([_tree(random, 5)])


def _tree(random: np.random.Generator, depth: int) -> dict[str, Any]:
    def node(depth: int) -> dict[str, Any]:
        if depth == 0:
            return {"leaf_value": float(random.normal())}
        return {
            "split_feature": int(random.integers(6)), "threshold": float(random.normal()),
            "left_child": node(depth - 1), "right_child": node(depth - 1),
        }  # fmt: skip

    return {"tree_structure": node(depth)}


def _walked(trees: list[dict[str, Any]], row: np.ndarray) -> float:
    total = 0.0
    for tree in trees:
        node = tree["tree_structure"]
        while "leaf_value" not in node:
            node = node["left_child" if row[node["split_feature"]] <= node["threshold"] else "right_child"]
        total += node["leaf_value"]
    return 1 / (1 + np.exp(-total))
