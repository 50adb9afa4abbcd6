"""From candidates to findings: each kind's own check on the places that the kernel gives, and who wins an overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from filters.pii.api_key import KEY_STARTS, api_keys
from filters.pii.context import Words
from filters.pii.credit_card import credit_cards
from filters.pii.crypto import base58, bech32, ethereum
from filters.pii.email import emails
from filters.pii.iban import IBAN_LENGTHS, ibans
from filters.pii.ip import ipv4, ipv6
from filters.pii.national_id import numbers, spaced_ids, tokens
from filters.pii.phone import phones
from filters.pii.private_key import MARKS, private_keys
from filters.pii.span import Span, apart
from filters.pii.street_address import STREET_WORDS, street_addresses
from filters.pii.us_ssn import social_security_numbers
from kernels import candidates as places
from kernels.strings import TextBatch, text_batch

__all__ = ["binary", "find", "found_in"]

_TABLES: Final = places.tables(IBAN_LENGTHS, KEY_STARTS, STREET_WORDS)
_FINDERS: Final[dict[int, Callable[[str, int, int], Iterator[Span]]]] = {
    places.AT: emails,
    places.IPV4: ipv4,
    places.IPV6: ipv6,
    places.IBAN: ibans,
    places.BASE58: base58,
    places.BECH32: bech32,
    places.HEX_ADDRESS: ethereum,
    places.ID_TOKEN: tokens,
    places.SPACED_ID: spaced_ids,
    places.KEY: api_keys,
    places.STREET: street_addresses,
}


def find(text: str, language: str | None = None) -> list[Span]:
    """Find personal data of every kind.

    Args:
        text: any text.
        language: ISO 639-1, if it is known: telephone numbers as they are written where it is spoken are found too.

    Returns:
        Spans in the order of the text, not overlapping; positions are code points.

    Raises:
        MissingExtra: a text may hold a telephone number, and phonenumberslite is not installed.
    """
    data = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)
    offsets = np.array([0, len(data)], np.int64)
    offsets.flags.writeable = False
    batch = TextBatch(data, offsets)
    found = places.candidates(batch, _TABLES)
    return _spans(text, batch, 0, found.kinds, found.starts, found.ends, language, _is_marked(text))


def found_in(text: pa.Array[Any] | pa.ChunkedArray[Any] | TextBatch) -> Iterator[tuple[int, str, list[Span]]]:
    """Row, text and findings of each text that has any; a byte that is not UTF-8 is a surrogate, as in file names."""
    batch = text if isinstance(text, TextBatch) else text_batch(text)
    column = binary(batch)
    found = places.candidates(batch, _TABLES)
    marked = np.zeros(len(column), np.bool_)
    for mark in MARKS:
        marked |= _holds(column, mark)
    rows, first = np.unique(np.concatenate([found.rows, np.flatnonzero(marked)]), return_index=True)
    del first
    bounds = np.searchsorted(found.rows, [rows, rows + 1])
    for row, low, high in zip(rows.tolist(), *bounds.tolist(), strict=True):
        original = column[row].as_py().decode("utf-8", "surrogateescape")
        part = slice(low, high)
        spans = _spans(
            original, batch, row, found.kinds[part], found.starts[part], found.ends[part], None, bool(marked[row])
        )
        if spans:
            yield row, original, spans


def binary(batch: TextBatch) -> Any:
    """The batch as an Arrow array of bytes, without copying."""
    data: Any = batch.data
    offsets: Any = batch.offsets
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.large_binary(), len(batch.offsets) - 1, buffers)


def _holds(column: Any, mark: Any) -> NDArray[np.bool_]:
    return pc.match_substring(column, mark).to_numpy(zero_copy_only=False)


def _is_marked(text: str) -> bool:
    return any(mark in text for mark in MARKS)


def _spans(
    text: str,
    batch: TextBatch,
    row: int,
    kinds: NDArray[np.uint8],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    language: str | None,
    marked: bool,
) -> list[Span]:
    """Ask every candidate of one text."""
    first, last = int(batch.offsets[row]), int(batch.offsets[row + 1])
    begins, stops = (_characters(text, batch.data, first, last, some) for some in (starts, ends))
    spans: list[Span] = list(private_keys(text)) if marked else []
    for kind, start, end in zip(kinds.tolist(), begins, stops, strict=True):
        if kind == places.NUMBER:
            words = Words(text, start)
            spans += credit_cards(text, start, end)
            spans += social_security_numbers(text, start, end)
            spans += numbers(text, start, end, words)
            spans += phones(text, start, end, words, language)
        else:
            spans += _FINDERS[kind](text, start, end)
    return apart(spans)


def _characters(text: str, data: NDArray[np.uint8], first: int, last: int, at: NDArray[np.int64]) -> list[int]:
    """Positions of bytes as positions of code points."""
    if len(text) == last - first:
        return (at - first).tolist()
    order = np.argsort(at, kind="stable")
    found, count = places.character_positions(data, first, last, at[order])
    if count != len(text):  # bytes that are not UTF-8, each of them a surrogate
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
        sizes = 1 + (codes > 0x7F) + (codes > 0x7FF) + (codes > 0xFFFF)
        sizes[(codes >= 0xDC80) & (codes <= 0xDCFF)] = 1
        found = np.searchsorted(np.concatenate([[first], first + np.cumsum(sizes)]), at[order])
    result = np.empty(len(at), np.int64)
    result[order] = found
    return result.tolist()
