"""Plans that every engine must run alike, whose functions workers can import, and the engines to run them on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.document import DOCUMENT_SCHEMA, document_id, partitions_of
from pipelines.engines.plan import Engine, GroupBy, Output, Plan, Progress, Shard, quiet
from pipelines.ledger import LEDGER_SCHEMA

ROWS = pa.schema([("id", pa.string()), ("word", pa.string()), ("shard", pa.int32())])
COUNTS = pa.schema([("word", pa.string()), ("count", pa.int64())])
ERRORS = pa.schema([("id", pa.string()), ("error", pa.string())])
TEXT = "the quick brown fox jumps over the lazy dog and the cat sat on the mat"
WORDS = TEXT.split()

DESCRIBED = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False, metadata={b"about": b"a key"}),
        pa.field("lists", pa.list_(pa.field("item", pa.struct([("a", pa.int8()), ("b", pa.large_binary())])))),
        pa.field("nothing", pa.null()),
        pa.field("half", pa.float16()),
        pa.field("day", pa.date32()),
        pa.field("money", pa.decimal128(20, 3)),
        pa.field("vector", pa.list_(pa.float32(), 3)),
        pa.field("large", pa.large_list(pa.string())),
    ],
    metadata={b"made by": b"a test"},
)
SCHEMAS = ("documents", "ledger", "verdicts", "fingerprints", "described")
"""The schemas that cross an engine today, and one with what else Arrow has."""


def schema_of(name: str) -> pa.Schema:
    """Return one of SCHEMAS."""
    known = {"documents": DOCUMENT_SCHEMA, "ledger": LEDGER_SCHEMA, "described": DESCRIBED}
    if name in known:
        return known[name]
    from pipelines.steps.dedup import VERDICTS_SCHEMA, fingerprint_schema

    return VERDICTS_SCHEMA if name == "verdicts" else fingerprint_schema(14)


# ---- words: read, map, and (grouped) count ---------------------------------------------------------------------------


def read(shard: Shard) -> Iterator[pa.Table]:
    """Yield the words so many times as the payload says, in tables of seven; no table where that is nought."""
    marks, times = shard.payload
    if marks:
        with (Path(marks) / f"ran-{shard.index}").open("a") as mark:
            mark.write("x")
    rows = [
        {"id": document_id("s", f"{shard.index}/{n}", word.encode()), "word": word, "shard": shard.index}
        for n, word in enumerate(WORDS * times)
    ]
    for start in range(0, len(rows), 7):
        yield pa.Table.from_pylist(rows[start : start + 7], ROWS)


def upper(table: pa.Table) -> pa.Table:
    return table.set_column(1, "word", pc.utf8_upper(table["word"]))


def by_word(table: pa.Table, partitions: int) -> pa.Array:
    numbers = [hashlib.md5(word.encode()).digest()[0] % partitions for word in table["word"].to_pylist()]
    return pa.array(numbers, pa.int32())


def count(table: pa.Table) -> dict[str, pa.Table]:
    return {"counts": table.group_by("word").aggregate([([], "count_all")]).rename_columns(COUNTS.names).cast(COUNTS)}


def keep(table: pa.Table) -> dict[str, pa.Table]:
    return {"rows": table}


def words(
    times: tuple[int, ...] = (1, 2, 3), *, grouped: bool, partitions: int = 4, marks: Path | None = None, **more: Any
) -> Plan:
    """Return a plan with a shard for each of `times`, so many times the words; `marks` counts its readings."""
    shards = [
        Shard(n, f"shard-{n}", (str(marks) if marks else "", one), one * len(TEXT)) for n, one in enumerate(times)
    ]
    settings: dict[str, Any] = {
        "read": read,
        "map": upper,
        "group": GroupBy(ROWS, partitions, by_word, ("word",), ("word", "id")) if grouped else None,
        "emit": count if grouped else keep,
        "outputs": {"counts": Output(COUNTS, ("word",))} if grouped else {"rows": Output(ROWS)},
    }
    return Plan("words", shards, **{**settings, **more})


# ---- types: one row of every kind of value, through every transform --------------------------------------------------


@dataclass(frozen=True)
class ReadTyped:
    """Yields rows of a schema, in tables of five; every third value that may be null is."""

    schema: pa.Schema
    rows: int = 23

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        ids = [document_id("typed", str(n), bytes([shard.index])) for n in range(self.rows)]
        columns = [
            pa.array(ids, pa.string()) if one.name == "id" else pa.array(_values(one, shard.index, self.rows), one.type)
            for one in self.schema
        ]
        table = pa.table(columns, schema=self.schema)
        for start in range(0, self.rows, 5):
            yield table.slice(start, 5)


def _values(column: pa.Field, seed: int, rows: int) -> list[Any]:
    return [
        None if column.nullable and (row + seed) % 3 == 0 else _value(column.type, seed * 100 + row)
        for row in range(rows)
    ]


def _value(kind: pa.DataType, number: int) -> Any:
    if pa.types.is_struct(kind):
        return {one.name: _value(one.type, number + at) for at, one in enumerate(kind)}
    if pa.types.is_fixed_size_list(kind):
        return [_value(kind.value_type, number + at) for at in range(kind.list_size)]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [_value(kind.value_type, number + at) for at in range(number % 4)]
    if pa.types.is_fixed_size_binary(kind):
        return hashlib.md5(str(number).encode()).digest()[: kind.byte_width]
    if pa.types.is_timestamp(kind):
        return datetime(2024, 2, 29, tzinfo=UTC) + timedelta(microseconds=number)
    if pa.types.is_date(kind):
        return (datetime(2024, 2, 29, tzinfo=UTC) + timedelta(days=number)).date()
    makers: list[tuple[Callable[[pa.DataType], bool], Any]] = [
        (pa.types.is_null, None),
        (pa.types.is_boolean, number % 2 == 0),
        (pa.types.is_integer, number % 100),
        (pa.types.is_floating, number / 4),
        (pa.types.is_decimal, number),
        (pa.types.is_large_binary, str(number).encode()),
    ]
    return next((made for test, made in makers if test(kind)), f"Wörter {number} 文字" * (number % 3))


def same(table: pa.Table) -> pa.Table:
    """Give a table back, having seen that no engine changed its type on the way."""
    return table


@dataclass(frozen=True)
class EmitTyped:
    """Gives rows back; raises ValueError when an engine changed their schema, in types, nullability or metadata."""

    schema: pa.Schema

    def __call__(self, table: pa.Table) -> dict[str, pa.Table]:
        if not table.schema.equals(self.schema, check_metadata=True):
            raise ValueError(f"rows arrived as\n{table.schema}\nthey were read as\n{self.schema}")
        return {"rows": table}


def by_id(table: pa.Table, partitions: int) -> pa.Array:
    return partitions_of(table["id"], partitions)


def typed(name: str, *, grouped: bool) -> Plan:
    """Return a plan that moves rows of one of SCHEMAS."""
    schema = schema_of(name)
    return Plan(
        f"typed {name}",
        [Shard(n, f"shard-{n}", None) for n in range(3)],
        ReadTyped(schema),
        EmitTyped(schema),
        {"rows": Output(schema)},
        map=same,
        group=GroupBy(schema, 3, by_id, ("id",), ("id",)) if grouped else None,
    )


# ---- faults ----------------------------------------------------------------------------------------------------------


def hates_foxes(table: pa.Table) -> pa.Table:
    if "fox" in table["word"].to_pylist():
        raise LookupError("a fox")
    return upper(table)


def pardon(table: pa.Table, errors: list[str]) -> pa.Table:
    return table.set_column(1, "word", pa.array(errors, pa.string()))


def emit_hating_dogs(table: pa.Table) -> dict[str, pa.Table]:
    if "DOG" in table["word"].to_pylist():
        raise LookupError("a dog")
    return {"rows": table, "errors": ERRORS.empty_table()}


def emit_pardon(table: pa.Table, errors: list[str]) -> Mapping[str, pa.Table]:
    return {"errors": pa.table([table["id"], pa.array(errors, pa.string())], schema=ERRORS)}


def wrong_schema(table: pa.Table) -> dict[str, pa.Table]:
    return {"rows": table.drop_columns(["shard"])}


def wrong_map(table: pa.Table) -> pa.Table:
    return table.drop_columns(["shard"])


def loses_a_row(table: pa.Table) -> dict[str, pa.Table]:
    return {"rows": table.slice(1)}


def unreadable(shard: Shard) -> Iterator[pa.Table]:
    yield from read(shard)
    raise OSError(28, f"{shard.name} cannot be read")


def bad_shard(shard: Shard) -> Iterator[pa.Table]:
    raise UnpicklableError(shard.name, lambda: None)
    yield ROWS.empty_table()


class UnpicklableError(Exception):
    """An error that no process can send to another one."""

    def __init__(self, name: str, call: Callable[[], None]) -> None:
        super().__init__(f"shard {name} is bad", call)


# ---- engines ---------------------------------------------------------------------------------------------------------

NAMES = ("local", "ray", "beam")
MOVERS = ("ray", "beam")
"""Engines that count the rows each transform saw, as `counts`."""


def start(name: str, workers: int, progress: Progress = quiet) -> Engine:
    """Start an engine; skip the test where its package is not installed."""
    if name == "local":
        from pipelines.engines.local import LocalEngine

        return LocalEngine(workers, progress)
    if name == "ray":
        from pipelines.engines.ray import RayEngine

        return RayEngine(workers, progress)
    from pipelines.engines.beam import BeamEngine

    return BeamEngine(workers, progress)


@dataclass
class Seen:
    """A progress callback that remembers what it was told."""

    told: list[tuple[str, int, int]] = field(default_factory=list)

    def __call__(self, name: str, done: int, total: int) -> None:
        self.told.append((name, done, total))


@dataclass
class Engines:
    """Starts engines as tests ask for them and keeps the last one: a process can be in one Ray cluster at a time."""

    held: tuple[tuple[str, int], Engine] | None = None
    seen: Seen = field(default_factory=Seen)

    def get(self, name: str, workers: int) -> Engine:
        if self.held is not None and self.held[0] != (name, workers):
            self.close()
        if self.held is None:
            self.held = ((name, workers), start(name, workers, self.seen))
        self.seen.told.clear()
        return self.held[1]

    def close(self) -> None:
        if self.held is not None:
            self.held[1].close()
        self.held = None


def digests(folder: Path) -> dict[str, str]:
    """Return the digest of every part under a folder, by its path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("part-*"))
    }


def reference(plan: Plan, folder: Path) -> dict[str, str]:
    """Return the bytes a plan must give: those of the local engine in this process."""
    from pipelines.engines.local import LocalEngine

    LocalEngine(1).run(plan, folder)
    return digests(folder)


def forget(folder: Path, key: str) -> None:
    """Remove a task's note, as if it had not finished."""
    with suppress(FileNotFoundError):
        (folder / "_tasks" / f"{key}.json").unlink()
