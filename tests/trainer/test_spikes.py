"""Steps that stand out are found, those that do not are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.spikes import THRESHOLD, highest, scores, spikes


def training(seed: int = 0, steps: int = 600, noise: float = 0.05) -> list[dict[str, Any]]:
    """A loss that falls as one does, with noise; a gradient norm around one."""
    chance = np.random.default_rng(seed)
    at = np.arange(1, steps + 1)
    loss = 3 + 5 * np.exp(-at / 60) + chance.normal(0, noise, steps)
    norm = np.exp(chance.normal(0, 0.2, steps))
    return [
        {
            "stage": "core",
            "step": int(step),
            "loss": float(loss[step - 1]),
            "grad_norm": float(norm[step - 1]),
            "skipped": False,
        }
        for step in at
    ]


@pytest.mark.parametrize("seed", range(8))
def test_a_training_without_a_spike_has_none(seed: int) -> None:
    assert spikes(training(seed), "core") == []


@pytest.mark.parametrize("step", [40, 150, 599])
def test_a_spike_in_the_loss_is_found(step: int) -> None:
    rows = training()
    for later, height in ((0, 1.2), (1, 0.8)):
        if step - 1 + later < len(rows):
            rows[step - 1 + later]["loss"] += height
    (found,) = spikes(rows, "core")
    assert (found.signal, found.step, found.first) == ("loss", step, step)
    assert found.score > THRESHOLD
    assert found.expected == pytest.approx(rows[step - 1]["loss"] - 1.2, abs=0.8)


def test_a_spike_in_the_gradient_and_a_skipped_step_are_found() -> None:
    rows = training()
    rows[299]["grad_norm"] *= 30
    rows[399]["skipped"] = True
    found = spikes(rows, "core")
    assert [(one.signal, one.step, one.skipped) for one in found] == [
        ("grad_norm", 300, False),
        ("grad_norm", 400, True),
    ]


def test_other_stages_and_held_out_rows_are_left_alone() -> None:
    rows = training()
    rows[299]["loss"] += 3
    mixed = [
        {"stage": "core", "step": 0, "heldout_loss": 9.0},
        *rows,
        {"stage": "late", "step": 1, "loss": 99.0, "grad_norm": 1.0},
    ]
    assert [one.step for one in spikes(mixed, "core")] == [300]
    assert spikes(mixed, "late") == []
    assert 300 in highest(mixed, "core", 3)


@given(st.lists(st.floats(0.1, 10, allow_nan=False), min_size=0, max_size=120), st.floats(0.5, 4))
def test_scores_do_not_depend_on_the_unit(values: list[float], factor: float) -> None:
    one, _ = scores(np.array(values))
    other, _ = scores(np.array(values) * factor)
    assert np.allclose(one, other, rtol=1e-6, atol=1e-6)
    assert (one[:16] == 0).all()


@given(st.integers(17, 100), st.floats(0.1, 9))
def test_a_plateau_has_no_spike(steps: int, level: float) -> None:
    found, _ = scores(np.full(steps, level))
    assert (found == 0).all()
