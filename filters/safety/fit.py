"""Fitting: logistic regression on sparse rows, many outputs at once, and Platt's calibration."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.linear_texts import OUTPUTS, LinearTexts

__all__ = ["area_under_curve", "fit", "logistic", "platt", "quantised"]

EPOCHS: Final = 6
RATE: Final = 0.3
SHRINK: Final = 2e-5


def fit(
    rows: tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]],
    labels: NDArray[np.int8],
    buckets: int,
    *,
    seed: int,
    epochs: int = EPOCHS,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit an output for each column of labels, by AdaGrad (Duchi et al. 2011) with L2 shrinkage.

    Args:
        rows: offsets, buckets and values of a sparse matrix.
        labels: (rows, outputs): 1, 0, or -1 for a row that an output does not learn from.
        buckets: columns of the matrix.
        seed: of the order in which rows are seen; the same seed gives the same bytes.
        epochs: how often each row is seen.

    Returns:
        Weights (buckets, outputs) and bias (outputs).
    """
    weights = np.zeros((buckets, labels.shape[1]))
    squares = np.full((buckets, labels.shape[1]), 1e-2)
    bias, bias_squares = np.zeros(labels.shape[1]), np.full(labels.shape[1], 1e-2)
    random = np.random.default_rng(seed)
    for epoch in range(epochs):
        order = random.permutation(len(labels))
        _epoch(*rows, labels, order, weights, squares, bias, bias_squares, RATE / (1 + epoch), SHRINK)
    return weights, bias


def quantised(weights: NDArray[np.float64], bias: NDArray[np.float64]) -> LinearTexts:
    """Weights as whole numbers of one byte, each output with a scale of its own; the rarest extremes are cut off."""
    table = np.zeros((len(weights), OUTPUTS), np.int8)
    scale, wide = np.zeros(OUTPUTS), np.zeros(OUTPUTS)
    used = weights.shape[1]
    highest = np.maximum(np.quantile(np.abs(weights), 0.9998, axis=0), 1e-9)
    table[:, :used] = np.clip(np.rint(weights / highest * 127), -127, 127)
    scale[:used] = highest / 127
    wide[:used] = bias
    table.flags.writeable = False
    return LinearTexts(table, scale, wide)


def platt(margins: NDArray[np.float64], labels: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and shift of a logistic through margins, with Platt's smoothed targets (1999), by Newton's method."""
    positive = int(labels.sum())
    negative = len(labels) - positive
    target = np.where(labels, (positive + 1) / (positive + 2), 1 / (negative + 2))
    columns = np.stack([margins, np.ones(len(margins))], axis=1)
    found: NDArray[np.float64] = np.array([1.0, np.log((positive + 1) / (negative + 1))], np.float64)

    def loss(at: NDArray[np.float64]) -> float:
        z = columns @ at
        return float((np.logaddexp(0, z) - target * z).sum())

    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(columns @ found, -500, 500)))
        gradient = columns.T @ (p - target)
        curve = (columns * (p * (1 - p))[:, None]).T @ columns + 1e-9 * np.eye(2)
        step: NDArray[np.float64] = np.linalg.solve(curve, gradient).astype(np.float64)
        size = 1.0
        while size > 1e-6 and loss(found - size * step) > loss(found):
            size /= 2
        found = (found - size * step).astype(np.float64)
        if np.abs(size * step).max() < 1e-10:
            break
    return float(found[0]), float(found[1])


def logistic(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(-x)), without overflow."""
    return 1 / (1 + np.exp(np.clip(-values, -500, 500)))


def area_under_curve(values: NDArray[np.float64], labels: NDArray[np.bool_]) -> float:
    """The share of pairs of a 1 and a 0 that are in the right order, ties half (Mann and Whitney 1947)."""
    positive = int(labels.sum())
    if positive in (0, len(labels)):
        return float("nan")
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[labels].sum() - positive * (positive + 1) / 2) / (positive * (len(labels) - positive)))


@njit(cache=True, nogil=True)
def _epoch(offsets, columns, values, labels, order, weights, squares, bias, bias_squares, rate, shrink) -> Any:
    outputs = labels.shape[1]
    z = np.empty(outputs)
    for row in order:
        for c in range(outputs):
            z[c] = bias[c]
        for k in range(offsets[row], offsets[row + 1]):
            value = values[k]
            column = columns[k]
            for c in range(outputs):
                z[c] += weights[column, c] * value
        for c in range(outputs):
            if labels[row, c] < 0:
                z[c] = 0.0
                continue
            z[c] = 1 / (1 + np.exp(-min(max(z[c], -30.0), 30.0))) - labels[row, c]
            bias_squares[c] += z[c] * z[c]
            bias[c] -= rate * z[c] / np.sqrt(bias_squares[c])
        for k in range(offsets[row], offsets[row + 1]):
            value = values[k]
            column = columns[k]
            for c in range(outputs):
                slope = z[c] * value + shrink * weights[column, c]
                squares[column, c] += slope * slope
                weights[column, c] -= rate * slope / np.sqrt(squares[column, c])
