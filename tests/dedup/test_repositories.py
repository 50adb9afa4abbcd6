"""Repositories: estimates against sets, and chains of forks."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.repositories import RepositoryConfig, bands_of, content_keys, resemblances, resolve


def resemblance(left: np.ndarray, right: np.ndarray, sketch: int) -> float:
    offsets = np.array([0, len(left), len(left) + len(right)])
    (found,) = resemblances(offsets, np.concatenate([left, right]), np.array([0]), np.array([1]), sketch)
    return found


def resolved(*copies: tuple[int, int, float]) -> list[tuple[int, int, float]]:
    better, worse, similarity = (np.array(column) for column in zip(*copies, strict=True))
    return list(zip(*(column.tolist() for column in resolve(better, worse, similarity)), strict=True))


sets = st.sets(st.integers(0, 40), max_size=30).map(lambda one: np.array(sorted(one), np.uint64))


@settings(deadline=None)
@given(sets, sets)
def test_small_sets_are_compared_exactly(left: np.ndarray, right: np.ndarray) -> None:
    a, b = set(left.tolist()), set(right.tolist())
    assert resemblance(left, right, 1000) == (len(a & b) / len(a | b) if a | b else 0.0)


def test_large_sets_are_estimated_within_the_stated_error() -> None:
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(100):
        whole = np.unique(rng.integers(0, 1 << 63, 6000).astype(np.uint64))
        left, right = rng.permutation(whole)[:5400], whole
        estimate = resemblance(np.sort(left)[:1024], right[:1024], 1024)
        errors.append(estimate - 0.9)
    assert np.std(errors) == pytest.approx(np.sqrt(0.9 * 0.1 / 1024), rel=0.3)
    assert abs(np.mean(errors)) < 0.003


def test_none_goes_for_one_that_goes() -> None:
    assert resolved((2, 3, 0.9), (0, 1, 0.9), (1, 2, 0.9)) == [(1, 0, 0.9), (3, 2, 0.9)]
    assert resolved((1, 2, 0.95), (0, 2, 0.85)) == [(2, 0, 0.85)]
    none = np.empty(0, np.int64)
    assert len(resolve(none, none, np.empty(0)).repository) == 0


def test_content_is_tokens_as_spelled() -> None:
    texts = pa.array(["def f(x):\n\treturn x\n", "def f(x):\r\n    return x", "def F(x): return x", "", " \n"])
    keys, there = content_keys(texts)
    assert keys[0] == keys[1] != keys[2]
    assert there.tolist() == [True, True, True, False, False]


def test_bands_depend_on_the_set_alone() -> None:
    config = RepositoryConfig()
    contents = np.arange(50, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    assert (bands_of(contents, config) == bands_of(contents[::-1].copy(), config)).all()
    assert len(set(bands_of(contents, config).tolist())) == config.bands
