"""What an engine is asked to do: read shards, map batches, group by a key, write shards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
from pydantic import BaseModel

from pipelines.storage import PARQUET, FileEntry, PartFormat

Tables = Mapping[str, pa.Table]


class PlanError(Exception):
    """A plan's function broke its contract: wrong schema, rows lost, another answer the second time."""


class EngineError(Exception):
    """An engine cannot go on: a worker keeps dying, a cluster is out of reach, a package is missing."""


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
    """One named output of a plan: its schema, the columns its rows are sorted by (a total order), its file format."""

    schema: pa.Schema
    sort: tuple[str, ...] = ("id",)
    format: PartFormat = PARQUET


@dataclass(frozen=True)
class GroupBy:
    """A shuffle: rows with equal `key` meet in one partition, sorted by `sort`, whatever task they came from.

    `partition` maps a table to an int32 array of partition numbers and must be a function of `key` alone. `sort`
    begins with the columns of `key`, and is a total order up to rows that are equal in every column.
    """

    schema: pa.Schema
    partitions: int
    partition: Callable[[pa.Table, int], pa.Array]
    key: tuple[str, ...]
    sort: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.sort[: len(self.key)] != self.key:
            raise PlanError(f"a shuffle sorts by {self.sort}, which must begin with its key {self.key}")


@dataclass(frozen=True)
class Hints:
    """What a step needs to run; engines place its work by it, and no byte of the output depends on it.

    `cpus` and `gpus` are for each worker, `memory` in bytes (0: not stated). `actors` (fewest, most) keeps workers
    alive between batches, for functions that hold a model; the number follows the load.
    """

    cpus: float = 1.0
    gpus: float = 0.0
    memory: int = 0
    actors: tuple[int, int] | None = None


@dataclass(frozen=True)
class Plan:
    """read → map → (group) → emit → write, all functions pure, picklable and deterministic.

    `read` yields tables of one shard; `map` turns a batch into a batch; without `group`, `emit` sees the mapped
    batches of one shard at a time and output part i belongs to shard i; with it, `emit` sees whole groups (one or
    many at a time, in the order of `sort`) and output part i is partition i. `emit` returns one table for each name in
    `outputs`. Where batches end must not change a row of any output.

    `map_fault` and `emit_fault` answer for single rows whose `map` or `emit` raises or kills its worker: given those
    rows and a text for each, they return what `map`, or the ledger part of what `emit`, would have. Without them such
    a row stops the run. `emit` never bisects groups.

    `conserve` names outputs that have exactly one row for each row that `emit` is given.
    """

    name: str
    shards: Sequence[Shard]
    read: Callable[[Shard], Iterator[pa.Table]]
    emit: Callable[[pa.Table], Tables]
    outputs: Mapping[str, Output]
    map: Callable[[pa.Table], pa.Table] | None = None
    group: GroupBy | None = None
    map_fault: Callable[[pa.Table, list[str]], pa.Table] | None = None
    emit_fault: Callable[[pa.Table, list[str]], Tables] | None = None
    conserve: tuple[str, ...] = ()
    hints: Hints = Hints()

    @property
    def parts(self) -> int:
        """Number of parts each output has."""
        return self.group.partitions if self.group else len(self.shards)


class TaskResult(BaseModel):
    """What one finished task left (files by output), how many rows it was given, and what its ledgers say.

    `verdicts` counts (verdict, reason) of outputs that are ledgers: what wrote a ledger has it at hand, and nobody has
    to read it again to count it.
    """

    received: int
    files: dict[str, list[FileEntry]] = {}
    verdicts: dict[str, list[tuple[str, str, int]]] = {}


@dataclass
class PlanResult:
    """What a finished plan left: the files of each output in order, the rows read, and tasks found already done.

    `verdicts` has for each output that is a ledger its rows by (verdict, reason).
    """

    received: int = 0
    files: dict[str, list[FileEntry]] = field(default_factory=dict[str, list[FileEntry]])
    reused_tasks: int = 0
    verdicts: dict[str, Counter[tuple[str, str]]] = field(default_factory=dict[str, Counter[tuple[str, str]]])

    def add(self, done: TaskResult) -> None:
        """Take the files and verdicts of the next task; the rows it received are the engine's to count."""
        for name, files in done.files.items():
            self.files.setdefault(name, []).extend(files)
        for name, told in done.verdicts.items():
            counts = self.verdicts.setdefault(name, Counter())
            for verdict, reason, count in told:
                counts[verdict, reason] += count

    def told(self) -> dict[str, list[tuple[str, str, int]]]:
        """Return `verdicts` as a task's result has them."""
        return {
            name: [(*key, count) for key, count in sorted(counts.items())] for name, counts in self.verdicts.items()
        }


class Progress(Protocol):
    """Told of each finished task."""

    def __call__(self, name: str, done: int, total: int) -> None:
        """`done` of `total` tasks of plan `name` are finished."""
        ...


def quiet(name: str, done: int, total: int) -> None:
    """Take no notice of progress."""


class Engine(Protocol):
    """Runs plans. The same plan gives the same bytes on every engine and with every worker count."""

    name: str
    workers: int

    def run(self, plan: Plan, folder: Path) -> PlanResult:
        """Write every output of the plan to `folder/<output>/part-NNNNN.<suffix>`.

        A plan that was cut off and is run again into the same folder repeats no part that was finished
        (`task.Notes`). Raises PlanError and EngineError.
        """
        ...

    def close(self) -> None:
        """Release workers."""
        ...
