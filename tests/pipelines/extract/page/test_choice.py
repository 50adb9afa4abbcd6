"""The choice of blocks."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.extract.page.choice import TOGETHER, chosen

BLOCKS = st.lists(st.tuples(st.floats(0, 1, width=32), st.integers(0, 300)), max_size=12)


def expected(p: np.ndarray, words: np.ndarray, some: np.ndarray) -> float:
    """The expected F1 of a set of blocks, by its definition."""
    each = 2 * (p * words)[some].sum() / max(1e-9, words[some].sum() + (p * words).sum())
    together = []
    for bound in (np.arange(40) + 0.5) / 40:
        main = p > bound
        together.append(2 * words[some & main].sum() / max(1e-9, words[some].sum() + words[main].sum()))
    return (1 - TOGETHER) * float(each) + TOGETHER * float(np.mean(together))


@settings(deadline=None)
@given(BLOCKS)
def test_no_other_threshold_has_a_better_expected_f1(blocks: list[tuple[float, int]]) -> None:
    p = np.array([one for one, _ in blocks], np.float32)
    words = np.array([one for _, one in blocks], np.int32)
    best = expected(p, words, chosen(p, words))
    for least in p.tolist():
        assert expected(p, words, p >= least) <= best + 1e-6


@settings(deadline=None)
@given(BLOCKS)
def test_the_likeliest_are_chosen(blocks: list[tuple[float, int]]) -> None:
    p = np.array([one for one, _ in blocks], np.float32)
    keep = chosen(p, np.array([one for _, one in blocks], np.int32))
    if keep.any() and not keep.all():
        assert p[keep].min() >= p[~keep].max()


def test_many_that_may_be_main_text_are_taken_together() -> None:
    p = np.array([0.95, *[0.55] * 30], np.float32)
    assert chosen(p, np.full(31, 20, np.int32)).all()
    assert (
        chosen(np.array([0.95, *[0.1] * 30], np.float32), np.full(31, 20, np.int32)).tolist() == [True] + [False] * 30
    )


def test_nothing_is_chosen_where_nothing_is_likely() -> None:
    assert not chosen(np.zeros(3, np.float32), np.ones(3, np.int32)).any()
    assert not chosen(np.zeros(0, np.float32), np.ones(0, np.int32)).any()
    assert chosen(np.full(1, 0.9, np.float32), np.full(1, 7, np.int32)).tolist() == [True]
