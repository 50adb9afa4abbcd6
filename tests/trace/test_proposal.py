"""A bound lies where it tells the two sides apart, and costs no more than it may."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipelines.trace.proposal import Proposal, fails, separate

NUMBERS = st.lists(st.floats(-1e6, 1e6, allow_nan=False, allow_subnormal=False), min_size=1, max_size=40)


@given(NUMBERS, st.lists(st.floats(-1e6, 1e6, allow_nan=False, allow_subnormal=False), min_size=10, max_size=200))
def test_a_bound_does_what_it_says(suspects: list[float], others: list[float]) -> None:
    bad, good = np.array(suspects), np.array(others)
    found = separate("a.b", bad, good, 0.05)
    if found is None:
        return
    low, high = (found.bound, None) if found.side == "min" else (None, found.bound)
    assert fails(bad, low, high).mean() == pytest.approx(found.caught)
    assert fails(good, low, high).mean() == pytest.approx(found.clean)
    assert found.clean <= 0.05
    assert found.caught > 0


def test_the_bound_is_short_and_in_the_gap() -> None:
    good = np.linspace(3, 8, 1000)
    found = separate("a.b", np.array([60.1, 75.0, 80.0]), good, 0.01)
    assert found is not None
    assert (found.side, found.bound, found.caught, found.clean, found.auc) == ("max", 30.0, 1.0, 0.0, 1.0)
    assert found.percentile == 100
    lower = separate("a.b", np.array([0.2, 0.31]), good, 0.01)
    assert lower is not None
    assert (lower.side, lower.bound) == ("min", 2.0)


def test_nothing_separates_equals() -> None:
    same = np.ones(100)
    assert separate("a.b", same[:5], same, 0.01) is None
    assert separate("a.b", np.full(3, np.nan), same, 0.01) is None


@pytest.mark.parametrize("bound", [1e-05, 30.0, 2.5e-07, 1e22, -3.0])
def test_a_proposed_line_is_yaml(bound: float) -> None:
    told = Proposal("spike-a-b", "a.b", None, bound, 1, 1, 1, 0, 0.0, {})
    assert yaml.safe_load(told.yaml) == [{"name": "spike-a-b", "signal": "a.b", "max": bound}]
