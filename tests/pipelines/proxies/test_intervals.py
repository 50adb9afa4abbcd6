"""Intervals cover what they should, and a verdict is only given where both agree."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.proxies.compare import sentence
from pipelines.proxies.intervals import bits_per_byte, bootstrap, compare, t_interval

SIZES = np.full(200, 100)


def arms(effect: float, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    hard = random.gamma(9.0, 10.0, 200)  # documents differ far more than arms do
    a = hard + random.normal(0, noise, (3, 1)) + random.normal(0, 1.0, (3, 200))
    return a, a + effect + random.normal(0, 1.0, (3, 200)) + random.normal(0, noise / 10, (3, 1))


def test_bits_a_byte() -> None:
    nats = np.array([[np.log(2) * 300, 0.0]])
    assert bits_per_byte(nats, np.array([100, 50])) == pytest.approx([2.0])


def test_a_t_interval_is_that_of_a_table() -> None:
    """t(2) at 97.5 % is 4.303: three seeds pay for being three."""
    found = t_interval(np.array([1.0, 2.0, 3.0]))
    assert (found.mean, found.low, found.high) == pytest.approx((2.0, 2 - 4.303 / 3**0.5, 2 + 4.303 / 3**0.5), abs=1e-3)
    with pytest.raises(ValueError, match="two or more"):
        t_interval(np.array([1.0]))


@pytest.mark.parametrize(("effect", "verdict"), [(-3.0, "helps"), (3.0, "hurts"), (0.0, "not shown")])
def test_an_effect_is_told_from_none(effect: float, verdict: str) -> None:
    a, b = arms(effect, 0.5, 1)
    found = compare("set", a, b, SIZES)
    assert found.verdict == verdict
    assert found.over_seeds.mean == pytest.approx(effect / 100 / np.log(2), abs=0.005)


def test_pairing_is_by_seed() -> None:
    """Seeds that differ far more than the arms do not hide the effect; arms in another order of seeds do."""
    a, b = arms(-1.0, 20.0)
    assert compare("set", a, b, SIZES).over_seeds.sure == -1
    assert compare("set", a, b[[1, 2, 0]], SIZES).over_seeds.sure == 0


def test_one_document_is_not_evidence() -> None:
    """All of the gain is one text's: seeds agree on it, other documents would not."""
    a, b = arms(0.0, 0.1, 3)
    b[:, 0] -= 2000.0
    found = compare("set", a, b, SIZES)
    assert found.over_seeds.sure == -1
    assert found.over_documents.sure == 0
    assert found.verdict == "not shown"


def test_arms_that_do_not_pair_are_refused() -> None:
    a, b = arms(0.0, 0.1)
    with pytest.raises(ValueError, match="do not pair"):
        compare("set", a[:2], b, SIZES)


@pytest.mark.slow
def test_intervals_cover_at_their_level() -> None:
    """A true mean of 0 lies inside in about 95 of 100: both ways of making intervals."""
    random = np.random.default_rng(0)
    t_inside = boot_inside = 0
    for _ in range(200):
        values = random.normal(0, 1, 5)
        found = t_interval(values)
        t_inside += found.low <= 0 <= found.high
        documents = random.normal(0, 1, 100)
        drawn = bootstrap(documents, np.ones(100), int(random.integers(1 << 30)))
        boot_inside += drawn.low <= 0 <= drawn.high
    assert 178 <= t_inside <= 200
    assert 176 <= boot_inside <= 199


@settings(max_examples=20, deadline=None)
@given(scale=st.integers(1, 50))
def test_larger_documents_count_as_their_length(scale: int) -> None:
    values, weights = np.array([1.0, 0.0]), np.array([1.0, float(scale)])
    assert bootstrap(values, weights).mean == pytest.approx(1 / (1 + scale))


@pytest.mark.parametrize("documents", [1, 5, 6])
def test_few_documents_show_nothing_however_sure_the_seeds_are(documents: int) -> None:
    a = np.full((3, documents), 90.0) + np.arange(3)[:, None]
    found = compare("x", a, a - 9.0 - np.linspace(0, 1, documents), np.full(documents, 50))
    assert found.over_seeds.sure == found.over_documents.sure == -1
    assert found.verdict == ("helps" if documents >= 6 else "not shown")
    assert ("6 documents are the least to judge by" in sentence(found)) == (documents < 6)
