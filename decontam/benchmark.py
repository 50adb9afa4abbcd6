"""A benchmark: a name, where it is from, and its items."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import pyarrow as pa

__all__ = ["ITEM_SCHEMA", "Benchmark"]

ITEM_SCHEMA: Final = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("question", pa.large_string()),
        pa.field("context", pa.large_string()),
        pa.field("choices", pa.list_(pa.large_string())),
        pa.field("answer", pa.large_string()),
        pa.field("solution", pa.large_string()),
        pa.field("tests", pa.large_string()),
    ]
)


@dataclass(frozen=True)
class Benchmark:
    """A benchmark and its items.

    ``items`` has a column ``id`` (string or integer, unique) and any of ``question``, ``context``, ``choices`` (list of
    strings), ``answer``, ``solution`` and ``tests`` (strings); other columns are dropped and missing ones filled with
    nulls (``ITEM_SCHEMA``). What is looked for in texts is the question; see ``decontam.pieces``. ``split`` and
    ``license`` are told in certificates.

    Raises:
        ValueError: the name or the table is empty, a column is missing or of a wrong type, or an id is null or occurs
            twice.
    """

    name: str
    items: pa.Table
    split: str | None = None
    license: str | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("benchmark: the name is empty")
        found = self.items.column_names
        if "id" not in found:
            raise ValueError(f'benchmark "{self.name}": no column "id"; found {", ".join(found) or "no columns"}')
        if not set(found) & {"question", "context"}:
            raise ValueError(
                f'benchmark "{self.name}": neither a column "question" nor "context"; found {", ".join(found)}. '
                "Name the field that holds the question."
            )
        if self.items.num_rows == 0:
            raise ValueError(f'benchmark "{self.name}": no items; leave it out, or check where it is read from')
        object.__setattr__(
            self, "items", pa.Table.from_arrays([self._column(f) for f in ITEM_SCHEMA], schema=ITEM_SCHEMA)
        )
        ids: Any = self.items["id"].combine_chunks()
        if ids.null_count:
            raise ValueError(f'benchmark "{self.name}": {ids.null_count} of {len(ids)} items have no id')
        counts = ids.value_counts()
        if len(counts) != len(ids):
            twice = next(entry for entry in counts.to_pylist() if entry["counts"] > 1)
            raise ValueError(
                f'benchmark "{self.name}": id "{twice["values"]}" occurs {twice["counts"]} times; ids must be unique'
            )

    def __len__(self) -> int:
        """Return the number of items."""
        return self.items.num_rows

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the items: each as a line of JSON, in order of their ids, whatever file they came from."""
        state = hashlib.sha256()
        for batch in self.items.sort_by("id").to_batches(max_chunksize=4096):
            for item in batch.to_pylist():
                state.update(json.dumps(item, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass"))
                state.update(b"\n")
        return state.hexdigest()

    def _column(self, field: pa.Field[Any]) -> Any:
        if field.name not in self.items.column_names:
            return pa.nulls(self.items.num_rows, field.type)
        try:
            return self.items[field.name].cast(field.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            found = self.items.schema.field(field.name).type
            raise ValueError(
                f'benchmark "{self.name}": column "{field.name}" is of type {found}, expected {field.type}'
            ) from error
