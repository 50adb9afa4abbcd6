"""Where a mixture cannot be had, the nearest ones are told: checked against linear programming and brute force."""

from __future__ import annotations

import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from pipelines import mixture
from pipelines.mixture.feasible import Infeasible, Offer, apportioned, check, demanded, fill, largest_budget
from pipelines.recipe import StageMix

NAMES = ("a", "b", "c", "d")
shares = st.lists(st.integers(0, 100), min_size=2, max_size=4).filter(any)


def normal(parts: list[int]) -> dict[str, float]:
    return {name: part / sum(parts) for name, part in zip(NAMES, parts, strict=False)}


@settings(deadline=None)
@given(shares, st.integers(0, 10**15))
def test_whole_tokens_sum_to_the_budget_and_are_within_one_of_the_share(parts: list[int], total: int) -> None:
    wanted = normal(parts)
    found = apportioned(wanted, total)
    assert sum(found.values()) == total
    for name, share in wanted.items():
        assert abs(found[name] - share * total) <= 1 + total * 1e-15
        assert share > 0 or found[name] == 0


@settings(deadline=None)
@given(shares, st.lists(st.integers(0, 5000), min_size=4, max_size=4), st.integers(1, 4000))
def test_the_nearest_weights_move_as_few_tokens_as_a_linear_program(
    parts: list[int], caps: list[int], total: int
) -> None:
    wanted = apportioned(normal(parts), total)
    most = dict(zip(NAMES, caps, strict=True))
    found = fill(wanted, most)
    asked = [name for name, tokens in wanted.items() if tokens]
    # Least Σ t under t ≥ ±(x - wanted), Σ x = total, 0 ≤ x ≤ cap.
    count = len(asked)
    goal = np.array([wanted[name] for name in asked], float)
    above = np.hstack([np.eye(count), -np.eye(count)])
    below = np.hstack([-np.eye(count), -np.eye(count)])
    best = linprog(
        np.r_[np.zeros(count), np.ones(count)],
        A_ub=np.vstack([above, below]),
        b_ub=np.r_[goal, -goal],
        A_eq=[[1.0] * count + [0.0] * count],
        b_eq=[float(total)],
        bounds=[(0, most[name]) for name in asked] + [(0, None)] * count,
    )
    if found is None:
        assert not best.success
        return
    assert best.success
    moved = sum(abs(found[name] * total - wanted[name]) for name in wanted)
    assert moved == pytest.approx(best.fun, abs=1e-6 * total + 1e-6)
    assert sum(found.values()) == pytest.approx(1)
    assert all(found[name] * total <= most[name] * (1 + 1e-12) for name in wanted)


def test_of_all_nearest_weights_these_keep_the_proportions_best() -> None:
    """Brute force over a grid: no mixture under the caps has a smaller Kullback-Leibler divergence from the wish."""
    wanted, most = {"a": 60, "b": 25, "c": 10, "d": 5}, {"a": 30, "b": 100, "c": 12, "d": 100}
    found = fill(wanted, most)
    assert found is not None

    def divergence(tokens: dict[str, float]) -> float:
        return sum(count * math.log(count / wanted[name]) for name, count in tokens.items() if count)

    ours = divergence({name: share * 100 for name, share in found.items()})
    tried = 0
    for a, b, c in itertools.product(range(31), range(101), range(13)):
        d = 100 - a - b - c
        if 0 <= d <= most["d"]:
            tried += 1
            assert divergence({"a": a, "b": b, "c": c, "d": d}) >= ours - 1e-9
    assert tried > 5000


@settings(deadline=None)
@given(shares, st.lists(st.integers(1, 5000), min_size=4, max_size=4))
def test_the_largest_budget_is_feasible_and_one_token_more_is_not(parts: list[int], caps: list[int]) -> None:
    weights = normal(parts)
    most = dict(zip(NAMES, caps, strict=True))
    mix = StageMix(weights=weights, tokens=10**9)
    budget = largest_budget(mix, most)

    def fits(tokens: int) -> bool:
        return all(count <= most[name] for name, count in demanded(mix, tokens).totals.items())

    assert budget == 0 or fits(budget)
    assert not fits(budget + 1)


@settings(max_examples=60, deadline=None)
@given(shares, st.lists(st.integers(0, 9), min_size=4, max_size=4), st.integers(100, 20_000))
def test_what_a_refusal_proposes_is_accepted(parts: list[int], have: list[int], tokens: int) -> None:
    draw = np.random.default_rng(sum(have))
    source = np.repeat(np.arange(4), np.array(have) * 20).astype(np.int32)
    data = mixture.Supply(
        draw.integers(0, 2**64, len(source), np.uint64), source, draw.integers(5, 60, len(source)), NAMES
    )
    mix = StageMix(weights=normal(parts), tokens=tokens, epochs=2)
    error = refusal(data, mix)
    if error is None:
        return
    if error.budget:
        assert refusal(data, mix.model_copy(update={"tokens": error.budget})) is None
    told = re.search(r"nearest weights are \{(.*?)\}", str(error))
    assert (told is None) == (error.weights is None)
    if told is None:
        return
    pairs = [pair.split(": ") for pair in told.group(1).split(", ")]
    again = StageMix(weights={name: float(share) for name, share in pairs}, tokens=tokens, epochs=2)
    most = sum(2 * int(data.tokens[data.rows_of(name)].sum()) for name, share in mix.weights.items() if share)
    if most > tokens + 4:  # where every token is needed, nine digits can miss by one
        assert refusal(data, again) is None


def refusal(data: mixture.Supply, mix: StageMix) -> Infeasible | None:
    try:
        mixture.choose(data, np.ones(len(data.bits), bool), "core", mix, 0)
    except Infeasible as error:
        return error
    return None


def test_a_refusal_names_the_cap_or_the_supply_that_makes_it() -> None:
    mix = StageMix(
        entries=({"name": "new", "share": 0.3}, {"name": "old", "share": 0.7}),
        tokens=1000,
        epochs={"new": 2},
    )
    offers = {"new": Offer(100, 3, 2.0), "old": Offer(0, 0, 4.0, "no document fits it")}
    with pytest.raises(Infeasible) as caught:
        check("anneal", mix, demanded(mix), offers)
    text = str(caught.value)
    assert "new should give 300 tokens (0.3 of 1,000) but has 100 × 2 epochs = 200" in text
    assert "old should give 700 tokens (0.7 of 1,000) but has 0 × 4 epochs = 0 (no document fits it)" in text
    assert "no budget is feasible" in text
    assert "all entries together give 200 under their caps" in text
    assert "raise epochs to {new: 3}" in text
    assert caught.value.weights is None
