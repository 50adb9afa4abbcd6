"""The body of a task, shared by engines: what happens to the rows, without who runs it where."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.document import concat
from pipelines.engines.plan import Plan, PlanError, Shard, TaskResult
from pipelines.ledger import sort
from pipelines.storage import FileEntry, write_parquet


def mapped(plan: Plan, shard: Shard) -> Iterator[pa.Table]:
    """Read one shard and map its batches."""
    for batch in plan.read(shard):
        yield plan.map(batch) if plan.map else batch


def write_part(plan: Plan, part: int, tables: list[pa.Table], folder: Path) -> dict[str, list[FileEntry]]:
    """Emit the batches of one part and write each output, sorted, as one file."""
    emitted: dict[str, list[pa.Table]] = {name: [] for name in plan.outputs}
    for table in tables:
        outputs = plan.emit(table)
        if set(outputs) != set(plan.outputs):
            raise PlanError(f"{plan.name}: emitted {sorted(outputs)}, the plan declares {sorted(plan.outputs)}")
        for name, output in outputs.items():
            if not output.schema.equals(plan.outputs[name].schema):
                declared = plan.outputs[name].schema
                raise PlanError(
                    f"{plan.name}: output {name!r} has schema\n{output.schema}\nthe plan declares\n{declared}"
                )
            emitted[name].append(output)
    files: dict[str, list[FileEntry]] = {}
    for name, output in plan.outputs.items():
        table = sort(concat(emitted[name], output.schema), output.sort)
        files[name] = [write_parquet(folder / name / f"part-{part:05d}.parquet", table)]
    return files


def run_shard(plan: Plan, shard: Shard, folder: Path) -> TaskResult:
    """A whole task of a plan without a shuffle: one shard in, one part of each output out."""
    batches = list(mapped(plan, shard))
    received = sum(batch.num_rows for batch in batches)
    return TaskResult(received=received, files=write_part(plan, shard.index, batches, folder))


def split(plan: Plan, table: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    """Divide mapped rows among the partitions of a shuffle."""
    assert plan.group is not None
    if not table.schema.equals(plan.group.schema):
        raise PlanError(f"{plan.name}: mapped rows have schema\n{table.schema}\nthe plan declares\n{plan.group.schema}")
    numbers = plan.group.partition(table, plan.group.partitions).to_numpy(zero_copy_only=False)
    for partition in range(plan.group.partitions):
        rows = (numbers == partition).nonzero()[0]
        if len(rows):
            yield partition, table.take(pa.array(rows))


def run_partition(plan: Plan, partition: int, spills: list[Path], folder: Path) -> TaskResult:
    """The second half of a shuffle: bring one partition's rows together, sorted, and write its parts."""
    assert plan.group is not None
    table = concat((read_ipc(path) for path in spills), plan.group.schema)
    table = sort(table, plan.group.sort)
    return TaskResult(received=table.num_rows, files=write_part(plan, partition, [table], folder))


def write_ipc(path: Path, tables: list[pa.Table], schema: pa.Schema) -> None:
    """Write a spill: Arrow IPC, because it is read back once."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for table in tables:
            writer.write_table(table)


def read_ipc(path: Path) -> pa.Table:
    """Read a spill without copying it."""
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


def read_parts(files: list[Path], batch_rows: int = 4096, columns: list[str] | None = None) -> Iterator[pa.Table]:
    """Stream Parquet files as tables of bounded size."""
    for path in files:
        file = pq.ParquetFile(path)
        for batch in file.iter_batches(batch_rows, columns=columns):
            yield pa.Table.from_batches([batch])
