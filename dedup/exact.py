"""Exact duplicates: texts of the same bytes, or the same but for white space, letter case and Unicode's spellings."""

from __future__ import annotations

import itertools
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from kernels.strings import text_batch

__all__ = ["CONTENT_TYPE", "content_hash", "normalised_hash"]

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


def normalised_hash(text: pa.Array[Any] | pa.ChunkedArray[Any]) -> pa.FixedSizeBinaryArray:
    """Return the XXH3-128 digest of each text in Unicode's form NFC, lower case, white space counted once.

    Equal digests: texts that differ only in line breaks, spaces, letter case and composed against decomposed
    characters. Punctuation and marks count. A null counts as an empty text.
    """
    column: Any = text.combine_chunks() if isinstance(text, pa.ChunkedArray) else text
    plain: Any = pc.fill_null(column.cast(pa.large_string()), "")
    # NFC of upper and lower case agree only after a second pass: lower case may decompose (U+0130).
    plain = pc.utf8_normalize(pc.utf8_lower(pc.utf8_normalize(plain, "NFC")), "NFC")
    plain = pc.replace_substring_regex(plain, r"[\s\p{Z}]+", " ")
    return content_hash(pc.utf8_trim_whitespace(plain))
