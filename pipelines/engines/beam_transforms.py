"""A plan as Beam transforms: read, map, key, group, emit and write, each a ParDo over Arrow tables of its own."""

from __future__ import annotations

import base64
import pickle
import re
import traceback
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import apache_beam as beam
import pyarrow as pa
from apache_beam import coders, typehints
from apache_beam.coders.typecoders import registry
from apache_beam.metrics.metric import Metrics
from apache_beam.transforms.window import GlobalWindows

from pipelines.engines.care import Care
from pipelines.engines.plan import Plan, Shard, TaskResult
from pipelines.engines.pool import WorkerError
from pipelines.engines.sorting import Sorter
from pipelines.engines.task import Notes, map_batch, part_key, plan_key, run_partition, split, write_batches
from pipelines.storage import scratch

NAMESPACE = "pomona"
"""Namespace of the counters that the transforms keep."""
STAGES = ("read", "map", "shuffle", "emit")
HOLD_BYTES = 64 << 20
"""Bytes of rows that a worker gathers by partition before it sends them into the shuffle: few large tables, not many
small ones, since every table carries its schema."""


class Rows:
    """Type of an element that is a `pa.Table`, or None where a part is only announced."""


class TableCoder(coders.Coder):
    """Encodes a table as an Arrow IPC stream, schema, nullability and metadata with it; None as nothing."""

    def encode(self, value: pa.Table | None) -> bytes:
        """Return the bytes of a table."""
        if value is None:
            return b""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, value.schema) as writer:
            writer.write_table(value)
        return sink.getvalue().to_pybytes()

    def decode(self, encoded: bytes) -> pa.Table | None:
        """Return the table in some bytes, without copying it."""
        return pa.ipc.open_stream(pa.py_buffer(encoded)).read_all() if encoded else None

    def is_deterministic(self) -> bool:
        """Equal tables may be cut differently, so tables must never be keys."""
        return False

    def to_type_hint(self) -> type[Rows]:
        """Return the type that this encodes."""
        return Rows


registry.register_coder(Rows, TableCoder)
Keyed = typehints.KV[int, Rows]


class Surfaced(Exception):
    """An error of a plan's function on its way through a runner, which hands on nothing but text."""


_CARRIED = re.compile(r"\[pomona ([A-Za-z0-9+/=]+)\]")


@contextmanager
def surfacing() -> Generator[None]:
    """Make errors of a plan's functions travel as text that holds them whole."""
    try:
        yield
    except Exception as error:
        carried = base64.b64encode(_pickled(error)).decode()
        raise Surfaced(f"{type(error).__name__}: {error} [pomona {carried}]") from error


def surfaced(text: str) -> Exception | None:
    """Return the error that a runner's text holds, if it holds one."""
    found = _CARRIED.search(text)
    return pickle.loads(base64.b64decode(found.group(1))) if found else None


def _pickled(error: Exception) -> bytes:
    try:
        data = pickle.dumps(error)
        pickle.loads(data)
    except Exception:  # noqa: BLE001 - an exception's own pickling may fail in any way
        return pickle.dumps(WorkerError("".join(traceback.format_exception(error))))
    return data


class _Counted(beam.DoFn):
    """A transform that counts the rows and the tables it hands on."""

    stage = ""

    def __init__(self) -> None:
        self._rows = Metrics.counter(NAMESPACE, self.stage)
        self._tables = Metrics.counter(NAMESPACE, f"{self.stage}-tables")

    def count(self, table: pa.Table) -> pa.Table:
        self._rows.inc(table.num_rows)
        self._tables.inc()
        return table


class Read(_Counted):
    """A pickled shard in; its tables out, each with the shard's index."""

    stage = "read"

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._plan = plan

    def process(self, element: bytes) -> Iterator[tuple[int, pa.Table]]:
        """Read one shard."""
        shard: Shard = pickle.loads(element)
        with surfacing():
            for table in self._plan.read(shard):
                yield shard.index, self.count(table)


class Map(_Counted):
    """Maps tables, row for row where the plan can answer for faulty ones."""

    stage = "map"

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._plan = plan
        self._cares: dict[int, Care] = {}

    def start_bundle(self) -> None:
        """Begin to count faults anew."""
        self._cares = {}

    def process(self, element: tuple[int, pa.Table]) -> Iterator[tuple[int, pa.Table]]:
        """Map one table."""
        index, table = element
        with surfacing():
            for made in map_batch(self._plan, table, 0, self._cares.setdefault(index, Care())):
                yield index, self.count(made)


class Key(_Counted):
    """Keys rows by the part they belong to: their partition, or the shard they come from where nothing is grouped.

    Rows of parts in `finished` go no further.
    """

    stage = "shuffle"

    def __init__(self, plan: Plan, finished: frozenset[int]) -> None:
        super().__init__()
        self._plan, self._finished = plan, finished
        self._held: dict[int, list[pa.Table]] = {}
        self._bytes = 0

    def start_bundle(self) -> None:
        """Hold nothing yet."""
        self._held, self._bytes = {}, 0

    def process(self, element: tuple[int, pa.Table]) -> Iterator[tuple[int, pa.Table]]:
        """Key the rows of one table."""
        index, table = element
        if self._plan.group is None:
            yield index, self.count(table)
            return
        with surfacing():
            for partition, rows in split(self._plan, table):
                if partition not in self._finished:
                    self._held.setdefault(partition, []).append(rows)
        self._bytes += table.nbytes
        if self._bytes > HOLD_BYTES:
            yield from self._flushed()

    def finish_bundle(self) -> Any:
        """Hand on what is still held."""
        for element in self._flushed():
            yield GlobalWindows.windowed_value(element)

    def _flushed(self) -> Iterator[tuple[int, pa.Table]]:
        held, self._held, self._bytes = self._held, {}, 0
        for partition, tables in held.items():
            yield partition, self.count(pa.concat_tables(tables).combine_chunks())


class Write(_Counted):
    """All rows of a part in, in any order; its files and its task's note written; its number out."""

    stage = "emit"

    def __init__(self, plan: Plan, folder: Path, memory: int) -> None:
        super().__init__()
        self._plan, self._folder, self._memory = plan, folder, memory

    def process(self, element: tuple[int, Iterable[pa.Table | None]]) -> Iterator[int]:
        """Write one part."""
        part, tables = element
        with surfacing():
            rows = (self.count(table) for table in tables if table is not None)
            result = self._shard(part, rows) if self._plan.group is None else self._partition(part, rows)
            Notes(self._folder).put(part_key(self._plan, part), result)
        yield part

    def _shard(self, part: int, tables: Iterator[pa.Table]) -> TaskResult:
        return write_batches(self._plan, part, tables, self._folder, Care(), self._memory // 2)

    def _partition(self, part: int, tables: Iterator[pa.Table]) -> TaskResult:
        group = self._plan.group
        assert group is not None
        spills = scratch(self._folder, plan_key(self._plan)) / f"arrived-{part:05d}"
        sorter = Sorter(group.schema, group.sort, spills, self._memory // 2)
        try:
            for table in tables:
                sorter.add(table)
            return run_partition(self._plan, part, sorter.sorted(), self._folder, Care(), self._memory // 2)
        finally:
            sorter.close()


@dataclass(frozen=True)
class Build:
    """Builds the transforms of a plan into a pipeline.

    `finished` are the parts that need no work, `memory` the bytes of rows a task may hold, `hints` what Beam is told
    of the resources that the plan's functions need.
    """

    plan: Plan
    folder: Path
    finished: frozenset[int]
    memory: int
    hints: Mapping[str, str]

    def __call__(self, pipeline: Any) -> None:
        """Add the transforms to `pipeline`."""
        plan = self.plan
        bare = replace(plan, shards=())  # shards travel as elements, not with every function
        parts = [part for part in range(plan.parts) if part not in self.finished]
        shards = [one for one in plan.shards if plan.group is not None or one.index not in self.finished]
        # The largest first: a runner that deals them out in turn gives every worker about as much.
        shards.sort(key=lambda one: -one.bytes)
        label = plan_key(plan)
        rows = (
            pipeline
            | f"{label}/shards" >> beam.Create([pickle.dumps(one) for one in shards]).with_output_types(bytes)
            | f"{label}/spread" >> beam.Reshuffle()
            | f"{label}/read" >> self._step(Read(bare))
            | f"{label}/map" >> self._step(Map(bare))
            | f"{label}/key" >> beam.ParDo(Key(bare, self.finished)).with_output_types(Keyed)
        )
        announced = (
            pipeline
            | f"{label}/parts" >> beam.Create(parts).with_output_types(int)
            | f"{label}/announce" >> beam.Map(_announce).with_output_types(Keyed)
        )
        _ = (
            (rows, announced)
            | f"{label}/together" >> beam.Flatten()
            | f"{label}/group" >> beam.GroupByKey()
            | f"{label}/write" >> self._step(Write(bare, self.folder, self.memory), int)
        )

    def _step(self, function: beam.DoFn, gives: Any = Keyed) -> Any:
        step = cast(Any, beam.ParDo(function)).with_output_types(gives)
        return step.with_resource_hints(**self.hints) if self.hints else step


def _announce(part: int) -> tuple[int, None]:
    """Make a part known to the shuffle, so that it is written although no row belongs to it."""
    return part, None
