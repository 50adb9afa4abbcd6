"""How documents become sequences of one length: concat and chunk, or best-fit."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from trainer.data import best_fit
from trainer.data.runs import Ints, Runs
from trainer.data.tokens import TokenStage
from trainer.errors import DataError

PackingName = Literal["concat", "best_fit"]


class Packing(Protocol):
    """A stage's sequences in stored order."""

    sequences: int
    """Sequences an epoch."""
    phase_borders: Ints
    """First sequence of each phase, and the number of sequences."""

    def runs(self, sequences: Ints) -> Runs:
        """What the sequences are made of."""
        ...


class Concat:
    """Windows of the stored order, all documents end to end: sequence k is tokens k·length .. (k+1)·length - 1.

    Every token is in one sequence; a tail that fills none, or whose last token would have no next one, is left out.
    A sequence belongs to the phase in which it starts.

    Raises:
        DataError: the stage does not fill one sequence.
    """

    def __init__(self, stage: TokenStage, sequence_length: int) -> None:
        self.stage, self.length = stage, sequence_length
        self.sequences = (stage.tokens - 1) // sequence_length
        if not self.sequences:
            raise DataError(
                f"{stage.manifest_path}: {stage.tokens} tokens do not fill one window of "
                f"{sequence_length} + 1 tokens; shorten sequence_length or add data"
            )
        self.phase_borders = np.minimum(-(-stage.phase_starts // sequence_length), self.sequences)
        self.phase_borders[-1] = self.sequences

    def runs(self, sequences: Ints) -> Runs:
        """What the sequences are made of."""
        begin = sequences * self.length
        end = begin + self.length
        first = self.stage.document_rows(begin)
        counts = self.stage.document_rows(end - 1) - first + 1
        sequence = np.repeat(np.arange(len(sequences)), counts)
        before = np.repeat(np.cumsum(counts) - counts, counts)
        document = np.repeat(first, counts) + np.arange(len(sequence)) - before
        position = np.maximum(self.stage.document_starts[document], begin[sequence])
        stop = np.minimum(self.stage.document_ends[document], end[sequence])
        return Runs(sequence, position - begin[sequence], position, stop - position, document)


class BestFit:
    """Documents packed whole into sequences (Ding et al. 2404.10830); only those longer than a sequence are cut.

    Every token is in one sequence; what a sequence does not fill is padding.

    Args:
        stage: the tokens.
        sequence_length: tokens a sequence.
        index: folder that keeps the packing, by a digest of all it depends on; None packs in memory.
    """

    def __init__(self, stage: TokenStage, sequence_length: int, index: Path | None = None) -> None:
        self.stage = stage
        self.packed = best_fit.packed(stage, sequence_length, index)
        self.sequences = len(self.packed.first) - 1
        self.phase_borders = self.packed.phase_borders

    def runs(self, sequences: Ints) -> Runs:
        """What the sequences are made of."""
        first = self.packed.first[sequences].astype(np.int64)
        counts = self.packed.first[sequences + 1] - first
        sequence = np.repeat(np.arange(len(sequences)), counts)
        before = np.repeat(np.cumsum(counts) - counts, counts)
        pieces = np.repeat(first, counts) + np.arange(len(sequence)) - before
        position = self.packed.position[pieces].astype(np.int64)
        length = self.packed.length[pieces].astype(np.int64)
        ends = np.cumsum(length)
        column = ends - length
        # Columns count from the start of each sequence: take off what lies before its first piece.
        heads = np.cumsum(counts) - counts
        column -= np.repeat(column[heads], counts)
        return Runs(sequence, column, position, length, self.stage.document_rows(position))


def pack(stage: TokenStage, sequence_length: int, packing: PackingName, index: Path | None = None) -> Packing:
    """The stage's sequences, packed one way or the other."""
    return Concat(stage, sequence_length) if packing == "concat" else BestFit(stage, sequence_length, index)
