from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.extract import ExtractionError, extract_body
from pipelines.sources.mediawiki import MediaWikiSource
from pipelines.sources.record import Record


def _text(source: str, hidden: str = "File%7CImage%7CCategory%7CDatei") -> str:
    return extract_body(source.encode(), f"text/x-wiki; charset=utf-8; hidden={hidden}").text


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("'''Bold''', ''italic'' and '''''both'''''.", "Bold, italic and both."),
        ("See [[Paris]], [[Paris|the city]], [[Paris (Texas)|]] and [[:Category:Towns]].",
         "See Paris, the city, Paris and Category:Towns."),
        ("A[[File:x.png|thumb|A [[link]] in a caption]] B[[Datei:y.png]] C[[Category:Z]][[fr:Autre]]", "A B C"),
        ("[https://a.test A page], [https://a.test], https://b.test", "A page, , https://b.test"),
        ("Fact.<ref>{{cite web|url=x}}</ref> More<ref name=a/>.", "Fact. More."),
        ("Energy is <math>E = mc^2</math> and <math display=block>\\sum_i x_i</math>",
         "Energy is $E = mc^2$ and\n$$\\sum_i x_i$$"),
        ("Water <chem>H2O</chem> {{chem|H|2|O}}", "Water $\\ce{H2O}$ H2O"),
        ("{{Infobox|a=b}}Text {{unknown|x}} here{{citation needed}}.", "Text here."),
        ("Anna ({{IPA-en|x}}; {{lang|la|Annae}}) was", "Anna (Annae) was"),
        ("Anna ({{IPA-en|x}}) was", "Anna was"),
        ("f() and g( x )", "f() and g( x )"),
        ("It is {{convert|5|km|mi}} to {{nowrap|New York}}, {{frac|1|2}}, {{circa|1900}}{{ndash}}1910.",
         "It is 5 km to New York, 1/2, c. 1900 – 1910."),
        ("* one\n* two\n** deep\n# first\n# second", "- one\n- two\n  - deep\n1. first\n2. second"),
        ("; term\n: meaning", "term\nmeaning"),
        ("== One ==\ntext\n=== Two ===\n== Three ==\nmore\n== References ==\n<references/>",
         "## One\n\ntext\n\n## Three\n\nmore"),
        ("== One ==\n=== Two ===\ntext", "## One\n\n### Two\n\ntext"),
        ("<syntaxhighlight lang=\"python\">\nif a < b:\n    f()  # not a heading\n</syntaxhighlight>",
         "```python\nif a < b:\n    f()  # not a heading\n```"),
        ("a&nbsp;b &lt;tag&gt; &mdash; <nowiki>[[not a link]]</nowiki>", "a b <tag> — [[not a link]]"),
        ("before<!-- hidden -->after __NOTOC__", "beforeafter"),
        ("{{quote|To be.|Hamlet}}", "To be.\n— Hamlet"),
        ("a<br>b", "a\nb"),
    ],
)  # fmt: skip
def test_what_becomes_of_it(source: str, expected: str) -> None:
    assert _text(source) == expected


def test_tables() -> None:
    source = """{| class="wikitable"
|+ Cities
! Name !! People
|-
| [[Rome]] || 2,873,000<ref>x</ref>
|-
| Paris
| 2,161,000<br>in 2019
|}"""
    assert _text(source) == (
        "Cities\n\n| Name | People |\n| --- | --- |\n| Rome | 2,873,000 |\n| Paris | 2,161,000 in 2019 |"
    )


def test_what_has_no_text_is_a_failure_with_a_reason() -> None:
    for source in ("", "{{stub}}", "[[Category:X]]", "== Only a heading =="):
        with pytest.raises(ExtractionError) as error:
            _text(source)
        assert error.value.reason == "empty-document"
    with pytest.raises(ExtractionError) as error:
        _text("x" * 10_000_001)
    assert error.value.reason == "too-large"


_PIECES = st.sampled_from(
    ["[[", "]]", "{{", "}}", "{|", "|}", "|-", "|", "\n", "'''", "==", "<ref>", "</ref>", "<math>", "</math>", "*", "#",
     ":", "<", ">", "&amp;", "File:", "text ", "<br>", "<!--", "-->", "{{{1}}}", "\0", "\1", "é",
     "<table>", "<td>", "<pre>"]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(_PIECES, max_size=40).map("".join))
def test_nothing_breaks_it(source: str) -> None:
    text, reason = _text_or_reason(source)
    assert reason in ("", "empty-document", "extraction-failed")
    assert bool(text.strip()) == (reason == "")
    assert not set(text) & {"\0", "\1"}


def _text_or_reason(source: str) -> tuple[str, str]:
    try:
        return _text(source), ""
    except ExtractionError as error:
        return "", error.reason


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize(
    "source",
    ["[[" * 100_000, "{{" * 100_000, "<div>" * 100_000, "{|\n" * 100_000, "'''" * 100_000, "[http:// " * 100_000,
     "<ref>" * 100_000, "* " * 100_000, "<div>" * 20_000 + "</div>" * 20_000, "</div>" * 20_000 + "<div>" * 299,
     "{{[[" * 20_000, "{{{" * 50_000, "== " * 50_000, "<!--" * 50_000, "|}{|" * 290, "<b><i>" * 299],
)  # fmt: skip
def test_hostile_pages_cost_a_bounded_time(source: str) -> None:
    _, reason = _text_or_reason(source + "end")
    assert reason in ("", "empty-document", "extraction-failed", "too-deep")


@pytest.mark.data
@pytest.mark.slow
def test_no_markup_is_left_in_real_pages(pomona_data: Path) -> None:
    source = MediaWikiSource(name="w", paths=(pomona_data / "text/enwiki_dump_shortened.xml.bz2",))
    formulas = pages = 0
    for unit in source.units():
        for page in source.read(unit):
            if not isinstance(page, Record):
                continue
            found = extract_body(page.content, page.content_type)
            plain = re.sub(r"\$[^$]*\$|```.*?```", "", found.text, flags=re.DOTALL)
            left = re.findall(r"\[\[|\{\{|\{\||<ref|'''|</?(?:div|span|small|sup|sub|br)\b|\[https?:", plain)
            assert len(left) <= 1, (page.uri, left)  # an author's own slip: a bracket that nothing closes
            formulas += found.math_count
            pages += 1
    assert pages == 106
    assert formulas == 152
