"""Records as a table: what the extraction step reads, and how sources that are tables themselves hand it over.

A source of tables (Parquet, JSONL) has its texts in Arrow already. It gives whole tables of records by `tables(unit)`
instead of one outcome at a time, with READY as the media type of texts that need no extraction.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.document import RIGHTS_TYPE, document_id
from pipelines.sources.record import Unit

RAW_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("uri", pa.string()),
        pa.field("source", pa.string()),
        pa.field("kind", pa.string()),
        pa.field("content_type", pa.string()),
        pa.field("body", pa.large_binary()),
        pa.field("fetched_at", pa.timestamp("us", tz="UTC")),
        pa.field("license", pa.string()),
        pa.field("rights", RIGHTS_TYPE),
        pa.field("metadata", pa.string()),
        pa.field("verdict", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("evidence", pa.string()),
    ]
)
"""A record as read: `body` is what the extractor sees; records already refused or failed have none."""

READY = "text/plain; charset=utf-8; ready=1"
"""Media type of a text that is taken as it is, and whose metadata say so already (`extractor`)."""


@runtime_checkable
class GivesTables(Protocol):
    """A source whose records come as tables of RAW_SCHEMA."""

    def units(self) -> list[Unit]:
        """As `Source.units`."""
        ...

    def tables(self, unit: Unit) -> Iterator[pa.Table]:
        """The records of one unit in a fixed order; where one table ends and the next begins means nothing."""
        ...


def ids(source: str, uris: pa.Array, contents: pa.Array) -> pa.Array:
    """The document ids of a column of addresses (string) and one of contents (large_binary; null is no bytes)."""
    names = uris.to_pylist()
    if not names:
        return pa.array([], pa.string())
    buffers = contents.buffers()
    offsets = np.frombuffer(buffers[1], np.int64, len(contents) + 1, contents.offset * 8).tolist()
    data = memoryview(buffers[2]) if buffers[2] is not None else memoryview(b"")
    made = [
        document_id(source, name, data[start:end])
        for name, start, end in zip(names, offsets[:-1], offsets[1:], strict=True)
    ]
    return pa.array(made, pa.string())


def plain_texts(body: pa.Array) -> tuple[pa.Array, pa.Array]:
    r"""Texts that can be taken as they are, for a whole column at once.

    Line ends become "\n" as `pipelines.extract.text.read_text` makes them. What that function would refuse or change
    in any other way (NULs, a byte order mark, nothing visible, bytes that are not UTF-8) is left to it.

    Args:
        body: large_binary, without nulls.

    Returns:
        The texts (large_string), and which of them are good (bool); the others mean nothing.
    """
    try:
        text = body.cast(pa.large_string())
    except pa.ArrowInvalid:
        return _one_by_one(body)
    good = pc.match_substring_regex(text, r"[\p{L}\p{N}\p{P}\p{S}]")
    good = pc.and_(good, pc.invert(pc.starts_with(text, "\ufeff")))
    # One look at all bytes is ten times as fast as a search in each text, and nearly always finds none.
    buffer = text.buffers()[2]
    data = np.frombuffer(buffer if buffer is not None else b"", np.uint8)
    if (data == 0).any():
        good = pc.and_(good, pc.invert(pc.match_substring(text, "\0")))
    if (data == ord("\r")).any():
        text = pc.replace_substring(pc.replace_substring(text, "\r\n", "\n"), "\r", "\n")
    return text, good


def _one_by_one(body: pa.Array) -> tuple[pa.Array, pa.Array]:
    """The same where some bytes are not UTF-8: those are found by halving, the rest is taken."""
    if len(body) == 1:
        return pa.array([""], pa.large_string()), pa.array([False])
    middle = len(body) // 2
    halves = [plain_texts(body[:middle]), plain_texts(body[middle:])]
    return pa.concat_arrays([half[0] for half in halves]), pa.concat_arrays([half[1] for half in halves])
