"""Rows beside documents: what another file says of the same ids, found without hashing it anew for each batch."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["Beside", "ids_of", "with_told"]


class Beside:
    """The rows of a table whose ids rise, as those of every part do.

    Arrow's `index_in` hashes its whole value set at each call: asked for each batch of a part, it takes time quadratic
    in the part. A batch of a part has neighbouring ids, so only the rows between its smallest and its largest one are
    looked at; ids in any order are found all the same.
    """

    def __init__(self, table: pa.Table) -> None:
        """Take a table with a column `id`, rising; equal ids stand for their first row."""
        self.table = table.combine_chunks()
        self._ids = ids_of(self.table)

    def rows(self, ids: pa.ChunkedArray[Any] | pa.Array[Any]) -> pa.Array[Any]:
        """Return the row of each id, int64; null where there is none."""
        asked = (ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids).cast(pa.string())
        smallest = pc.min_max(asked)
        if not smallest["min"].is_valid:  # no ids
            return pa.nulls(len(asked), pa.int64())
        first = bisect_left(range(len(self._ids)), smallest["min"].as_py(), key=self._id)
        last = bisect_right(range(len(self._ids)), smallest["max"].as_py(), first, key=self._id)
        found = pc.index_in(asked, value_set=self._ids.slice(first, last - first))
        return pc.add(found.cast(pa.int64()), first)

    def holds(self, ids: pa.ChunkedArray[Any] | pa.Array[Any]) -> pa.Array[Any]:
        """Tell which of the ids there is a row for."""
        return pc.is_valid(self.rows(ids))

    def take(self, ids: pa.ChunkedArray[Any] | pa.Array[Any]) -> pa.Table:
        """Return the row of each id; nulls where there is none."""
        return self.table.take(self.rows(ids))

    def _id(self, row: int) -> str:
        return self._ids[row].as_py()


def with_told(documents: pa.Table, told: pa.Table) -> pa.Table:
    """Append what is told of each document, its columns but the first (what it was found by), as `told.<name>`."""
    for name in told.column_names[1:]:
        documents = documents.append_column(f"told.{name}", told[name])
    return documents


def ids_of(table: pa.Table) -> pa.Array[Any]:
    """Return the ids of a table as one array."""
    return pa.array([], pa.string()) if not table.num_rows else table["id"].combine_chunks().cast(pa.string())
