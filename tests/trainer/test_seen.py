"""The order read backwards is the order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data import MixtureLoader, seen
from trainer.data.order import permute, unpermute


@given(st.integers(1, 5000), st.integers(0, 2**63), st.integers(0, 50))
def test_unpermute_is_the_inverse(size: int, seed: int, epoch: int) -> None:
    index = np.arange(size, dtype=np.int64)
    assert np.array_equal(unpermute(permute(index, size, seed, epoch), size, seed, epoch), index)


def test_unpermute_of_a_large_order() -> None:
    values = np.random.default_rng(0).integers(0, 10**12, 1000)
    assert np.array_equal(permute(unpermute(values, 10**12, 3, 4), 10**12, 3, 4), values)
    with pytest.raises(ValueError, match=r"0\.\.9"):
        unpermute(np.array([10]), 10, 0, 0)


@settings(max_examples=25, deadline=None)
@given(
    length=st.integers(8, 300),
    batch=st.integers(1, 7),
    seed=st.integers(0, 99),
    steps=st.integers(0, 40),
    shuffle=st.booleans(),
    pick=st.integers(0, 10**6),
)
@pytest.mark.parametrize("large", [False, True])
def test_steps_are_those_of_the_provenance(
    token_run: Path, length: int, batch: int, seed: int, steps: int, shuffle: bool, pick: int, large: bool
) -> None:
    loader = MixtureLoader(
        token_run / "tokens/core", sequence_length=length, batch_size=batch, seed=seed, shuffle=shuffle, verify=False
    )
    count = len(loader.stage.document_starts)
    rows = [pick % count, (pick // 7) % count, count - 1]
    before = seen.BLOCK_SLOTS
    seen.BLOCK_SLOTS = 3 if large else before
    try:
        found = seen.steps_of(loader, rows, steps)
    finally:
        seen.BLOCK_SLOTS = before
    true: dict[int, list[int]] = {row: [] for row in rows}
    for step in range(steps):
        for row in set(loader.provenance(step)["document"].to_pylist()) & set(rows):
            true[row].append(step + 1)
    assert {row: at.tolist() for row, at in found.items()} == true


def test_another_order_is_gone_through(token_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loader that orders its windows otherwise is believed, not the inverse of the order known here."""
    loader = MixtureLoader(token_run / "tokens/core", sequence_length=64, batch_size=3, seed=1)
    plain = seen.steps_of(loader, [5], 20)
    real = loader.window_starts
    monkeypatch.setattr(loader, "window_starts", lambda slots: real(slots[::-1].copy())[::-1] // 64 // 2 * 2 * 64)
    found = seen.steps_of(loader, [5], 20)
    true = [step + 1 for step in range(20) if 5 in loader.provenance(step)["document"].to_pylist()]
    assert found[5].tolist() == true
    assert plain.keys() == found.keys()
