"""Two arms compared: paired over seeds, and over held-out documents, with what may be concluded in words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
RESAMPLES = 2000
DOCUMENTS = 6
"""Fewest held-out documents of a verdict: of five, even all on one side are chance once in sixteen (sign test)."""

Losses = NDArray[np.float64]
"""[seeds, documents], nats."""


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval."""

    mean: float
    low: float
    high: float

    @property
    def sure(self) -> Literal[-1, 0, 1]:
        """The sign of everything inside, 0 where zero is inside."""
        return -1 if self.high < 0 else 1 if self.low > 0 else 0

    def as_dict(self) -> dict[str, float]:
        """Return JSON-able values."""
        return {"mean": self.mean, "low": self.low, "high": self.high}


@dataclass(frozen=True)
class Difference:
    """What arm B's loss on a held-out set is, less arm A's, in bits a byte; below zero, B is the better."""

    name: str
    documents: int
    seeds: int
    a: float
    b: float
    over_seeds: Interval
    """t interval of the paired differences: what another seed (weights, order) could give."""
    over_documents: Interval
    """Bootstrap over documents, seeds averaged: what other documents of the same kind could give."""

    @property
    def verdict(self) -> Literal["helps", "hurts", "not shown"]:
        """`helps` or `hurts` where both intervals, of DOCUMENTS or more, leave zero out on the same side."""
        if self.documents < DOCUMENTS:
            return "not shown"
        signs = {self.over_seeds.sure, self.over_documents.sure}
        return "helps" if signs == {-1} else "hurts" if signs == {1} else "not shown"

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return {
            "set": self.name,
            "documents": self.documents,
            "seeds": self.seeds,
            "a": self.a,
            "b": self.b,
            "difference": self.over_seeds.mean,
            "over_seeds": self.over_seeds.as_dict(),
            "over_documents": self.over_documents.as_dict(),
            "verdict": self.verdict,
        }


def too_few(documents: int) -> str:
    """Say, to end the sentence of a verdict, that documents are too few for one; nothing where they are not."""
    return f"; {DOCUMENTS} documents are the least to judge by" if documents < DOCUMENTS else ""


def bits_per_byte(nats: Losses, sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Bits a byte of text of each seed, float64 [seeds]: it does not depend on how the text was cut into tokens.

    Sum of nats / ln 2 / bytes, with all documents as one text: a long document counts as its length.
    """
    return nats.sum(axis=1) / math.log(2) / sizes.sum()


def compare(name: str, a: Losses, b: Losses, sizes: NDArray[np.int64], seed: int = 0) -> Difference:
    """Compare two arms whose rows are pairs of the same seed and whose columns are the same documents.

    Raises:
        ValueError: the arms do not match, or there are fewer than two seeds.
    """
    if a.shape != b.shape or a.shape[1] != len(sizes):
        raise ValueError(f"{name}: losses of {a.shape} and {b.shape} for {len(sizes)} documents do not pair")
    each = bits_per_byte(b, sizes) - bits_per_byte(a, sizes)
    per_document = (b - a).mean(axis=0) / math.log(2)
    return Difference(
        name,
        len(sizes),
        len(a),
        float(bits_per_byte(a, sizes).mean()),
        float(bits_per_byte(b, sizes).mean()),
        t_interval(each),
        bootstrap(per_document, sizes.astype(np.float64), seed),
    )


def t_interval(values: NDArray[np.float64], level: float = LEVEL) -> Interval:
    """Student's t interval of a mean: mean ± t(n-1) · s / √n.

    Raises:
        ValueError: fewer than two values.
    """
    from scipy.stats import t

    n = len(values)
    if n < 2:
        raise ValueError(f"an interval over seeds needs two or more; found {n}")
    half = float(t.ppf((1 + level) / 2, n - 1)) * float(values.std(ddof=1)) / math.sqrt(n)
    mean = float(values.mean())
    return Interval(mean, mean - half, mean + half)


def bootstrap(
    values: NDArray[np.float64], weights: NDArray[np.float64], seed: int = 0, level: float = LEVEL
) -> Interval:
    """Percentile bootstrap of Σ values / Σ weights over resampled rows (Efron 1979; 2,000 resamples)."""
    random = np.random.default_rng(seed)
    n = len(values)
    drawn = np.empty(RESAMPLES)
    for number in range(RESAMPLES):
        counts = np.bincount(random.integers(0, n, n), minlength=n)
        drawn[number] = (counts @ values) / (counts @ weights)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(values.sum() / weights.sum()), float(low), float(high))
