"""Sorted runs: the answer of a plain dictionary, whatever the portions, in few runs of which each is rarely copied."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dedup.index_runs import Runs

portions = st.lists(st.lists(st.integers(0, 6), max_size=12), max_size=8)


@given(portions, st.sets(st.integers(0, 95)), st.integers(1, 5))
def test_pairs_are_the_first_living_rows_of_a_key(given: list[list[int]], dead: set[int], most: int) -> None:
    runs = Runs()
    known: list[int] = []
    for keys in given:
        rows = np.arange(len(known), len(known) + len(keys))
        runs = runs.added(np.array(keys, np.uint64), rows)
        known += keys
    alive = np.array([row not in dead for row in range(len(known))], np.bool_)
    asked = np.arange(8, dtype=np.uint64)
    place, row = runs.pairs(asked, alive, most)
    expected = {
        (key, found)
        for key in range(8)
        for found in [row for row, one in enumerate(known) if one == key and alive[row]][:most]
    }
    assert set(zip(place.tolist(), row.tolist(), strict=True)) == expected
    assert len(place) == len(expected)


def test_runs_stay_few_and_keys_are_merged_rarely() -> None:
    runs, copied, rng = Runs(), 0, np.random.default_rng(0)
    for portion in range(256):
        before = {id(run.keys) for run in runs.runs}
        keys = rng.integers(0, 1 << 60, 100).astype(np.uint64)
        runs = runs.added(keys, np.arange(portion * 100, portion * 100 + 100))
        copied += sum(len(run.keys) for run in runs.runs if id(run.keys) not in before)
        assert len(runs.runs) <= np.log2(portion + 1) + 1
        assert all((np.diff(run.keys.astype(np.int64)) >= 0).all() for run in runs.runs)
    assert sum(len(run.keys) for run in runs.runs) == 25_600
    assert copied <= 25_600 * (np.log2(256) + 1)  # sorting anew for each portion would copy 3,289,600
