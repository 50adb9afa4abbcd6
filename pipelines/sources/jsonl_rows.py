"""Rows of JSON Lines files: one object a line, parsed a line at a time, handed on as columns.

Arrow's own reader is not used: it infers types from the lines that happen to be in a block (a date in one, a plain
string in the next), fills what is missing in one object from another, and gives up a block for one bad line. The
parser is the standard library's.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

import pyarrow as pa

from pipelines.document import canonical_json
from pipelines.sources.lines import lines_between
from pipelines.sources.table_columns import Columns, missing
from pipelines.sources.table_rows import Rows

BATCH_BYTES = 8 << 20
BATCH_ROWS = 8192

_NOT_THERE = object()


class BadLine(Exception):
    """A line that is no record; `reason` is kebab-case."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def rows(stream: BinaryIO, name: str, span: tuple[int, int | None], columns: Columns, most: int) -> Iterator[Rows]:
    """The records of some lines.

    Args:
        stream: the file's content, at the first byte of `span`.
        name: what the file is called.
        span: offsets of the content where reading begins and ends.
        columns: what is where; a line must have the text, other columns are null where it has them not.
        most: bytes of the longest line that is parsed.
    """
    held = _Held(name, columns)
    for offset, line, length in lines_between(stream, span[0], span[1], most):
        if line is None:
            held.fail(offset, b"", "too-large", f"the line has {length} bytes, the limit is {most}")
        elif offset == 0:
            held.take(offset, line.removeprefix(b"\xef\xbb\xbf"))
        else:
            held.take(offset, line)
        if held.bytes >= BATCH_BYTES or len(held.place) >= BATCH_ROWS:
            yield held.rows()
            held = _Held(name, columns)
    if held.place:
        yield held.rows()


def parsed(line: bytes) -> dict[str, Any]:
    """A line as an object; NaN and infinities, which other tools write, are null. Raises BadLine."""
    try:
        value = json.loads(line.decode("utf-8"), parse_constant=_nothing)
    except UnicodeDecodeError as error:
        raise BadLine("undecodable-content", f"the line is not UTF-8: {error}"[:300]) from error
    except (ValueError, RecursionError) as error:
        raise BadLine("invalid-json", str(error)[:300]) from error
    if not isinstance(value, dict):
        raise BadLine("not-an-object", f"expected an object, found {type(value).__name__}")
    return cast(dict[str, Any], value)


def lookup(record: dict[str, Any], column: str) -> Any:
    """A value by its key, else by the keys that its dots lead through; `_NOT_THERE` where there is none."""
    if column in record:
        return record[column]
    head, _, rest = column.partition(".")
    below = record.get(head)
    return lookup(cast(dict[str, Any], below), rest) if rest and isinstance(below, dict) else _NOT_THERE


def names_of(record: dict[str, Any]) -> list[str]:
    """An object's keys, and those of the objects in it with their path."""
    inner = [f"{key}.{name}" for key, value in record.items() if isinstance(value, dict) for name in cast(Any, value)]
    return [*record, *inner]


class _Held:
    """Rows that are not handed on yet, as lists of their columns."""

    def __init__(self, name: str, columns: Columns) -> None:
        self._name, self._columns = name, columns
        self._named = {part: column for part, column in columns.named().items() if part != "text"}
        self.place: list[int] = []
        self.bytes = 0
        self._text: list[bytes | None] = []
        self._content: list[bytes] = []
        self._reason: list[str | None] = []
        self._detail: list[str | None] = []
        self._parts: dict[str, list[str | None]] = {part: [] for part in self._named}
        self._metadata: dict[str, list[str | None]] = {name: [] for name in columns.metadata}

    def take(self, offset: int, line: bytes) -> None:
        """Take one line; an empty one is none."""
        if not line.strip():
            return
        self.bytes += len(line)
        try:
            record = parsed(line)
            text = lookup(record, self._columns.text)
            if text is _NOT_THERE:
                raise BadLine("missing-column", f"text: {missing(self._columns.text, names_of(record))}")
            if text is not None and not isinstance(text, str):
                raise BadLine("not-text", f"{self._columns.text} is {type(text).__name__}, expected a string")
            parts = {part: _string(lookup(record, column)) for part, column in self._named.items()}
            metadata = {name: _value(lookup(record, name)) for name in self._metadata}
        except BadLine as error:
            self.fail(offset, line, error.reason, str(error))
            return
        except RecursionError as error:  # the parser goes deeper than what writes
            self.fail(offset, line, "invalid-json", f"objects or lists too deep in one another: {error}"[:300])
            return
        data = None if text is None else text.encode("utf-8", "replace")
        self._add(offset, data, b"" if data is None else data, None, None)
        for part, values in self._parts.items():
            values.append(parts[part])
        for name, values in self._metadata.items():
            values.append(metadata[name])

    def fail(self, offset: int, content: bytes, reason: str, detail: str) -> None:
        """Take a line that is no record."""
        self._add(offset, None, content, reason, canonical_json(_clean(detail)))
        for values in (*self._parts.values(), *self._metadata.values()):
            values.append(None)

    def _add(self, offset: int, text: bytes | None, content: bytes, reason: str | None, detail: str | None) -> None:
        self.place.append(offset)
        self._text.append(text)
        self._content.append(content)
        self._reason.append(reason)
        self._detail.append(detail)

    def rows(self) -> Rows:
        """All that was taken."""
        return Rows(
            file=self._name,
            unit="offset",
            place=pa.array(self.place, pa.int64()),
            text=pa.array(self._text, pa.large_binary()),
            parts={part: pa.array(values, pa.string()) for part, values in self._parts.items()},
            metadata={name: pa.array(values, pa.string()) for name, values in self._metadata.items()},
            reason=pa.array(self._reason, pa.string()),
            detail=pa.array(self._detail, pa.string()),
            content=pa.array(self._content, pa.large_binary()),
        )


def _value(value: Any) -> str | None:
    return None if value is None or value is _NOT_THERE else _json(value)


def _string(value: Any) -> str | None:
    if value is None or value is _NOT_THERE:
        return None
    return _clean(value) if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    return _clean(canonical_json(_without_nulls(value)))


def _clean(text: str) -> str:
    """Without lone surrogates, which JSON can hold and UTF-8 cannot."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _without_nulls(value: Any) -> Any:
    """Objects without their null fields, as Arrow's structs are written (see `arrow_json`); 1e999 is no number."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        fields = cast(dict[str, Any], value)
        return {name: _without_nulls(one) for name, one in fields.items() if one is not None}
    return [_without_nulls(one) for one in cast(list[Any], value)] if isinstance(value, list) else value


def _nothing(_: str) -> None:
    return None
