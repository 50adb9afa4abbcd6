"""A caller's table of documents, checked, and put into the order that says which copy stays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup.config import DedupConfig

__all__ = ["COLUMNS", "Documents", "best_first", "codes_of", "documents_in_order", "numbers", "one_array"]

COLUMNS = ("quality", "priority", "date", "url", "protected")
"""Columns that count where a table has them."""


class Documents(NamedTuple):
    """Documents in the stated order, best copy first."""

    position: NDArray[np.int64]  # row in the caller's table
    ids: Any  # string array
    text: Any  # large_string array without nulls
    length: NDArray[np.int64]  # in code points
    quality: NDArray[np.float64]
    priority: NDArray[np.float64]
    date: NDArray[np.float64]  # seconds
    url: Any  # string array, or None where no column says
    protected: NDArray[np.bool_]


def best_first(ids: Any, values: Mapping[str, NDArray[Any]], config: DedupConfig) -> NDArray[np.int64]:
    """Return the rows in the order of preference: protected ones, ``config.order``, and the smallest id at last.

    Args:
        ids: string array.
        values: of each name in the order, and "protected", an array; a missing one decides nothing. Not a number is
            not known, and comes last.
        config: the order.
    """
    columns: dict[str, Any] = {}
    if "protected" in values:
        columns["protected"] = pa.array(~values["protected"])
    for name in config.order:
        if name in values:
            column = np.asarray(values[name])
            sign = 1.0 if name == "date" and config.date == "oldest" else -1.0
            # Lengths stay whole numbers; among floats what is not known sorts after all that is.
            plain = -column if column.dtype.kind == "i" else np.where(np.isnan(column), np.inf, sign * column)
            columns[name] = pa.array(plain)
    columns["id"] = ids
    table = pa.table(columns)
    order = pc.sort_indices(table, [(name, "ascending") for name in columns])
    return order.to_numpy().astype(np.int64)


def documents_in_order(documents: pa.Table, config: DedupConfig) -> Documents:
    """Check the caller's table and put its documents into the stated order.

    Raises:
        ValueError: a column is missing or of a wrong type, or an id is null or occurs twice.
    """
    ids = _texts(documents, "id", pa.string())
    text = _texts(documents, "text", pa.large_string())
    text = pc.fill_null(text, "") if text.null_count else text
    if ids.null_count:
        row = int(np.argmax(ids.is_null().to_numpy(zero_copy_only=False)))
        raise ValueError(f'documents: column "id" is null in row {row}; every document needs an id')
    if len(ids.unique()) != len(ids):
        counts = ids.value_counts()
        twice = counts[int(np.argmax(counts.field("counts").to_numpy()))].as_py()
        raise ValueError(f'documents: id "{twice["values"]}" occurs {twice["counts"]} times; ids must be unique')
    length = pc.utf8_length(text).to_numpy(zero_copy_only=False).astype(np.int64)
    known = {name: numbers(documents, name) for name in ("quality", "priority", "date")}
    protected = np.zeros(len(ids), np.bool_)
    if "protected" in documents.column_names:
        column = documents["protected"]
        if not pa.types.is_boolean(column.type):
            raise ValueError(f'documents: column "protected" is of type {column.type}, expected bool')
        protected = one_array(pc.fill_null(column, False)).to_numpy(zero_copy_only=False)
    url = _texts(documents, "url", pa.string()) if "url" in documents.column_names else None
    if config.url is not None and url is None:
        raise ValueError('documents: no column "url"; the configuration asks for one copy of each URL')
    position = best_first(ids, {**known, "length": length, "protected": protected}, config)
    at = pa.array(position)
    return Documents(
        position,
        ids.take(at),
        text.take(at),
        length[position],
        known["quality"][position],
        known["priority"][position],
        known["date"][position],
        None if url is None else url.take(at),
        protected[position],
    )


def numbers(documents: pa.Table, name: str) -> NDArray[np.float64]:
    """Return a column of numbers, or of times as seconds; NaN where it is null, and throughout where there is none."""
    if name not in documents.column_names:
        return np.full(documents.num_rows, np.nan)
    column = documents[name]
    if pa.types.is_timestamp(column.type):
        column = pc.divide(column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64()).cast(pa.float64()), 1e6)
    elif not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_null(column.type)):
        wanted = "a number or a timestamp" if name == "date" else "a number"
        raise ValueError(f'documents: column "{name}" is of type {column.type}, expected {wanted}')
    return one_array(column.cast(pa.float64())).to_numpy(zero_copy_only=False)


def codes_of(values: Any) -> NDArray[np.int64]:
    """Number equal values alike, in the order of their first row; -1 for a null."""
    indices = values.dictionary_encode().indices
    return pc.fill_null(indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)


def _texts(documents: pa.Table, name: str, kind: pa.DataType) -> Any:
    if name not in documents.column_names:
        found = ", ".join(documents.column_names) or "no columns"
        raise ValueError(f'documents: no column "{name}"; found {found}')
    given = documents.schema.field(name).type
    if given not in (pa.string(), pa.large_string(), pa.string_view(), pa.null()):
        raise ValueError(f'documents: column "{name}" is of type {given}, expected string or large_string')
    return one_array(documents[name].cast(kind))


def one_array(column: Any) -> Any:
    """Return a column as one array."""
    combined = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(combined, pa.ChunkedArray):
        combined = pa.concat_arrays(combined.chunks)
    return combined
