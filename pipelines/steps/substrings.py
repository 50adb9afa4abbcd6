"""Documents → documents without passages that occur before, word for word (`dedup.substrings`).

Two rounds over the engine, both of which hold one part of documents and what of it is repeated: anchors are counted
first, one for about every thirteen tokens; then the windows whose anchor is repeated. So memory does not grow with the
corpus, only with a part.
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

from dedup.repeats import KnownKeys, Repeated
from dedup.spans import Cut
from dedup.substrings import SubstringConfig, anchor_keys, cut, window_keys
from pipelines.document import DOCUMENT_SCHEMA
from pipelines.engines.plan import Output, Plan, Shard
from pipelines.recipe_parts import SubstringsUse
from pipelines.steps.beside import ids_of
from pipelines.steps.repeats import told
from pipelines.steps.scope import ROWS, ApplyCuts, Scope, as_text, listed, with_cuts
from pipelines.steps.step import LEDGER_OUTPUT, Body, Finished, Steps, partition_shards
from pipelines.steps.sums import total
from pipelines.storage import at, read_batches, read_table

STEP = "04-substrings"


@dataclass(frozen=True)
class ReadAnchors:
    """Sums the anchors of one part of documents."""

    config: SubstringConfig
    scope: Scope

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield occurrences."""
        for table in self.scope.read(shard.payload[0]):
            yield anchor_keys(table["text"], shard.index, self.config)


@dataclass(frozen=True)
class ReadWindows:
    """Sums the windows of one part of documents whose anchor is repeated."""

    config: SubstringConfig
    scope: Scope

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield occurrences."""
        anchored = _keys(shard.payload[1])
        for table in self.scope.read(shard.payload[0]):
            rank = self.scope.rank(table)
            yield window_keys(table["text"], ids_of(table), rank, shard.index, anchored, self.config)


@dataclass(frozen=True)
class ReadCut:
    """Reads the documents of one part without their repeated passages."""

    config: SubstringConfig
    scope: Scope

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield documents with what `ApplyCuts` reads."""
        path, anchors, windows = shard.payload
        anchored, known = _keys(anchors), Repeated.of(read_table(at(windows)))
        for table in read_batches(at(path), ROWS):
            covered = self.scope.covers(table)
            some = table.filter(covered).combine_chunks()
            found = cut(some["text"], ids_of(some), anchored, known, self.config)
            amount = np.bincount(found.row, found.tokens, some.num_rows).astype(np.int64)
            yield with_cuts(table, covered, as_text(found.text), amount, spans_told(found, known, amount))


def _keys(path: str) -> KnownKeys:
    return KnownKeys.of(read_table(at(path), ["key"])["key"].to_numpy())


def spans_told(found: Cut, known: Repeated, amount: NDArray[np.int64]) -> pa.Array[Any]:
    """Return evidence for each document: how much was cut, and of the first passages where they stood and are kept."""
    rows = len(amount)
    first, last = found.code_points()
    kept_in = known.ids.take(pa.array(found.source))
    entry = ['{"start":', pa.array(first), ',"end":', pa.array(last), ',"kept_in":"', kept_in, '"}']
    shown = listed(found.row, entry, rows)

    def summed(values: NDArray[np.int64] | None) -> pa.Array[Any]:
        return pc.cast(pa.array(np.bincount(found.row, values, rows).astype(np.int64)), pa.string())

    head = ('{"cut":{"passages":', summed(None), ',"tokens":', summed(found.tokens))
    return pc.binary_join_element_wise(*head, ',"characters":', summed(last - first), '},"passages":', shown, "}", "")


def run(steps: Steps, use: SubstringsUse, documents: Finished) -> Finished:
    """Run the step."""
    config = SubstringConfig(min_tokens=use.min_tokens, profile=use.profile)
    scope = Scope.of(use)

    def body(folder: Path, _: str) -> Body:
        parts = documents.parts("documents")
        anchors = told(steps, folder, f"{STEP} anchors", partition_shards([parts]), ReadAnchors(config, scope), 1)
        windows = told(
            steps, folder, f"{STEP} windows", partition_shards([parts, anchors]), ReadWindows(config, scope), 1
        )
        plan = Plan(
            STEP,
            partition_shards([parts, anchors, windows]),
            ReadCut(config, scope),
            ApplyCuts(STEP, "all-text-repeated", "dedup.substrings"),
            {"documents": Output(DOCUMENT_SCHEMA), "ledger": LEDGER_OUTPUT},
            conserve=("ledger",),
        )
        done = steps.run_plan(plan, folder)
        done.facts = {"tokens_cut": int(total([folder / one.path for one in done.outputs["ledger"]], "value"))}
        done.scrap = (f"{STEP}-anchors", f"{STEP}-windows")
        return done

    return steps.perform(
        STEP,
        code=(
            "kernels",
            "dedup.repeats",
            "dedup.spans",
            "dedup.substrings",
            "dedup.windows",
            "pipelines.recipe_parts",
            "pipelines.steps.beside",
            "pipelines.steps.repeats",
            "pipelines.steps.scope",
            "pipelines.steps.substrings",
        ),
        parameters=use.model_dump(mode="json"),
        inputs=[documents.digest],
        body=body,
    )
