"""Documents → documents without paragraphs, and without documents, whose n-grams were seen before (`dedup.bloom`).

Three rounds: n-grams are counted, which sizes the filters; each group of documents is read in order by one worker with
a filter of its own; what it said is applied part by part.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.bloom import Bloom, BloomConfig, BloomSize, FilterFull, FilterTooLarge, Swept, grams
from dedup.lines import LineConfig, Marked, units, without
from kernels.ranges import blank_texts
from kernels.strings import text_batch
from pipelines.document import DOCUMENT_SCHEMA
from pipelines.engines.plan import GroupBy, Output, Plan, Shard, Tables
from pipelines.ledger import DROPPED, KEPT, LEDGER_SCHEMA, verdicts
from pipelines.recipe_parts import BloomUse
from pipelines.steps.beside import Beside, with_told
from pipelines.steps.scope import ROWS, Scope, as_text, with_cuts
from pipelines.steps.step import (
    LEDGER_OUTPUT,
    As,
    Body,
    Finished,
    RunFailed,
    Steps,
    by_id,
    partition_shards,
)
from pipelines.steps.sums import greatest
from pipelines.storage import at, read_batches, read_table, size

log = logging.getLogger(__name__)

STEP = "04-bloom"

COUNTS_SCHEMA = pa.schema([pa.field("part", pa.int64()), pa.field("grams", pa.int64())])
SWEPT_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("group", pa.int32()),
        pa.field("seen", pa.int64()),
        pa.field("grams", pa.int64()),
        pa.field("drop", pa.bool_()),
        pa.field("lines", pa.list_(pa.int64())),
        pa.field("bits_set", pa.int64()),
    ]
)
"""What the filter of a group said of a document: n-grams it knew of how many, whether the document goes, numbers of the
lines that go; bits of the filter that are set behind it."""
NO_LINE = LineConfig(min_chars=1 << 40)
"""Splits texts into lines and hashes none."""


def configured(use: BloomUse) -> BloomConfig:
    """Return the parameters that a recipe's section means."""
    return BloomConfig(
        ngram=use.ngram, threshold=use.threshold, false_positive_rate=use.false_positive_rate, level=use.level
    )


@dataclass(frozen=True)
class Count:
    """Counts the n-grams of one part of documents."""

    scope: Scope
    ngram: int

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield one row."""
        found = sum(len(grams(table["text"], self.ngram).hashes) for table in self.scope.read(shard.payload[0]))
        yield pa.table([pa.array([shard.index]), pa.array([found])], schema=COUNTS_SCHEMA)


@dataclass(frozen=True)
class Sweep:
    """Reads the parts of one group in order, with one filter: preferred sources first, then by id."""

    config: BloomConfig
    scope: Scope
    sized: BloomSize
    stop: bool

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield SWEPT_SCHEMA. Raises FilterFull."""
        bloom = Bloom(self.sized, self.config)
        for rank in range(len(self.scope.prefer) + 1):
            for path in shard.payload:
                for table in self.scope.read(path):
                    mine = table.filter(pa.array(self.scope.rank(table) == rank)) if self.scope.prefer else table
                    found = grams(mine["text"], self.config.ngram)
                    yield swept_rows(mine, shard.index, bloom.sweep(found), found.texts)
                    if self.stop:
                        bloom.check()


def swept_rows(table: pa.Table, group: int, swept: Swept, texts: Any) -> pa.Table:
    """Return what a filter said of documents: SWEPT_SCHEMA."""
    gone = np.flatnonzero(swept.line)
    row = np.searchsorted(texts, gone, side="right") - 1
    ends = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=table.num_rows))]).astype(np.int32)
    return pa.table(
        [
            table["id"].cast(pa.string()),
            pa.array(np.full(table.num_rows, group, np.int32)),
            pa.array(swept.seen),
            pa.array(swept.grams),
            pa.array(swept.document),
            pa.ListArray.from_arrays(pa.array(ends), pa.array(gone - texts[row])),
            pa.array(swept.bits_set),
        ],
        schema=SWEPT_SCHEMA,
    )


@dataclass(frozen=True)
class ReadSwept:
    """Reads the documents of one part with what the filter said of them."""

    scope: Scope
    sized: BloomSize

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield documents with the columns that `Apply` reads."""
        listing = Beside(read_table(at(shard.payload[1])))
        for table in read_batches(at(shard.payload[0]), ROWS):
            covered = self.scope.covers(table)
            some = table.filter(covered).combine_chunks()
            told = listing.take(some["id"]).combine_chunks()
            found = units(some["text"], NO_LINE)
            gone = told["lines"].combine_chunks() if told.num_rows else pa.array([], pa.list_(pa.int64()))
            dropped = np.zeros(len(found.row), np.bool_)
            row = pc.list_parent_indices(gone).to_numpy()
            dropped[found.found.offsets[row] + pc.list_flatten(gone).to_numpy()] = True
            amount = np.bincount(found.row[dropped], minlength=some.num_rows)
            evidence = self._told(told, amount, np.diff(found.found.offsets))
            text = as_text(without(Marked(found, dropped, found.place)))
            joined = with_cuts(table, covered, text, amount, evidence)
            yield with_told(joined, listing.take(table["id"]).select(["id", "drop", "seen", "grams"]))

    def _told(self, told: pa.Table, amount: Any, lines: Any) -> pa.Array[Any]:
        def text(values: Any) -> Any:
            return pc.cast(values, pa.string())

        filled = told["bits_set"].to_numpy() / self.sized.bits
        dropped = text(pa.array(amount))
        return pc.binary_join_element_wise(
            '{"lines":{"count":', text(pa.array(lines)), ',"dropped":', dropped, ',"rules":{"ngrams-seen":', dropped,
            '}},"ngrams":', text(told["grams"]), ',"seen":', text(told["seen"]), ',"fill":', text(pa.array(filled)),
            ',"false_positive_rate":', text(pa.array(filled**self.sized.hashes)), "}", "",
        ).combine_chunks()  # fmt: skip


@dataclass(frozen=True)
class Apply:
    """Drops the documents that the filter has seen, and those of which it has seen every paragraph."""

    threshold: float

    def __call__(self, table: pa.Table) -> Tables:
        """Return the others, cut, and a ledger row each."""
        seen = pc.fill_null(table["told.drop"], False)
        lost = pc.or_(seen, pc.greater(table["cut.amount"], 0))
        empty = pc.and_(lost, pa.array(blank_texts(text_batch(table["cut.text"]))))
        drop = pc.or_(seen, empty)
        share = pc.divide(table["told.seen"].cast(pa.float64()), table["told.grams"].cast(pa.float64()))
        nothing = pa.scalar(None, pa.float64())
        ledger = verdicts(
            table,
            STEP,
            verdict=pc.if_else(drop, DROPPED, KEPT),
            reason=pc.if_else(seen, "ngrams-seen", pc.if_else(empty, "all-paragraphs-seen", "")),
            signal=pc.if_else(drop, "dedup.seen_ngrams", pa.scalar(None, pa.string())),
            value=pc.if_else(drop, share, nothing),
            threshold=pc.if_else(drop, pa.scalar(self.threshold), nothing),
            evidence=pc.if_else(lost, table["cut.evidence"], pa.scalar(None, pa.string())),
        )
        table = table.set_column(table.schema.get_field_index("text"), "text", table["cut.text"])
        documents = table.filter(pc.invert(drop)).select(DOCUMENT_SCHEMA.names)
        return {"documents": documents.cast(DOCUMENT_SCHEMA), "ledger": ledger.cast(LEDGER_SCHEMA)}


def sized(use: BloomUse, ngrams: int) -> BloomSize:
    """Return the size of each filter. Raises FilterTooLarge."""
    size_ = BloomSize.of(ngrams, use.false_positive_rate)
    size_.check(ngrams, use.false_positive_rate, int(use.memory_gb * 1e9))
    return size_


def groups_of(parts: list[Path], groups: int) -> list[Shard]:
    """Return a shard a group: neighbouring parts, which are ranges of ids."""
    number = np.arange(len(parts)) * min(groups, len(parts)) // len(parts)
    found: list[Shard] = []
    for group in range(int(number[-1]) + 1):
        mine = [parts[part] for part in np.flatnonzero(number == group)]
        total = sum(size(path) or 0 for path in mine)
        found.append(Shard(group, f"group-{group:05d}", tuple(map(str, mine)), total))
    return found


def run(steps: Steps, use: BloomUse, documents: Finished) -> Finished:
    """Run the step. Raises RunFailed where the filters do not fit, or are full."""
    config, scope = configured(use), Scope.of(use)

    def body(folder: Path, _: str) -> Body:
        parts = documents.parts("documents")
        groups = groups_of(parts, use.groups)
        ngrams = use.ngrams if use.ngrams is not None else _counted(steps, folder, scope, use.ngram, parts, groups)
        try:
            size_ = sized(use, ngrams)
            swept = steps.run(
                Plan(
                    f"{STEP} sweep",
                    groups,
                    Sweep(config, scope, size_, use.when_full == "stop"),
                    As("swept"),
                    {"swept": Output(SWEPT_SCHEMA)},
                    group=GroupBy(SWEPT_SCHEMA, len(parts), by_id, ("id",), ("id",)),
                    conserve=("swept",),
                ),
                folder,
            )
        except (FilterFull, FilterTooLarge) as error:
            raise RunFailed(f"step {STEP}: {error}") from error
        listings = [folder / entry.path for entry in swept.files["swept"]]
        plan = Plan(
            STEP,
            partition_shards([parts, listings]),
            ReadSwept(scope, size_),
            Apply(config.threshold),
            {"documents": Output(DOCUMENT_SCHEMA), "ledger": LEDGER_OUTPUT},
            conserve=("ledger",),
        )
        done = steps.run_plan(plan, folder)
        done.facts = _facts(listings, len(groups), size_, ngrams, config)
        done.scrap = ("counts", "swept")
        return done

    return steps.perform(
        STEP,
        code=(
            "kernels",
            "dedup.bloom",
            "dedup.lines",
            "pipelines.recipe_parts",
            "pipelines.steps.beside",
            "pipelines.steps.bloom",
            "pipelines.steps.scope",
        ),
        parameters=use.model_dump(mode="json", exclude={"memory_gb"}),
        inputs=[documents.digest],
        body=body,
    )


def _counted(steps: Steps, folder: Path, scope: Scope, ngram: int, parts: list[Path], groups: list[Shard]) -> int:
    """Count n-grams, repeats included; return those of the largest group."""
    plan = Plan(
        f"{STEP} counts",
        partition_shards([parts]),
        Count(scope, ngram),
        As("counts"),
        {"counts": Output(COUNTS_SCHEMA, ("part",))},
    )
    counts = steps.run(plan, folder)
    of_part = [read_table(folder / one.path)["grams"].to_pylist()[0] for one in counts.files["counts"]]
    path = {str(one): count for one, count in zip(parts, of_part, strict=True)}
    return max(sum(path[one] for one in group.payload) for group in groups)


def _facts(listings: list[Path], groups: int, size_: BloomSize, ngrams: int, config: BloomConfig) -> dict[str, Any]:
    fullest = int(greatest(listings, "bits_set"))
    rate = size_.rate(fullest)
    if rate >= 2 * config.false_positive_rate:
        log.warning(
            "%s: a Bloom filter is full: it takes %.2g of new n-grams for known ones, and %g was wished",
            STEP, rate, config.false_positive_rate,
        )  # fmt: skip
    return {
        "sized_for_ngrams": ngrams,
        "filter_bytes": size_.bytes,
        "hashes": size_.hashes,
        "groups": groups,
        "fill": fullest / size_.bits,
        "false_positive_rate": rate,
        "wished_false_positive_rate": config.false_positive_rate,
        "full": rate >= 2 * config.false_positive_rate,
    }
