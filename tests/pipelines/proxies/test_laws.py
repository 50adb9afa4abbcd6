"""Each law, given losses made by it, comes back with the parameters they were made with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.proxies import dcpt, forecast, mixing_law
from pipelines.proxies.dcpt import DcptLaw
from pipelines.proxies.supply import Supply

SUPPLY = Supply(("web", "code", "math"), np.array([8_000, 3_000, 1_000]), np.array([4.0, 4.0, 4.0]), 4_000)


def shares(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet([1.0, 1.0, 1.0], count)


@settings(max_examples=25, deadline=None)
@given(
    c=st.floats(0.5, 3.0),
    k=st.floats(0.1, 2.0),
    t=st.tuples(*[st.floats(-2.0, 2.0)] * 3).filter(lambda one: max(one) - min(one) > 0.5),
    seed=st.integers(0, 100),
)
def test_a_mixing_law_comes_back(c: float, k: float, t: tuple[float, float, float], seed: int) -> None:
    planted = np.array(t) - np.mean(t)
    r = shares(30, seed)
    losses = c + k * np.exp(r @ planted)
    found = mixing_law.fit(r, losses)
    assert found.c == pytest.approx(c, rel=1e-3)
    assert found.k == pytest.approx(k, rel=5e-3, abs=2e-3)
    assert found.t == pytest.approx(planted, abs=5e-3)
    new = shares(50, seed + 1)
    assert found.predict(new) == pytest.approx(c + k * np.exp(new @ planted), abs=1e-6)


def test_a_mixing_law_under_noise_predicts_within_it() -> None:
    r = shares(64)
    truth = 2.0 + 0.8 * np.exp(r @ np.array([-1.0, 0.4, 0.6]))
    found = mixing_law.fit(r, truth + np.random.default_rng(1).normal(0, 0.005, 64))
    new = shares(100, 5)
    assert np.abs(found.predict(new) - (2.0 + 0.8 * np.exp(new @ np.array([-1.0, 0.4, 0.6])))).max() < 0.01


def test_the_best_mixture_of_a_law_is_that_of_a_fine_grid_under_the_caps() -> None:
    laws = [
        mixing_law.MixingLaw(2.0, 1.0, np.array([-1.5, 0.5, 1.0]), 0.0),
        mixing_law.MixingLaw(1.0, 2.0, np.array([1.0, -2.0, 1.0]), 0.0),
    ]
    weights = [0.5, 0.5]
    tight = Supply(SUPPLY.names, SUPPLY.have, np.array([4.0, 0.4, 4.0]), SUPPLY.tokens)
    for supply in (SUPPLY, tight):
        steps = np.linspace(0, 1, 401)
        grid = np.array([(a, b, 1 - a - b) for a in steps for b in steps if a + b <= 1 + 1e-12])
        grid = grid[supply.feasible(grid)]
        losses = sum(w * law.predict(grid) for w, law in zip(weights, laws, strict=True))
        found, loss = mixing_law.propose(supply, laws, weights)
        assert supply.feasible(found)
        assert found.sum() == pytest.approx(1)
        assert loss <= losses.min() + 1e-6
        assert found == pytest.approx(grid[losses.argmin()], abs=0.01)


LAW = DcptLaw(E=1.4, A=120.0, alpha=0.32, B=40.0, eta=0.4, beta=0.25, C=0.25, epsilon=0.1, gamma=0.6)


def grid() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    sizes, tokens, parts = [5e8, 1.8e9, 4e9], [1e9, 2e9, 5e9, 1e10, 2e10], np.linspace(0.05, 1.0, 9)
    n, d, r = (one.ravel() for one in np.meshgrid(sizes, tokens, parts))
    return n, d, r


@pytest.mark.slow
def test_a_d_cpt_law_comes_back() -> None:
    n, d, r = grid()
    found = dcpt.fit(n, d, r, LAW.predict(n, d, r))
    assert found.error < 1e-7
    assert (found.alpha, found.beta, found.eta) == pytest.approx((LAW.alpha, LAW.beta, LAW.eta), rel=1e-3)
    assert (found.gamma, found.epsilon, found.C) == pytest.approx((LAW.gamma, LAW.epsilon, LAW.C), rel=0.02)
    assert pytest.approx(LAW.E, rel=0.01) == found.E
    # between and beyond what was seen
    assert found.predict(7e9, 5e10, 0.33) == pytest.approx(LAW.predict(7e9, 5e10, 0.33), rel=1e-4)


@pytest.mark.slow
def test_a_d_cpt_law_of_one_size_leaves_size_out() -> None:
    _, d, r = grid()
    n = np.full(len(d), 1e6)
    found = dcpt.fit(n, d, r, LAW.predict(1.8e9, d, r))
    assert found.A == 0.0
    assert found.predict(1e6, 3e9, 0.5) == pytest.approx(LAW.predict(1.8e9, 3e9, 0.5), rel=1e-5)


@pytest.mark.slow
def test_domains_share_a_law_but_for_their_floors_and_a_new_one_needs_a_few_losses() -> None:
    """2406.01375's cross-domain form: of F / K^μ only its sum with E can be told from losses."""
    n, d, r = grid()
    floors = (1.4, 1.9, 2.6)
    number = np.repeat(np.arange(2), len(n))
    losses = np.concatenate([replace(LAW, E=floor).predict(n, d, r) for floor in floors[:2]])
    found = dcpt.fit_across(number, np.tile(n, 2), np.tile(d, 2), np.tile(r, 2), losses)
    assert [one.E for one in found] == pytest.approx(floors[:2], rel=0.01)
    assert replace(found[0], E=0.0) == replace(found[1], E=0.0)
    few = n[:3], d[:3], r[:3]
    third = dcpt.with_floor(found[0], *few, replace(LAW, E=floors[2]).predict(*few))
    assert floors[2] == pytest.approx(third.E, rel=0.01)
    assert third.predict(7e9, 5e10, 0.33) == pytest.approx(replace(LAW, E=floors[2]).predict(7e9, 5e10, 0.33), rel=1e-3)
    assert third.error < 1e-3


def test_the_best_share_lies_where_the_general_loss_meets_its_bound() -> None:
    """The shape of 2406.01375, use 1: general loss explodes only as the domain's share nears 1."""
    general = DcptLaw(E=2.5, A=0.0, alpha=0.0, B=0.0, eta=0.0, beta=0.0, C=0.1, epsilon=0.01, gamma=0.5)
    bound = 1.03 * float(general.predict(1.8e9, 1e10, 1.0))
    found = dcpt.best_share(LAW, general, 1.8e9, 1e10, bound)
    assert found is not None
    share = (0.1 / (bound - 2.5)) ** 2 - 0.01  # C / (1 - r + ε)^γ = bound - E, solved
    assert found.share == pytest.approx(1 - share, abs=2e-5)
    assert found.general <= bound
    assert dcpt.best_share(LAW, general, 1.8e9, 1e10, 2.4) is None
    capped = dcpt.best_share(LAW, general, 1.8e9, 1e10, bound, most=0.3)
    assert capped is not None
    assert capped.share <= 0.3


@settings(max_examples=20, deadline=None)
@given(floor=st.floats(0.5, 2.5), scale=st.floats(0.5, 3.0), alpha=st.floats(0.05, 0.6))
def test_a_compute_law_comes_back(floor: float, scale: float, alpha: float) -> None:
    compute = np.geomspace(1e12, 1e15, 8)
    a = scale * compute[0] ** alpha
    found = forecast.fit(compute, floor + a * compute**-alpha)
    assert found.alpha == pytest.approx(alpha, rel=1e-2)
    assert pytest.approx(floor, rel=2e-2) == found.E
    assert found.predict(1e17) == pytest.approx(floor + a * 1e17**-alpha, rel=5e-3)


def test_a_forecast_ranks_mixtures_by_what_they_come_to() -> None:
    """One is ahead at every small scale, the other at the large one."""
    compute = np.geomspace(1e12, 1e14, 6)
    fast, slow = 2.0 + (compute / 1e12) ** -0.5, 1.5 + 1.7 * (compute / 1e12) ** -0.2
    noise = np.random.default_rng(0).normal(0, 0.002, (2, 3, 6))
    a, b = (forecast.forecast(compute, one + left, 1e18) for one, left in ((fast, noise[0]), (slow, noise[1])))
    assert (fast < slow).all()
    assert b.high < a.low
    assert b.low <= 1.5 + 1.7 * 1e6**-0.2 <= b.high


def test_too_few_points_are_refused() -> None:
    with pytest.raises(ValueError, match="4 or more"):
        forecast.fit(np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0]))
    with pytest.raises(ValueError, match="3 mixtures"):
        mixing_law.fit(shares(3), np.ones(3))


@pytest.mark.filterwarnings("error")
def test_a_law_of_sizes_too_near_to_tell_is_evaluated_far_away_without_overflow() -> None:
    law = DcptLaw(E=1.0, A=2.4e218, alpha=42.5, B=0.0, eta=0.0, beta=0.0, C=0.3, epsilon=0.02, gamma=0.4)
    near = float(law.predict(149_728.0, 24_000.0, 0.5))
    assert near == pytest.approx(1.0 + 2.4e218 / 149_728.0**42.5 + 0.3 / 0.52**0.4)
    assert float(law.predict(2.7e9, 1e10, 0.5)) == pytest.approx(1.0 + 0.3 / 0.52**0.4)
    flat = replace(law, A=0.0, alpha=0.0)
    assert float(flat.predict(1e6, 1e6, 0.5)) == pytest.approx(1.0 + 0.3 / 0.52**0.4)
