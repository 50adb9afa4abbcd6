"""The one schema every record has, from the first byte read to the mixture."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

RIGHTS_TYPE = pa.struct(
    [
        pa.field("robots_rule", pa.string()),
        pa.field("robots_digest", pa.string()),
        pa.field("x_robots_tag", pa.string()),
        pa.field("meta_robots", pa.string()),
        pa.field("reservation", pa.string()),
        pa.field("training", pa.string()),
    ]
)
"""What the publisher said about use: the robots line that decided, its file's SHA-256, the reservations found, and the
tokens that stand for training to which its robots.txt refuses the page."""

DOCUMENT_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("text", pa.large_string(), nullable=False),
        pa.field("language", pa.string()),
        pa.field("fetched_at", pa.timestamp("us", tz="UTC")),
        pa.field("license", pa.string()),
        pa.field("rights", RIGHTS_TYPE),
        pa.field("metadata", pa.string()),
    ]
)


def document_id(source: str, uri: str, content: bytes | memoryview) -> str:
    """Return the record's id: 32 hex digits of xxh3-128 over source name, uri and content digest.

    The content enters as its own xxh3-128 digest, so that an id can be recomputed from a stored digest.
    """
    digest = xxhash.xxh3_128_digest(content)
    return xxhash.xxh3_128_hexdigest(b"\0".join((source.encode(), uri.encode("utf-8", "surrogatepass"), digest)))


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys and no spaces, so that equal values have equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)


def documents(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Build a table of DOCUMENT_SCHEMA; columns missing in a row are null.

    Raises `pyarrow.ArrowInvalid` when a column that must not be null is.
    """
    return pa.Table.from_pylist([dict(row) for row in rows], schema=DOCUMENT_SCHEMA)


def id_bits(ids: pa.Array | pa.ChunkedArray) -> NDArray[np.uint64]:
    """Return the first 64 bits of each id as numbers: uniform, and the same on every machine."""
    column = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
    if len(column) == 0:
        return np.empty(0, np.uint64)
    plain = column.cast(pa.string())
    buffers = plain.buffers()
    offsets = np.frombuffer(buffers[1], np.int32, len(plain) + 1, plain.offset * 4)
    data = np.frombuffer(buffers[2], np.uint8)
    bits = np.zeros(len(plain), np.uint64)
    for digit in range(16):
        byte = data[offsets[:-1] + digit]
        nibble = np.where(byte >= ord("a"), byte - ord("a") + 10, byte - ord("0"))
        bits = bits << np.uint64(4) | nibble.astype(np.uint64)
    return bits


def partitions_of(ids: pa.Array | pa.ChunkedArray, partitions: int) -> pa.Array:
    """Return the output partition of each id, an int32 array: its first 32 bits, scaled to the partition count."""
    top = id_bits(ids) >> np.uint64(32)
    return pa.array((top * np.uint64(partitions) >> np.uint64(32)).astype(np.int32))


def concat(tables: Iterable[pa.Table], schema: pa.Schema) -> pa.Table:
    """Concatenate tables of one schema; an empty iterable gives an empty table."""
    found = [table.cast(schema) for table in tables if table.num_rows]
    return pa.concat_tables(found) if found else schema.empty_table()
