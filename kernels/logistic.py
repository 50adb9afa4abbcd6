"""Logistic regression over hashed features, one pass after another, one text at a time: the same weights every time.

A text's score is the mean of its features' weights plus an offset. Each weight's step shrinks with the squares of the
gradients that it has had (AdaGrad, Duchi et al. 2011, section 1.1), so that a rare n-gram learns as much from its few
texts as a frequent one from its many.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["learn"]


def learn(
    features: NDArray[np.int32],
    bounds: NDArray[np.int64],
    targets: NDArray[np.float64],
    shares: NDArray[np.float64],
    orders: NDArray[np.int64],
    buckets: int,
    rate: float,
) -> tuple[NDArray[np.float32], float]:
    """Learn a weight for each feature.

    Args:
        features: of all texts, as ``kernels.word_ngrams.ngram_rows`` gives them.
        bounds: where each text's begin, one more than there are texts.
        targets: what each text's probability should be.
        shares: what each text counts.
        orders: the texts in the order of each pass, (passes, texts).
        buckets: number of features that there may be.
        rate: of learning; a feature's first step is this long.

    Returns:
        Weights, and the offset.
    """
    return _learn(features, bounds, targets, shares, orders, np.zeros(buckets, np.float32), rate)


@njit(cache=True, nogil=True)
def _learn(features, bounds, targets, shares, orders, weights, rate) -> Any:
    squares = np.zeros(len(weights), np.float32)
    offset = 0.0
    offset_squares = 0.0
    for turn in range(orders.shape[0]):
        for text in orders[turn]:
            first = bounds[text]
            last = bounds[text + 1]
            if first == last:
                continue
            score = 0.0
            for k in range(first, last):
                score += weights[features[k]]
            score = offset + score / (last - first)
            chance = 1.0 / (1.0 + math.exp(-min(max(score, -700.0), 700.0)))
            slope = (chance - targets[text]) * shares[text]
            offset_squares += slope * slope
            if slope != 0.0:
                offset -= rate * slope / math.sqrt(offset_squares)
                part = slope / (last - first)
                for k in range(first, last):
                    feature = features[k]
                    squares[feature] += np.float32(part * part)
                    if squares[feature] > 0:
                        weights[feature] -= np.float32(rate * part / math.sqrt(squares[feature]))
    return weights, offset
