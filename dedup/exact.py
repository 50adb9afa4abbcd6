"""Exact duplicates: texts of the same bytes."""

from __future__ import annotations

import itertools
from typing import Any

import pyarrow as pa
import xxhash

from kernels.strings import text_batch

__all__ = ["CONTENT_TYPE", "content_hash"]

CONTENT_TYPE = pa.binary(16)


def content_hash(text: pa.Array[Any] | pa.ChunkedArray[Any]) -> pa.FixedSizeBinaryArray:
    """Return the XXH3-128 digest of each text's UTF-8 bytes, 16 bytes a text; a null counts as an empty text.

    Equal digests are taken for equal texts: among 10^12 texts two different ones share a digest with probability
    10^-15.
    """
    data, offsets = text_batch(text)
    view = data.data
    bounds = offsets.tolist()
    # One call into the library a text: 0.3 microseconds, a hundredth of what its words cost.
    digests = b"".join(xxhash.xxh3_128_digest(view[a:b]) for a, b in itertools.pairwise(bounds))
    return pa.FixedSizeBinaryArray.from_buffers(CONTENT_TYPE, len(bounds) - 1, [None, pa.py_buffer(digests)])
