"""Pages whose text only a script would show."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from pipelines.extract import extract_html

SENTENCE = "The river rises in the hills above the town and reaches the sea a day later. "


def page(graph: object, markup: str = "<p>Your browser is out of date.</p>") -> bytes:
    script = f'<script type="application/ld+json">{json.dumps(graph)}</script>'
    return f"<html><head><title>River</title>{script}</head><body>{markup}</body></html>".encode()


def test_the_body_of_a_page_without_markup() -> None:
    graph = {"@graph": [{"@type": "WebSite", "name": "no"}, {"@type": "Article", "articleBody": SENTENCE * 9}]}
    assert extract_html(page(graph)).text == (SENTENCE * 9).strip()


def test_a_page_without_any_markup() -> None:
    assert extract_html(page({"@type": "Article", "articleBody": SENTENCE * 9}, "")).text == (SENTENCE * 9).strip()


def test_steps_in_their_order_and_without_their_markup() -> None:
    steps = [{"@type": "HowToDirection", "text": f"<p>Step {k} &amp; more.</p><p>{SENTENCE * 3}</p>"} for k in (1, 2)]
    found = extract_html(page({"@type": "HowTo", "step": [{"itemListElement": one} for one in steps]})).text
    assert found.split("\n") == ["Step 1 & more.", (SENTENCE * 3).strip(), "Step 2 & more."] + [(SENTENCE * 3).strip()]


def test_a_page_that_shows_its_text_keeps_its_markup() -> None:
    graph = {"@type": "Article", "articleBody": SENTENCE * 9}
    found = extract_html(page(graph, f"<article><h1>River</h1><p>{SENTENCE * 9}</p><p>More.</p></article>")).text
    assert found.endswith("More.")


def test_a_script_that_is_no_json_changes_nothing() -> None:
    broken = page({"articleBody": SENTENCE * 9}).replace(b"{", b"{{", 1)
    assert "river" not in extract_html(broken + b"<article><p>" + b"A line of text. " * 30 + b"</p></article>").text


def test_deeply_nested() -> None:
    graph = b"[" * 100_000 + b"]" * 100_000
    html = page([]).replace(b"[]", graph) + b"<article><p>" + SENTENCE.encode() * 9 + b"</p></article>"
    assert extract_html(html).text.endswith("a day later.")


@given(
    st.recursive(
        st.none() | st.text() | st.floats(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["articleBody", "text", "@graph", "x"]), inner),
    )
)
def test_any_json_is_read(graph: object) -> None:
    html = page(graph, f"<article><p>{SENTENCE * 9}</p></article>")
    extract_html(html).text.encode()
