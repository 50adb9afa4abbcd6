"""Arrow strings as two flat numpy arrays, the form every kernel reads.

A kernel never sees a Python string: it walks the bytes of a whole batch. Both arrays are read-only, always, so that
Numba compiles each kernel for one type only and nobody writes into a buffer that Arrow believes immutable.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Final, NamedTuple, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["TextBatch", "chosen", "portions", "text_batch"]

_KEPT: Final = 31 << 20  # of the 32 MiB that glibc takes for the most


class TextBatch(NamedTuple):
    """The bytes of ``n`` texts: text ``i`` is ``data[offsets[i]:offsets[i + 1]]``.

    ``offsets[0]`` need not be 0 (a sliced array keeps its buffer), and ``data`` may be longer than the last offset.
    """

    data: NDArray[np.uint8]  # the UTF-8 bytes, read-only
    offsets: NDArray[np.int64]  # n + 1 positions in data, read-only


def text_batch(text: pa.Array[Any] | pa.ChunkedArray[Any]) -> TextBatch:
    """Return the bytes and offsets of an Arrow string column, without copying text where its layout allows it.

    Args:
        text: string, large_string, string_view, binary, large_binary or a dictionary of one of them; may be sliced or
            chunked. A null counts as an empty text. One chunk of (large_)string is not copied.

    Raises:
        TypeError: ``text`` is not an Arrow array of strings or bytes.
    """
    column: Any = text
    if not isinstance(column, (pa.Array, pa.ChunkedArray)):
        raise TypeError(
            f"text: found {type(column).__name__}, expected a pyarrow Array of strings; wrap a list with pyarrow.array"
        )
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if not (_is_flat(kind) or kind in (pa.string_view(), pa.binary_view()) or pa.types.is_null(kind)):
        raise TypeError(
            f"text: found an Arrow column of type {kind}, expected string, large_string, string_view or binary"
        )
    if pa.types.is_null(kind):
        column = column.cast(pa.large_string())
    elif not _is_flat(kind):
        column = column.cast(pa.large_string() if kind == pa.string_view() else pa.large_binary())
    elif isinstance(column, pa.ChunkedArray) and column.num_chunks > 1 and kind in (pa.string(), pa.binary()):
        # 32-bit offsets cannot always hold the chunks together.
        column = column.cast(pa.large_string() if kind == pa.string() else pa.large_binary())
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if column.null_count:
        empty = "" if pa.types.is_string(column.type) or pa.types.is_large_string(column.type) else b""
        import pyarrow.compute as pc  # half of what pyarrow takes to import, and seldom needed

        column = pc.fill_null(column, pa.scalar(empty, column.type))
    return _flat_batch(column)


def _is_flat(kind: pa.DataType) -> bool:
    return kind in (pa.string(), pa.large_string(), pa.binary(), pa.large_binary())


def _flat_batch(column: Any) -> TextBatch:
    """View the buffers of one null-free (large_)string or (large_)binary array."""
    _, offset_buffer, data_buffer = column.buffers()
    if offset_buffer is None or offset_buffer.size == 0:  # Arrow allows an empty array to have no offsets
        offsets = np.zeros(len(column) + 1, np.int64)
    else:
        width = np.dtype(np.int64 if column.type in (pa.large_string(), pa.large_binary()) else np.int32)
        offsets = np.frombuffer(offset_buffer, width, count=len(column) + 1, offset=column.offset * width.itemsize)
    data = np.zeros(0, np.uint8) if data_buffer is None else np.frombuffer(data_buffer, np.uint8)
    if offsets.dtype != np.int64 or not offsets.flags.aligned:
        offsets = offsets.astype(np.int64)
    offsets.flags.writeable = False
    data.flags.writeable = False
    return TextBatch(data, cast("NDArray[np.int64]", offsets))


def portions(batch: TextBatch, size: int) -> Iterator[TextBatch]:
    """Cut a batch between texts into portions of about ``size`` bytes, at least one; a longer text is one of its own.

    It bounds what a kernel holds at once. Every value depends on its own text alone, so the borders cannot be seen.
    """
    _keep_freed()
    offsets = batch.offsets
    first = 0
    while True:
        last = int(np.searchsorted(offsets, offsets[first] + size, side="right")) - 1
        last = min(max(last, first + 1), len(offsets) - 1)
        part = offsets[first : last + 1]
        part.flags.writeable = False  # one type for every portion: a kernel is compiled once
        yield TextBatch(batch.data, part)
        first = last
        if first >= len(offsets) - 1:
            return


@cache
def _keep_freed() -> None:
    """Have the C library keep what is freed for what is asked for next, up to 62 MiB.

    Portion after portion needs arrays of the same sizes. If they go back to the system in between, it clears each of
    their pages anew, which takes as long as many a kernel. How much glibc keeps is twice the largest block (of 32 MiB
    at most) that was ever given back; so one is asked for and given back, untouched.
    """
    np.empty(_KEPT, np.uint8)


def chosen(batch: TextBatch, rows: NDArray[np.int64]) -> TextBatch:
    """Copy some texts of a batch, in the order of their numbers as given."""
    begins = batch.offsets[:-1][rows]
    lengths = batch.offsets[1:][rows] - begins
    offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)))
    views = [batch.data[begin : begin + length] for begin, length in zip(begins, lengths, strict=True)]
    data = np.concatenate(views) if views else np.zeros(0, np.uint8)
    offsets.flags.writeable = False
    data.flags.writeable = False
    return TextBatch(data, offsets)
