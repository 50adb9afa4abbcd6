"""Distinct numbers, by sorting."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["distinct"]

Number = TypeVar("Number", bound=np.generic)


def distinct(values: NDArray[Number]) -> NDArray[Number]:
    """Return the values ascending, each once.

    By sorting: `np.unique` of numpy 2.4 puts numbers into a hash table where neither counts nor places are asked for,
    which takes a hundred times as long for a million that differ.
    """
    ordered = np.sort(values)
    return ordered[np.concatenate((np.ones(min(len(ordered), 1), np.bool_), ordered[1:] != ordered[:-1]))]
