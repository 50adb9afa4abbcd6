"""Boosted trees as flat arrays, and their probabilities for a page's blocks."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray


class Forest(NamedTuple):
    """Binary trees; node `i` sends a row to `left[i]` where feature `feature[i]` is at most `threshold[i]`.

    A child below 0 is the leaf `-1 - child`.
    """

    roots: NDArray[np.int32]  # a node, or a leaf, for each tree
    feature: NDArray[np.int16]
    threshold: NDArray[np.float32]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    leaf: NDArray[np.float32]  # log odds


def forest(trees: Sequence[dict[str, Any]]) -> Forest:
    """Flatten trees as LightGBM's `dump_model` tells them (`tree_info`)."""
    roots: list[int] = []
    feature: list[int] = []
    threshold: list[float] = []
    left: list[int] = []
    right: list[int] = []
    leaf: list[float] = []

    def add(node: dict[str, Any]) -> int:
        if "leaf_value" in node:
            leaf.append(node["leaf_value"])
            return -len(leaf)
        at = len(feature)
        feature.append(node["split_feature"])
        threshold.append(node["threshold"])
        left.append(0)
        right.append(0)
        left[at], right[at] = add(node["left_child"]), add(node["right_child"])
        return at

    for tree in trees:
        roots.append(add(tree["tree_structure"]))
    return Forest(
        np.array(roots, np.int32),
        np.array(feature, np.int16),
        np.array(threshold, np.float32),
        np.array(left, np.int32),
        np.array(right, np.int32),
        np.array(leaf, np.float32),
    )


def probabilities(trees: Forest, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return each row's probability, float32."""
    return _probabilities(trees, rows)


def chosen(p: NDArray[np.float32], words: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Choose the blocks whose expected F1 is highest.

    If each word of block b is main text with probability p, taking the set S gives an expected F1 of about
    2 Σ_S w p / (Σ_S w + Σ w p); the best S holds the blocks of highest p (Jansche, 2007, "A maximum expected utility
    framework for binary sequence labeling").
    """
    return _chosen(p, words)


@njit(cache=True, nogil=True)
def _probabilities(trees, rows) -> Any:
    n = len(rows)
    out = np.empty(n, np.float32)
    for i in range(n):
        row = rows[i]
        total = np.float64(0)
        for root in trees.roots:
            node = root
            while node >= 0:
                node = trees.left[node] if row[trees.feature[node]] <= trees.threshold[node] else trees.right[node]
            total += trees.leaf[-1 - node]
        out[i] = 1.0 / (1.0 + np.exp(-total))
    return out


@njit(cache=True, nogil=True)
def _chosen(p, words) -> Any:
    n = len(p)
    order = np.argsort(-p, kind="mergesort")
    expected = np.float64(0)
    for b in range(n):
        expected += p[b] * words[b]
    best = taken = mass = np.float64(0)
    cut = 0
    for k in range(n):
        b = order[k]
        taken += words[b]
        mass += p[b] * words[b]
        value = 2 * mass / (taken + expected) if taken + expected > 0 else 0.0
        if value >= best and mass > 0:
            best, cut = value, k + 1
    keep = np.zeros(n, np.bool_)
    for k in range(cut):
        keep[order[k]] = True
    return keep
