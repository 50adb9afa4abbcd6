"""Partial epochs end where the share is met best; phases have their shares and come in order."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import mixture
from pipelines.mixture.choice import filling
from pipelines.mixture.repetition import R_STAR, cost, effective
from pipelines.recipe import StageMix


def supply(documents: int = 2000, seed: int = 0, middle: float = 5) -> mixture.Supply:
    draw = np.random.default_rng(seed)
    return mixture.Supply(
        draw.integers(0, 2**64, documents, np.uint64),
        draw.integers(0, 2, documents).astype(np.int32),
        draw.lognormal(middle, 1, documents).astype(np.int64) + 1,
        ("code", "web"),
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 3000), min_size=1, max_size=12), st.integers(0, 20_000))
def test_among_few_documents_the_best_set_of_all_is_taken(sizes: list[int], wanted: int) -> None:
    tokens = np.array(sizes, np.int64)
    places = filling(tokens, wanted)
    best = max(
        sum(sizes[at] for at in chosen)
        for count in range(len(sizes) + 1)
        for chosen in itertools.combinations(range(len(sizes)), count)
        if sum(sizes[at] for at in chosen) <= wanted
    )
    assert int(tokens[places].sum()) == best
    assert len(set(places.tolist())) == len(places)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 9), st.floats(0.1, 3.5), st.floats(4, 9))
def test_documents_longer_than_a_sequence_do_not_keep_a_share_from_being_met(
    seed: int, epochs: float, middle: float
) -> None:
    """Books of 3,000 tokens and more: the share is still met to a few tokens, far within a sequence of 256."""
    data = supply(300, seed, middle)
    have = [int(data.tokens[data.rows_of(name)].sum()) for name in data.names]
    tokens = int(2 * min(have) * epochs)
    mix = StageMix(weights={"code": 0.5, "web": 0.5}, tokens=tokens)
    chosen = mixture.choose(data, np.ones(300, bool), "core", mix, seed)
    for name, own in zip(data.names, have, strict=True):
        # An epoch that all but ends, or has barely begun, is met only as nearly as the shortest documents are long.
        part = chosen.tokens[name] / own % 1
        assert 0 <= chosen.short[name] <= (64 if 0.1 < part < 0.9 else int(np.percentile(data.tokens, 10)))
    used = chosen.repeats
    for name in data.names:
        own = used[data.rows_of(name)]
        assert own.max() - own.min() <= 1


def linear(tokens: int, pieces: int = 5) -> StageMix:
    points = ({"at": 0, "weights": {"code": 0.9, "web": 0.1}}, {"at": 1, "weights": {"code": 0.1, "web": 0.9}})
    return StageMix.model_validate(
        {"schedule": {"points": points, "interpolate": "linear", "pieces": pieces}, "tokens": tokens, "epochs": 50}
    )


def test_each_phase_has_its_own_shares_and_the_stage_their_mean() -> None:
    data = supply(4000)
    everything = np.ones(4000, bool)
    mix = linear(900_000)
    chosen = mixture.choose(data, everything, "core", mix, 1)
    assert mix.shares() == pytest.approx({"code": 0.5, "web": 0.5})
    assert [phase.weights["code"] for phase in chosen.phases] == pytest.approx([0.82, 0.66, 0.5, 0.34, 0.18])
    for phase in chosen.phases:
        assert phase.tokens == pytest.approx(180_000, abs=4)
        for name, wish in phase.weights.items():
            assert phase.taken[name] == pytest.approx(wish * 180_000, abs=4)
    assert (sum(phase.repeats for phase in chosen.phases) == chosen.repeats).all()
    assert sum(phase.tokens for phase in chosen.phases) == sum(chosen.tokens.values())
    # Whole epochs over the stage, whatever the phases: no document is behind another by more than one.
    for name in data.names:
        own = chosen.repeats[data.rows_of(name)]
        assert own.max() - own.min() <= 1


def test_phases_lie_one_after_the_other_in_the_stored_order() -> None:
    data = supply(4000)
    chosen = mixture.choose(data, np.ones(4000, bool), "core", linear(900_000), 1)
    order = mixture.phased_order(data, chosen, "core", 1)[:, 0]
    ends = np.cumsum(data.tokens[order])
    start = 0
    for phase in chosen.phases:
        stop = int(np.searchsorted(ends, (ends[start - 1] if start else 0) + phase.tokens)) + 1
        assert (np.bincount(order[start:stop], minlength=4000) == phase.repeats).all()
        start = stop
    assert start == len(order)


def test_constant_shares_are_one_phase_and_the_order_of_before() -> None:
    data = supply()
    mix = StageMix(weights={"code": 0.5, "web": 0.5}, tokens=100_000)
    chosen = mixture.choose(data, np.ones(2000, bool), "core", mix, 1)
    assert len(chosen.phases) == 1
    laid = mixture.phased_order(data, chosen, "core", 1)
    assert laid[:, 0].tolist() == mixture.order(data, chosen.repeats, "core", 1).tolist()


def test_a_document_counts_for_the_entry_of_its_label_only() -> None:
    data = supply()
    labels = (np.arange(2000) % 3 - 1).astype(np.int16)
    entries = ({"name": "one", "share": 0.4}, {"name": "two", "share": 0.6})
    mix = StageMix.model_validate({"entries": entries, "tokens": 50_000})
    chosen = mixture.choose(data, np.ones(2000, bool), "core", mix, 1, labels)
    taken = chosen.repeats * data.tokens
    assert not taken[labels == -1].any()
    assert chosen.tokens == {"one": int(taken[labels == 0].sum()), "two": int(taken[labels == 1].sum())}
    assert sum(chosen.sources.values()) == sum(chosen.tokens.values())
    assert chosen.supply["one"]["documents"] == int((labels == 0).sum())


def test_repetition_is_worth_what_the_paper_says() -> None:
    """2305.16264: four epochs are worth nearly as much as new tokens; no number of them more than 1 + R* times."""
    assert effective(50, 100) == 50
    assert effective(400, 100) == pytest.approx(373, abs=1)
    assert effective(10**9, 100) == pytest.approx(100 * (1 + R_STAR))
    again = 3
    exact = 100 * (1 + Fraction(R_STAR) * (1 - Fraction(np.exp(-again / R_STAR))))
    assert effective(400, 100) == pytest.approx(float(exact))
    assert cost(400, 100) == pytest.approx(1 - 372.57 / 400, abs=1e-4)
    assert cost(0, 0) == cost(70, 100) == 0


@settings(deadline=None)
@given(st.integers(1, 10**6), st.integers(0, 10**7), st.integers(0, 10**6))
def test_more_tokens_are_never_worth_less_nor_more_than_themselves(unique: int, taken: int, more: int) -> None:
    assert effective(taken, unique) <= taken * (1 + 1e-12)
    assert effective(taken + more, unique) >= effective(taken, unique) * (1 - 1e-12)
