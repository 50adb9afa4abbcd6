"""What repeated tokens are worth: Muennighoff et al., Scaling Data-Constrained Language Models (2305.16264).

Equation 5 there: U unique tokens that are seen R more times are worth D' = U + U·R*·(1 - e^(-R / R*)) unique ones, with
R* fitted at 15.39. Four epochs (R = 3) are worth 3.73 U; no number of them is worth more than 16.39 U.
"""

from __future__ import annotations

import math

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
