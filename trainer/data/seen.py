"""The order read backwards: in which steps of a stage a document was.

The loader's order sends a slot to a window; here windows are sent back to slots, so that the steps of a handful of
documents are found without going through the steps. Every answer is checked against the loader's own order, and where
that is not the order this file knows (other packing, phases), the steps are gone through instead.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from trainer.data.loader import MixtureLoader
from trainer.data.order import permute, unpermute

BLOCK_SLOTS = 1 << 20
"""Slots looked at together where steps are gone through."""


def loader_of(manifest: Path, state: Mapping[str, Any]) -> MixtureLoader:
    """Make the loader that a saved state (`MixtureLoader.state_dict`) came from, without checking digests of shards.

    Raises DataError as the loader does.
    """
    known = set(inspect.signature(MixtureLoader.__init__).parameters) - {"self", "manifest", "verify", "rank", "world"}
    return MixtureLoader(manifest, **{name: state[name] for name in known if name in state}, verify=False)


def steps_of(loader: MixtureLoader, documents: Iterable[int], steps: int) -> dict[int, NDArray[np.int64]]:
    """Return the steps (from 1) among the first `steps` that had each document in their batch, ascending.

    Args:
        loader: of the whole batch (rank 0 of 1).
        documents: rows of documents.parquet.
        steps: steps of the stage to look at.
    """
    rows = np.unique(np.fromiter(documents, np.int64))
    if steps <= 0 or not len(rows):
        return {int(row): np.empty(0, np.int64) for row in rows}
    windows, owners = windows_of(loader, rows)
    found = _inverted(loader, windows, steps)
    if found is None:
        return _gone_through(loader, rows, steps)
    slots, at = found
    return {int(row): np.unique(slots[owners[at] == row] // loader.batch_size + 1) for row in rows}


def windows_of(loader: MixtureLoader, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the windows whose input tokens documents touch, and for each the document, for concat-and-chunk."""
    starts = loader.stage.document_starts
    ends = np.append(starts[1:], loader.stage.tokens)
    first = starts[rows] // loader.sequence_length
    last = np.minimum((ends[rows] - 1) // loader.sequence_length, loader.windows - 1)
    counts = np.maximum(last - first + 1, 0)  # a document in the tail that is left out has none
    total = np.cumsum(counts)
    inside = np.arange(int(total[-1]) if len(total) else 0) - np.repeat(total - counts, counts)
    return np.repeat(first, counts) + inside, np.repeat(rows, counts)


def _inverted(
    loader: MixtureLoader, windows: NDArray[np.int64], steps: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Return the slots of windows in the first steps, and which of `windows` each is; None for an unknown order."""
    if not hasattr(loader, "window_starts"):
        return None
    size, slots_in_all = loader.windows, steps * loader.batch_size
    slots: list[NDArray[np.int64]] = []
    at: list[NDArray[np.int64]] = []
    for epoch in range(-(-slots_in_all // size)):
        places = _inverse(windows, size, loader.seed, epoch) if loader.shuffle else windows
        mine = epoch * size + places
        chosen = np.flatnonzero(mine < slots_in_all)
        slots.append(mine[chosen])
        at.append(chosen)
    found, which = np.concatenate(slots), np.concatenate(at)
    for first in range(0, len(found), BLOCK_SLOTS):
        part = slice(first, first + BLOCK_SLOTS)
        if not np.array_equal(loader.window_starts(found[part]), windows[which[part]] * loader.sequence_length):
            return None
    return found, which


def _inverse(values: NDArray[np.int64], size: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Where `permute` comes from to each value: by tabulating small orders, by walking cycles back in large ones."""
    if size <= BLOCK_SLOTS:
        table = np.empty(size, np.int64)
        table[permute(np.arange(size, dtype=np.int64), size, seed, epoch)] = np.arange(size)
        return table[values]
    return unpermute(values, size, seed, epoch)


def _gone_through(loader: MixtureLoader, rows: NDArray[np.int64], steps: int) -> dict[int, NDArray[np.int64]]:
    """Find the steps by the provenance of each, for any packing."""
    wanted = np.sort(rows)
    found: dict[int, list[int]] = {int(row): [] for row in wanted}
    for step in range(steps):
        seen = np.asarray(pc.unique(loader.provenance(step)["document"]).to_numpy(), np.int64)
        for row in np.intersect1d(seen, wanted).tolist():
            found[row].append(step + 1)
    return {row: np.asarray(each, np.int64) for row, each in found.items()}
