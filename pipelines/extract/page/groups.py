"""Blocks of one make: those whose element and the two around it have the same tags and classes."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from pipelines.extract.page.names import ATTRIBUTE, FNV_OFFSET, FNV_PRIME

_OFFSET, _PRIME = np.uint64(FNV_OFFSET), np.uint64(FNV_PRIME)
_CLASS = ATTRIBUTE["class"]


@njit(cache=True, nogil=True)
def signature(html, page, element) -> Any:
    """Hash of the tags and classes of an element and the two around it."""
    state = _OFFSET
    for _ in range(3):
        if element < 0:
            break
        state = (state ^ np.uint64(page.tag[element] + 1)) * _PRIME
        for a in range(page.attributes[element], page.attributes[element + 1]):
            if page.name[a] == _CLASS:
                for at in range(page.low[a], min(page.high[a], page.low[a] + 200)):
                    byte = html[at]
                    if not 48 <= byte <= 57:  # numbered classes are of one make
                        state = (state ^ np.uint64(byte)) * _PRIME
        element = page.parent[element]
    return state


@njit(cache=True, nogil=True)
def numbered(keys) -> Any:
    """Number equal keys alike, from 0 on in order of their first."""
    n = len(keys)
    order = np.argsort(keys, kind="mergesort")
    group = np.empty(n, np.int32)
    count = 0
    for k in range(n):
        if k == 0 or keys[order[k]] != keys[order[k - 1]]:
            count += 1
        group[order[k]] = count - 1
    return group, count
