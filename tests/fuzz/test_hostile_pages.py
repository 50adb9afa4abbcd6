"""Pages made to cost: what is no page at all, traps that would take the square of their size, and sizes."""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from typing import Any

import pytest

from pipelines.extract import extract_body
from pipelines.extract.auto import MAX_BYTES, MAX_ELEMENTS, MAX_FORMULAS
from pipelines.extract.extraction import ExtractionError
from pipelines.extract.page.metadata import Head
from tests.fuzz.cost import measured
from tests.fuzz.outcome import check, outcome
from tests.growth import is_linear

ARTICLE = b"<p>The river rose in the night, and the people of the town carried the sacks of sand to its bank.</p>\n" * 3


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


PNG = (
    b"\x89PNG\r\n\x1a\n"
    + chunk(b"IHDR", struct.pack(">IIBBBBB", 60, 60, 8, 2, 0, 0, 0))
    + chunk(b"IDAT", zlib.compress(bytes(60) + os.urandom(60 * 180)))
    + chunk(b"IEND", b"")
)
PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\n2 0 obj<</Length 44/Filter/FlateDecode>>stream\n"
    + zlib.compress(os.urandom(20_000))
    + b"\nendstream endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
)


def _reason(body: bytes, content_type: str) -> str:
    with pytest.raises(ExtractionError) as caught:
        extract_body(body, content_type)
    return caught.value.reason


@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        (PNG, "text/html", "undecodable-content"),
        (PNG, "text/html; charset=utf-8", "undecodable-content"),
        (PDF, "text/html", "undecodable-content"),
        (PDF, "text/plain", "undecodable-content"),
        (PDF, "application/pdf", "unsupported-type"),
        (ARTICLE, "application/pdf", "unsupported-type"),
        (gzip.compress(ARTICLE), "text/html", "undecodable-content"),
        (bytes(10_000), "text/html", "undecodable-content"),
        (os.urandom(10_000), "text/html; charset=utf-8", "undecodable-content"),
        (b"# coding: undefined\nx = 1\n", "text/x-python", "undecodable-content"),
        (b"# coding: punycode\nx = '\xe9'\n", "text/x-python", "undecodable-content"),
    ],
)
def test_what_is_no_page_has_its_name(body: bytes, content_type: str, reason: str) -> None:
    assert _reason(body, content_type) == reason


@pytest.mark.parametrize(
    "page",
    [
        ARTICLE.replace(b"river", b"r\xc3iver"),
        ARTICLE.replace(b" ", b"\0 ", 8),
        ARTICLE + b"<p>&#xD800;&#xDFFF; &#0; &#x110000; &#" + b"9" * 10_000 + b"; end</p>",
        ARTICLE + b"<p title='" + b"\xed\xa0\x80'>lone surrogates as bytes</p>",
        ARTICLE + b"<p>&#x" + b"0" * 100_000 + b"41;</p>",
    ],
)
def test_a_text_where_one_is_due(page: bytes) -> None:
    found = outcome(page)
    check(found)
    assert found[1].startswith("The ")


def test_numbers_without_end_in_what_a_page_says_of_itself() -> None:
    """`html.unescape` raises ValueError for a number of more than 4,300 digits."""
    number = "&#" + "1" * 5000 + ";"
    said = f'<html lang="{number}"><title>{number}T</title><meta name=author content="{number}">'
    found = outcome(said.encode() + ARTICLE)
    check(found)
    assert found[2] == "\ufffdT"


def test_json_that_no_text_can_hold() -> None:
    json_ld = '{"@type": "Article", "headline": "A\\ud800B\\u0000C", "author": ' + "[" * 600 + '"x"' + "]" * 600 + "}"
    deep = "[" * 600 + "]" * 600
    scripts = "".join(f'<script type="application/ld+json">{one}</script>' for one in (deep, json_ld))
    found = outcome(scripts.encode() + ARTICLE)
    check(found)
    assert (found[2], Head().author) == ("A?BC", "")


TRAPS: dict[str, tuple[bytes, bytes, bytes, int]] = {
    # name: what begins, what is repeated, what ends, how often
    "noscript": (b"", b"<noscript>", b"", 40_000),
    "textarea": (b"", b"<textarea>", b"", 40_000),
    "textarea in noscript": (b"<noscript>", b"<textarea>", b"</noscript>", 40_000),
    "frames by turns": (b"", b"<xmp><iframe><noembed><noframes><textarea>", b"", 10_000),
    "noscripts one by one": (b"", b"<noscript><iframe></noscript>", b"", 20_000),
    "title": (b"<svg>", b"<title>", b"</svg>", 40_000),
    "script": (b"", b"<script>", b"", 100_000),
    "scripts": (b"", b"<script></script>", b"", 40_000),
    "comment": (b"", b"<!--", b"", 200_000),
    "comments": (b"", b"<!---->", b"", 100_000),
    "declaration": (b"", b"<!x", b"", 200_000),
    "cdata": (b"", b"<![CDATA[", b"", 60_000),
    "quote": (b"", b"<a b='", b"", 100_000),
    "quotes": (b"<a ", b"b=\"'", b">", 100_000),
    "math": (b"", b"<math>", b"", 60_000),
    "closed math": (b"", b"<math></math>", b"", 20_000),
    "math without tex": (b"<p>", b"<math><mi>x</mi></math>", b"", 2_000),
    "annotations": (b"<math>", b"<annotation", b"</math>", 40_000),
    "annotations without tex": (b"<math>", b"<annotation>", b"</math>", 40_000),
    "less than": (b"", b"<", b"", 1_000_000),
    "less than and a letter": (b"", b"<a", b"", 200_000),
    "end tags": (b"", b"</p>", b"", 200_000),
    "open elements": (b"", b"<b>", b"", 100_000),
    "open blocks": (b"", b"<div>x", b"", 6_000),
    "open links": (b"", b"<a href=x>x", b"", 40_000),
    "open cells": (b"", b"<table><tr><td>x", b"", 5_000),
    "open items": (b"", b"<ul><li>x", b"", 3_000),
    "formatting over blocks": (b"<b><i><u>", b"<p>x</b>", b"", 6_000),
    "ampersands": (b"", b"&", b"", 300_000),
    "references": (b"", b"&amp;", b"", 100_000),
    "references without an end": (b"", b"&#x41&ampx", b"", 100_000),
    "digits": (b"&#", b"1", b";", 1_000_000),
    "line breaks": (b"", b"x<br>", b"", 60_000),
    "spaces": (b"x", b" ", b"x", 1_000_000),
    "colons in a style": (b"<p style='", b": ", b"'>x", 400_000),
    "attributes": (b"<p ", b"class=a ", b">x", 100_000),
    "attributes above many blocks": (b"<div " + b"class=a " * 50_000 + b">", b"<p>x</p>", b"", 5_000),
    "licences": (b"<a ", b"rel=license ", b"href=x>x</a>", 40_000),
    "metas": (b"", b"<meta name=robots content=x>", b"", 10_000),
    "roles": (b"", b"<b role=main></b>", b"", 40_000),
    "structured data": (b"<script type=application/ld+json>", b"@type", b"</script>", 20_000),
    "formula images": (b"<div class=math>", b"<img class=tex alt=x>", b"", 10_000),
    r"TeX \(": (b"", rb"\(", b"", 60_000),
    r"TeX \[": (b"", rb"\[", b"", 60_000),
    "TeX $$": (b"", b"$$ ", b"", 60_000),
    "declared at the end": (b"\xe9<meta charset=", b" ", b"<", 15_000),
    "declared in comments": (b"\xe9", b"<!-- ", b"", 4_000),
}


@pytest.mark.parametrize("name", TRAPS)
def test_time_is_that_of_the_size(name: str) -> None:
    begin, piece, end, count = TRAPS[name]
    check(outcome(ARTICLE + begin + piece * 100 + end))
    assert is_linear(outcome, lambda size: ARTICLE + begin + piece * size + end, count, times=4)


def _size(page: str) -> tuple[Any, int]:
    """Outcome and memory of a page of an expression."""
    setup = "from tests.fuzz.outcome import outcome\noutcome(b'<p>one two three</p>')\npage = "
    return measured(setup + page, "result = [str(part)[:80] for part in outcome(page)[:3]]")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "reason"),
    [
        ("b'<p>A few words of a text.</p>' + b'<' * 10_000_000", ""),
        ("b'<p>A few words of a text.</p>' + b'&amp;' * 3_900_000", ""),
        ("b'<p>A few words of a text.</p><p>' + b'word ' * 3_900_000", ""),
        ("b'<p>A few words of a text.</p><p title=\"' + b'x' * 19_000_000 + b'\">x'", ""),
        ("b'<p>A few words of a text.</p>' + b'<i>x</i>' * 900_000", ""),
        ("b'<p>A few words of a text.</p>' + b'<div>' * 100_000", ""),
        ("b'<p>A few words of a text.</p><p title=\"' + b'x' * 200_000_000 + b'\">x'", "too-large"),
        (f"b'<p>A few words of a text.</p>' + b'<p>' * {MAX_ELEMENTS * 3}", "too-large"),
        (f"b'<p>A few words of a text.</p>' + b'<math><mi>x</mi></math>' * {MAX_FORMULAS + 1}", "too-large"),
    ],
)
def test_memory_is_bounded(page: str, reason: str) -> None:
    (kind, said, _), memory = _size(page)
    assert (kind, said) == ("failed", reason) if reason else kind == "text"
    assert memory < 20 * MAX_BYTES
