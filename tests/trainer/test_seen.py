"""The order read backwards is the order."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data import MixtureLoader, seen
from trainer.data.order import permute, unpermute
from trainer.errors import DataError


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
    share=st.floats(0.05, 0.95),
)
@pytest.mark.parametrize("packing", ["concat", "best_fit"])
@pytest.mark.parametrize("large", [False, True])
def test_steps_are_those_of_the_provenance(
    token_run: Path,
    phased: Path,
    length: int,
    batch: int,
    seed: int,
    steps: int,
    shuffle: bool,
    pick: int,
    share: float,
    packing: str,
    large: bool,
) -> None:
    """In both packings, with phases, in several epochs; `large` walks back what would be tabulated."""
    told = json.loads((phased / "manifest.json").read_text())
    first = max(1, int(told["tokens"] * share))
    told["phases"] = [{"tokens": first, "weights": {}}, {"tokens": told["tokens"] - first, "weights": {}}]
    (phased / "manifest.json").write_text(json.dumps(told))
    loader = MixtureLoader(
        phased if pick % 2 else token_run / "tokens/core",
        sequence_length=length,
        batch_size=batch,
        seed=seed,
        shuffle=shuffle,
        packing=packing,  # type: ignore[arg-type]
        verify=False,
    )
    count = len(loader.stage.document_starts)
    rows = [pick % count, (pick // 7) % count, count - 1]
    before = seen.BLOCK
    seen.BLOCK = 3 if large else before
    try:
        found = seen.steps_of(loader, rows, steps)
    finally:
        seen.BLOCK = before
    true: dict[int, list[int]] = {row: [] for row in rows}
    for step in range(steps):
        for row in set(loader.provenance(step)["document"].to_pylist()) & set(rows):
            true[row].append(step + 1)
    assert {row: at.tolist() for row, at in found.items()} == true


@pytest.fixture(scope="module")
def phased(token_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phased")
    shutil.copytree(token_run / "tokens/core", folder / "core")
    return folder / "core"


def test_an_order_that_is_not_known_is_refused(token_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loader = MixtureLoader(token_run / "tokens/core", sequence_length=64, batch_size=3, seed=1)
    real = loader.sequences
    monkeypatch.setattr(loader, "sequences", lambda slots: real(slots + 1))
    with pytest.raises(DataError, match="cannot be read backwards"):
        seen.steps_of(loader, [5], 20)
