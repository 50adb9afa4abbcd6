"""What ledger rows say beside their reason, read a column at a time."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj


def fields(evidence: pa.Array[Any], schema: pa.Schema) -> pa.Table:
    """Read fields of evidence, JSON objects in a string column: a row each, null where it does not say.

    Other fields are left out. Evidence that is no object, or that says something of another type, says nothing.
    """
    stated = pc.fill_null(pc.starts_with(evidence, "{"), False)
    lines = pc.if_else(stated, pc.replace_substring(evidence, "\n", " "), "{}")
    try:
        return _parsed(lines, schema)
    except pa.ArrowInvalid:  # of some row: the halves find it
        if len(lines) == 1:
            return pa.table([pa.nulls(1, field.type) for field in schema], schema=schema)
        middle = len(lines) // 2
        return pa.concat_tables([fields(lines.slice(0, middle), schema), fields(lines.slice(middle), schema)])


def _parsed(lines: pa.Array[Any], schema: pa.Schema) -> pa.Table:
    if not len(lines):
        return schema.empty_table()
    end, nothing = (pa.scalar(text, pa.large_string()) for text in ("\n", ""))
    whole = pc.binary_join_element_wise(lines.cast(pa.large_string()), nothing, end).buffers()[2]
    table = pj.read_json(
        pa.BufferReader(whole),
        pj.ReadOptions(use_threads=False, block_size=max(1 << 20, whole.size)),
        pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
    )
    if table.num_rows != len(lines):
        raise pa.ArrowInvalid(f"{len(lines)} rows of evidence gave {table.num_rows}")
    return table.select(schema.names).combine_chunks()
