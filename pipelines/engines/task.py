"""The body of a task, shared by engines: what happens to the rows, without who runs it where."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from pydantic import ValidationError

from pipelines.engines.care import Care, Place
from pipelines.engines.plan import Plan, PlanError, Shard, Tables, TaskResult
from pipelines.engines.sorting import Sorter, whole_groups
from pipelines.ledger import LEDGER_SCHEMA, counts_of
from pipelines.storage import FileEntry, read_bytes, scratch, size, write_bytes, write_part

log = logging.getLogger(__name__)

EMIT_BYTES = 16 << 20
"""About the bytes of the whole groups that `emit` is given at a time."""
MEMORY = 1 << 30
"""Bytes of rows that a task holds before it sorts on disk, where the engine does not say."""


class Notes:
    """What finished tasks of a plan left, on disk: a plan run again repeats none of them.

    A note counts only while the files it names are there in full.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._notes = folder / "_tasks"

    def get(self, key: str) -> TaskResult | None:
        """Return what a task left, None where it has to run."""
        note = self._notes / f"{key}.json"
        try:
            found = TaskResult.model_validate_json(read_bytes(note))
        except FileNotFoundError:
            return None
        except ValidationError:
            log.warning("%s is damaged; its task runs again", note)
            return None
        for entries in found.files.values():
            for entry in entries:
                if size(self._folder / entry.path) != entry.bytes:
                    log.warning("%s is not as its task left it; the task runs again", self._folder / entry.path)
                    return None
        return found

    def put(self, key: str, result: TaskResult) -> None:
        """Remember a finished task."""
        write_bytes(self._notes / f"{key}.json", result.model_dump_json().encode())


def plan_key(plan: Plan) -> str:
    """Return a plan's name as a file name."""
    return plan.name.replace(" ", "-")


def part_key(plan: Plan, part: int) -> str:
    """Return the name of the task that writes a part."""
    return f"{plan_key(plan)}-{'group-' if plan.group else ''}{part:05d}"


def mapped(plan: Plan, shard: Shard, care: Care | None = None) -> Iterator[pa.Table]:
    """Read one shard and map its batches."""
    care = care or Care()
    care.at(Place(stage="read"))
    for number, batch in enumerate(plan.read(shard)):
        yield from map_batch(plan, batch, number, care)
        care.at(Place(stage="read", batch=number + 1))


def map_batch(plan: Plan, batch: pa.Table, number: int, care: Care) -> list[pa.Table]:
    """Map one batch; row for row where the plan can answer for faulty ones."""
    if plan.map is None:
        return [batch]
    tables = care.apply(plan.map, plan.map_fault, batch, "map", number)
    rows = sum(table.num_rows for table in tables)
    if plan.map_fault is not None and rows != batch.num_rows:
        raise PlanError(f"{plan.name}: map was given {batch.num_rows} rows and returned {rows}, not a row for each")
    return tables


class PartWriter:
    """Takes what `emit` made for one part and writes each output sorted, as one file."""

    def __init__(self, plan: Plan, part: int, folder: Path, memory: int = MEMORY) -> None:
        self._plan, self._part, self._folder = plan, part, folder
        spills = scratch(folder, plan_key(plan))
        share = memory // max(1, len(plan.outputs))
        self._verdicts: dict[str, Counter[tuple[str, str]]] = {
            name: Counter() for name, output in plan.outputs.items() if output.schema.equals(LEDGER_SCHEMA)
        }
        self._sorters = {
            name: Sorter(output.schema, output.sort, spills / f"sort-{name}-{part:05d}", share)
            for name, output in plan.outputs.items()
        }

    def add(self, tables: Tables) -> None:
        """Take the outputs of some rows."""
        for name, table in tables.items():
            self._sorters[name].add(table)
            if name in self._verdicts:
                self._verdicts[name] += counts_of(table)

    def told(self) -> dict[str, list[tuple[str, str, int]]]:
        """Count (verdict, reason) of each output that is a ledger."""
        return {
            name: [(*key, count) for key, count in sorted(counts.items())] for name, counts in self._verdicts.items()
        }

    def write(self) -> dict[str, list[FileEntry]]:
        """Write the part's files."""
        files: dict[str, list[FileEntry]] = {}
        for name, output in self._plan.outputs.items():
            path = self._folder / name / f"part-{self._part:05d}{output.format.suffix}"
            files[name] = [write_part(path, self._sorters[name].sorted(), output.schema, output.format)]
        return files

    def close(self) -> None:
        """Remove what was sorted on disk."""
        for sorter in self._sorters.values():
            sorter.close()


def emitted(plan: Plan, batch: pa.Table, number: int, care: Care) -> list[Tables]:
    """Emit one batch and check what comes back; row for row where the plan can answer for faulty ones."""

    def emit(rows: pa.Table) -> Tables:
        return _checked(plan, plan.emit(rows), rows.num_rows)

    def fault(rows: pa.Table, errors: list[str]) -> Tables:
        assert plan.emit_fault is not None
        empty = {name: output.schema.empty_table() for name, output in plan.outputs.items()}
        return _checked(plan, {**empty, **plan.emit_fault(rows, errors)}, rows.num_rows)

    single = plan.emit_fault is not None and plan.group is None
    return care.apply(emit, fault if single else None, batch, "emit", number)


def _checked(plan: Plan, tables: Tables, given: int) -> Tables:
    if set(tables) != set(plan.outputs):
        raise PlanError(f"{plan.name}: emitted {sorted(tables)}, the plan declares {sorted(plan.outputs)}")
    for name, table in tables.items():
        declared = plan.outputs[name].schema
        if not table.schema.equals(declared):
            raise PlanError(f"{plan.name}: output {name!r} has schema\n{table.schema}\nthe plan declares\n{declared}")
        if name in plan.conserve and table.num_rows != given:
            raise PlanError(
                f"{plan.name}: {given} rows came in and output {name!r} has {table.num_rows}; it must have one row for "
                "each. This is a fault of the step: please report it."
            )
    return tables


def write_batches(
    plan: Plan, part: int, batches: Iterable[pa.Table], folder: Path, care: Care | None = None, memory: int = MEMORY
) -> TaskResult:
    """Emit a part's batches (whole groups, where the plan groups) and write its files."""
    care = care or Care()
    received = 0
    writer = PartWriter(plan, part, folder, memory)
    try:
        for number, batch in enumerate(batches):
            received += batch.num_rows
            for tables in emitted(plan, batch, number, care):
                writer.add(tables)
            care.at(Place(stage="read", batch=number + 1))
        care.at(Place(stage="write"))
        return TaskResult(received=received, files=writer.write(), verdicts=writer.told())
    finally:
        writer.close()


def run_shard(plan: Plan, shard: Shard, folder: Path, care: Care | None = None, memory: int = MEMORY) -> TaskResult:
    """A whole task of a plan without a shuffle: one shard in, one part of each output out."""
    return write_batches(plan, shard.index, mapped(plan, shard, care), folder, care, memory)


def run_partition(
    plan: Plan,
    partition: int,
    batches: Iterable[pa.Table],
    folder: Path,
    care: Care | None = None,
    memory: int = MEMORY,
) -> TaskResult:
    """The second half of a shuffle: one partition's rows, sorted, in tables of whole groups; one part of each output.

    `batches` are the partition's rows in the order of the plan's `group.sort`, cut anywhere.
    """
    assert plan.group is not None
    groups = whole_groups(batches, plan.group.key, EMIT_BYTES)
    return write_batches(plan, partition, groups, folder, care, memory)


def split(plan: Plan, table: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    """Divide mapped rows among the partitions of a shuffle."""
    assert plan.group is not None
    if not table.schema.equals(plan.group.schema):
        raise PlanError(f"{plan.name}: mapped rows have schema\n{table.schema}\nthe plan declares\n{plan.group.schema}")
    if not table.num_rows:
        return
    numbers = plan.group.partition(table, plan.group.partitions).to_numpy(zero_copy_only=False)
    order = np.argsort(numbers, kind="stable")
    present, starts = np.unique(numbers[order], return_index=True)
    together = table.take(pa.array(order))
    for partition, start, stop in zip(present, starts, [*starts[1:], len(order)], strict=True):
        yield int(partition), together.slice(start, stop - start)
