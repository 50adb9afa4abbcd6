from __future__ import annotations

import numpy as np
import pytest

from trainer.schedules import warmup_cosine


@pytest.mark.parametrize(
    ("steps", "warmup", "decay_to"), [(375_500, 5_000, 0.005), (59_605, 1_000, 0.001), (40, 0, 0.1)]
)
def test_agrees_with_the_formula_in_float64(steps: int, warmup: int, decay_to: float) -> None:
    at = np.unique(np.linspace(1, steps, 5_000).astype(np.int64))
    t = at.astype(np.float64)
    progress = np.clip((t - warmup) / (steps - warmup), 0.0, 1.0)
    cosine = decay_to + (1 - decay_to) * (1 + np.cos(np.pi * progress)) / 2
    expected = np.where(t <= warmup, t / max(warmup, 1), cosine)
    found = [warmup_cosine(int(s), steps=steps, warmup_steps=warmup, decay_to=decay_to) for s in at]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-15)


def test_ends_of_the_afm_core_stage() -> None:
    def factor(step: int) -> float:
        return warmup_cosine(step, steps=375_500, warmup_steps=5_000, decay_to=0.005)

    assert factor(1) == 1 / 5_000
    assert factor(5_000) == 1.0
    assert factor(375_500) == 0.005
    assert factor((5_000 + 375_500) // 2) == pytest.approx((1 + 0.005) / 2)


@pytest.mark.parametrize(
    ("step", "warmup", "decay_to"), [(0, 1, 0.1), (11, 1, 0.1), (1, 11, 0.1), (1, -1, 0.1), (1, 1, 1.1), (1, 1, -0.1)]
)
def test_refuses_values_outside_the_schedule(step: int, warmup: int, decay_to: float) -> None:
    with pytest.raises(ValueError, match="outside"):
        warmup_cosine(step, steps=10, warmup_steps=warmup, decay_to=decay_to)
