from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.token_types import of_tokens, token_types


def by_definition(hashes: list[int]) -> tuple[list[int], list[int]]:
    numbers: dict[int, int] = {}
    firsts: list[int] = []
    for k, value in enumerate(hashes):
        if numbers.setdefault(value, len(numbers)) == len(firsts):
            firsts.append(k)
    return [numbers[value] for value in hashes], firsts


# Few slots that all want to be the first: every way round the end of the table.
NEAR = st.integers(0, 40).map(lambda k: (1 << 64) - 20 + k if k < 20 else k - 20)


@settings(max_examples=100, deadline=None)
@given(st.lists(NEAR | st.integers(0, (1 << 64) - 1), max_size=120))
def test_types_are_numbered_as_they_are_met(hashes: list[int]) -> None:
    types = token_types(np.array(hashes, np.uint64))
    assert (types.numbers.tolist(), types.firsts.tolist()) == by_definition(hashes)
    values = np.arange(len(types.firsts), dtype=np.uint64) * np.uint64(7)
    assert of_tokens(values, types).tolist() == [7 * number for number in types.numbers.tolist()]


@pytest.mark.parametrize("different", [8191, 8192, 8193, 40_000])
def test_the_table_grows(different: int) -> None:
    rng = np.random.default_rng(3)
    known = rng.integers(0, 1 << 64, different, dtype=np.uint64)
    hashes = np.concatenate([known, rng.choice(known, 50_000), known])
    types = token_types(hashes)
    assert types.firsts.tolist() == list(range(different))
    assert (known[types.numbers] == hashes).all()
