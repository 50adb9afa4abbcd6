from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from kernels.strings import TextBatch, text_batch

TEXTS = ["one", "", "zwei\n", "三", "👩‍💻"]


def texts(batch: TextBatch) -> list[str]:
    data = bytes(batch.data)
    return [data[a:b].decode() for a, b in zip(batch.offsets, batch.offsets[1:], strict=False)]


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_every_arrow_type_of_text(kind: pa.DataType) -> None:
    column = pa.array(TEXTS, pa.string()).cast(kind)
    assert texts(text_batch(column)) == TEXTS
    assert texts(text_batch(pa.chunked_array([column, column]))) == TEXTS * 2


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_slices_share_the_buffer(kind: pa.DataType) -> None:
    column = pa.array(TEXTS, kind)
    whole = text_batch(column)
    part = text_batch(column.slice(2, 2))
    assert texts(part) == TEXTS[2:4]
    assert part.data.ctypes.data == whole.data.ctypes.data


def test_null_is_empty() -> None:
    assert texts(text_batch(pa.array(["a", None, "b"]))) == ["a", "", "b"]
    # A null may hide bytes in the buffer.
    hidden = pa.Array.from_buffers(
        pa.string(), 2, [pa.py_buffer(b"\x01"), pa.py_buffer(np.array([0, 1, 3], np.int32)), pa.py_buffer(b"abc")]
    )
    assert texts(text_batch(hidden)) == ["a", ""]
    assert texts(text_batch(pa.nulls(2))) == ["", ""]


def test_arrays_are_read_only_and_of_one_type() -> None:
    for column in (pa.array(TEXTS), pa.array(TEXTS, pa.large_string()), pa.array([], pa.string()), pa.array([b"\xff"])):
        batch = text_batch(column)
        assert batch.data.dtype == np.uint8
        assert batch.offsets.dtype == np.int64
        assert not batch.data.flags.writeable
        assert not batch.offsets.flags.writeable


def test_other_types_are_refused_by_name() -> None:
    with pytest.raises(TypeError, match="found an Arrow column of type int64, expected string"):
        text_batch(pa.array([1]))
    with pytest.raises(TypeError, match="found list, expected a pyarrow Array"):
        text_batch(["a"])  # pyright: ignore[reportArgumentType]
