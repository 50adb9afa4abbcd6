"""What an engine is asked to do: read shards, map batches, group by a key, write shards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
from pydantic import BaseModel

from pipelines.storage import FileEntry

Tables = Mapping[str, pa.Table]


class PlanError(Exception):
    """A plan's function broke its contract: wrong schema, or groups cut apart."""


@dataclass(frozen=True)
class Shard:
    """One input split: what a single task reads.

    `name` and `index` are stable for equal input; `payload` is whatever the reader needs (picklable).
    """

    index: int
    name: str
    payload: Any
    bytes: int = 0


@dataclass(frozen=True)
class Output:
    """One named output of a plan: its schema and the columns its rows are sorted by (a total order)."""

    schema: pa.Schema
    sort: tuple[str, ...] = ("id",)


@dataclass(frozen=True)
class GroupBy:
    """A shuffle: rows with equal `key` meet in one partition, sorted by `sort`, whatever task they came from.

    `partition` maps a table to an int32 array of partition numbers and must be a function of the key alone.
    """

    schema: pa.Schema
    partitions: int
    partition: Callable[[pa.Table, int], pa.Array]
    sort: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """read → map → (group) → emit → write, all functions pure, picklable and deterministic.

    `read` yields tables of one shard; `map` turns a batch into a batch; without `group`, `emit` sees the mapped
    batches of one shard at a time and output part i belongs to shard i; with it, `emit` sees whole groups and output
    part i is partition i. `emit` returns one table for each name in `outputs`.
    """

    name: str
    shards: Sequence[Shard]
    read: Callable[[Shard], Iterator[pa.Table]]
    emit: Callable[[pa.Table], Tables]
    outputs: Mapping[str, Output]
    map: Callable[[pa.Table], pa.Table] | None = None
    group: GroupBy | None = None

    @property
    def parts(self) -> int:
        """Number of parts each output has."""
        return self.group.partitions if self.group else len(self.shards)


class TaskResult(BaseModel):
    """What one finished task left on disk, and how many rows it was given."""

    received: int
    files: dict[str, list[FileEntry]] = {}


@dataclass
class PlanResult:
    """What a finished plan left: the files of each output in order, the rows read, and tasks found already done."""

    received: int = 0
    files: dict[str, list[FileEntry]] = field(default_factory=dict[str, list[FileEntry]])
    reused_tasks: int = 0


class Progress(Protocol):
    """Told of each finished task."""

    def __call__(self, name: str, done: int, total: int) -> None:
        """`done` of `total` tasks of plan `name` are finished."""
        ...


class Engine(Protocol):
    """Runs plans. The same plan gives the same bytes on every engine and with every worker count."""

    name: str

    def run(self, plan: Plan, folder: Path) -> PlanResult:
        """Write every output of the plan to `folder/<output>/part-NNNNN.parquet`."""
        ...

    def close(self) -> None:
        """Release workers."""
        ...
