"""Texts for the tokenizer: so many bytes, each source its share, chosen and ordered by seeded id, on the engine.

What one process holds is the sample, however large the corpus: a task lists of its documents only those that could be
chosen if there were no others, tasks above it do the same for many lists, and when the last key of each source is known
the chosen texts are fetched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.document import id_bits
from pipelines.engines.plan import GroupBy, Output, Plan, Shard
from pipelines.mixture import shuffled
from pipelines.steps.step import As, Steps, partition_shards
from pipelines.storage import at, read_batches, read_table

STEP = "06-tokenizer"
SCRAP = ("candidates", "texts")
TOGETHER = 64
"""Lists of which one task makes one."""

CANDIDATES_SCHEMA = pa.schema(
    [
        pa.field("group", pa.int32()),
        pa.field("source", pa.string()),
        pa.field("key", pa.uint64()),
        pa.field("bytes", pa.int64()),
    ]
)
ORDER = ("group", "source", "key", "bytes")
TEXTS_SCHEMA = pa.schema([pa.field("row", pa.int64()), pa.field("text", pa.large_string())])


@dataclass(frozen=True)
class Sample:
    """What is asked for: `size` bytes in all, a source's share by its weight, the smallest seeded keys first."""

    weights: Mapping[str, float]
    size: int
    seed: int

    def keys(self, documents: pa.Table) -> pa.Array:
        """Return the key of each document."""
        return pa.array(shuffled(id_bits(documents["id"]), self.seed, "tokenizer"), pa.uint64())

    def cut(self, listed: pa.Table) -> pa.Table:
        """Keep of each source what fits into its share, and the one document that reaches over it; by key."""
        kept = [listed.slice(0, 0)]
        for name, weight in self.weights.items():
            own = listed.filter(pc.equal(listed["source"], name)).sort_by("key")
            lengths = own["bytes"].to_numpy()
            kept.append(own.slice(0, int((np.cumsum(lengths) - lengths < self.size * weight).sum())))
        return pa.concat_tables(kept)


@dataclass(frozen=True)
class Candidates:
    """Lists the documents of one part that may be chosen."""

    asked: Sample

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield one table of CANDIDATES_SCHEMA."""
        listed = [CANDIDATES_SCHEMA.empty_table()]
        for table in read_batches(at(shard.payload[0]), 4096, ["id", "source", "text"]):
            group = pa.repeat(pa.scalar(shard.index // TOGETHER, pa.int32()), table.num_rows)
            lengths = pc.binary_length(table["text"]).cast(pa.int64())
            source = table["source"].cast(pa.string())
            listed.append(pa.table([group, source, self.asked.keys(table), lengths], schema=CANDIDATES_SCHEMA))
        yield self.asked.cut(pa.concat_tables(listed))


@dataclass(frozen=True)
class Fewer:
    """Makes one list of the lists of each group."""

    asked: Sample

    def __call__(self, table: pa.Table) -> Mapping[str, pa.Table]:
        """Take whole groups."""
        groups = pc.unique(table["group"]).to_pylist()
        kept = [self.asked.cut(table.filter(pc.equal(table["group"], group))) for group in groups]
        return {"candidates": pa.concat_tables([CANDIDATES_SCHEMA.empty_table(), *kept])}


@dataclass(frozen=True)
class Chosen:
    """Reads the chosen documents of one part: those whose key is at most their source's last."""

    asked: Sample
    last: Mapping[str, int]

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield tables of TEXTS_SCHEMA."""
        start = 0
        sources = pa.array(list(self.last), pa.string())
        limits = pa.array(list(self.last.values()), pa.uint64())
        for table in read_batches(at(shard.payload[0]), 4096, ["id", "source", "text"]):
            row = np.arange(start, start + table.num_rows)
            start += table.num_rows
            limit = limits.take(pc.index_in(table["source"].cast(pa.string()), value_set=sources).combine_chunks())
            chosen = pc.fill_null(pc.less_equal(self.asked.keys(table), limit), False)
            if pc.any(chosen).as_py():
                text = table["text"].cast(pa.large_string())
                yield pa.table([pa.array(row), text], schema=TEXTS_SCHEMA).filter(chosen)


def by_group(table: pa.Table, partitions: int) -> pa.Array:
    """Partition rows by their group: partition i is group i."""
    return table["group"].combine_chunks()


def texts(steps: Steps, folder: Path, parts: Sequence[Path], asked: Sample) -> Iterator[str]:
    """Yield the texts of a sample, in the order of their parts and rows."""
    shards = partition_shards([parts])
    groups = max(1, -(-len(shards) // TOGETHER))
    listing = Plan(
        name=f"{STEP} candidates",
        shards=shards,
        read=Candidates(asked),
        group=GroupBy(CANDIDATES_SCHEMA, groups, by_group, ("group",), ORDER),
        emit=Fewer(asked),
        outputs={"candidates": Output(CANDIDATES_SCHEMA, ORDER)},
    )
    lists = steps.run(listing, folder).files["candidates"]
    chosen = asked.cut(pa.concat_tables([read_table(folder / one.path) for one in lists]))
    if not chosen.num_rows:
        return
    last = chosen.group_by("source").aggregate([("key", "max")])
    limits = dict(sorted(zip(last["source"].to_pylist(), last["key_max"].to_pylist(), strict=True)))
    fetching = Plan(
        name=f"{STEP} texts",
        shards=shards,
        read=Chosen(asked, limits),
        emit=As("texts"),
        outputs={"texts": Output(TEXTS_SCHEMA, ("row",))},
    )
    for one in steps.run(fetching, folder).files["texts"]:
        yield from read_table(folder / one.path, ["text"])["text"].to_pylist()
