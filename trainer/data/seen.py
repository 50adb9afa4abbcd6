"""The order read backwards: in which steps of a stage a document was.

A slot is sent to a sequence; here the sequences that hold a document are sent back to slots, in every packing and with
phases, so that the steps of a handful of documents are found without going through the steps.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.data.loader import MixtureLoader

BLOCK_SEQUENCES = 1 << 16
"""Sequences looked at together."""


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
    """
    rows = np.unique(np.fromiter(documents, np.int64))
    found = {int(row): np.empty(0, np.int64) for row in rows}
    if steps <= 0 or not len(rows):
        return found
    sequences, owners = sequences_of(loader, rows)
    slots, at = loader.slots_of(sequences, steps * loader.batch_size)
    for row in found:
        found[row] = np.unique(slots[owners[at] == row] // loader.batch_size + 1)
    return found


def sequences_of(loader: MixtureLoader, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the sequences that hold input tokens of documents (ascending rows), and for each of them the document."""
    sequences: list[NDArray[np.int64]] = []
    owners: list[NDArray[np.int64]] = []
    for first in range(0, loader.windows, BLOCK_SEQUENCES):
        runs = loader.runs_of(np.arange(first, min(first + BLOCK_SEQUENCES, loader.windows), dtype=np.int64))
        place = np.minimum(np.searchsorted(rows, runs.document), len(rows) - 1)
        mine = np.flatnonzero(rows[place] == runs.document)
        sequences.append(first + runs.sequence[mine])
        owners.append(runs.document[mine])
    return np.concatenate(sequences), np.concatenate(owners)
