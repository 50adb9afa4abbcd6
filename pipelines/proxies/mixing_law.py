"""Data-mixing laws: the loss on a held-out set as an exponential of the mixture (Ye et al., 2403.16952, section 3).

L_i(r) = c_i + k_i · exp(Σ_j t_ij · r_j). Since the shares sum to 1, a constant added to all t_ij is a factor of k_i:
here they are the ones with Σ_j t_ij = 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from pipelines.proxies.supply import Shares, Supply

Array = NDArray[np.float64]
GRID = 40
"""Floors tried before the fit is refined."""


@dataclass(frozen=True)
class MixingLaw:
    """A fitted law of one held-out set."""

    c: float
    k: float
    t: Array
    error: float
    """Root mean square of what the fit leaves."""

    def predict(self, shares: Array) -> Array:
        """Return the loss of each mixture."""
        return self.c + self.k * np.exp(np.asarray(shares) @ self.t)


def fit(shares: Array, losses: Array) -> MixingLaw:
    """Fit by least squares with a Huber loss beyond three times the noise.

    For a given floor c the rest is linear in log(L - c): a grid of floors gives the starts, and all parameters are
    refined together from the three best.

    Raises:
        ValueError: fewer mixtures than parameters.
    """
    from scipy.optimize import least_squares

    n, sources = shares.shape
    if n < sources + 2:
        raise ValueError(f"{n} mixtures cannot fit {sources + 1} parameters and leave anything over")
    low, spread = float(losses.min()), float(np.ptp(losses)) or 1e-12
    starts: list[tuple[float, Array]] = []
    # The direction of the exponential is open: the loss may also fall towards a floor far below what was seen.
    for gap in spread * np.geomspace(1e-3, 1e3, GRID):
        floor = low - float(gap)
        solved = np.linalg.lstsq(shares, np.log(losses - floor), rcond=None)[0]
        residual = floor + np.exp(shares @ solved) - losses
        starts.append((float(residual @ residual), np.concatenate([[np.log(gap)], solved])))
    starts.sort(key=lambda one: one[0])

    def residuals(p: Array) -> Array:
        return low - np.exp(p[0]) + np.exp(np.minimum(shares @ p[1:], 700.0)) - losses

    def jacobian(p: Array) -> Array:
        grown = np.exp(np.minimum(shares @ p[1:], 700.0))
        return np.concatenate([np.full((n, 1), -np.exp(p[0])), grown[:, None] * shares], axis=1)

    scale = max(3 * np.sqrt(starts[0][0] / n), 1e-9)
    tried = [
        least_squares(
            residuals,
            start,
            cast(Any, jacobian),
            loss="huber",
            f_scale=scale,
            xtol=1e-15,
            ftol=1e-15,
            gtol=1e-15,
            max_nfev=2000,
        )
        for _, start in starts[:3]
    ]
    best = min(tried, key=lambda one: float(one.cost)).x
    mean = float(best[1:].mean())
    left = residuals(best)
    return MixingLaw(
        low - float(np.exp(best[0])), float(np.exp(mean)), best[1:] - mean, float(np.sqrt((left @ left) / n))
    )


def propose(supply: Supply, laws: Sequence[MixingLaw], importance: Sequence[float]) -> tuple[Shares, float]:
    """Return the mixture with the least weighted loss under the epoch caps, and that loss.

    A sum of exponentials of linear functions is convex, so the minimum found is the minimum.
    """
    from scipy.optimize import minimize

    def loss(r: Array) -> float:
        return float(sum(w * law.predict(r) for w, law in zip(importance, laws, strict=True)))

    def slope(r: Array) -> Array:
        parts = [w * law.k * np.exp(r @ law.t) * law.t for w, law in zip(importance, laws, strict=True)]
        return np.sum(parts, axis=0)

    start = np.minimum(supply.natural, supply.most)
    room = supply.most - start
    if room.sum() > 0:
        start = start + room * (1 - start.sum()) / room.sum()
    found = minimize(
        loss,
        start,
        jac=slope,
        method="SLSQP",
        bounds=[(0.0, float(most)) for most in supply.most],
        constraints=[{"type": "eq", "fun": lambda r: r.sum() - 1, "jac": np.ones_like}],
        options={"maxiter": 1000, "ftol": 1e-12},
    )
    best = np.clip(found.x, 0.0, supply.most)
    return best / best.sum(), loss(best)
