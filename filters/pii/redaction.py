"""Findings replaced by placeholders, the same for a kind everywhere, or numbered by value within a document."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.pii.find import binary, find, found_in
from filters.pii.names import Names
from filters.pii.span import KINDS, Span, apart
from kernels.strings import TextBatch, text_batch

__all__ = ["PLACEHOLDERS", "redact"]

PLACEHOLDERS: Final = {
    "private_key": "<PRIVATE_KEY>",
    "api_key": "<API_KEY>",
    "email": "<EMAIL_ADDRESS>",
    "iban": "<IBAN_CODE>",
    "crypto": "<CRYPTO_ADDRESS>",
    "credit_card": "<CREDIT_CARD>",
    "us_ssn": "<US_SSN>",
    "national_id": "<NATIONAL_ID>",
    "ip": "<IP_ADDRESS>",
    "phone": "<PHONE_NUMBER>",
    "street_address": "<STREET_ADDRESS>",
}
_NAME: Final = "<PERSON_NAME>"
"""What stands for each kind; stable, so that a tokenizer can know them."""

_PLACEHOLDER: Final = re.compile(r"<[A-Z][A-Z_0-9]*>")
_SEPARATORS: Final = re.compile(r"[\s.()/\-]+")


def redact(
    text: pa.Array[Any] | pa.ChunkedArray[Any],
    kinds: Collection[str] = tuple(KINDS),
    *,
    placeholders: Mapping[str, str] = PLACEHOLDERS,
    numbered: bool = False,
    names: Names | None = None,
) -> pa.Array[Any]:
    """Replace what ``find`` finds by its kind's placeholder.

    Args:
        text: string or large_string array (any type that ``kernels.strings.text_batch`` takes). Only texts that may
            hold something are read in Python.
        kinds: which kinds of span to replace; all by default.
        placeholders: by kind, ``<NAME>`` in capitals, digits and underscores; those of ``PLACEHOLDERS`` where a kind
            is not named.
        numbered: whether equal values of a document get equal numbers, in the order of the text: ``<EMAIL_ADDRESS_1>``
            wherever the first address stands, ``<EMAIL_ADDRESS_2>`` for the next. Upper case, spaces, points and
            hyphens do not make another value. The number says nothing of the value and does not reach beyond the
            document.
        names: a model that finds names of persons (``<PERSON_NAME>``); it reads every text.

    Returns:
        An array (one piece, where ``text`` was chunked) of the same length, order and type. Nulls stay null; redacting
        twice changes nothing more.

    Raises:
        ValueError: there is no such kind, or a placeholder has another form.
        MissingExtra: a text may hold a telephone number, and phonenumberslite is not installed.
    """
    _check(kinds, placeholders)
    shown = {"name": _NAME, **PLACEHOLDERS, **placeholders}
    batch = text_batch(text)
    rows: list[int] = []
    replaced: list[bytes] = []
    for row, original, spans in _found(batch, kinds, names):
        chosen = [span for span in spans if span.kind in kinds or span.kind == "name"]
        if chosen:
            rows.append(row)
            clean = _replaced(original, chosen, frozenset(kinds), shown, numbered, names)
            replaced.append(clean.encode("utf-8", "surrogateescape"))
    whole: Any = text.combine_chunks() if isinstance(text, pa.ChunkedArray) else text
    if not rows:
        return whole
    mask = np.zeros(len(whole), np.bool_)
    mask[rows] = True
    # Through bytes: a text with bytes that are not UTF-8 keeps them.
    result: Any = pc.replace_with_mask(binary(batch), _array(mask), pa.array(replaced, pa.large_binary()))
    if whole.null_count:
        result = pc.if_else(whole.is_valid(), result, pa.scalar(None, pa.large_binary()))
    return _retyped(result, whole.type)


def _found(batch: TextBatch, kinds: Collection[str], names: Names | None) -> Iterator[tuple[int, str, list[Span]]]:
    """Row, text and findings; with names every row is read."""
    if names is None:
        yield from found_in(batch) if kinds else ()
        return
    column = binary(batch)
    for row in range(len(column)):
        text = column[row].as_py().decode("utf-8", "surrogateescape")
        if spans := apart((*(span for span in find(text) if span.kind in kinds), *names.find(text))):
            yield row, text, spans


def _check(kinds: Collection[str], placeholders: Mapping[str, str]) -> None:
    for kind in (*kinds, *placeholders):
        if kind not in KINDS:
            raise ValueError(f"personal data: found the kind {kind!r}, expected one of {', '.join(KINDS)}")
    for kind, shown in placeholders.items():
        if not _PLACEHOLDER.fullmatch(shown):
            raise ValueError(
                f"placeholder of {kind}: found {shown!r}, expected a name in capitals, digits and underscores between "
                f"< and >, e.g. {PLACEHOLDERS[kind]}; anything else could be found again as personal data"
            )


def _replaced(
    text: str,
    spans: list[Span],
    kinds: frozenset[str],
    placeholders: Mapping[str, str],
    numbered: bool,
    names: Names | None,
) -> str:
    """The text without the spans, and without what comes to light when they are gone."""
    numbers: dict[tuple[str, str], int] = {}
    counts: dict[str, int] = {}
    while spans:
        parts: list[str] = []
        at = 0
        for span in spans:
            shown = placeholders[span.kind]
            if numbered:
                key = (span.kind, _SEPARATORS.sub("", span.value).casefold())
                if key not in numbers:
                    numbers[key] = counts[span.kind] = counts.get(span.kind, 0) + 1
                shown = f"{shown[:-1]}_{numbers[key]}>"
            parts += (text[at : span.start], shown)
            at = span.end
        text = "".join((*parts, text[at:]))
        # A number beside another may be read alone now; placeholders hold nothing, so that this ends.
        again = [span for span in find(text) if span.kind in kinds]
        spans = apart((*again, *names.find(text))) if names else again
    return text


def _array(values: Any) -> Any:
    return pa.array(values)


def _retyped(column: Any, kind: pa.DataType) -> Any:
    if kind in (pa.large_string(), pa.large_binary()):
        return column.view(kind)
    if kind == pa.string():
        return column.cast(pa.binary()).view(kind)
    return column.view(pa.large_string()).cast(kind)
