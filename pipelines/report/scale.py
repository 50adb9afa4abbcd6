"""The axis of a histogram: where it begins and ends, and whether it is logarithmic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 48
TAIL = 0.005
"""Share of values cut off at each end of the axis; they are counted in its outermost bins."""


@dataclass(frozen=True)
class Scale:
    """Linear, or log(1 + x) for counts with a long right tail."""

    low: float
    high: float
    logarithmic: bool

    def position(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Place values on the axis, 0 to 1; outliers lie at its ends."""
        inside = np.clip(values, self.low, self.high)
        low, high = self.low, self.high
        if self.logarithmic:
            inside, low, high = np.log1p(inside), np.log1p(low), np.log1p(high)
        return (inside - low) / (high - low)

    def bins(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        """Bin numbers, 0 to BINS - 1."""
        return np.minimum((self.position(values) * BINS).astype(np.int64), BINS - 1)

    def shows(self, bound: float) -> bool:
        """Whether a bound lies on the axis."""
        return self.low <= bound <= self.high

    def ticks(self) -> list[float]:
        """Return about four round values for the axis."""
        if self.logarithmic:
            decades = [10.0**power for power in range(13) if self.low <= 10.0**power <= self.high]
            return ([0.0] if self.low == 0 else []) + (decades[-4:] if len(decades) > 4 else decades)
        step = 10.0 ** np.floor(np.log10(self.high - self.low))
        step *= next(
            part for part in (0.2, 0.25, 0.5, 1.0, 2.0, 2.5, 5.0) if (self.high - self.low) / (step * part) <= 5
        )
        first = np.ceil(self.low / step - 1e-9)
        found = (float(f"{step * at:.12g}") for at in np.arange(first, np.floor(self.high / step + 1e-9) + 1))
        return [0.0 if tick == 0 else tick for tick in found if self.low <= tick <= self.high]


def choose(values: NDArray[np.float64], bounds: Sequence[float]) -> Scale:
    """Choose an axis for a sample of finite values; a bound is on it unless that would more than double its length."""
    if not len(values):
        return Scale(0.0, 1.0, False)
    low, middle, high = (float(found) for found in np.quantile(values, (TAIL, 0.5, 1 - TAIL)))
    if low == high:  # nearly all values are equal: what differs must be seen
        low, high = float(values.min()), float(values.max())
    logarithmic = float(values.min()) >= 0 and high > 100 and high > 8 * max(middle, 1.0)
    if low >= 0 and (low < 0.3 * high or logarithmic):
        low = 0.0 if not logarithmic or low < 10 else low

    def length(low: float, high: float) -> float:
        return float(np.log1p(high) - np.log1p(low)) if logarithmic else high - low

    room = 2 * length(low, high)
    for bound in bounds:
        if length(min(low, bound), max(high, bound)) <= room:
            low, high = min(low, bound), max(high, bound)
    if high - low < 1e-12 * max(1.0, abs(high)):
        return Scale(low, low + 1, False) if low == 0 else Scale(low - abs(low) / 2, high + abs(high) / 2, False)
    # A bound at the very end of the axis needs room beyond it, where what it dropped can be seen.
    margin = 0.04 * length(low, high)
    if any(abs(bound - low) < 1e-9 for bound in bounds) and (low > 0 or float(values.min()) < 0):
        low = float(np.expm1(np.log1p(low) - margin)) if logarithmic else low - margin
    if any(abs(bound - high) < 1e-9 for bound in bounds):
        high = float(np.expm1(np.log1p(high) + margin)) if logarithmic else high + margin
    return Scale(low, high, logarithmic)
