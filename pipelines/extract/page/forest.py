"""Boosted trees as flat arrays, and their log odds for the blocks of a page.

The trees are evaluated without walking them (Lucchese et al., 2016, "Exploiting CPU SIMD extensions to speed-up
document scoring with tree ensembles", SIGIR): each node that a row fails takes the leaves on its left out of a bit
mask, and the lowest bit left is the row's leaf: the same few instructions for every row, so that many go at once. A
feature counts by its sign, exponent and seven highest bits of fraction, so that twice as many numbers fit in a vector;
boosted trees are learned from no finer ones.
"""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

MOST_LEAVES: Final = 16
"""Leaves of a tree: one bit each."""
_ROWS: Final = 64
"""Rows that are evaluated together: a few vectors' worth, in the fastest cache."""
_ALL: Final = np.uint16(0xFFFF)
# The place of the only bit set of 16: a de Bruijn sequence times each has another number in its highest four bits.
_DE_BRUIJN: Final = np.uint32(0x09AF)
_PLACE: Final = np.zeros(16, np.uint8)
for _bit in range(16):
    _PLACE[((1 << _bit) * int(_DE_BRUIJN) & 0xFFFF) >> 12] = _bit


class Forest(NamedTuple):
    """Binary trees. A row fails node `i` where its feature `feature[i]` is above `threshold[i]`."""

    nodes: NDArray[np.int32]  # trees + 1: those of tree t are nodes[t] to nodes[t + 1]
    leaves: NDArray[np.int32]  # trees + 1: likewise its leaves, from left to right
    feature: NDArray[np.int16]
    threshold: NDArray[np.int16]  # in the order of `coarse` numbers
    left: NDArray[np.uint16]  # a bit for each leaf that a row which fails the node does not reach, unset
    leaf: NDArray[np.float32]  # log odds


def forest(trees: Sequence[dict[str, Any]], share: float = 1.0) -> Forest:
    """Flatten trees as LightGBM's `dump_model` tells them (`tree_info`).

    Args:
        trees: the trees, of at most MOST_LEAVES leaves.
        share: what the leaves count: 1/n for one of n forests whose mean is wanted.
    """
    nodes: list[int] = [0]
    leaves: list[int] = [0]
    feature: list[int] = []
    threshold: list[int] = []
    left: list[int] = []
    leaf: list[float] = []

    def add(node: dict[str, Any], first: int) -> None:
        if "leaf_value" in node:
            leaf.append(share * node["leaf_value"])
            return
        at = len(feature)
        feature.append(node["split_feature"])
        threshold.append(_order(node["threshold"]))
        left.append(0)
        begin = len(leaf) - first
        add(node["left_child"], first)
        end = len(leaf) - first
        left[at] = int(_ALL) & ~((1 << end) - (1 << begin))
        add(node["right_child"], first)

    for tree in trees:
        add(tree["tree_structure"], len(leaf))
        if len(leaf) - leaves[-1] > MOST_LEAVES:
            raise ValueError(f"a tree has {len(leaf) - leaves[-1]} leaves, at most {MOST_LEAVES} are possible")
        nodes.append(len(feature))
        leaves.append(len(leaf))
    return Forest(
        np.array(nodes, np.int32),
        np.array(leaves, np.int32),
        np.array(feature, np.int16),
        np.array(threshold, np.int16),
        np.array(left, np.uint16),
        np.array(leaf, np.float32),
    )


def joined(forests: Sequence[Forest]) -> Forest:
    """All trees of some forests as one, whose log odds are the sum of theirs."""

    def bounds(parts: list[NDArray[np.int32]]) -> NDArray[np.int32]:
        return np.concatenate([[0], np.cumsum(np.concatenate([np.diff(part) for part in parts]))]).astype(np.int32)

    return Forest(
        bounds([one.nodes for one in forests]),
        bounds([one.leaves for one in forests]),
        *(np.concatenate([one[k] for one in forests]) for k in range(2, len(Forest._fields))),  # type: ignore[arg-type]
    )


def probabilities(trees: Forest, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return each row's probability, float32; the same for `rows` and `coarse(rows)`."""
    return _probabilities(trees, np.ascontiguousarray(rows).view(np.int32), _PLACE)


def coarse(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Numbers as the trees see them: cut to 16 bits, towards zero."""
    bits = np.ascontiguousarray(rows).view(np.int32) & np.int32(-65536)
    return bits.view(np.float32)


def _order(threshold: float) -> int:
    """Place of the largest coarse number that is not above a threshold."""
    cut = coarse(np.array([threshold], np.float32))
    place = int(_place(cut.view(np.int32)[0]))
    return place - 1 if float(cut[0]) > threshold else place


@njit(cache=True, nogil=True, inline="always")
def _place(bits) -> Any:
    """A float32's 16 highest bits as a number that is the higher, the higher the float is; -0 is 0."""
    if bits == -2147483648:
        return np.int16(0)
    return np.int16((bits >> 16) ^ ((bits >> 31) & 0x7FFF))


@njit(cache=True, nogil=True)
def _probabilities(trees, rows, place) -> Any:
    n, width = rows.shape
    out = np.empty(n, np.float32)
    columns = np.zeros((width, _ROWS), np.int16)
    mask = np.empty(_ROWS, np.uint16)
    total = np.empty(_ROWS, np.float64)
    for low in range(0, n, _ROWS):
        count = min(_ROWS, n - low)
        for r in range(count):
            for f in range(width):
                columns[f, r] = _place(rows[low + r, f])
        for r in range(_ROWS):
            total[r] = 0.0
        for t in range(len(trees.nodes) - 1):
            for r in range(_ROWS):
                mask[r] = _ALL
            for node in range(trees.nodes[t], trees.nodes[t + 1]):
                column = columns[trees.feature[node]]
                threshold = trees.threshold[node]
                left = trees.left[node]
                for r in range(_ROWS):
                    mask[r] &= left if column[r] > threshold else _ALL
            leaves = trees.leaves[t]
            for r in range(count):
                lowest = np.uint32(mask[r]) & (~np.uint32(mask[r]) + np.uint32(1))
                total[r] += trees.leaf[leaves + place[((lowest * _DE_BRUIJN) >> np.uint32(12)) & np.uint32(15)]]
        for r in range(count):
            out[low + r] = 1.0 / (1.0 + np.exp(-total[r]))
    return out
