"""Ids decide partitions: in range, evenly, and by the id alone."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.document import document_id, partitions_of


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=20), max_size=50), st.integers(1, 300))
def test_partitions_are_in_range_and_a_function_of_the_id(contents: list[bytes], partitions: int) -> None:
    ids = [document_id("s", "u", content) for content in contents]
    numbers = partitions_of(pa.array(ids, pa.string()), partitions).to_pylist()
    assert numbers == [int(one[:8], 16) * partitions >> 32 for one in ids]
    assert all(0 <= number < partitions for number in numbers)
    sliced = pa.array(["x", *ids], pa.string())[1:]
    assert partitions_of(sliced, partitions).to_pylist() == numbers


def test_partitions_are_even() -> None:
    ids = pa.array([document_id("s", str(n), b"") for n in range(20_000)])
    counts = np.bincount(partitions_of(ids, 8).to_numpy(), minlength=8)
    assert counts.min() > 2300
    assert counts.max() < 2700
