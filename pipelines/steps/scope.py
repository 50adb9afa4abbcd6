"""Which documents a method looks at, in what order their copies count, and what is left of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from kernels.ranges import blank_texts
from kernels.strings import TextBatch, text_batch
from pipelines.document import DOCUMENT_SCHEMA
from pipelines.engines.plan import Output, Plan, Shard, Tables
from pipelines.ledger import DROPPED, KEPT, LEDGER_SCHEMA, verdicts
from pipelines.recipe_parts import Scoped
from pipelines.steps.step import As, Finished, Steps, partition_shards
from pipelines.steps.sums import total
from pipelines.storage import at, read_batches

ROWS = 1024
"""Documents read at a time."""
SHOWN = 5
"""Cuts told of one document; their number is always told."""
ABOUT = ("id", "source", "kind", "language", "text")
COVERED_SCHEMA = pa.schema([pa.field("part", pa.int64()), pa.field("documents", pa.int64())])


@dataclass(frozen=True)
class Scope:
    """The documents that a method looks at."""

    kinds: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    prefer: tuple[str, ...] = ()

    @classmethod
    def of(cls, use: Scoped) -> Scope:
        """Read it from a recipe's section."""
        return cls(use.kinds, use.sources, use.languages, use.prefer)

    @property
    def restricted(self) -> bool:
        """Whether there are documents that are not looked at, as far as the recipe says."""
        return bool(self.kinds or self.sources or self.languages)

    def covers(self, documents: pa.Table) -> pa.Array:
        """Which documents are looked at, a flag a row."""
        whole = np.ones(documents.num_rows, np.bool_)
        for name, values in (("kind", self.kinds), ("source", self.sources), ("language", self.languages)):
            if values:
                told = pc.is_in(documents[name], value_set=pa.array(values, pa.string()))
                whole &= told.to_numpy()
        return pa.array(whole)

    def rank(self, documents: pa.Table) -> NDArray[np.int32]:
        """Rank of each document by its source: 0 for the most preferred."""
        found = pc.index_in(documents["source"], value_set=pa.array(self.prefer, pa.string()))
        return pc.fill_null(found, len(self.prefer)).to_numpy().astype(np.int32)

    def read(self, path: str) -> Iterator[pa.Table]:
        """Read the documents of one part that are looked at: ABOUT."""
        for table in read_batches(at(path), ROWS, list(ABOUT)):
            inside = table.filter(self.covers(table)) if self.restricted else table
            yield inside.combine_chunks()


@dataclass(frozen=True)
class Covered:
    """Counts the documents of one part that are looked at."""

    scope: Scope

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield one row."""
        columns = ["source", "kind", "language"]
        found = sum(
            pc.sum(self.scope.covers(table)).as_py() or 0
            for table in read_batches(at(shard.payload[0]), 65_536, columns)
        )
        yield pa.table([pa.array([shard.index]), pa.array([found], pa.int64())], schema=COVERED_SCHEMA)


def covered(steps: Steps, folder: Path, step: str, scope: Scope, documents: Finished) -> int:
    """Count the documents that are looked at; where all are, they have been counted. Writes to `covered`."""
    if not scope.restricted:
        return documents.account.kept
    plan = Plan(
        f"{step} covered",
        partition_shards([documents.parts("documents")]),
        Covered(scope),
        As("covered"),
        {"covered": Output(COVERED_SCHEMA, ("part",))},
    )
    found = steps.run(plan, folder)
    return int(total([folder / one.path for one in found.files["covered"]], "documents"))


def as_text(batch: TextBatch) -> pa.Array[Any]:
    """Return texts as an Arrow column, without copying them."""
    offsets = batch.offsets
    return pa.LargeStringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(batch.data))


def listed(row: NDArray[np.int64], pieces: list[Any], rows: int) -> pa.Array[Any]:
    """Join pieces of JSON (columns and constants) of the first few entries of each row into a list: a string a row.

    `row` is rising; a row without entries has "[]".
    """
    number = np.arange(len(row)) - np.searchsorted(row, row)
    few = number < SHOWN
    chosen = pa.array(few)
    parts = [piece if isinstance(piece, str) else pc.cast(piece, pa.string()).filter(chosen) for piece in pieces]
    count = np.bincount(row[few], minlength=rows)
    if not few.any():
        return pa.array(["[]"] * rows, pa.string())
    texts = pc.binary_join_element_wise(*parts, "")
    ends = np.concatenate([[0], np.cumsum(count)]).astype(np.int32)
    joined = pc.binary_join(pa.ListArray.from_arrays(pa.array(ends), texts), ",")
    return pc.binary_join_element_wise("[", joined, "]", "")


@dataclass(frozen=True)
class ApplyCuts:
    """Takes texts as they were cut (columns `cut.text`, `cut.amount`, `cut.evidence`); drops what is empty then."""

    step: str
    reason: str
    signal: str

    def __call__(self, table: pa.Table) -> Tables:
        """Return the documents that have text left, and a ledger row each."""
        lost = pc.greater(table["cut.amount"], 0)
        empty = pc.and_(lost, pa.array(blank_texts(text_batch(table["cut.text"]))))
        ledger = verdicts(
            table,
            self.step,
            verdict=pc.if_else(empty, DROPPED, KEPT),
            reason=pc.if_else(empty, self.reason, ""),
            signal=pc.if_else(empty, self.signal, pa.scalar(None, pa.string())),
            value=pc.if_else(lost, table["cut.amount"].cast(pa.float64()), pa.scalar(None, pa.float64())),
            evidence=pc.if_else(lost, table["cut.evidence"], pa.scalar(None, pa.string())),
        )
        table = table.set_column(table.schema.get_field_index("text"), "text", table["cut.text"])
        documents = table.filter(pc.invert(empty)).select(DOCUMENT_SCHEMA.names)
        return {"documents": documents.cast(DOCUMENT_SCHEMA), "ledger": ledger.cast(LEDGER_SCHEMA)}


def with_cuts(
    table: pa.Table, covered: pa.Array[Any], text: pa.Array[Any], amount: NDArray[np.int64], evidence: pa.Array[Any]
) -> pa.Table:
    """Append what `ApplyCuts` reads; `text`, `amount` and `evidence` are of the covered rows alone."""
    place = np.cumsum(covered.to_numpy(zero_copy_only=False)) - 1
    some = pa.array(np.where(covered.to_numpy(zero_copy_only=False), place, -1))
    some = pc.if_else(covered, some, pa.scalar(None, pa.int64()))
    # Through bytes: a text need not be UTF-8.
    new = text.view(pa.large_binary()).take(some)
    old = table["text"].combine_chunks().cast(pa.large_string()).view(pa.large_binary())
    whole = pc.if_else(covered, new, old).view(pa.large_string())
    table = table.append_column("cut.text", whole)
    table = table.append_column("cut.amount", pc.fill_null(pa.array(amount, pa.int64()).take(some), 0))
    return table.append_column("cut.evidence", evidence.cast(pa.string()).take(some))
