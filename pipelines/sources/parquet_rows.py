"""Rows of Parquet files: a unit is some row groups, read batch by batch with the columns that are mapped only."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pt

from pipelines import storage
from pipelines.sources import arrow_json
from pipelines.sources.archive_input import Damage
from pipelines.sources.table_columns import Columns, missing
from pipelines.sources.table_rows import Rows, as_strings, as_text

BATCH_BYTES = 8 << 20
"""Uncompressed bytes of the rows that are held at a time, about."""

DAMAGED = (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError)
"""What pyarrow raises for a file that is damaged, or none of Parquet's."""

Path_ = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """A row group: its number, rows, and the row of the file that it begins with; and its bytes as they are stored."""

    number: int
    rows: int
    first: int
    stored: int
    plain: int


@contextmanager
def _open(path: Path) -> Generator[Any]:
    with storage.open_read(path) as stream:
        yield pq.ParquetFile(stream)


def groups(path: Path) -> list[Group]:
    """The row groups of a file. Raises one of DAMAGED."""
    with _open(path) as file:
        found: list[Group] = []
        first = 0
        for number in range(file.metadata.num_row_groups):
            group = file.metadata.row_group(number)
            stored = sum(group.column(at).total_compressed_size for at in range(group.num_columns))
            found.append(Group(number, group.num_rows, first, stored, group.total_byte_size))
            first += group.num_rows
        return found


def schema_of(path: Path) -> Any:
    """A file's schema. Raises one of DAMAGED."""
    with _open(path) as file:
        return file.schema_arrow


def resolved(columns: Columns, required: frozenset[str], schema: Any) -> tuple[dict[str, Path_], list[str]]:
    """Where the mapped columns are: the path of each, by what it holds or "metadata:NAME"; and what is missing.

    A column that is not there is missing if it is one of `required`, and left out if it is not.
    """
    wanted = {**columns.named(), **{f"metadata:{name}": name for name in columns.metadata}}
    found: dict[str, Path_] = {}
    problems: list[str] = []
    for part, column in wanted.items():
        path = _path(schema, column)
        if path is not None:
            found[part] = path
        elif part in required:
            problems.append(f"{part.partition(':')[0]}: {missing(column, _names(schema))}")
    text = found.get("text")
    if text is not None and as_text(pa.nulls(0, _type(schema, text))) is None:
        problems.append(f"text: column {columns.text!r} is {_type(schema, text)}, expected string")
    return found, problems


def rows(path: Path, name: str, numbers: range, paths: Mapping[str, Path_]) -> Iterator[Rows | Damage]:
    """The rows of some row groups; `Damage` (its offset is a row) for those that cannot be read.

    Raises one of DAMAGED where the file has no readable footer.
    """
    known = groups(path)
    with _open(path) as file:
        for number in numbers:
            group = known[number]
            at = group.first
            size = max(1, min(8192, BATCH_BYTES * group.rows // max(1, group.plain)))
            needed = sorted({one[0] for one in paths.values()})
            batches = file.iter_batches(size, row_groups=[number], columns=needed, use_threads=False)
            while True:
                try:
                    batch = next(batches, None)
                except DAMAGED as error:
                    left = group.first + group.rows - at
                    yield Damage(at, f"{left} rows of row group {number} cannot be read: {error}"[:300])
                    break
                if batch is None:
                    break
                yield from _each_readable(batch, name, at, paths)
                at += batch.num_rows


def _each_readable(batch: Any, name: str, first: int, paths: Mapping[str, Path_]) -> Iterator[Rows | Damage]:
    """The rows of a batch; where some cannot be read they are found by halving, so that each costs itself alone."""
    try:
        made = _rows(batch, name, first, paths)
    except DAMAGED as error:
        if batch.num_rows <= 1:
            yield Damage(first, f"the row cannot be read: {error}"[:300])
            return
        middle = batch.num_rows // 2
        for low, high in ((0, middle), (middle, batch.num_rows)):  # taken, since a slice of a list keeps all its values
            half = batch.take(pa.array(np.arange(low, high)))
            yield from _each_readable(half, name, first + low, paths)
        return
    yield made


def _rows(batch: Any, name: str, first: int, paths: Mapping[str, Path_]) -> Rows:
    columns = {part: _column(batch, path) for part, path in paths.items()}
    text = as_text(columns["text"])
    assert text is not None, "resolved() refuses a column of another type"
    return Rows(
        file=name,
        unit="row",
        place=pa.array(np.arange(first, first + batch.num_rows)),
        text=text,
        parts={
            part: column if part == "date" else as_strings(column)
            for part, column in columns.items()
            if part != "text" and ":" not in part
        },
        metadata={
            part.partition(":")[2]: arrow_json.values(_readable(column))
            for part, column in columns.items()
            if part.startswith("metadata:")
        },
    )


def _readable(column: pa.Array) -> pa.Array:
    """A column whose strings are UTF-8: Parquet does not see to that."""
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        kind = column.type
        if pt.is_string(kind) or pt.is_large_string(kind) or pt.is_dictionary(kind):
            return as_strings(column)
        raise
    return column


def _column(batch: Any, path: Path_) -> pa.Array:
    column = batch.column(path[0])
    return pc.struct_field(column, list(path[1:])) if len(path) > 1 else column


def _path(schema: Any, column: str) -> Path_ | None:
    """A column by its own name, else by the fields that its dots lead through."""
    if column in schema.names:
        return (column,)
    head, _, rest = column.partition(".")
    if not rest or head not in schema.names:
        return None
    inner = schema.field(head).type
    if not pt.is_struct(inner):
        return None
    below = _path(pa.schema([inner.field(at) for at in range(inner.num_fields)]), rest)
    return None if below is None else (head, *below)


def _type(schema: Any, path: Path_) -> Any:
    kind = schema.field(path[0]).type
    for name in path[1:]:
        kind = kind.field(name).type
    return kind


def _names(schema: Any) -> list[str]:
    """All column names, those in structs with their path."""
    found: list[str] = []
    for field in schema:
        found.append(field.name)
        if pt.is_struct(field.type):
            inner = pa.schema([field.type.field(at) for at in range(field.type.num_fields)])
            found += [f"{field.name}.{name}" for name in _names(inner)]
    return found
