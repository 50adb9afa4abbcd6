"""Weights mean tokens: shares come out, caps hold, choices depend on ids and the seed only."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import mixture
from pipelines.mixture import Infeasible, Supply
from pipelines.recipe import StageMix


def supply(seed: int = 0, documents: int = 3000) -> Supply:
    draw = np.random.default_rng(seed)
    return Supply(
        draw.integers(0, 2**64, documents, np.uint64),
        draw.integers(0, 3, documents).astype(np.int32),
        draw.lognormal(5, 1, documents).astype(np.int64) + 1,
        ("code", "math", "web"),
    )


def everything(of: Supply) -> np.ndarray:
    return np.ones(len(of.bits), bool)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 5), st.floats(0.05, 0.9), st.integers(20_000, 400_000))
def test_realised_shares_are_within_a_thousandth(seed: int, share: float, tokens: int) -> None:
    data = supply(seed)
    mix = StageMix(weights={"code": share, "web": 1 - share}, tokens=tokens, epochs=50)
    chosen = mixture.choose(data, everything(data), "core", mix, seed)
    for name, weight in mix.weights.items():
        assert abs(round(tokens * weight) - chosen.tokens[name]) <= 1
    assert abs(sum(chosen.realised_weights.values()) - 1) < 1e-9
    assert not chosen.repeats[data.rows_of("math")].any()
    used = chosen.repeats[data.rows_of("web")]
    assert used.max() - used.min() <= 1


def test_order_of_the_supply_changes_nothing() -> None:
    data = supply()
    mix = StageMix(weights={"code": 0.25, "math": 0.25, "web": 0.5}, tokens=300_000, epochs=4)
    first = mixture.choose(data, everything(data), "core", mix, 3)
    rows = np.random.default_rng(9).permutation(len(data.bits))
    moved = Supply(data.bits[rows], data.source[rows], data.tokens[rows], data.names)
    second = mixture.choose(moved, everything(moved), "core", mix, 3)
    assert (first.repeats[rows] == second.repeats).all()
    assert (
        data.bits[mixture.order(data, first.repeats, "core", 3)]
        == moved.bits[mixture.order(moved, second.repeats, "core", 3)]
    ).all()


def test_order_writes_repeats_out_and_is_another_for_each_stage_and_seed() -> None:
    data = supply()
    repeats = np.arange(len(data.bits)) % 3
    order = mixture.order(data, repeats, "core", 0)
    assert (np.bincount(order, minlength=len(repeats)) == repeats).all()
    assert (order != mixture.order(data, repeats, "core", 1)).any()
    assert (order != mixture.order(data, repeats, "continued", 0)).any()


def test_held_out_documents_do_not_depend_on_the_others_and_meet_the_fraction() -> None:
    data = supply(documents=20_000)
    apart = mixture.heldout(data, 0.05, 7)
    assert 0.04 < apart.mean() < 0.06
    half = Supply(data.bits[::2], data.source[::2], data.tokens[::2], data.names)
    assert (mixture.heldout(half, 0.05, 7) == apart[::2]).all()
    assert not mixture.heldout(data, 0.0, 7).any()


def test_infeasible_names_the_numbers_that_clash_and_what_is_feasible() -> None:
    data = supply()
    have = int(data.tokens[data.rows_of("math")].sum())
    mix = StageMix(weights={"math": 0.5, "web": 0.5}, tokens=have * 10, epochs=2)
    with pytest.raises(Infeasible) as caught:
        mixture.choose(data, everything(data), "core", mix, 0)
    assert f"math should give {have * 5:,} tokens" in str(caught.value)
    feasible = int(str(caught.value).split("at most ")[1].split()[0].replace(",", ""))
    mixture.choose(data, everything(data), "core", mix.model_copy(update={"tokens": feasible}), 0)


def test_a_source_without_tokens_is_infeasible_not_a_division_by_zero() -> None:
    data = supply()
    mix = StageMix(weights={"books": 0.5, "web": 0.5}, tokens=1000)
    with pytest.raises(Infeasible, match="books should give 500 tokens"):
        mixture.choose(data, everything(data), "core", mix, 0)
