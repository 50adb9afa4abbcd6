"""Documents → documents without lines or paragraphs that the corpus repeats (`dedup.lines`).

Lines are counted over the whole corpus by the engine: each part of documents sums its own, the sums meet by line, and
each part is told which of its lines are repeated too often. Every step of it holds one part, or one batch of keys.
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

from dedup.lines import LineConfig, Marked, keys_of, marked, without
from dedup.repeats import Repeated
from pipelines.document import DOCUMENT_SCHEMA, id_bits
from pipelines.engines.plan import Output, Plan, Shard
from pipelines.recipe_parts import LinesUse
from pipelines.steps.beside import ids_of
from pipelines.steps.repeats import told
from pipelines.steps.scope import ROWS, ApplyCuts, Scope, as_text, covered, listed, with_cuts
from pipelines.steps.step import LEDGER_OUTPUT, Body, Finished, Steps, partition_shards
from pipelines.steps.sums import total
from pipelines.storage import at, read_batches, read_table


def configured(use: LinesUse, documents: int) -> LineConfig:
    """Return the parameters for so many documents: with `scale`, `most` is lowered where a bucket is not full."""
    unit = "line" if use.type == "lines" else "paragraph"
    config = LineConfig.preset(use.preset, unit=unit, min_chars=use.min_chars, **use.changes)
    if not use.scale or not config.bucket:
        return config
    share = documents / config.buckets(documents) / config.bucket
    return config.model_copy(update={"most": max(1, round(config.most * share))})


def bucket_of(ids: pa.Array[Any], buckets: int) -> NDArray[np.uint64]:
    """Return the bucket of each document: ids are hashes, so that buckets are of about one size."""
    top = id_bits(ids) >> np.uint64(32)
    return top * np.uint64(buckets) >> np.uint64(32)


@dataclass(frozen=True)
class ReadLines:
    """Sums the lines of one part of documents."""

    config: LineConfig
    scope: Scope
    buckets: int

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield occurrences."""
        for table in self.scope.read(shard.payload[0]):
            ids = ids_of(table)
            bucket = bucket_of(ids, self.buckets)
            yield keys_of(table["text"], ids, self.scope.rank(table), bucket, shard.index, self.config)


@dataclass(frozen=True)
class ReadCut:
    """Reads the documents of one part without their repeated lines."""

    config: LineConfig
    scope: Scope
    buckets: int

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield documents with what `ApplyCuts` reads."""
        known = Repeated.of(read_table(at(shard.payload[1])))
        for table in read_batches(at(shard.payload[0]), ROWS):
            inside = self.scope.covers(table)
            some = table.filter(inside).combine_chunks()
            ids = ids_of(some)
            found = marked(some["text"], ids, bucket_of(ids, self.buckets), known, self.config)
            amount = np.bincount(found.units.row[found.dropped], minlength=some.num_rows)
            evidence = lines_told(found, known, self.config, amount)
            yield with_cuts(table, inside, as_text(without(found)), amount, evidence)


def lines_told(found: Marked, known: Repeated, config: LineConfig, amount: NDArray[np.int64]) -> pa.Array[Any]:
    """Return evidence for each document: how many lines of how many, and of the first few where the kept one is."""
    rows = len(amount)
    gone = np.flatnonzero(found.dropped)
    repeat = found.repeat[gone]
    entry: list[Any] = ['{"line":', pa.array(found.units.place[gone]), ',"times":', pa.array(known.counts[repeat])]
    if config.keep == "first":
        entry += [',"kept_in":"', known.ids.take(pa.array(repeat)), '"']
    shown = listed(found.units.row[gone], [*entry, "}"], rows)
    count = pc.cast(pa.array(np.diff(found.units.found.offsets)), pa.string())
    dropped = pc.cast(pa.array(amount), pa.string())
    head = ('{"lines":{"count":', count, ',"dropped":', dropped, f',"rules":{{"repeated-{config.unit}":', dropped)
    return pc.binary_join_element_wise(*head, '}},"repeated":', shown, "}", "")


def run(steps: Steps, use: LinesUse, documents: Finished) -> Finished:
    """Run the step."""
    step = f"04-{use.type}"

    def body(folder: Path, _: str) -> Body:
        parts, scope = documents.parts("documents"), Scope.of(use)
        count = covered(steps, folder, step, scope, documents)  # the others fill no bucket
        config = configured(use, count)
        buckets = config.buckets(count)
        known = told(
            steps, folder, f"{step} lines", partition_shards([parts]), ReadLines(config, scope, buckets), config.most
        )
        plan = Plan(
            step,
            partition_shards([parts, known]),
            ReadCut(config, scope, buckets),
            ApplyCuts(step, f"all-{use.type}-repeated", f"dedup.{use.type}"),
            {"documents": Output(DOCUMENT_SCHEMA), "ledger": LEDGER_OUTPUT},
            conserve=("ledger",),
        )
        done = steps.run_plan(plan, folder)
        done.facts = {
            "documents": count,
            "buckets": buckets,
            "most": config.most,
            "dropped": int(total([folder / one.path for one in done.outputs["ledger"]], "value")),
        }
        done.scrap = (f"{step}-lines", "covered")
        return done

    return steps.perform(
        step,
        code=(
            "kernels",
            "dedup.lines",
            "dedup.repeats",
            "pipelines.recipe_parts",
            "pipelines.steps.beside",
            "pipelines.steps.lines",
            "pipelines.steps.repeats",
            "pipelines.steps.scope",
        ),
        parameters=use.model_dump(mode="json"),
        inputs=[documents.digest],
        body=body,
    )
