"""The order read backwards: in which steps of a stage a document was.

The loader's order sends a slot to a sequence; here sequences are sent back to slots, so that the steps of a handful of
documents are found without going through the steps. Every answer is checked against the loader's own order.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.data.loader import MixtureLoader
from trainer.data.order import permute, unpermute
from trainer.errors import DataError

BLOCK = 1 << 18
"""Sequences looked at together, and the largest order that is tabulated rather than walked back."""


def loader_of(manifest: Path, state: Mapping[str, Any]) -> MixtureLoader:
    """Make the loader that a saved state (`MixtureLoader.state_dict`) came from, without checking digests of shards.

    Raises DataError as the loader does.
    """
    known = set(inspect.signature(MixtureLoader.__init__).parameters)
    known -= {"self", "manifest", "verify", "rank", "world", "excluded", "index"}
    return MixtureLoader(manifest, **{name: state[name] for name in known if name in state}, verify=False)


def steps_of(loader: MixtureLoader, documents: Iterable[int], steps: int) -> dict[int, NDArray[np.int64]]:
    """Return the steps (from 1) among the first `steps` that had each document in their batch, ascending.

    Args:
        loader: of the whole batch (rank 0 of 1).
        documents: rows of documents.parquet.
        steps: steps of the stage to look at.

    Raises:
        DataError: the loader's order is not the one that is known here how to read backwards.
    """
    rows = np.unique(np.fromiter(documents, np.int64))
    if steps <= 0 or not len(rows):
        return {int(row): np.empty(0, np.int64) for row in rows}
    sequences, owners = sequences_of(loader, rows)
    slots, at = slots_of(loader, sequences, steps * loader.batch_size)
    return {int(row): np.unique(slots[owners[at] == row] // loader.batch_size + 1) for row in rows}


def sequences_of(loader: MixtureLoader, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the sequences that hold tokens of documents, and for each the document; `rows` are sorted."""
    if loader.packing == "concat":
        first = loader.stage.document_starts[rows] // loader.sequence_length
        last = np.minimum((loader.stage.document_ends[rows] - 1) // loader.sequence_length, loader.windows - 1)
        counts = np.maximum(last - first + 1, 0)  # one in the tail that is left out has none
        ends = np.cumsum(counts)
        inside = np.arange(int(ends[-1])) - np.repeat(ends - counts, counts)
        return np.repeat(first, counts) + inside, np.repeat(rows, counts)
    found: list[NDArray[np.int64]] = []
    owners: list[NDArray[np.int64]] = []
    for begin in range(0, loader.windows, BLOCK):
        runs = loader.made_of(np.arange(begin, min(begin + BLOCK, loader.windows)))
        mine = np.flatnonzero(np.isin(runs.document, rows))
        found.append(runs.sequence[mine] + begin)
        owners.append(runs.document[mine])
    return np.concatenate(found), np.concatenate(owners)


def slots_of(
    loader: MixtureLoader, sequences: NDArray[np.int64], most: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the slots below `most` that take the sequences, in any epoch, and which of `sequences` each is."""
    slots: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    at: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    for epoch in range(-(-most // loader.windows)):
        mine = epoch * loader.windows + _places(loader, sequences, epoch)
        chosen = np.flatnonzero(mine < most)
        slots.append(mine[chosen])
        at.append(chosen)
    found, which = np.concatenate(slots), np.concatenate(at)
    for first in range(0, len(found), BLOCK):
        part = slice(first, first + BLOCK)
        if not np.array_equal(loader.sequences(found[part]), sequences[which[part]]):
            raise DataError(
                f"{loader.stage.manifest_path}: the loader takes its sequences in an order that cannot be read "
                "backwards here; this is a fault of the trainer: please report it"
            )
    return found, which


def _places(loader: MixtureLoader, sequences: NDArray[np.int64], epoch: int) -> NDArray[np.int64]:
    """Places of sequences in an epoch."""
    if not loader.shuffle:
        return sequences
    places = np.empty_like(sequences)
    for phase, (first, end) in enumerate(pairwise(loader.phase_borders.tolist())):
        chosen = (sequences >= first) & (sequences < end)
        if chosen.any():
            places[chosen] = first + _inverse(sequences[chosen] - first, end - first, loader.seed, epoch, phase)
    return places


def _inverse(values: NDArray[np.int64], size: int, seed: int, epoch: int, phase: int) -> NDArray[np.int64]:
    """Where `permute` comes from to each value: by tabulating small orders, by walking cycles back in large ones."""
    if size > BLOCK or len(values) < size // 8:
        return unpermute(values, size, seed, epoch, phase)
    table = np.empty(size, np.int64)
    table[permute(np.arange(size, dtype=np.int64), size, seed, epoch, phase)] = np.arange(size)
    return table[values]
