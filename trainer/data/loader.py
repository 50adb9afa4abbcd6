"""Batches whose order is a pure function of (seed, step, slot)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trainer.data.order import permute
from trainer.data.packing import PackingName, pack
from trainer.data.runs import Runs, spread
from trainer.data.tokens import TokenStage
from trainer.errors import CheckpointError

IGNORE = -100
"""Label of a position that carries no loss."""

PADDING = -1
"""Document of a position that no document fills."""

_TOLD = ("step", "manifest_sha256", "excluded")
"""What a state says besides the order: it may differ on a resume."""


@dataclass(frozen=True)
class Batch:
    """One rank's sequences of one step, in slot order; n = sequences, s = sequence_length."""

    step: int
    input_ids: NDArray[np.int64]
    """[n, s]"""
    labels: NDArray[np.int64]
    """[n, s]: the next token, or IGNORE where that belongs to another document."""
    document_ids: NDArray[np.int64]
    """[n, s]: row in documents.parquet of each input token, PADDING where there is none; equal ids may attend to each
    other."""

    @property
    def valid_tokens(self) -> int:
        """Labels that carry loss."""
        return int(np.count_nonzero(self.labels != IGNORE))


class MixtureLoader:
    """Fixed-length sequences of a tokenized stage, in an order that any worker can compute for any step.

    The stage's documents are packed into sequences: all end to end and cut (`concat`: every token is an input once an
    epoch but for a tail shorter than a sequence), or whole documents fitted together (`best_fit`, 2404.10830: every
    token is an input once an epoch, and what a sequence does not fill is the end-of-text token without loss).
    Step k takes slots k·batch_size .. (k+1)·batch_size - 1. Slot g is sequence permute(g mod sequences) of epoch
    g div sequences, with a fresh permutation each epoch (`shuffle=False`: stored order); where the mixture has phases,
    each is permuted in itself and they follow each other. Rank r of w takes the r-th equal part of a step's slots, so
    the global batch is the same for every world size.

    The label after a document's last token would be the next document's first; it is IGNORE, so that with document
    masking a document's loss does not depend on its neighbours. Tokens of excluded documents are the end-of-text token
    with label IGNORE: nothing else moves.

    `loader[step]` is `loader.batch(step)`, so that torch's DataLoader can take it as a map-style data set of steps
    (`batch_size=None`), with any number of workers. Threads may share a loader.

    Args:
        manifest: `tokens/<stage>` or the manifest.json in it.
        sequence_length: input tokens a sequence.
        batch_size: sequences a step over all ranks; must be a multiple of `world`.
        seed: of the order.
        rank, world: this worker's part.
        shuffle: False keeps the stored order in every epoch.
        verify: check each shard's SHA-256 when it is first read from.
        packing: `concat` or `best_fit`.
        excluded: rows of documents.parquet to mask, besides those that the manifest excludes.
        index: folder in which a best-fit packing is kept; None packs again each time.

    Raises:
        DataError: files are missing, changed or hold fewer tokens than one sequence.
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
        packing: PackingName = "concat",
        excluded: Iterable[int] = (),
        index: Path | None = None,
    ) -> None:
        if sequence_length < 1 or batch_size < 1:
            raise ValueError(f"sequence_length ({sequence_length}) and batch_size ({batch_size}) must be positive")
        if world < 1 or not 0 <= rank < world or batch_size % world:
            raise ValueError(
                f"rank {rank} of {world} cannot share a batch of {batch_size}: it must be a multiple of the world size"
            )
        self.stage = TokenStage(manifest, verify=verify, excluded=excluded)
        self.sequence_length, self.batch_size, self.seed = sequence_length, batch_size, seed
        self.rank, self.world, self.shuffle, self.packing = rank, world, shuffle, packing
        self._packed = pack(self.stage, sequence_length, packing, index)
        self.windows = self._packed.sequences
        """Sequences an epoch."""
        self._masks = bool(self.stage.excluded.any())
        self.step = 0
        """The step that `next()` gives."""

    def slots(self, step: int) -> NDArray[np.int64]:
        """Global slot numbers of this rank in a step (from 0): int64 [batch_size / world]."""
        share = self.batch_size // self.world
        first = step * self.batch_size + self.rank * share
        return np.arange(first, first + share, dtype=np.int64)

    def sequences(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """The sequence, in stored order, that each slot takes."""
        epochs, places = slots // self.windows, slots % self.windows
        if not self.shuffle:
            return places
        borders = self._packed.phase_borders
        phases = np.searchsorted(borders, places, side="right") - 1
        for epoch, phase in np.unique(np.stack([epochs, phases]), axis=1).T.tolist():
            chosen = (epochs == epoch) & (phases == phase)
            first, end = int(borders[phase]), int(borders[phase + 1])
            places[chosen] = first + permute(places[chosen] - first, end - first, self.seed, epoch, phase)
        return places

    @property
    def phase_borders(self) -> NDArray[np.int64]:
        """First sequence of each phase, and the number of sequences."""
        return self._packed.phase_borders

    def made_of(self, sequences: NDArray[np.int64]) -> Runs:
        """What sequences, in stored order, are made of."""
        return self._packed.runs(sequences)

    def runs(self, step: int) -> Runs:
        """What this rank's sequences of a step are made of."""
        return self._packed.runs(self.sequences(self.slots(step)))

    def batch(self, step: int) -> Batch:
        """The batch of any step, without touching the others."""
        runs = self.runs(step)
        shape = (self.batch_size // self.world, self.sequence_length)
        places = runs.sequence * self.sequence_length + runs.column
        last = np.cumsum(runs.length) - 1
        inputs = self.stage.read(runs).astype(np.int64)
        labels = np.empty_like(inputs)
        labels[:-1] = inputs[1:]
        labels[last] = self._next(runs)
        if self._masks:
            masked = np.repeat(self.stage.excluded[runs.document], runs.length)
            inputs[masked] = self.stage.manifest.eos_id
            labels[masked] = IGNORE
        documents = np.repeat(runs.document, runs.length)
        if len(inputs) != shape[0] * shape[1]:
            at = spread(places, runs.length)
            inputs = _padded(inputs, at, shape, self.stage.manifest.eos_id)
            labels = _padded(labels, at, shape, IGNORE)
            documents = _padded(documents, at, shape, PADDING)
        return Batch(step, inputs.reshape(shape), labels.reshape(shape), documents.reshape(shape))

    def _next(self, runs: Runs) -> NDArray[np.int64]:
        """The token after each run where it is of the same document, else IGNORE."""
        after = runs.position + runs.length
        goes_on = np.flatnonzero(after < self.stage.document_ends[runs.document])
        labels = np.full(len(after), IGNORE, np.int64)
        one = np.ones(len(goes_on), np.int64)
        following = Runs(runs.sequence[goes_on], one, after[goes_on], one, runs.document[goes_on])
        labels[goes_on] = self.stage.read(following)
        return labels

    def __getitem__(self, step: int) -> Batch:
        """The batch of a step, for samplers of steps."""
        return self.batch(step)

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        """The batch of `self.step`; never ends (epochs follow each other)."""
        batch = self.batch(self.step)
        self.step += 1
        return batch

    def provenance(self, step: int) -> pa.Table:
        """Where every input token of this rank's part of a step came from, one row a run of tokens of one document.

        Padding has no row. Columns: slot int64 (global), position int32 (in the sequence), tokens int32, document int64
        (row in documents.parquet), shard int32, offset int64 (token offset in the shard), document_offset int64 (token
        offset in the document), excluded bool, id string, source string.
        """
        slots, runs = self.slots(step), self.runs(step)
        described = self.stage.describe(runs.document)
        shards = np.searchsorted(self.stage.bases, runs.position, side="right") - 1
        inside = runs.position - self.stage.document_starts[runs.document]
        if "first" in described.column_names:  # the rest of a document that a phase's end cut begins there
            inside = inside + described["first"].to_numpy()
        columns: dict[str, pa.Array[Any] | pa.ChunkedArray[Any]] = {
            "slot": pa.array(slots[runs.sequence], pa.int64()),
            "position": pa.array(runs.column, pa.int32()),
            "tokens": pa.array(runs.length, pa.int32()),
            "document": pa.array(runs.document, pa.int64()),
            "shard": pa.array(shards, pa.int32()),
            "offset": pa.array(runs.position - self.stage.bases[shards], pa.int64()),
            "document_offset": pa.array(inside, pa.int64()),
            "excluded": pa.array(self.stage.excluded[runs.document]),
            "id": described["id"],
            "source": described["source"],
        }
        return pa.Table.from_pydict(columns)

    @property
    def order_digest(self) -> str:
        """SHA-256 of all that the order depends on; what documents say, or whether they are excluded, is not of it."""
        facts = [self.stage.layout_digest, self.sequence_length, self.batch_size, self.seed, self.shuffle, self.packing]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def state_dict(self) -> dict[str, Any]:
        """The place in the data and what it depends on: plain JSON, the same on every rank and world size."""
        return {
            "version": 2,
            "step": self.step,
            "seed": self.seed,
            "sequence_length": self.sequence_length,
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "packing": self.packing,
            "stage": self.stage.manifest.stage,
            "order_sha256": self.order_digest,
            "manifest_sha256": self.stage.digest,
            "excluded": int(np.count_nonzero(self.stage.excluded)),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved place.

        The world size may differ, and documents may have been taken down since; anything that changes the order may
        not.

        Raises:
            CheckpointError: the state was written over other data or with another order, naming the field and both
            values.
        """
        own = self.state_dict()
        for field, value in own.items():
            if field not in _TOLD and state.get(field) != value:
                raise CheckpointError(
                    f"{self.stage.manifest_path}: cannot resume the data order: {field} was "
                    f"{state.get(field)!r} when saved and is {value!r} now; restore it, or start over without resuming"
                )
        self.step = int(state["step"])


def _padded(values: NDArray[np.int64], at: NDArray[np.int64], shape: tuple[int, int], fill: int) -> NDArray[np.int64]:
    out = np.full(shape[0] * shape[1], fill, np.int64)
    out[at] = values
    return out
