"""Batches whose order is a pure function of (seed, step, slot)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trainer.data.order import permute
from trainer.data.tokens import TokenStage
from trainer.errors import CheckpointError, DataError

IGNORE = -100
"""Label of a position that carries no loss."""


@dataclass(frozen=True)
class Batch:
    """One rank's sequences of one step, in slot order; n = sequences, s = sequence_length."""

    step: int
    input_ids: NDArray[np.int64]
    """[n, s]"""
    labels: NDArray[np.int64]
    """[n, s]: the next token, or IGNORE where that belongs to another document."""
    document_ids: NDArray[np.int64]
    """[n, s]: row in documents.parquet of each input token; equal ids may attend to each other."""

    @property
    def valid_tokens(self) -> int:
        """Labels that carry loss."""
        return int(np.count_nonzero(self.labels != IGNORE))


class MixtureLoader:
    """Fixed-length windows of a tokenized stage, in an order that any worker can compute for any step.

    The stage's tokens, all shards end to end, are cut into windows that start every `sequence_length` tokens and hold
    one more (concat and chunk): every token is an input once and a label once an epoch; a tail shorter than a window
    is left out. Step k takes slots k·batch_size .. (k+1)·batch_size - 1. Slot g is window permute(g mod windows) of
    epoch g div windows, with a fresh permutation each epoch (`shuffle=False`: stored order). Rank r of w takes the
    r-th equal part of a step's slots, so the global batch is the same for every world size.

    The label after a document's last token would be the next document's first; it is IGNORE, so that with document
    masking a document's loss does not depend on its neighbours.

    Args:
        manifest: `tokens/<stage>` or the manifest.json in it.
        sequence_length: input tokens a sequence.
        batch_size: sequences a step over all ranks; must be a multiple of `world`.
        seed: of the order.
        rank, world: this worker's part.
        shuffle: False keeps the stored order in every epoch.
        verify: check each shard's SHA-256 when it is first read from.

    Raises:
        DataError: files are missing, changed or hold fewer tokens than one window.
        ValueError: sizes that are not positive or do not divide.
    """

    def __init__(
        self,
        manifest: Path | str,
        *,
        sequence_length: int,
        batch_size: int,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        shuffle: bool = True,
        verify: bool = True,
    ) -> None:
        if sequence_length < 1 or batch_size < 1:
            raise ValueError(f"sequence_length ({sequence_length}) and batch_size ({batch_size}) must be positive")
        if world < 1 or not 0 <= rank < world or batch_size % world:
            raise ValueError(
                f"rank {rank} of {world} cannot share a batch of {batch_size}: it must be a multiple of the world size"
            )
        self.stage = TokenStage(manifest, verify=verify)
        self.sequence_length, self.batch_size, self.seed = sequence_length, batch_size, seed
        self.rank, self.world, self.shuffle = rank, world, shuffle
        self.windows = (self.stage.tokens - 1) // sequence_length
        """Windows an epoch."""
        if not self.windows:
            raise DataError(
                f"{self.stage.manifest_path}: {self.stage.tokens} tokens do not fill one window of "
                f"{sequence_length} + 1 tokens; shorten sequence_length or add data"
            )
        self.step = 0
        """The step that `next()` gives."""

    def slots(self, step: int) -> NDArray[np.int64]:
        """Global slot numbers of this rank in a step (from 0): int64 [batch_size / world]."""
        share = self.batch_size // self.world
        first = step * self.batch_size + self.rank * share
        return np.arange(first, first + share, dtype=np.int64)

    def window_starts(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """Global token position at which each slot's window starts."""
        epochs, places = slots // self.windows, slots % self.windows
        if self.shuffle:
            for epoch in np.unique(epochs).tolist():
                chosen = epochs == epoch
                places[chosen] = permute(places[chosen], self.windows, self.seed, epoch)
        return places * self.sequence_length

    def batch(self, step: int) -> Batch:
        """The batch of any step, without touching the others."""
        starts = self.window_starts(self.slots(step))
        return self._batch_at(step, starts)

    def _batch_at(self, step: int, starts: NDArray[np.int64]) -> Batch:
        tokens = self.stage.gather(starts, self.sequence_length + 1)
        rows = self.stage.document_rows(starts[:, None] + np.arange(self.sequence_length + 1))
        labels = np.where(rows[:, 1:] == rows[:, :-1], tokens[:, 1:], IGNORE)
        return Batch(step, tokens[:, :-1], labels, rows[:, :-1])

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        """The batch of `self.step`; never ends (epochs follow each other)."""
        batch = self.batch(self.step)
        self.step += 1
        return batch

    def provenance(self, step: int) -> pa.Table:
        """Where every input token of this rank's part of a step came from, one row a run of tokens of one document.

        Columns: slot int64 (global), position int32 (in the sequence), tokens int32, document int64 (row in
        documents.parquet), shard int32, offset int64 (token offset in the shard), document_offset int64 (token offset
        in the document), id string, source string.
        """
        slots = self.slots(step)
        starts = self.window_starts(slots)
        rows = self.stage.document_rows(starts[:, None] + np.arange(self.sequence_length))
        first = np.ones(rows.shape, dtype=bool)
        first[:, 1:] = rows[:, 1:] != rows[:, :-1]
        sequence, position = np.nonzero(first)
        ends = np.append(position[1:], self.sequence_length)
        ends[np.append(sequence[1:] != sequence[:-1], True)] = self.sequence_length
        documents = rows[sequence, position]
        absolute = starts[sequence] + position
        described = self.stage.describe(documents)
        shards = np.searchsorted(self.stage.bases, absolute, side="right") - 1
        columns: dict[str, pa.Array[Any] | pa.ChunkedArray[Any]] = {
            "slot": pa.array(slots[sequence], pa.int64()),
            "position": pa.array(position, pa.int32()),
            "tokens": pa.array(ends - position, pa.int32()),
            "document": pa.array(documents, pa.int64()),
            "shard": pa.array(shards, pa.int32()),
            "offset": pa.array(absolute - self.stage.bases[shards], pa.int64()),
            "document_offset": pa.array(absolute - self.stage.document_starts[documents], pa.int64()),
            "id": described["id"],
            "source": described["source"],
        }
        return pa.Table.from_pydict(columns)

    def state_dict(self) -> dict[str, Any]:
        """The place in the data and what it depends on: plain JSON, the same on every rank and world size."""
        return {
            "version": 1,
            "step": self.step,
            "seed": self.seed,
            "sequence_length": self.sequence_length,
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "stage": self.stage.manifest.stage,
            "manifest_sha256": self.stage.digest,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved place. The world size may differ; anything that changes the order may not.

        Raises:
            CheckpointError: the state was written over other data or with another order, naming the field and both
            values.
        """
        own = self.state_dict()
        for field, value in own.items():
            if field != "step" and state.get(field) != value:
                raise CheckpointError(
                    f"{self.stage.manifest_path}: cannot resume the data order: {field} was "
                    f"{state.get(field)!r} when saved and is {value!r} now; restore it, or start over without resuming"
                )
        self.step = int(state["step"])
