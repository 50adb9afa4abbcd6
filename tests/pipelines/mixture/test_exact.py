"""Every share within one packed sequence, whatever the documents' lengths; or the numbers that clash."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import mixture
from pipelines.mixture.feasible import demanded
from pipelines.recipe import StageMix

NAMES = ("a", "b", "c")


@st.composite
def supplies(draw: st.DrawFn) -> mixture.Supply:
    """A few documents, or none, of each source; some a thousand times as long as others."""
    sizes = [draw(st.lists(st.integers(1, 5000) | st.integers(5_000, 2_000_000), max_size=30)) for _ in NAMES]
    source = np.repeat(np.arange(len(NAMES)), [len(one) for one in sizes]).astype(np.int32)
    bits = np.random.default_rng(draw(st.integers(0, 9))).permutation(len(source)).astype(np.uint64) * np.uint64(2**40)
    return mixture.Supply(bits, source, np.array([size for one in sizes for size in one], np.int64), NAMES)


@st.composite
def shares(draw: st.DrawFn) -> dict[str, float]:
    parts = draw(st.lists(st.integers(0, 50), min_size=len(NAMES), max_size=len(NAMES)).filter(any))
    return {name: part / sum(parts) for name, part in zip(NAMES, parts, strict=True)}


@st.composite
def stages(draw: st.DrawFn, supply: mixture.Supply) -> StageMix:
    """A stage of one phase or several, whose budget is between next to nothing and more than there is."""
    given: dict[str, Any] = {
        "tokens": max(1, int(int(supply.tokens.sum()) * draw(st.floats(0.0001, 3)))),
        "epochs": draw(st.sampled_from([0.7, 1, 2.5, 9])),
    }
    if draw(st.booleans()):
        given["weights"] = draw(shares())
    else:
        points = [{"at": at, "weights": draw(shares())} for at in (0, 0.3, 0.9)]
        given["schedule"] = {"points": points}
    return StageMix.model_validate(given)


@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from([1, 7, 128, 4096]), st.integers(0, 3))
def test_every_share_of_every_phase_is_within_one_packed_sequence(data: st.DataObject, within: int, seed: int) -> None:
    supply = data.draw(supplies())
    mix = data.draw(stages(supply))
    everything = np.ones(len(supply.bits), bool)
    wanted = demanded(mix)
    most = {name: int(int(supply.tokens[supply.rows_of(name)].sum()) * mix.cap(name)) for name in NAMES}
    try:
        chosen = mixture.choose(supply, everything, "core", mix, seed, within=within)
    except mixture.Infeasible:
        assert any(count > most[name] for name, count in wanted.totals.items())
        return
    for name, count in wanted.totals.items():
        assert 0 <= count - chosen.tokens[name] <= within
        assert chosen.tokens[name] <= most[name]
        assert chosen.short[name] == count - chosen.tokens[name]
    for phase, asked in zip(chosen.phases, wanted.phases, strict=True):
        for name, count in asked.items():
            assert abs(count - phase.taken[name]) <= within
    # Nothing twice before all others once, and no token of a document is left behind in an epoch.
    times = chosen.weights(supply)
    for name in NAMES:
        own = times[supply.rows_of(name)]
        if len(own):
            assert np.ceil(own.max()) - np.floor(own.min()) <= 1
            assert np.count_nonzero(own % 1 > 1e-12) <= 1
    order = mixture.phased_order(supply, chosen, "core", seed)
    assert int(order[:, 2].sum()) == sum(chosen.tokens.values())
    laid = np.bincount(order[:, 0], order[:, 2], len(supply.bits)) if len(order) else np.zeros(len(supply.bits))
    assert np.rint(times * supply.tokens).tolist() == laid.tolist()
    assert (order[:, 2] >= 1).all()
    assert (order[:, 1] + order[:, 2] <= supply.tokens[order[:, 0]]).all()


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_what_whole_documents_cannot_give_is_refused_with_a_choice_that_is_accepted(data: st.DataObject) -> None:
    supply = data.draw(supplies())
    mix = StageMix.model_validate(
        {
            "weights": data.draw(shares()),
            "tokens": max(1, int(int(supply.tokens.sum()) * data.draw(st.floats(0.0001, 2)))),
            "epochs": 4,
            "cut": False,
        }
    )
    everything = np.ones(len(supply.bits), bool)
    chosen, refused = None, None
    try:
        chosen = mixture.choose(supply, everything, "core", mix, 0, within=64)
    except mixture.Infeasible as error:
        refused = error
    if refused is not None and "whole documents come to" in str(refused):
        assert (refused.weights is None) == (refused.budget == 0)
        if refused.weights is not None:
            again = mix.with_shares(refused.weights).model_copy(update={"tokens": refused.budget})
            chosen = mixture.choose(supply, everything, "core", again, 0, within=64)
    if chosen is not None:
        assert not len(chosen.cuts)
        assert all(short <= 64 for short in chosen.short.values())


def test_a_refusal_names_the_documents_that_clash_with_the_sequence() -> None:
    supply = mixture.Supply(
        np.arange(4, dtype=np.uint64), np.array([0, 0, 1, 1], np.int32), np.array([40_000, 120_000, 900, 100]), NAMES
    )
    mix = StageMix.model_validate({"weights": {"a": 0.99, "b": 0.01}, "tokens": 100_000, "cut": False})
    with pytest.raises(mixture.Infeasible) as caught:
        mixture.choose(supply, np.ones(4, bool), "core", mix, 0, within=4096)
    text = str(caught.value)
    assert "a should give 99,000 tokens (0.99 of 100,000), and whole documents come to 40,000: 59,000 short" in text
    assert "where a packed sequence has 4,096; its 2 documents have 40,000 to 120,000 tokens" in text
    assert "Leave out stages.core.cut, and the head of one document more is taken" in text
    assert "b should give" not in text
    cut = mixture.choose(supply, np.ones(4, bool), "core", mix.model_copy(update={"cut": True}), 0, within=4096)
    assert cut.short == {"a": 0, "b": 0}
    assert cut.cuts[:, 1:].tolist() == [[0, 59_000]]


def test_a_document_that_a_phase_cuts_goes_on_in_the_next() -> None:
    """One long document, two phases: its head is in the first, its rest in the second, and no token is lost."""
    supply = mixture.Supply(np.arange(2, dtype=np.uint64), np.array([0, 1], np.int32), np.array([1000, 1000]), NAMES)
    points = [{"at": 0, "weights": {"a": 0.75, "b": 0.25}}, {"at": 0.5, "weights": {"a": 0.25, "b": 0.75}}]
    mix = StageMix.model_validate({"schedule": {"points": points}, "tokens": 2000, "epochs": 1})
    chosen = mixture.choose(supply, np.ones(2, bool), "core", mix, 0, within=10)
    assert [phase.taken for phase in chosen.phases] == [{"a": 750, "b": 250}, {"a": 250, "b": 750}]
    assert chosen.weights(supply).tolist() == [1.0, 1.0]
    first, second = (sorted(map(tuple, phase.cuts.tolist())) for phase in chosen.phases)
    assert first == [(0, 0, 750), (1, 0, 250)]
    assert second == [(0, 750, 250), (1, 250, 750)]
