"""What is found, and which finding stands where two overlap."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

__all__ = ["KINDS", "Span", "apart"]

KINDS: Final = {
    "private_key": "private keys (PEM, PuTTY)",
    "api_key": "keys of well-known services, web tokens",
    "email": "e-mail addresses",
    "iban": "bank accounts (IBAN)",
    "crypto": "addresses of cryptocurrencies",
    "credit_card": "numbers of payment cards",
    "us_ssn": "social security numbers of the United States",
    "national_id": "national numbers of persons",
    "ip": "public IP addresses",
    "phone": "telephone numbers",
    "street_address": "street addresses with a postal code",
}
"""Kinds and what each is, in the order of precedence: where findings overlap, the first kind stands."""


@dataclass(frozen=True, slots=True)
class Span:
    """Where something personal stands in a text."""

    kind: str
    """One of ``KINDS``, or ``name`` of ``filters.pii.names``."""
    start: int
    """Position of the first code point."""
    end: int
    """Position after the last code point."""
    value: str
    """What stands there: ``text[start:end]``."""
    form: str = ""
    """Which of the kind: ``visa``, ``uk_nhs``, ``bitcoin``; empty where a kind has one form."""


def apart(spans: Iterable[Span]) -> list[Span]:
    """Leave out what overlaps a finding of a kind that comes first, or an earlier (then a longer) one of its kind.

    Returns:
        Spans in the order of the text.
    """
    by_kind: dict[str, list[Span]] = {}
    for span in spans:
        by_kind.setdefault(span.kind, []).append(span)
    kept: list[Span] = []
    for kind in (*KINDS, *(by_kind.keys() - KINDS)):  # names come last
        if kind in by_kind:
            kept = _merged(kept, sorted(by_kind[kind], key=lambda span: (span.start, -span.end)))
    return kept


def _merged(kept: list[Span], new: list[Span]) -> list[Span]:
    """Both in the order of the text, without what of ``new`` overlaps: one walk, so that many findings cost no more."""
    result: list[Span] = []
    at = end = 0
    for span in new:
        while at < len(kept) and kept[at].start < span.end:
            result.append(kept[at])
            end = max(end, kept[at].end)
            at += 1
        if span.start >= end:
            result.append(span)
            end = span.end
    return result + kept[at:]
