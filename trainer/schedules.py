"""Learning-rate schedules as pure functions of the step."""

from __future__ import annotations

import math


def warmup_cosine(step: int, *, steps: int, warmup_steps: int, decay_to: float) -> float:
    """Factor on the peak learning rate (and on weight decay) at a step: linear warm-up, then half a cosine.

    `step` counts from 1 and ends at `steps`, as axlearn's optimizers count (`schedule_step` is incremented before use).
    Step t of a warm-up of W gets t/W, so the peak is reached at step W and the first step is never zero; step `steps`
    gets exactly `decay_to`. Between, with p = (t - W)/(steps - W): decay_to + (1 - decay_to)·(1 + cos(pi·p))/2.

    Source: AFM report (2407.21075) sec 3.2 (linear warm-up, cosine to 0.005 of peak in core, to 0.001 in continued);
    axlearn `common/schedule.py: cosine_with_linear_warmup`.

    Raises:
        ValueError: the step lies outside 1..steps, the warm-up is longer than the stage, or decay_to is outside 0..1.
    """
    if not 1 <= step <= steps:
        raise ValueError(f"step {step} lies outside the schedule 1..{steps}")
    if not 0 <= warmup_steps <= steps:
        raise ValueError(f"warmup_steps {warmup_steps} lies outside 0..{steps} (the steps of the stage)")
    if not 0.0 <= decay_to <= 1.0:
        raise ValueError(f"decay_to {decay_to} lies outside 0..1 (it is a fraction of the peak learning rate)")
    if step <= warmup_steps:
        return step / warmup_steps
    progress = (step - warmup_steps) / (steps - warmup_steps)
    return decay_to + (1.0 - decay_to) * 0.5 * (1.0 + math.cos(math.pi * progress))
