"""Sorted runs: the answer of a plain dictionary, in memory, mapped and merged; a damaged block is refused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dedup.index_runs import BLOCK, KINDS, Keys, Run, merge, pairs, seal, sorted_keys
from dedup.segments import IndexRefusedError

portions = st.lists(st.lists(st.integers(0, 6), max_size=12), max_size=8)


def run_of(first: int, keys: Sequence[int] | np.ndarray) -> Run:
    """A run with the same keys of each kind."""
    column = np.array(keys, np.uint64)
    return Run.of(first, np.ones(len(column), np.bool_), band=column[:, None], content=column, id=column)


def expected(known: Sequence[int], asked: Sequence[int], alive: np.ndarray, most: int) -> set[tuple[int, int]]:
    return {
        (place, found)
        for place, key in enumerate(asked)
        for found in [row for row, one in enumerate(known) if one == key and alive[row]][:most]
    }


@given(portions, st.sets(st.integers(0, 95)), st.integers(1, 5))
def test_pairs_are_the_first_living_rows_of_a_key(given: list[list[int]], dead: set[int], most: int) -> None:
    runs: list[Run] = []
    known: list[int] = []
    for keys in given:
        runs.append(run_of(len(known), keys))
        known += keys
    alive = np.array([row not in dead for row in range(len(known))], np.bool_)
    for kind in KINDS:
        place, row = pairs(runs, kind, np.arange(8, dtype=np.uint64)[::-1].copy(), alive, most)
        assert set(zip(place.tolist(), row.tolist(), strict=True)) == expected(known, range(7, -1, -1), alive, most)
        assert len(place) == len(set(zip(place.tolist(), row.tolist(), strict=True)))


@pytest.mark.parametrize("values", [3, 40, 5000])
@pytest.mark.parametrize("count", [BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 7])
def test_keys_are_found_across_blocks(count: int, values: int) -> None:
    rng = np.random.default_rng(count + values)
    known = rng.integers(0, values, count) * 10
    asked = rng.integers(-1, values + 1, 300) * 10 + rng.integers(0, 2, 300) * 5
    asked = np.abs(asked).astype(np.uint64)
    alive = rng.random(count) < 0.8
    place, row = pairs([run_of(0, known)], "content", asked, alive, 3)
    found = set(zip(place.tolist(), row.tolist(), strict=True))
    assert found == expected(known.tolist(), asked.tolist(), alive, 3)


def test_merged_runs_answer_as_both() -> None:
    rng = np.random.default_rng(7)
    known = rng.integers(0, 400, 3000)
    older, newer = run_of(0, known[:1900]).parts["id"], run_of(1900, known[1900:]).parts["id"]
    blocks = -(-3000 // BLOCK)
    into = Keys(
        np.empty(3000, np.uint64), np.empty(3000, np.uint32), np.empty(blocks, np.uint64), np.empty(blocks, np.uint64)
    )
    merge(older, newer, into)
    whole = sorted_keys(known.astype(np.uint64), np.arange(3000, dtype=np.uint32))
    assert all(np.array_equal(one, other) for one, other in zip(into, whole, strict=True))


@pytest.mark.parametrize("field", ["keys", "rows"])
def test_a_damaged_block_is_refused_when_it_is_touched(field: str) -> None:
    keys = np.arange(4 * BLOCK, dtype=np.uint64) * np.uint64(3)
    run = run_of(0, keys)
    alive = np.ones(len(keys), np.bool_)
    part = run.parts["id"]
    changed = getattr(part, field).copy()
    changed[2 * BLOCK + 5] ^= changed.dtype.type(1)
    changed.flags.writeable = False
    damaged = Run("there", len(keys), {**run.parts, "id": part._replace(**{field: changed})})
    for key in (0, 3 * (2 * BLOCK - 1), 9 * BLOCK + 3):
        assert len(pairs([damaged], "id", np.array([key], np.uint64), alive, 9)[0]) == 1
    for key in (3 * (2 * BLOCK + 5), 6 * BLOCK, 9 * BLOCK - 3):
        with pytest.raises(IndexRefusedError, match="there: damaged"):
            pairs([damaged], "id", np.array([key], np.uint64), alive, 9)
    with pytest.raises(IndexRefusedError, match="damaged"):
        damaged.check()
    run.check()


def test_a_sum_tells_entries_that_changed_places() -> None:
    part = run_of(0, np.full(8, 5)).parts["id"]
    swapped = Keys(part.keys.copy(), part.rows[::-1].copy(), part.fences.copy(), part.sums.copy())
    seal(swapped)
    assert swapped.sums[0] != part.sums[0]
