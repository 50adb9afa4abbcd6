"""Sums over the files of a step, read a batch at a time: the planning process never holds a column of the corpus."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow.compute as pc

from pipelines.storage import read_batches

__all__ = ["count_above", "greatest", "total"]

ROWS = 65_536


def total(paths: Iterable[Path], column: str) -> float:
    """Return the sum of a column; what is null counts for nothing."""
    return sum(pc.sum(table[column]).as_py() or 0 for path in paths for table in read_batches(path, ROWS, [column]))


def greatest(paths: Iterable[Path], column: str) -> float:
    """Return the greatest value of a column, 0 where there is none."""
    tables = (table for path in paths for table in read_batches(path, ROWS, [column]))
    return max((pc.max(table[column]).as_py() or 0 for table in tables), default=0)


def count_above(paths: Iterable[Path], column: str, value: float) -> int:
    """Return how many values of a column are greater than that."""
    tables = (table for path in paths for table in read_batches(path, ROWS, [column]))
    return sum(pc.sum(pc.greater(table[column], value)).as_py() or 0 for table in tables)
