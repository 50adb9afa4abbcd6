"""The transforms of a plan as Ray Data runs them in its workers: Arrow blocks in, Arrow blocks out.

A block carries, beside a plan's own columns, the number of the part that each row belongs to.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.document import concat
from pipelines.engines.care import Place
from pipelines.engines.plan import Plan, PlanError, Shard
from pipelines.engines.pool import sendable
from pipelines.engines.ray_watch import begin
from pipelines.engines.task import MEMORY, Notes, map_batch, part_key, run_partition, write_batches
from pipelines.ledger import sort

PART = "pomona.part"
"""Column of the part number that a row belongs to."""
SHARDS = pa.schema([("index", pa.int32()), ("shard", pa.binary())])
"""What the first operator is given: pickled shards, a row each."""
RECEIPTS = pa.schema([("part", pa.int32()), ("result", pa.string())])
"""What the last operator gives: finished parts."""
MAP_BYTES = 16 << 20
MAP_ROWS = 4096
"""Most bytes and rows that `map` and `emit` are given at a time, as if they came straight from a reader."""


class TaskFailed(Exception):
    """An error on its way from a worker to the driver, pickled, so that Ray neither wraps nor loses it."""

    @property
    def error(self) -> Exception:
        """The error itself; Ray adds advice of its own to `args`."""
        return pickle.loads(self.args[0])


def carried(function: Callable[[pa.Table], Iterator[pa.Table]], block: pa.Table) -> Iterator[pa.Table]:
    """Run a transform over a block; whatever it raises becomes TaskFailed."""
    try:
        yield from function(block)
    except Exception as error:  # noqa: BLE001 - raised again in the driver, which decides
        raise TaskFailed(pickle.dumps(sendable(error))) from None


def shard_table(shard: Shard) -> pa.Table:
    """Return one shard as the block that its reader is given."""
    return pa.table([[shard.index], [pickle.dumps(shard)]], schema=SHARDS)


def with_part(table: pa.Table, parts: pa.Array) -> pa.Table:
    """Add the part numbers of rows."""
    return table.append_column(pa.field(PART, pa.int32(), nullable=False), parts)


def without_part(block: pa.Table) -> pa.Table:
    """Take the part numbers off."""
    return block.drop_columns([PART])


def _of_shard(table: pa.Table, shard: int) -> pa.Table:
    return with_part(table, pa.array(np.full(table.num_rows, shard, np.int32)))


def pieces(table: pa.Table) -> Iterator[pa.Table]:
    """Cut a block for functions that work in memory."""
    rows = max(1, min(MAP_ROWS, MAP_BYTES * table.num_rows // max(1, table.nbytes)))
    for start in range(0, table.num_rows, rows):
        yield table.slice(start, rows)


@dataclass(frozen=True)
class Transform:
    """What every transform knows: its plan (without the shards, which only readers need) and the watch."""

    plan: Plan
    watch: Any

    @classmethod
    def of(cls, plan: Plan, watch: Any, *more: Any) -> Transform:
        """Make a transform that is small to send."""
        return cls(replace(plan, shards=()), watch, *more)

    def __call__(self, block: pa.Table) -> Iterator[pa.Table]:
        """Take a block, give blocks."""
        return carried(self.run, block)

    def run(self, block: pa.Table) -> Iterator[pa.Table]:
        """Do the work of a block."""
        raise NotImplementedError


class Read(Transform):
    """Shards → their rows; one block a shard."""

    def run(self, block: pa.Table) -> Iterator[pa.Table]:
        """Read the shard of a row."""
        for index, pickled in zip(block["index"].to_pylist(), block["shard"].to_pylist(), strict=True):
            care = begin(self.watch, "read", index, self.plan.name)
            care.at(Place(stage="read"))
            rows = 0
            for table in self.plan.read(pickle.loads(pickled)):
                rows += table.num_rows
                yield _of_shard(table, index)
            self.watch.end.remote("read", index, rows)


@dataclass(frozen=True)
class Map(Transform):
    """Rows of a shard → mapped rows; where the plan groups, with the partition each belongs to.

    Rows of partitions in `finished` end here.
    """

    finished: frozenset[int] = frozenset()

    def run(self, block: pa.Table) -> Iterator[pa.Table]:
        """Map a block of one shard."""
        if not block.num_rows:
            return
        shard = block[PART][0].as_py()
        care = begin(self.watch, "map", shard, self.plan.name)
        rows = 0
        for number, piece in enumerate(pieces(without_part(block))):
            for mapped in map_batch(self.plan, piece, number, care):
                if mapped.num_rows or self.plan.group:
                    table = self._partitioned(mapped) if self.plan.group else _of_shard(mapped, shard)
                    rows += table.num_rows
                    yield table
        self.watch.end.remote("map", shard, rows)

    def _partitioned(self, table: pa.Table) -> pa.Table:
        group = self.plan.group
        assert group is not None
        if not table.schema.equals(group.schema):
            raise PlanError(
                f"{self.plan.name}: mapped rows have schema\n{table.schema}\nthe plan declares\n{group.schema}"
            )
        numbers = group.partition(table, group.partitions).cast(pa.int32())
        numbered = with_part(table, numbers)
        if not self.finished:
            return numbered
        return numbered.filter(pa.array(~np.isin(numbers.to_numpy(zero_copy_only=False), list(self.finished))))


@dataclass(frozen=True)
class Emit(Transform):
    """All rows of one or more parts → the parts' files, and a receipt for each."""

    folder: Path = Path()
    memory: int = MEMORY

    @cached_property
    def _notes(self) -> Notes:
        return Notes(self.folder)

    def run(self, block: pa.Table) -> Iterator[pa.Table]:
        """Write the parts of a block."""
        numbers = block[PART].to_numpy() if block.num_rows else np.empty(0, np.int32)
        rows = without_part(block) if block.num_rows else block
        present = np.unique(numbers)
        for part in map(int, present):
            mine = rows if len(present) == 1 else rows.filter(pa.array(numbers == part))
            care = begin(self.watch, "emit", part, self.plan.name)
            if self.plan.group is not None:
                ordered = sort(concat([mine], self.plan.group.schema), self.plan.group.sort)
                result = run_partition(self.plan, part, [ordered], self.folder, care, self.memory)
                self.watch.end.remote("shuffle", part, mine.num_rows)
            else:
                result = write_batches(self.plan, part, pieces(mine), self.folder, care, self.memory)
            self._notes.put(part_key(self.plan, part), result)
            self.watch.end.remote("emit", part, result.received)
            yield pa.table([[part], [result.model_dump_json()]], schema=RECEIPTS)


class Lasting:
    """A transform that a worker keeps from block to block, with whatever its plan's functions hold."""

    def __init__(self, *transforms: Transform) -> None:
        self._transforms = transforms

    def __call__(self, block: pa.Table) -> Iterator[pa.Table]:
        """Take a block through the transforms."""
        return self._through([block], self._transforms)

    def _through(self, blocks: list[pa.Table], transforms: tuple[Transform, ...]) -> Iterator[pa.Table]:
        first, *rest = transforms
        made = (table for block in blocks for table in first(block))
        if not rest:
            yield from made
            return
        tables = list(made)
        if tables:
            yield from self._through([pa.concat_tables(tables)], tuple(rest))
