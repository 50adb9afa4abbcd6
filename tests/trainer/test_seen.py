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
from trainer.data.packing import PackingName


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
    packing=st.sampled_from(["concat", "best_fit"]),
    phased=st.booleans(),
)
@pytest.mark.parametrize("block", [3, seen.BLOCK_SEQUENCES])
def test_steps_are_those_of_the_provenance(
    token_run: Path,
    tmp_path_factory: pytest.TempPathFactory,
    length: int,
    batch: int,
    seed: int,
    steps: int,
    shuffle: bool,
    pick: int,
    packing: PackingName,
    phased: bool,
    block: int,
) -> None:
    folder = token_run / "tokens/core"
    if phased:
        folder = _in_phases(folder, tmp_path_factory.mktemp("phased"), pick)
    loader = MixtureLoader(
        folder, sequence_length=length, batch_size=batch, seed=seed, shuffle=shuffle, verify=False, packing=packing
    )
    count = len(loader.stage.document_starts)
    rows = [pick % count, (pick // 7) % count, count - 1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seen, "BLOCK_SEQUENCES", block)
        found = seen.steps_of(loader, rows, steps)
    true: dict[int, list[int]] = {row: [] for row in rows}
    for step in range(steps):
        for row in set(loader.provenance(step)["document"].to_pylist()) & set(rows):
            true[row].append(step + 1)
    assert {row: at.tolist() for row, at in found.items()} == true


def _in_phases(folder: Path, place: Path, pick: int) -> Path:
    """The same tokens, in two phases that meet at the start of a document."""
    shutil.copytree(folder, place / "tokens")
    shutil.copytree(folder.parent.parent / "tokenizer", place.parent / "tokenizer", dirs_exist_ok=True)
    manifest = json.loads((folder / "manifest.json").read_text())
    starts = MixtureLoader(folder, sequence_length=8, batch_size=1, verify=False).stage.document_starts
    border = int(starts[1 + pick % (len(starts) - 1)])
    manifest["phases"] = [{"tokens": border}, {"tokens": manifest["tokens"] - border}]
    (place / "tokens" / "manifest.json").write_text(json.dumps(manifest))
    return place / "tokens"
