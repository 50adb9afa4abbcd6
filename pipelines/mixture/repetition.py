"""What repeated tokens are worth: Muennighoff et al., Scaling Data-Constrained Language Models (2305.16264).

Equation 5 there: U unique tokens that are seen R more times are worth D' = U + U·R*·(1 - e^(-R / R*)) unique ones, with
R* fitted at 15.39. Four epochs (R = 3) are worth 3.73 U; no number of them is worth more than 16.39 U.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

R_STAR = 15.39
"""Repetitions after which new ones are worth little: R*_D of the paper's fit."""


def effective(taken: int, unique: int) -> float:
    """Return what `taken` tokens are worth of which `unique` are different, in tokens that are not repeated."""
    if taken <= unique:
        return float(taken)
    if unique == 0:
        return 0.0
    again = taken / unique - 1
    return unique * (1 + R_STAR * -math.expm1(-again / R_STAR))


def cost(taken: int, unique: int) -> float:
    """Return the share of `taken` tokens that repetition wastes, 0 to 1."""
    return 1 - effective(taken, unique) / taken if taken else 0.0


def worth(times: NDArray[np.float64], tokens: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return what each document's tokens are worth when it is seen so many times, in all stages together."""
    again = np.maximum(times - 1, 0)
    return tokens * (np.minimum(times, 1) + R_STAR * -np.expm1(-again / R_STAR))


def told(taken: int, unique: int, effective_tokens: int) -> dict[str, float]:
    """Return what manifests say of tokens that several stages take of one source."""
    return {
        "tokens": taken,
        "unique": unique,
        "epochs": round(taken / unique, 6) if unique else 0.0,
        "effective_tokens": effective_tokens,
        "repetition_cost": round(1 - effective_tokens / taken, 6) if taken else 0.0,
    }
