"""Distinct numbers."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kernels.distinct import distinct


@given(st.lists(st.integers(0, 5) | st.integers(2**63, 2**63 + 3), max_size=30))
def test_distinct_codes_rise(codes: list[int]) -> None:
    assert distinct(np.array(codes, np.uint64)).tolist() == sorted(set(codes))
