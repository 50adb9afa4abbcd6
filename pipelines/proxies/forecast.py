"""A scaling law of each mixture, and what it says at a larger scale (Llama 3, 2407.21783, section 3.1.2).

Small models are trained on each candidate at several amounts of compute, a power law is fitted to their losses, and the
candidates are ranked by its forecast at the compute of the model to be trained.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.proxies import power_law
from pipelines.proxies.intervals import LEVEL, Interval

Array = NDArray[np.float64]
RESAMPLES = 200


@dataclass(frozen=True)
class ComputeLaw:
    """L(C) = E + A / C^α; the report prints no form, so this is Chinchilla's in compute alone."""

    E: float
    A: float
    alpha: float
    error: float

    def predict(self, compute: Array | float) -> Array:
        """Return the loss at a compute, in the unit that was fitted."""
        return self.E + self.A * np.asarray(compute, np.float64) ** -self.alpha


def flops(parameters: float, tokens: float) -> float:
    """Return the compute of a training in FLOPs, about 6 · N · D."""
    return 6.0 * parameters * tokens


def fit(compute: Array, losses: Array, near: ComputeLaw | None = None) -> ComputeLaw:
    """Fit the law to losses at amounts of compute, all [points]; from many starts, or from a law that is `near`.

    Raises:
        ValueError: fewer than four amounts: three parameters would fit anything.
    """
    if len(np.unique(compute)) < 4:
        raise ValueError(
            f"{len(np.unique(compute))} amounts of compute cannot fit a law of 3 parameters; give 4 or more"
        )
    centre = float(np.log(compute).mean())
    c = np.log(compute) - centre

    def terms(p: Array) -> tuple[Array, Array]:
        alpha = np.exp(p[2])
        logs = np.stack([np.full(len(c), p[0]), p[1] - alpha * c])
        slopes = np.zeros((2, len(c), 3))
        slopes[0, :, 0] = slopes[1, :, 1] = 1.0
        slopes[1, :, 2] = -alpha * c
        return logs, slopes

    low = float(losses.min())
    starts = [
        np.log([low * part, low * (1 - part) + float(np.ptp(losses)), alpha])
        for part in (0.1, 0.5, 0.8, 0.95)
        for alpha in (0.05, 0.2, 0.5)
    ]
    if near is not None:
        given = [near.E, near.A * np.exp(-near.alpha * centre), near.alpha]
        starts = [np.log(np.maximum(given, 1e-12))]
    found = power_law.fit(terms, losses, starts, polish=2, iterations=300)
    e, a, log_alpha = found.parameters
    alpha = float(np.exp(log_alpha))
    return ComputeLaw(float(np.exp(e)), float(np.exp(a + alpha * centre)), alpha, found.error)


def forecast(compute: Array, losses: Array, at: float, seed: int = 0) -> Interval:
    """Return the forecast at a compute with a bootstrap interval over seeds: losses [seeds, points]."""
    random = np.random.default_rng(seed)
    seeds = len(losses)
    law = fit(compute, losses.mean(axis=0))
    known: dict[tuple[int, ...], float] = {}  # few seeds can be drawn in few ways, and a fit takes its time

    def fitted(chosen: tuple[int, ...]) -> float:
        if chosen not in known:
            known[chosen] = float(fit(compute, losses[list(chosen)].mean(axis=0), law).predict(at))
        return known[chosen]

    centre = float(law.predict(at))
    drawn = [fitted(tuple(sorted(random.integers(0, seeds, seeds).tolist()))) for _ in range(RESAMPLES)]
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(centre, float(low), float(high))
