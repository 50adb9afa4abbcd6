from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.extract import HTML_PARTS, ExtractionError, extract_body
from pipelines.extract.html_parts import pack_parts
from pipelines.extract.html_structure import parse_content, render


def _text(page: str) -> str:
    return render(parse_content(page))[0]


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<p>One  two\n three</p><p>four</p>", "One two three\n\nfour"),
        ("loose <b>bold</b> text<p>block</p>tail", "loose bold text\n\nblock\n\ntail"),
        ("<h1>A</h1><h3>B <i>c</i></h3>", "# A\n\n### B c"),
        ("<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul>", "- a\n- b\n  - c"),
        ("<ol><li>a</li><li>b</li></ol>", "1. a\n2. b"),
        ("<pre><code>if x:\n    y &lt; z\n</code></pre>", "```\nif x:\n    y < z\n```"),
        ("<p>use <code>f(x)</code> now</p>", "use `f(x)` now"),
        ("<blockquote><p>said</p><p>so</p></blockquote>", "> said\n>\n> so"),
        ("<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2|3</td></tr></table>",
         "| a | b |\n| --- | --- |\n| 1 | 2\\|3 |"),
        ("<p>x<sup>2</sup> a<sub>n</sub> 1<sup>st</sup> 10<sup>−3</sup></p>", "x^2 a_n 1st 10^−3"),
        ("<p>a<br/>b</p>", "a\nb"),
        ("<p>$a  <  b$ and</p>", "$a < b$ and"),
        ("<p>Let\n$$\na &amp; b \\\\\nc\n$$\nend</p>", "Let $$\na & b \\\\\nc\n$$ end"),
        ('<p>is <math alttext="x^2"><mi>x</mi></math> and <math display="block"><semantics><mi>y</mi>'
         '<annotation encoding="application/x-tex">y_1</annotation></semantics></math></p>', "is $x^2$ and $$y_1$$"),
        ("<nav>menu</nav><script>x()</script><style>p{}</style><p hidden>no</p><p>yes</p>", "yes"),
        ("<p>in <ruby>漢<rt>kan</rt></ruby></p>", "in 漢"),
        ('<html xmlns="http://www.w3.org/1999/xhtml"><body><p>a&#160;b<a id="x"/>c</p><title/><p>d</p></body></html>',
         "a bc\n\nd"),
        ('<html xmlns="http://www.w3.org/1999/xhtml"><body><p>undeclared&nbsp;entity<p>and no end',
         "undeclared entity\n\nand no end"),
    ],
)  # fmt: skip
def test_structure(page: str, expected: str) -> None:
    assert _text(page) == expected


def test_entities_are_never_resolved() -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
    page = f'{bomb}<html xmlns="http://www.w3.org/1999/xhtml"><body><p>x &b; y</p></body></html>'
    assert "ha" not in _text(page)
    outside = '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>'
    assert "root" not in _text(f'{outside}<html xmlns="http://www.w3.org/1999/xhtml"><body>&f;</body></html>')


def test_limits_have_names() -> None:
    for page, reason in (
        ("", "empty-document"),
        ("<div>" * 100_000 + "x", "too-deep"),
        ("x" * 20_000_001, "too-large"),
    ):
        with pytest.raises(ExtractionError) as error:
            parse_content(page)
        assert error.value.reason == reason


def test_parts_are_one_document() -> None:
    body = pack_parts([("Q: Why?", "<p>why</p>"), ("A:", "<p>so</p>"), ("", "")]).encode()
    found = extract_body(body, HTML_PARTS)
    assert (found.text, found.engine) == ("Q: Why?\n\nwhy\n\nA:\n\nso", "structure")
    with pytest.raises(ExtractionError) as error:
        extract_body(pack_parts([("", "<p> </p>")]).encode(), HTML_PARTS)
    assert error.value.reason == "empty-document"


_PIECES = st.sampled_from(
    ["<p>", "</p>", "<ul>", "<li>", "<table>", "<tr>", "<td>", "<pre>", "</pre>", "text ", "<br>", "<math>", "$$", "&",
     "<", "\0", "<!--", "]]>", "<blockquote>", "\ufffd", "é"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(_PIECES, max_size=40))
def test_nothing_breaks_it(pieces: list[str]) -> None:
    body = pack_parts([("", "".join(pieces))]).encode()
    try:
        text = extract_body(body, HTML_PARTS).text
    except ExtractionError:
        return
    assert "\0" not in text
    assert text.strip()
