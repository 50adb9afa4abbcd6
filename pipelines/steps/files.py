"""Documents → documents without source files whose content another one has (`dedup.repositories`).

Of equal files the one stays whose source is preferred, then whose repository has most stars, then of the smallest id.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup.repeats import Repeated, find, occurrences
from dedup.repositories import content_keys
from pipelines.document import DOCUMENT_SCHEMA
from pipelines.engines.plan import Output, Plan, Shard, Tables
from pipelines.ledger import DROPPED, KEPT, LEDGER_SCHEMA, verdicts
from pipelines.recipe_parts import FilesUse
from pipelines.report.evidence import fields
from pipelines.steps.beside import ids_of
from pipelines.steps.repeats import told
from pipelines.steps.scope import ABOUT, ROWS, Scope
from pipelines.steps.step import LEDGER_OUTPUT, Body, Finished, Steps, partition_shards
from pipelines.storage import at, read_batches, read_table

STEP = "04-files"
STARS = pa.schema([pa.field("stars", pa.int64())])
MOST_STARS = (1 << 24) - 1


def ranks(documents: pa.Table, scope: Scope) -> NDArray[np.int32]:
    """Rank documents by source, and within a source by the stars of their repository."""
    stars = fields(documents["metadata"].combine_chunks(), STARS)["stars"] if documents.num_rows else pa.array([])
    counted = np.clip(pc.fill_null(stars, 0).to_numpy().astype(np.int64), 0, MOST_STARS)
    return (np.minimum(scope.rank(documents), 127) * (MOST_STARS + 1) + MOST_STARS - counted).astype(np.int32)


@dataclass(frozen=True)
class ReadContents:
    """Sums the contents of one part of documents."""

    scope: Scope

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield occurrences."""
        for table in read_batches(at(shard.payload[0]), ROWS, [*ABOUT, "metadata"]):
            some = table.filter(self.scope.covers(table)).combine_chunks()
            keys, there = content_keys(some["text"])
            row = np.flatnonzero(there)
            zeros = np.zeros(len(row), np.int64)
            yield occurrences(keys[there], row, zeros, ids_of(some), ranks(some, self.scope), shard.index)


@dataclass(frozen=True)
class ReadTold:
    """Reads the documents of one part with the file that stays in their place, where it is not they."""

    scope: Scope

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield documents with `told.parent`."""
        known = Repeated.of(read_table(at(shard.payload[1])))
        for table in read_batches(at(shard.payload[0]), ROWS):
            keys, there = content_keys(table["text"])
            there &= self.scope.covers(table).to_numpy(zero_copy_only=False)
            repeat = np.where(there, find(keys, known.known), -1)
            first: Any = known.ids.take(pa.array(repeat, mask=repeat < 0))
            own = pc.fill_null(pc.equal(first, ids_of(table)), False)
            yield table.append_column("told.parent", pc.if_else(own, pa.scalar(None, pa.string()), first))


@dataclass(frozen=True)
class Apply:
    """Drops the files that have a parent."""

    def __call__(self, table: pa.Table) -> Tables:
        """Return the others, and a ledger row each."""
        parent = table["told.parent"]
        keep = pc.is_null(parent)
        evidence = pc.binary_join_element_wise(
            '{"parent":"', parent, '","cluster":"', parent, '","similarity":1.0,"method":"content"}', ""
        )
        nothing = pa.scalar(None, pa.float64())
        ledger = verdicts(
            table,
            STEP,
            verdict=pc.if_else(keep, KEPT, DROPPED),
            reason=pc.if_else(keep, "", "same-content"),
            signal=pc.if_else(keep, pa.scalar(None, pa.string()), "dedup.similarity"),
            value=pc.if_else(keep, nothing, pa.scalar(1.0)),
            evidence=evidence,
        )
        documents = table.filter(keep).select(DOCUMENT_SCHEMA.names)
        return {"documents": documents.cast(DOCUMENT_SCHEMA), "ledger": ledger.cast(LEDGER_SCHEMA)}


def run(steps: Steps, use: FilesUse, documents: Finished) -> Finished:
    """Run the step."""
    scope = Scope.of(use)

    def body(folder: Path, _: str) -> Body:
        parts = documents.parts("documents")
        known = told(steps, folder, f"{STEP} contents", partition_shards([parts]), ReadContents(scope), 1)
        outputs = {"documents": Output(DOCUMENT_SCHEMA), "ledger": LEDGER_OUTPUT}
        shards = partition_shards([parts, known])
        done = steps.run_plan(Plan(STEP, shards, ReadTold(scope), Apply(), outputs, conserve=("ledger",)), folder)
        done.scrap = (f"{STEP}-contents",)
        return done

    return steps.perform(
        STEP,
        code=(
            "kernels",
            "dedup.repeats",
            "dedup.repositories",
            "dedup.substrings",
            "pipelines.recipe_parts",
            "pipelines.report.evidence",
            "pipelines.steps.beside",
            "pipelines.steps.files",
            "pipelines.steps.repeats",
            "pipelines.steps.scope",
        ),
        parameters=use.model_dump(mode="json"),
        inputs=[documents.digest],
        body=body,
    )
