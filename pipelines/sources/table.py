"""Parquet and JSON Lines files as a source, with a map of their columns: data sets that others have made.

A file that lacks a column is a failure of its own; if every file lacks it, the recipe is wrong and nothing starts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import Field

from pipelines import storage
from pipelines.document import canonical_json
from pipelines.sources import jsonl_rows, parquet_rows
from pipelines.sources.archive_input import Damage
from pipelines.sources.files import UNIT_BYTES, Found, SourceError, digests, find
from pipelines.sources.lines import line_spans, lines_between
from pipelines.sources.packed import is_packed_name, open_unpacked, without_packing
from pipelines.sources.record import Unit
from pipelines.sources.source import Location, SourceFields
from pipelines.sources.table_columns import LAYOUTS, Columns, missing
from pipelines.sources.table_rows import Rows, records

_LOOKED_AT_BYTES = 1 << 20
_MOST_NAMES = 10_000
SUFFIXES = (".parquet", ".jsonl", ".ndjson", ".json")


class TableSource(SourceFields):
    """Tables of texts: `*.parquet`, and `*.jsonl`, `*.ndjson` or `*.json` with one object a line (.gz .zst .xz .bz2).

    `layout` names a known map of columns; `columns` maps them one by one, or changes some of the layout's. A column
    that the recipe names must be there; of a layout only the text must.
    """

    type: Literal["table"] = "table"
    paths: Annotated[tuple[Location, ...], Field(min_length=1, description="Files, folders or patterns.")]
    layout: Annotated[
        Literal["dolma", "datatrove", "fineweb"] | None, Field(description="The layout of a known tool.")
    ] = None
    columns: Columns = Columns()
    kind: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", description="The documents' kind.")] = "web"
    license: Annotated[str | None, Field(description="SPDX licence of rows that state none.")] = None
    max_record_bytes: Annotated[int, Field(ge=1, description="Longest text, or line of JSON.")] = 50_000_000
    split_bytes: Annotated[int, Field(ge=1, description="Stored bytes that one worker reads, about.")] = UNIT_BYTES

    def map(self) -> tuple[Columns, frozenset[str]]:
        """What is where; and the parts that must be there, by name, metadata as "metadata:NAME"."""
        given = {name: getattr(self.columns, name) for name in self.columns.model_fields_set}
        columns = (LAYOUTS[self.layout] if self.layout else Columns()).model_copy(update=given)
        required = {"text", *(name for name in given if name != "metadata" and given[name] is not None)}
        return columns, frozenset(required | {f"metadata:{name}" for name in given.get("metadata", ())})

    def units(self) -> list[Unit]:
        """Row groups, or lines, of about `split_bytes`; a compressed file of lines is one unit.

        Raises:
            FileNotFoundError: a path leads to no file.
            SourceError: no file has the columns that the recipe names.
        """
        files = find(self.paths, SUFFIXES, f"sources.{self.name}.paths")
        self._check(files)
        made: list[Unit] = []
        for file, (digest, size) in zip(files, digests(files), strict=True):
            for start, end, stored in self._spans(file, size):
                name, covered = file.name, digest
                if (start, end) != (0, None):
                    name = f"{file.name}@{start}"
                    covered = hashlib.sha256(canonical_json([digest, start, end]).encode()).hexdigest()
                place = {"path": str(file.path), "name": file.name, "start": start, "end": end}
                made.append(Unit(name, covered, stored, canonical_json(place)))
        return made

    def tables(self, unit: Unit) -> Iterator[pa.Table]:
        """The records of one unit, in its file's order."""
        place: dict[str, Any] = json.loads(unit.payload)
        path, name = storage.at(place["path"]), str(place["name"])
        read = self._parquet if _is_parquet(name) else self._lines
        for found in read(path, name, place["start"], place["end"]):
            yield records(found, self.name, self.kind, self.license, self.max_record_bytes)

    def _parquet(self, path: Path, name: str, start: int, end: int | None) -> Iterator[Rows]:
        columns, required = self.map()
        try:
            count = len(parquet_rows.groups(path))
            paths, problems = parquet_rows.resolved(columns, required, parquet_rows.schema_of(path))
        except parquet_rows.DAMAGED as error:
            yield _failure(name, "row", 0, "damaged-file", f"the file cannot be read as Parquet: {error}"[:300])
            return
        if problems:
            yield _failure(name, "row", 0, "missing-column", "; ".join(problems))
            return
        for found in parquet_rows.rows(path, name, range(start, count if end is None else end), paths):
            if isinstance(found, Damage):
                yield _failure(name, "row", found.offset, "damaged-file", found.detail)
            else:
                yield found

    def _lines(self, path: Path, name: str, start: int, end: int | None) -> Iterator[Rows]:
        columns, _ = self.map()
        if start:
            with storage.open_read(path) as stream:
                stream.seek(start)
                yield from jsonl_rows.rows(stream, name, (start, end), columns, self.max_record_bytes)
            return
        with open_unpacked(path) as (reader, content):
            yield from jsonl_rows.rows(reader, name, (0, end), columns, self.max_record_bytes)
            damage = content.damage if end is None else None
        if damage is not None:
            yield _failure(name, "stored", damage.offset, "damaged-file", damage.detail)

    def _spans(self, file: Found, size: int) -> Sequence[tuple[int, int | None, int]]:
        """Where a file is cut: first row group or byte, the one after the last, and stored bytes."""
        if size <= self.split_bytes or (is_packed_name(file.name) and not _is_parquet(file.name)):
            return [(0, None, size)]
        if not _is_parquet(file.name):
            cut = line_spans(file.path, size, self.split_bytes)
            return [(start, end, end - start) for start, end in cut] if len(cut) > 1 else [(0, None, size)]
        try:
            known = parquet_rows.groups(file.path)
        except parquet_rows.DAMAGED:
            return [(0, None, size)]  # read() says what it is
        spans: list[tuple[int, int | None, int]] = []
        start = held = 0
        for group in known:
            if held and held + group.stored > self.split_bytes:
                spans.append((start, group.number, held))
                start, held = group.number, 0
            held += group.stored
        spans.append((start, len(known), held))
        return spans if len(spans) > 1 else [(0, None, size)]

    def _check(self, files: Sequence[Found]) -> None:
        """See that some file has the columns that are asked for."""
        columns, required = self.map()
        said: dict[str, list[str]] = {}
        for file in files:
            found = self._problems(file, columns, required)
            if not found:
                return
            said[file.name] = found
        name, problems = next(iter(said.items()))
        raise SourceError(
            f"{name}: {'; '.join(problems)} (sources.{self.name}.columns; the same in all {len(said)} files)"
        )

    def _problems(self, file: Found, columns: Columns, required: frozenset[str]) -> list[str]:
        """What a file lacks, as its footer or its first lines say; a damaged one is counted when it is read."""
        if _is_parquet(file.name):
            try:
                return parquet_rows.resolved(columns, required, parquet_rows.schema_of(file.path))[1]
            except parquet_rows.DAMAGED:
                return []
        known: dict[str, None] = {}
        with open_unpacked(file.path) as (reader, _):
            for _, line, _ in lines_between(reader, 0, _LOOKED_AT_BYTES, self.max_record_bytes):
                try:
                    known.update(dict.fromkeys(jsonl_rows.names_of(jsonl_rows.parsed(_without_mark(line)))))
                except jsonl_rows.BadLine:
                    continue
                if len(known) > _MOST_NAMES:
                    break
        wanted = {**columns.named(), **{f"metadata:{name}": name for name in columns.metadata}}
        return [
            f"{part.partition(':')[0]}: {missing(column, known)}"
            for part, column in wanted.items()
            if known and part in required and column not in known and column.count(".") < 2
        ]


def _without_mark(line: bytes | None) -> bytes:
    return (line or b"").removeprefix(b"\xef\xbb\xbf")


def _is_parquet(name: str) -> bool:
    return without_packing(name.lower()).endswith(".parquet")


def _failure(name: str, unit: str, at: int, reason: str, detail: str) -> Rows:
    """One row that stands for a file, or a part of it, that cannot be read."""
    return Rows(
        name,
        unit,
        pa.array([at], pa.int64()),
        pa.array([None], pa.large_binary()),
        reason=pa.array([reason]),
        detail=pa.array([canonical_json(detail)]),
    )
