"""How good scores are: what a card tells of data that was held out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["auc", "of_classes", "of_scores"]


def auc(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Probability that a positive text has the higher score of two, ties counting half (Mann-Whitney); NaN without."""
    yes, no = int(positive.sum()), int((~positive).sum())
    if not yes or not no:
        return float("nan")
    return float((_ranks(scores)[positive].sum() - yes * (yes - 1) / 2) / (yes * no))


def of_classes(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> dict[str, float]:
    """AUC, average precision, and precision and recall at 0.5."""
    order = np.argsort(-scores, kind="stable")
    hits = positive[order]
    found = np.cumsum(hits)
    precision = found / np.arange(1, len(hits) + 1)
    above = scores >= 0.5
    both = float((above & positive).sum())
    return {
        "auc": auc(scores, positive),
        "average_precision": float((precision * hits).sum() / max(1, hits.sum())),
        "precision": both / max(1, int(above.sum())),
        "recall": both / max(1, int(positive.sum())),
    }


def of_scores(found: NDArray[np.float64], expected: NDArray[np.float64], threshold: float) -> dict[str, float]:
    """Mean error, correlations (Pearson, Spearman), and F1 and AUC of telling who is at or above a threshold."""
    above, should = found >= threshold, expected >= threshold
    both = float((above & should).sum())
    return {
        "mean_absolute_error": float(np.abs(found - expected).mean()),
        "pearson": _correlation(found, expected),
        "spearman": _correlation(_ranks(found), _ranks(expected)),
        "f1": 2 * both / max(1.0, float(above.sum() + should.sum())),
        "auc": auc(found, should),
    }


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(np.corrcoef(a, b)[0, 1]) if len(a) > 1 and a.std() > 0 and b.std() > 0 else float("nan")


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 0; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts + 1) / 2)[inverse]
