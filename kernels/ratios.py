"""Shares: one number over another for each text, line or word."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["ratios"]


def ratios(parts: NDArray[np.int64], wholes: NDArray[np.int64]) -> NDArray[np.float64]:
    """``part / whole`` of each pair, and 0 where there is no whole.

    Numpy's division where a condition holds takes ten times as long for the few texts of a portion.

    Raises:
        TypeError: one of them holds numbers that are not whole.
        ValueError: not as many parts as wholes.
    """
    if len(parts) != len(wholes):
        raise ValueError(f"ratios: found {len(parts)} parts, expected as many as wholes, {len(wholes)}")
    return _ratios(_whole_numbers(parts), _whole_numbers(wholes))


def _whole_numbers(values: NDArray[Any]) -> NDArray[np.int64]:
    return values.astype(np.int64, order="C", casting="safe", copy=False)


@njit(cache=True, nogil=True)
def _ratios(parts, wholes) -> Any:
    found = np.zeros(len(parts), np.float64)
    for k in range(len(parts)):
        if wholes[k] != 0:
            found[k] = parts[k] / wholes[k]
    return found
