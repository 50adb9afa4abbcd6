"""Loss spikes: steps whose loss or gradient norm stands out from the steps before them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

WINDOW = 64
"""Steps before a step that say what was to be expected of it."""
LEAST = 16
"""Steps that are needed for that."""
THRESHOLD = 6.0
"""Robust standard deviations; of normal residuals one in a thousand million lies so far out."""
MAD = 1.4826
"""Median absolute deviation -> standard deviation of a normal distribution."""
FLOOR = 0.01
"""Smallest deviation taken for one, as a part of the median: a plateau must not make every step a spike."""
LEAST_LOG = 0.1
"""The same of a gradient norm's logarithm."""
GAP = 3
"""Steps between two spikes that are told as one."""

Signal = Literal["loss", "grad_norm"]
SIGNALS: tuple[Signal, ...] = ("loss", "grad_norm")


@dataclass(frozen=True)
class Spike:
    """A stretch of steps that stands out; `step` is where it is highest, `score` in robust standard deviations."""

    stage: str
    signal: Signal
    first: int
    last: int
    step: int
    value: float
    expected: float
    score: float
    skipped: bool
    """Whether the optimizer skipped a step of it (gradient norm of drop_norm or more)."""


def scores(
    values: NDArray[np.float64], window: int = WINDOW, least: float | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how far each value lies above what was expected, in robust standard deviations, and what was expected.

    A line goes through the `window` values before: their median, with the slope between the medians of its halves.
    Expected is the line's next value; where it falls, the median of the later half, since a loss falls ever more
    slowly. The deviation is 1.4826 · the median absolute deviation of those values from their line, and at least
    `least` (by default FLOOR of their median). The first LEAST values have no score (0).
    """
    found, expected = np.zeros(len(values)), values.astype(np.float64).copy()
    for at in range(LEAST, len(values)):
        before = values[max(0, at - window) : at]
        half = len(before) // 2
        early, late = float(np.median(before[:half])), float(np.median(before[half:]))
        slope = (late - early) / (len(before) - half)
        middle = float(np.median(before))
        line = middle + slope * (np.arange(len(before)) - (len(before) - 1) / 2)
        expected[at] = late if slope < 0 else line[-1] + slope
        spread = MAD * float(np.median(np.abs(before - line)))
        found[at] = (values[at] - expected[at]) / max(spread, FLOOR * abs(middle) if least is None else least, 1e-12)
    return found, expected


def spikes(
    rows: Sequence[Mapping[str, Any]], stage: str, threshold: float = THRESHOLD, window: int = WINDOW
) -> list[Spike]:
    """Return the spikes of a stage among rows of metrics.jsonl, the highest score first.

    Gradient norms are compared as logarithms. Steps that stand out and lie at most GAP apart are one spike.
    """
    steps = [row for row in rows if row["stage"] == stage and "loss" in row]
    found: list[Spike] = []
    number = np.array([int(row["step"]) for row in steps], np.int64)
    skipped = np.array([bool(row.get("skipped")) for row in steps], bool)
    for signal in SIGNALS:
        values = np.array([float(row[signal]) for row in steps], np.float64)
        logarithm = signal == "grad_norm"
        level = np.log(np.maximum(values, 1e-12)) if logarithm else values
        score, expected = scores(level, window, LEAST_LOG if logarithm else None)
        high = np.flatnonzero((score > threshold) | (skipped if logarithm else False))
        for group in _grouped(high, number):
            top = int(group[np.argmax(score[group])])
            usual = float(np.exp(expected[top]) if logarithm else expected[top])
            mine = bool(skipped[group].any())
            first, last = int(number[group[0]]), int(number[group[-1]])
            told = (int(number[top]), float(values[top]), usual, round(float(score[top]), 2), mine)
            found.append(Spike(stage, signal, first, last, *told))
    return sorted(found, key=lambda one: (-one.score, one.step))


def _grouped(at: NDArray[np.int64], number: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    if not len(at):
        return []
    return np.split(at, np.flatnonzero(np.diff(number[at]) > GAP) + 1)


def highest(rows: Sequence[Mapping[str, Any]], stage: str, count: int, window: int = WINDOW) -> list[int]:
    """Return the steps whose loss lies highest above what was expected, for a training without a spike."""
    steps = [row for row in rows if row["stage"] == stage and "loss" in row]
    score, _ = scores(np.array([float(row["loss"]) for row in steps], np.float64), window)
    order = np.argsort(-score, kind="stable")[:count]
    return sorted(int(steps[int(one)]["step"]) for one in order)
