"""Embeddings: exact sums, clusters that no order of workers can change, and greedy keeping as by definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.semantic import SCALE, SemanticConfig, assign, keep, kmeans, quantised
from dedup.semantic_division import judged, pieces
from tests.growth import is_linear


def around(centres: int, each: int, noise: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    middle = rng.normal(size=(centres, 32))
    return np.repeat(middle, each, axis=0) + noise * rng.normal(size=(centres * each, 32))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 30), st.floats(0.5, 0.999), st.integers(0, 5))
def test_keeping_is_greedy(count: int, threshold: float, seed: int) -> None:
    vectors = quantised(around(max(1, count // 4), 4, 0.3, seed))
    unit = vectors / np.linalg.norm(vectors.astype(float), axis=1, keepdims=True)
    cosines = unit @ unit.T
    kept: list[int] = []
    found = keep(vectors, threshold)
    for row in range(len(vectors)):
        best = max((cosines[row, other] for other in kept), default=0.0)
        if abs(best - threshold) > 1e-9:
            assert (found.parent[row] >= 0) == (best >= threshold)
        if found.parent[row] >= 0:
            assert found.parent[row] in kept
            assert cosines[row, found.parent[row]] == pytest.approx(best, abs=1e-9)
            assert found.cosine[row] == pytest.approx(best, abs=1e-9)
        else:
            kept.append(row)


def test_rounding_costs_a_ten_thousandth() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(200, 384)).astype(np.float32)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    whole = quantised(vectors)
    assert np.abs(np.linalg.norm(whole.astype(float), axis=1) / SCALE - 1).max() < 1e-3
    error = whole.astype(float) @ whole.astype(float).T / SCALE**2 - unit @ unit.T
    assert np.abs(error).max() < 5e-4
    assert (quantised(vectors * np.float32(2.0**-40)) == whole).all()


def test_clusters_are_found_and_every_vector_is_with_its_nearest() -> None:
    vectors = quantised(around(8, 50, 0.1))
    order = np.random.default_rng(2).permutation(len(vectors))
    centroids = kmeans(vectors[order], 8, 20)
    found = assign(vectors, centroids)
    near = vectors.astype(float) @ (centroids / np.linalg.norm(centroids.astype(float), axis=1, keepdims=True)).T
    assert (near[np.arange(len(found)), found] >= near.max(axis=1) - 1e-6).all()
    assert kmeans(vectors[order], 8, 20).tobytes() == centroids.tobytes()
    # The order in which sums are taken cannot be seen: the first vectors are where it begins, the others are not.
    again = np.concatenate([order[:8], order[:7:-1]])
    assert (kmeans(vectors[again], 8, 20) == centroids).all()


def test_bad_vectors() -> None:
    assert (quantised(np.zeros((2, 3))) == 0).all()
    assert keep(quantised(np.zeros((3, 4))), 0.5).parent.tolist() == [-1, -1, -1]
    assert kmeans(quantised(np.eye(2)), 5, 3).shape == (2, 2)
    with pytest.raises(ValueError, match="vector 1: a component is no finite number"):
        quantised(np.array([[1.0, 2.0], [np.nan, 1.0]]))
    assert [SemanticConfig().number(count) for count in (0, 1000, 1001)] == [1, 1, 2]


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 40), st.integers(0, 5), st.integers(2, 12))
def test_a_large_cluster_is_divided_into_pieces_that_are_all_there(count: int, seed: int, largest: int) -> None:
    vectors = quantised(around(max(1, count // 4), 4, 0.3, seed))
    found = pieces(vectors, largest, 5)
    assert sorted(np.concatenate(found).tolist()) == list(range(len(vectors)))
    assert max(map(len, found)) <= largest
    assert all((np.diff(rows) > 0).all() for rows in found)


def test_in_a_divided_cluster_equal_ones_go_and_what_was_not_compared_is_told() -> None:
    vectors = quantised(around(60, 1, 0.0))
    many = np.concatenate([vectors, vectors[::-1], np.zeros((5, 32), np.int16)])
    config = SemanticConfig(threshold=0.9, largest=16)
    found = judged(many, config)
    assert (found.parent[:60] < 0).all()
    assert found.parent[60:120].tolist() == list(range(59, -1, -1))
    assert (found.cosine[60:120] == 1.0).all()
    assert (found.parent[120:] < 0).all()
    assert found.apart.min() >= 125 - 2 * 16 - 5
    whole = judged(many, SemanticConfig(threshold=0.9, largest=200))
    assert not whole.apart.any()
    assert (whole.parent == found.parent).all()


def test_similar_ones_mostly_share_a_piece() -> None:
    vectors = quantised(around(300, 4, 0.05))
    found = judged(vectors, SemanticConfig(threshold=0.9, largest=100))
    assert (found.parent >= 0).sum() >= 0.95 * 900
    gone = np.flatnonzero(found.parent >= 0)
    assert (gone // 4 == found.parent[gone] // 4).all()


def test_forty_thousand_vectors_in_one_cluster_do_not_take_quadratic_time() -> None:
    vectors = quantised(np.random.default_rng(0).normal(size=(40_000, 8)))
    config = SemanticConfig(threshold=0.9999, largest=256, rounds=2)
    found = judged(vectors, config)
    assert found.apart.min() >= 40_000 - 256  # how many each was never compared with
    assert is_linear(lambda some: judged(some, config), lambda count: vectors[:count], 5000)
