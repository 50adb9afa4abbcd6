"""Laws that are sums of powers: Huber loss on logarithms, L-BFGS from many starts (Hoffmann et al., 2203.15556).

A law is a sum of terms exp(θ_k + Σ exponents · log variables), so its logarithm is a log-sum-exp, which is smooth and
never overflows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
DELTA = 1e-3
"""Of the Huber loss on log L (2203.15556, appendix D.3)."""


@dataclass(frozen=True)
class Fitted:
    """Parameters of the best start, and the root mean square error of log L."""

    parameters: Array
    error: float


def fit(
    terms: Callable[[Array], tuple[Array, Array]],
    losses: Array,
    starts: Sequence[Array],
    *,
    delta: float = DELTA,
    polish: int = 5,
    iterations: int = 2000,
) -> Fitted:
    """Fit parameters θ so that log Σ_k exp(term_k) agrees with the logarithm of the losses.

    Args:
        terms: of θ, the logarithms of the terms [terms, points] and their derivatives [terms, points, parameters].
        losses: observed, [points].
        starts: initial θ.
        delta: where the Huber loss turns linear.
        polish: so many of the best are refined by Gauss-Newton steps (L-BFGS stops short in flat valleys).
        iterations: of L-BFGS, at most, from each start.

    Raises:
        ValueError: fewer points than parameters.
    """
    from scipy.optimize import least_squares, minimize

    if len(losses) < len(starts[0]):
        raise ValueError(f"{len(losses)} losses cannot fit {len(starts[0])} parameters")
    target = np.log(losses)

    def predicted(p: Array) -> tuple[Array, Array]:
        logs, slopes = terms(p)
        top = logs.max(axis=0)
        parts = np.exp(logs - top)
        total = parts.sum(axis=0)
        return top + np.log(total), np.einsum("kn,knp->np", parts / total, slopes)

    def objective(p: Array) -> tuple[float, Array]:
        value, slope = predicted(p)
        left = value - target
        size = np.abs(left)
        cost = np.where(size <= delta, 0.5 * left**2, delta * (size - 0.5 * delta))
        return float(cost.sum()) / delta**2, (np.clip(left, -delta, delta) @ slope) / delta**2

    with np.errstate(over="ignore", invalid="ignore"):
        tried = [
            minimize(
                objective,
                start,
                jac=True,
                method="L-BFGS-B",
                options={"maxiter": iterations, "ftol": 1e-15, "gtol": 1e-10},
            )
            for start in starts
        ]
        tried = sorted((one for one in tried if np.isfinite(one.fun)), key=lambda one: float(one.fun))
        best = tried[0].x
        cost = float(tried[0].fun)
        for one in tried[:polish]:
            refined = least_squares(
                lambda p: predicted(p)[0] - target, one.x, cast(Any, lambda p: predicted(p)[1]), loss="huber",
                f_scale=delta, xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=iterations,
            )  # fmt: skip
            found = objective(refined.x)[0]
            if found < cost:
                best, cost = refined.x, found
    left = predicted(best)[0] - target
    return Fitted(best, float(np.sqrt((left @ left) / len(left))))
