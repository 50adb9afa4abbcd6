"""Parts: Parquet (or another format of a step's own) written whole, equal rows as equal bytes; and read as tables."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from pipelines.storage.files import atomic, local_copy, sha256
from pipelines.storage.place import is_remote

ROW_GROUP_ROWS = 16_384
"""Rows in a Parquet row group: fixed, because group borders are bytes of the output."""


class FileEntry(BaseModel):
    """One file of a step or a mixture: its path relative to the folder of the manifest, and what is in it."""

    path: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class PartFormat:
    """How a part is written: Parquet, where no subclass says otherwise. `suffix` ends the file's name."""

    suffix: str = ".parquet"

    def write(self, path: Path, tables: Iterable[pa.Table], schema: pa.Schema) -> int:
        """Write tables to a local file and return the number of rows; equal rows give equal bytes however cut."""
        rows = 0
        with pq.ParquetWriter(
            path, schema, compression="zstd", compression_level=3, write_statistics=True
        ) as writer:  # fmt: skip
            for group in regrouped(tables, ROW_GROUP_ROWS):
                writer.write_table(group, row_group_size=ROW_GROUP_ROWS)
                rows += group.num_rows
        return rows


PARQUET = PartFormat()


def regrouped(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Cut a stream of tables anew into tables of exactly `rows` rows, the last one shorter; each in one chunk."""
    held: list[pa.Table] = []
    count = 0
    for table in tables:
        at = 0
        while count + table.num_rows - at >= rows:
            held.append(table.slice(at, rows - count))
            at += rows - count
            yield pa.concat_tables(held).combine_chunks()
            held, count = [], 0
        if at < table.num_rows:
            held.append(table.slice(at))
            count += table.num_rows - at
    if held:
        yield pa.concat_tables(held).combine_chunks()


def write_part(path: Path, tables: Iterable[pa.Table], schema: pa.Schema, form: PartFormat) -> FileEntry:
    """Write a part atomically in its format, as a stream."""
    with atomic(path) as temporary:
        rows = form.write(temporary, tables, schema)
        return entry(temporary, path, rows)


def write_parquet(path: Path, table: pa.Table) -> FileEntry:
    """Write a table atomically; equal tables give equal bytes, however they were chunked."""
    return write_part(path, [table], table.schema, PARQUET)


def entry(file: Path, final: Path, rows: int) -> FileEntry:
    """Describe a local file by its digest; `final` is the name it will have."""
    return FileEntry(
        path=f"{final.parent.name}/{final.name}", rows=rows, bytes=file.stat().st_size, sha256=sha256(file)
    )


def read_table(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Read a Parquet file whole, or some of its columns: of a file on a store only their bytes."""
    with _at_hand(path, columns) as file:
        return pq.read_table(file, columns=columns)


def read_batches(path: Path, rows: int, columns: list[str] | None = None) -> Iterator[pa.Table]:
    """Stream a Parquet file, or some of its columns, as tables of at most `rows` rows."""
    with _at_hand(path, columns) as file, pq.ParquetFile(file, pre_buffer=is_remote(path)) as parquet:
        for batch in parquet.iter_batches(rows, columns=columns):
            yield pa.Table.from_batches([batch])


def read_schema(path: Path) -> pa.Schema:
    """Read the schema of a Parquet file; of one on a store only its last bytes."""
    return pq.read_schema(_opened(path))


def row_count(path: Path) -> int:
    """Return how many rows a Parquet file has; of a file on a store only its end is read."""
    if not is_remote(path):
        return pq.read_metadata(path).num_rows
    return pq.ParquetFile(_opened(path)).metadata.num_rows


def rows_where(
    paths: Sequence[Path], wanted: Any, columns: Sequence[str] | None = None, batch_rows: int = 65_536
) -> Iterator[pa.RecordBatch]:
    """Stream the rows of Parquet files that a dataset expression wants.

    Row groups whose statistics exclude it are not read, on a store neither.
    """
    import pyarrow.dataset as ds

    names = None if columns is None else list(columns)
    here = [str(path) for path in paths if not is_remote(path)]
    if len(here) == len(paths):
        if here:
            yield from ds.dataset(here).scanner(names, filter=wanted, batch_size=batch_rows).to_batches()
        return
    for path in paths:
        fragment = ds.ParquetFileFormat().make_fragment(_opened(path))
        yield from fragment.scanner(columns=names, filter=wanted, batch_size=batch_rows).to_batches()


@contextmanager
def _at_hand(path: Path, columns: list[str] | None) -> Generator[Any]:
    """Yield what pyarrow reads: the file itself, a copy of one on a store, or its ranges where columns are chosen."""
    if columns is not None and is_remote(path):
        yield _opened(path)
        return
    with local_copy(path) as file:
        yield file


def _opened(path: Path) -> Any:
    """Return what pyarrow reads Parquet from: a name here, a file that asks for ranges of bytes on a store."""
    if not is_remote(path):
        return str(path)
    from pipelines.storage.ranges import Ranges

    return pa.PythonFile(Ranges(path), mode="r")
