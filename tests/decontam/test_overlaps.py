"""Of overlapping passages of one item in one text the best is told, and none that no better one overlaps is lost."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from decontam.overlaps import best_apart

PASSAGE = st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 60), st.integers(1, 12))


@settings(max_examples=300, deadline=None)
@given(st.lists(PASSAGE, max_size=60))
def test_the_best_passages_that_lie_apart_are_chosen(passages: list[tuple[int, int, int, int]]) -> None:
    """Those given first are the best; a plain loop over all that were chosen says which are to be."""
    row, item, start, size = (np.array([one[k] for one in passages], np.int64) for k in range(4))
    end = start + size
    order = np.lexsort((np.arange(len(passages)), item, row))
    expected: list[int] = []
    for k in order.tolist():
        if not any(
            row[k] == row[c] and item[k] == item[c] and start[k] < end[c] and start[c] < end[k] for c in expected
        ):
            expected.append(k)
    assert best_apart(order, row, item, start, end).tolist() == expected


def test_many_passages_of_one_item_are_all_told() -> None:
    count = 5_000
    start = np.random.default_rng(0).permutation(count).astype(np.int64) * 3
    same = np.zeros(count, np.int64)
    assert len(best_apart(np.arange(count), same, same, start, start + 3)) == count
    assert len(best_apart(np.arange(count), same, same, start, start + 4)) < count
