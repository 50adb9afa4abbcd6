"""Rows of a table, whatever file they come from, as records: whole columns at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from pipelines.document import RIGHTS_TYPE
from pipelines.ledger import FAILED, KEPT
from pipelines.sources import arrow_json
from pipelines.sources.archive_outcomes import fetched_at
from pipelines.sources.licence_statement import spdx
from pipelines.sources.raw import RAW_SCHEMA, READY, ids

MOMENT = pa.timestamp("us", tz="UTC")
# What Arrow and Python read as the same moment; all else is left to Python.
_ISO = r"^[1-9]\d{3}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,6})?Z$"


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of one file.

    Attributes:
        file: the file's name.
        unit: what `place` counts, "row" or "offset".
        place: where each row is (int64).
        text: large_binary; null: the row has none.
        parts: columns of strings, by what they hold ("id", "uri", "language", "license"), and "date" as it was found.
        metadata: columns of JSON values by name.
        reason: why a row is a failure (string, null: it is none); None: none is, but for the want of a text.
        detail: JSON values that say more about failures, beside `reason`.
        content: the bytes that failures are named by (large_binary); None: their text.
    """

    file: str
    unit: str
    place: pa.Array
    text: pa.Array
    parts: Mapping[str, pa.Array] = field(default_factory=dict[str, Any])
    metadata: Mapping[str, pa.Array] = field(default_factory=dict[str, Any])
    reason: pa.Array | None = None
    detail: pa.Array | None = None
    content: pa.Array | None = None


def records(rows: Rows, source: str, kind: str, licence: str | None, most: int) -> pa.Table:
    """A table of RAW_SCHEMA, a row for a row.

    Args:
        rows: the rows.
        source: the source's name.
        kind: the documents' kind.
        licence: the licence of rows that state none.
        most: bytes of the longest text that is taken.
    """
    count = len(rows.text)
    uri = _uris(rows)
    given = rows.reason if rows.reason is not None else pa.nulls(count, pa.string())
    too_long = pc.fill_null(pc.greater(pc.binary_length(rows.text), most), False)
    reason = pc.if_else(pc.and_(pc.is_null(given), too_long), "too-large", given)
    reason = pc.if_else(pc.and_(pc.is_null(reason), pc.is_null(rows.text)), "null-text", reason)
    failed = pc.is_valid(reason)
    body = pc.if_else(failed, pa.scalar(None, pa.large_binary()), rows.text)
    place = {"file": _json_constant(rows.file, count), rows.unit: rows.place.cast(pa.string())}
    licences, moments, stated = _licences(rows, licence), *_moments(rows)
    facts = {
        **place,
        **{name: arrow_json.strings(rows.parts[name]) for name in ("id", "language") if name in rows.parts},
        **({"license_stated": arrow_json.strings(rows.parts["license"])} if "license" in rows.parts else {}),
        **({"date_stated": stated} if stated is not None else {}),
        **rows.metadata,
        "extractor": _json_constant("text", count),
    }
    evidence = dict(place)
    if rows.detail is not None:
        evidence["detail"] = rows.detail
    if pc.any(too_long).as_py():
        size = pc.if_else(too_long, pc.binary_length(rows.text).cast(pa.string()), pa.scalar(None, pa.string()))
        evidence |= {"bytes": size, "limit": _json_constant(most, count)}
    content = rows.content if rows.content is not None else rows.text
    columns: dict[str, Any] = {
        "id": ids(source, uri, content),
        "uri": uri,
        "source": pa.repeat(pa.scalar(source), count),
        "kind": pa.repeat(pa.scalar(kind), count),
        "content_type": pa.repeat(pa.scalar(READY), count),
        "body": body,
        "fetched_at": moments,
        "license": licences,
        "rights": pa.array([dict.fromkeys(RIGHTS_TYPE.names)], RIGHTS_TYPE).take(pa.array([0] * count, pa.int32())),
        "metadata": arrow_json.objects(facts, count),
        "verdict": pc.if_else(failed, FAILED, KEPT),
        "reason": pc.fill_null(reason, ""),
        "evidence": pc.if_else(failed, arrow_json.objects(evidence, count), pa.scalar(None, pa.string())),
    }
    return pa.table([columns[name] for name in RAW_SCHEMA.names], schema=RAW_SCHEMA)


def as_strings(column: pa.Array) -> pa.Array:
    """A column of any type as strings: texts as they are (what is not UTF-8 replaced), the rest as JSON says it."""
    if pt.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if not (pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind) or _is_binary(kind)):
        return arrow_json.values(column)
    data = column.cast(pa.binary())
    try:
        return data.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array(
            [None if one is None else one.decode("utf-8", "replace") for one in data.to_pylist()], pa.string()
        )


def as_text(column: pa.Array) -> pa.Array | None:
    """A column of texts as large_binary; None where its type is none of text or bytes."""
    if pt.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pt.is_null(kind):
        return pa.nulls(len(column), pa.large_binary())
    if pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind) or _is_binary(kind):
        return column.cast(pa.binary()).cast(pa.large_binary()) if pt.is_string_view(kind) else column.cast(
            pa.large_binary()
        )  # fmt: skip
    return None


def moments(column: pa.Array) -> pa.Array:
    """Dates of any kind as moments in UTC; null for what is none."""
    kind = column.type
    if pt.is_timestamp(kind):
        if kind.tz is None:
            column = pc.assume_timezone(column.cast(pa.timestamp("us"), safe=False), "UTC")
        return column.cast(MOMENT, safe=False)
    if pt.is_date(kind):
        return pc.assume_timezone(column.cast(pa.timestamp("us")), "UTC").cast(MOMENT)
    if not (pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind) or pt.is_dictionary(kind)):
        return pa.nulls(len(column), MOMENT)
    text = as_strings(column)
    plain = pc.match_substring_regex(text, _ISO)
    if pc.all(pc.fill_null(plain, True)).as_py():
        try:
            return text.cast(MOMENT)
        except pa.ArrowInvalid:
            pass  # a thirteenth month: Python says which
    return _each(text, fetched_at, MOMENT)


def _uris(rows: Rows) -> pa.Array:
    """The address that was stated, else the file with the record's own name, else with its place."""
    place = pc.binary_join_element_wise(f"{rows.file}#{rows.unit}=", rows.place.cast(pa.string()), "")
    found: list[pa.Array] = []
    if "uri" in rows.parts:
        found.append(_stated(rows.parts["uri"]))
    if "id" in rows.parts:
        found.append(pc.binary_join_element_wise(f"{rows.file}#", _stated(rows.parts["id"]), ""))
    return pc.coalesce(*found, place)


def _stated(column: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(pc.utf8_trim_whitespace(column), ""), pa.scalar(None, pa.string()), column)


def _licences(rows: Rows, licence: str | None) -> pa.Array:
    default = pa.scalar(licence, pa.string())
    column = rows.parts.get("license")
    if column is None:
        return pa.repeat(default, len(rows.text))
    stated = _stated(column)
    # A row that states what nobody can read has no licence; one that states nothing has the source's.
    return pc.if_else(pc.is_valid(stated), _each(stated, spdx, pa.string()), default)


def _moments(rows: Rows) -> tuple[pa.Array, pa.Array | None]:
    """When each row was fetched; and as JSON values the dates that could not be read, None where there are none."""
    column = rows.parts.get("date")
    if column is None:
        return pa.nulls(len(rows.text), MOMENT), None
    found = moments(column)
    unread = pc.and_(pc.is_null(found), pc.is_valid(column))
    if not pc.any(unread).as_py():
        return found, None
    said = arrow_json.strings(as_strings(column))
    return found, pc.if_else(unread, said, pa.scalar(None, pa.string()))


def _each(column: pa.Array, function: Callable[[str], Any], kind: Any) -> pa.Array:
    """A function of strings over a column, once for each different one."""
    coded = column.dictionary_encode()
    known = [function(one) for one in coded.dictionary.to_pylist()]
    return pa.array(known, kind).take(coded.indices)


def _json_constant(value: str | int, count: int) -> pa.Array:
    return pa.repeat(arrow_json.values(pa.array([value]))[0], count)


def _is_binary(kind: Any) -> bool:
    return pt.is_binary(kind) or pt.is_large_binary(kind) or pt.is_binary_view(kind)
