"""Which signal tells suspicious documents from the others best, and the rule that follows from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.trace.signals import Numbers, Sides

MOST = 3
"""Rules proposed together; each is for the suspects that those before it leave."""
FEWEST = 2
"""Suspects from which on a rule is proposed: one document is an anecdote."""


@dataclass(frozen=True)
class Separation:
    """How a signal tells suspects from others.

    `side` is the bound that drops the suspects, `bound` its value; `caught` of the suspects lie beyond it, and `clean`
    of the others. `auc` is the chance that a suspect lies further out than another document. `gap` is the empty stretch
    that the bound lies in, in standard deviations of the others.
    """

    signal: str
    side: Literal["min", "max"]
    bound: float
    caught: float
    clean: float
    auc: float
    gap: float
    median: float
    """Of the suspects."""
    percentile: float
    """Where among the others that median lies, 0 to 100."""


def separations(found: Sides, most_clean: float) -> list[Separation]:
    """Rank the signals, the best first: most suspects caught, then fewest others, then the widest gap."""
    told = [
        one for name in found.suspects if (one := separate(name, found.suspects[name], found.others[name], most_clean))
    ]
    return sorted(told, key=lambda one: (-round(one.caught, 3), round(one.clean, 4), -one.gap, one.signal))


def separate(signal: str, suspects: Numbers, others: Numbers, most_clean: float) -> Separation | None:
    """Find the bound on a signal that drops most suspects and at most `most_clean` of the others; None without one.

    The bound is the middle of the gap between the innermost suspect it drops and the outermost document it keeps,
    rounded where that moves no document.
    """
    inside, outside = others[np.isfinite(others)], suspects[np.isfinite(suspects)]
    if len(inside) < 10 or not len(outside):
        return None
    auc = _auc(outside, inside)
    sign = 1.0 if auc >= 0.5 else -1.0
    mine, rest = np.sort(sign * outside), np.sort(sign * inside)
    allowed = int(most_clean * len(rest))
    least = rest[len(rest) - 1 - allowed]
    caught = mine[mine > least]
    if not len(caught):
        return None
    inner = float(caught[0])
    below = float(rest[np.searchsorted(rest, inner, side="left") - 1])
    bound = _rounded(below, inner)
    spread = float(np.std(rest)) or 1.0
    median = float(np.median(outside))
    return Separation(
        signal,
        "max" if sign > 0 else "min",
        sign * bound + 0.0,
        len(caught) / len(suspects),
        float((rest > bound).mean()),
        max(auc, 1 - auc),
        (inner - below) / spread,
        median,
        100 * float((inside < median).mean() + (inside == median).mean() / 2),
    )


def _auc(one: Numbers, other: Numbers) -> float:
    """P(one > other) + P(one = other) / 2."""
    ranked = np.sort(other)
    lower, upper = np.searchsorted(ranked, one, "left"), np.searchsorted(ranked, one, "right")
    return float(((lower + upper) / 2).mean() / len(other))


def _rounded(below: float, inner: float) -> float:
    """Return the middle of below..inner in as few digits as still lie between: below <= bound < inner."""
    middle = (below + inner) / 2
    if not math.isfinite(middle) or below == inner:
        return below
    size = math.floor(math.log10(abs(middle))) if middle else 0
    for digits in range(1, 12):
        short = round(middle, digits - 1 - size)
        if below <= short < inner:
            return short
    return middle if below <= middle < inner else below


@dataclass(frozen=True)
class Proposal:
    """A rule as a recipe takes it, and what it would drop of the stage."""

    name: str
    signal: str
    min: float | None
    max: float | None
    documents: int
    tokens: int
    suspects: int
    others: int
    others_share: float
    by_source: Mapping[str, int]

    @property
    def yaml(self) -> str:
        """The rule as a line of `filters.rules`."""
        side, bound = ("min", self.min) if self.min is not None else ("max", self.max)
        digits = repr(bound)
        if "e" in digits and "." not in digits:  # YAML reads 1e-05 as a text
            digits = digits.replace("e", ".0e")
        return f"- {{name: {self.name}, signal: {self.signal}, {side}: {digits}}}"


def fails(values: Numbers, low: float | None, high: float | None) -> NDArray[np.bool_]:
    """Which values a rule drops: as `filters.Rule`, one that was not measured fails."""
    passed = np.ones(len(values), bool)
    if low is not None:
        passed &= values >= low
    if high is not None:
        passed &= values <= high
    return ~passed
