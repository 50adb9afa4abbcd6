"""Arrow columns as JSON text, whole columns at a time, in the spelling of `pipelines.document.canonical_json`.

What is null is left out of an object, whether it was written as null or not there at all: Arrow does not know the
difference, and nor shall the output. Numbers that JSON cannot say (NaN, infinity) are null.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from pipelines.document import canonical_json

_SHORT = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def objects(fields: Mapping[str, pa.Array], rows: int) -> pa.Array:
    """One JSON object a row (string, never null) of columns of JSON values; nulls are left out."""
    parts = [pc.binary_join_element_wise("," + canonical_json(name) + ":", fields[name], "") for name in sorted(fields)]
    if not parts:
        return pa.repeat(pa.scalar("{}"), rows)
    # The bracket is an argument of its own: of a row that has nulls alone Arrow 25 would make no row at all.
    joined = pc.binary_join_element_wise(pa.repeat(pa.scalar("{"), rows), *parts, "", null_handling="skip")
    return pc.binary_join_element_wise(pc.replace_substring_regex(joined, r"^\{,", "{"), "}", "")


def values(column: pa.Array) -> pa.Array:
    """Each value as JSON (string); null for null."""
    kind = column.type
    if pt.is_dictionary(kind):
        return values(column.dictionary_decode())
    if pt.is_null(kind):
        return pa.nulls(len(column), pa.string())
    if pt.is_boolean(kind) or pt.is_integer(kind) or pt.is_decimal(kind):
        return column.cast(pa.string())
    if pt.is_floating(kind):
        finite = pc.is_finite(column)
        return pc.if_else(finite, column.cast(pa.string()), pa.scalar(None, pa.string()))
    if _is_text(kind):
        return strings(column.cast(pa.string()))
    if pt.is_temporal(kind) and not pt.is_duration(kind) and not pt.is_interval(kind):
        return strings(column.cast(pa.string()))
    if pt.is_struct(kind):
        made = objects(
            {kind.field(at).name: values(pc.struct_field(column, [at])) for at in range(kind.num_fields)}, len(column)
        )
        return _where_valid(column, made)
    if pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind):
        return _lists(column)
    # Rare kinds (maps, binary, unions, durations), by value.
    return pa.array([None if one is None else canonical_json(_plain(one)) for one in column.to_pylist()], pa.string())


def strings(column: pa.Array) -> pa.Array:
    """Strings (string) as JSON strings; null for null."""
    for plain, escaped in (("\\", "\\\\"), ('"', '\\"')):
        if pc.any(pc.match_substring(column, plain)).as_py():
            column = pc.replace_substring(column, plain, escaped)
    if pc.any(pc.match_substring_regex(column, r"[\x00-\x1f]")).as_py():
        for code in range(32):
            character = chr(code)
            if pc.any(pc.match_substring(column, character)).as_py():
                column = pc.replace_substring(column, character, _SHORT.get(character, f"\\u{code:04x}"))
    return pc.binary_join_element_wise('"', column, '"', "")


def _lists(column: pa.Array) -> pa.Array:
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False).astype(np.int32)
    offsets = np.concatenate([np.zeros(1, np.int32), np.cumsum(lengths, dtype=np.int32)])
    inner = pc.fill_null(values(pc.list_flatten(column)), "null")
    joined = pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets), inner), ",")
    return _where_valid(column, pc.binary_join_element_wise("[", joined, "]", ""))


def _where_valid(column: pa.Array, made: pa.Array) -> pa.Array:
    return pc.if_else(pc.is_valid(column), made, pa.scalar(None, pa.string())) if column.null_count else made


def _is_text(kind: Any) -> bool:
    return pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind)


def _plain(value: Any) -> Any:
    """A value that JSON can say: maps as objects, bytes as text."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list) and value and all(isinstance(one, tuple) and len(one) == 2 for one in value):
        return {str(key): _plain(one) for key, one in value}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    return value
