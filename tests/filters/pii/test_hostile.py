"""What nobody writes: it costs no more than its length, and has an answer."""

from __future__ import annotations

import pyarrow as pa
import pytest

from filters.pii import find, redact
from tests.growth import is_linear

HOSTILE = {
    "digits": "7" * 1_000_000,
    "at": "@" * 1_000_000,
    "addresses": "a@" * 500_000,
    "labels": "a@" + "b." * 500_000,
    "groups": "12 " * 330_000,
    "points": "1.2." * 250_000,
    "colons": "2001:" * 200_000,
    "hyphens": "1-" * 500_000,
    "tokens": "a1" * 500_000,
    "keys": "ghp_1-" * 160_000,
    "accounts": "DE12 " * 200_000,
    "telephones": "tel 12345678 " * 77_000,
    "plus": "+1 " * 330_000,
    "brackets": "(1)" * 330_000,
    "streets": "1 street " * 110_000,
    "houses": "Via A 1, 11111 A " * 60_000,
    "headers": "-----BEGIN PRIVATE KEY-----" * 37_000,
    "putty": "PuTTY-User-Key-File-2:" * 45_000,
    "ethereum": "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed " * 23_000,
    "mails": "a@b.de " * 140_000,
    "french": "01 84 17 61 18 " * 66_000,
    "british": "07911 123456 " * 77_000,
    "addresses on a line": "93.184.216.34 " * 71_000,
    "initials": ("A-" * 31 + "A 1 st\n") * 14_000,
}


@pytest.mark.slow
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_texts_take_no_longer_than_they_are_long(text: str) -> None:
    assert is_linear(find, lambda size: text[:size], len(text) // 8)


@pytest.mark.slow
@pytest.mark.parametrize("number", ["01 84 17 61 18 ", "07911 123456 "])
def test_a_list_of_numbers_is_counted_and_replaced_at_once(number: str) -> None:
    assert len(find(number * 2000)) > 1500  # the rest are seen when their neighbours are gone
    left = redact(pa.array([number * 20_000]))[0].as_py()  # a pass a number would take hours
    assert not any(digit in left for digit in "0123456789")


ODD = {
    "": [],
    "1": [],
    "@": [],
    "+": [],
    "\x00" * 99: [],
    "🙂" * 99: [],
    "\ud800 a@b.de 8.8.8.8": ["email", "ip"],
    "\udcff\udcfe 8.8.8.8 \udcff": ["ip"],
    "\u202e8.8.8.8\u202c": ["ip"],
    "\x008.8.8.8\x00": ["ip"],
    "Aadhaar 2345678\u0669\u0660\u0661\u0662\u0663 x": [],
}


@pytest.mark.parametrize(("text", "kinds"), ODD.items())
def test_odd_texts_have_answers(text: str, kinds: list[str]) -> None:
    spans = find(text)
    assert [span.kind for span in spans] == kinds
    assert all(text[span.start : span.end] == span.value for span in spans)
