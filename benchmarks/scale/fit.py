"""How a cost grows: a line through measured points, and how far they are from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Line:
    """A fitted cost.

    Attributes:
        fixed: cost of no data.
        slope: cost of one more unit of data.
        residual: largest distance of a point from the line, as a share of the point.
        exponent: p of cost ~ data^p between the smallest and the largest point; 1 is linear, below 1 fixed cost shows.
    """

    fixed: float
    slope: float
    residual: float
    exponent: float


def line(data: Sequence[float], cost: Sequence[float]) -> Line:
    """Fit a line by least squares of relative distances, so that the largest point is not the only one that counts.

    Raises:
        ValueError: fewer than two points, or a point that is not positive.
    """
    x, y = np.asarray(data, float), np.asarray(cost, float)
    if len(x) < 2 or len(x) != len(y) or min(x.min(), y.min()) <= 0:
        raise ValueError(f"a line needs two points or more, all positive; given {list(data)} and {list(cost)}")
    slope, fixed = np.polyfit(x, y, 1, w=1 / y)
    residual = np.abs(fixed + slope * x - y) / y
    exponent = np.log(y[-1] / y[0]) / np.log(x[-1] / x[0])
    return Line(float(fixed), float(slope), float(residual.max()), float(exponent))
