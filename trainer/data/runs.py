"""Runs: what a sequence is made of, whichever way documents were packed into it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


class Runs(NamedTuple):
    """Stretches of documents in sequences, ordered by sequence and column; int64 [runs] each."""

    sequence: Ints
    """Which of the sequences asked for, from 0."""
    column: Ints
    """Where in the sequence it begins."""
    position: Ints
    """Global token position at which it begins."""
    length: Ints
    document: Ints
    """Row in documents.parquet."""


def spread(first: Ints, length: Ints) -> Ints:
    """Every number of the ranges first[i] .. first[i] + length[i] - 1, one range after the other."""
    ends = np.cumsum(length)
    if not len(ends):
        return np.empty(0, np.int64)
    numbers = np.repeat(first - (ends - length), length)
    numbers += np.arange(int(ends[-1]))
    return numbers
