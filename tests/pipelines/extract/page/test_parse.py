"""Pages as blocks of text: tree rules, character references, formulas, and bytes that are no page."""

from __future__ import annotations

import gzip
import html as references
import json
import re
from collections import Counter
from html.entities import html5
from pathlib import Path

import lxml.html
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.extract.encoding import decode_html
from pipelines.extract.page.names import TAGS
from pipelines.extract.page.parse import DEPTH, Page, parse
from pipelines.extract.page.text import Texts, texts


def read(html: str) -> tuple[Page, Texts]:
    data = np.frombuffer(html.encode("utf-8"), np.uint8)
    page = parse(data)
    return page, texts(data, page)


def blocks(html: str) -> list[tuple[str, str]]:
    """Tag and text of every block."""
    page, found = read(html)
    whole, bounds = found.batch.data.tobytes(), found.batch.offsets
    return [
        (TAGS[page.tag[element]], whole[bounds[b] : bounds[b + 1]].decode("utf-8"))
        for b, element in enumerate(page.block_element)
    ]


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<p>one<p>two", [("p", "one"), ("p", "two")]),
        ("<ul><li>one<li>two<ul><li>in</ul></ul>", [("li", "one"), ("li", "two"), ("li", "in")]),
        ("<dl><dt>a<dd>b<dt>c</dl>", [("dt", "a"), ("dd", "b"), ("dt", "c")]),
        ("<table><tr><td>a<td>b<tr><td>c</table>x", [("td", "a"), ("td", "b"), ("td", "c"), ("?", "x")]),
        ("<div>a<p>b</p>c</div>", [("div", "a"), ("p", "b"), ("div", "c")]),
        ("<p>a <b>bold</b>  and <i>more</i></p>", [("p", "a bold and more")]),
        ("<b>x<p>y</b>z</p>", [("?", "x"), ("p", "yz")]),
        ("<div>a</span></p></section>b</div>", [("div", "a"), ("div", "b")]),
        ("<p>one<br>two<br/>three", [("p", "one\ntwo\nthree")]),
        ("<p>one<br><br>two", [("p", "one"), ("p", "two")]),
        ("<pre>\n  a\n    b  c\n</pre>", [("pre", "  a\n    b  c")]),
        ("<p>a<!-- <p>no --> b<!-->c<!doctype x>d", [("p", "a bcd")]),
        ("<script>if (a<b) '</p>'</script><p>x<style>p{}</style>y", [("p", "xy")]),
        ("<p>a < b and c <3 d", [("p", "a < b and c <3 d")]),
        ("<head><title>T</title><meta charset=utf-8></head><body>x", [("body", "x")]),
        ("<title>T</title>x", [("?", "x")]),
        ("<textarea><p>no</textarea><select><option>no</select><p>yes", [("p", "yes")]),
        ("<template><p>no</p></template><svg><text>no</text></svg>yes", [("?", "yes")]),
        ("<h1>a<h2>b</h1>c", [("h1", "a"), ("h2", "b"), ("?", "c")]),
        ("<a href=x>one</a><a href=y>two</a>", [("?", "one two")]),
        ("<p class='a>b' data-x=\"<p>\">x</p>", [("p", "x")]),
        ("<my-card>one</my-card><my-card>two</my-card>", [("custom", "one"), ("custom", "two")]),
        ("<p>one</p><p>  &nbsp; </p><p>two", [("p", "one"), ("p", "two")]),
        ("<p>x<a href='unclosed", [("p", "x")]),
        ("<p>x<!-- unclosed", [("p", "x")]),
        ("<p>x<script>unclosed", [("p", "x")]),
        ("", []),
        ("<", [("?", "<")]),
        ("</>x<//y>z", [("?", "xz")]),
    ],
)
def test_blocks(html: str, expected: list[tuple[str, str]]) -> None:
    assert [(tag, text) for tag, text in blocks(html) if text] == expected


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<math alttext='x^2'><mi>x</mi></math>", "$x^2$"),
        (
            "<math display=\"block\"><semantics><mi>x</mi><annotation encoding='application/x-tex'>a&lt;b</annotation>"
            "</semantics></math>",
            "$$a<b$$",
        ),
        ('a <script type="math/tex">x_1</script> b', "a $x_1$ b"),
        ('<script type="math/tex; mode=display">\n\\sum x\n</script>', "$$\\sum x$$"),
        ("<img class='tex' alt='\\frac12'>", "$\\frac12$"),
        ("<img class='texture' alt='a wall'>", ""),
        ("<img src='//latex.codecogs.com/gif.latex?x' alt='x'>", "$x$"),
        (
            "<span class=katex><span class=katex-mathml><math><semantics><mi>x</mi><annotation "
            "encoding=application/x-tex>x</annotation></semantics></math></span><span class=katex-html>x</span></span>",
            "$x$",
        ),
        (
            "<span class=MathJax_Preview>x</span><span class=MathJax><nobr>x</nobr></span>"
            "<script type=math/tex>x</script>",
            "$x$",
        ),
        (
            "<mjx-container class=MathJax><mjx-math><mjx-mi>x</mjx-mi></mjx-math><mjx-assistive-mml>"
            "<math alttext=x><mi>x</mi></math></mjx-assistive-mml></mjx-container>",
            "$x$",
        ),
        (
            "<span class=mwe-math-element><span style='display: none'><math alttext='x'><mi>x</mi></math></span>"
            "<img class=mwe-math-fallback-image-inline alt='x'></span>",
            "$x$",
        ),
    ],
)
def test_formulas(html: str, expected: str) -> None:
    assert " ".join(text for _, text in blocks(f"<p>{html}</p>")) == expected


def test_formulas_without_tex_are_marked() -> None:
    _, found = read("<p>a <math><mi>x</mi></math> b <math><mi>y</mi></math>")
    assert found.batch.data.tobytes().decode() == "a \ufffc b \ufffc"
    assert len(found.formulas) == 2


def test_every_character_reference_is_resolved() -> None:
    names = sorted(html5)
    html = "".join(f"<pre>.&{name}.</pre>" for name in names)
    expected = [f".{references.unescape('&' + name)}." for name in names]
    assert [text.replace("\n", " ") for _, text in blocks(html)] == [
        one.replace("\xa0", " ").replace("\xad", "").replace("\n", " ") for one in expected
    ]


@given(st.text(alphabet="&#x0123456789abcdefampltgnbspquot; ;", max_size=40))
def test_references_are_resolved_as_the_standard_library_does(text: str) -> None:
    (found,) = [text for _, text in blocks(f"<pre>.{text}.</pre>")]
    expected = references.unescape(f".{text}.").replace("\xa0", " ")
    # The library leaves out references to characters that a page may not have; here they are a space.
    strange = re.search(r"&#x?0*[0-9a-f]*", text)
    if strange is None:
        assert found == expected


def test_nesting_has_no_limit_but_depth() -> None:
    html = "<div>" * 100_000 + "deep" + "</div>" * 100_000 + "<p>after"
    found = blocks(html)
    assert [text for _, text in found] == ["deep", "after"]
    assert read(html)[0].depth.max() <= DEPTH + 1


def test_a_page_without_a_start_tag_has_no_attributes() -> None:
    for ends in range(200):  # of other sizes, so that memory of pages before is used again
        read("<p class=a id=b>" * ends)
        page, _ = read("</p>" * ends + "words")
        assert page.attributes.tolist() == [0, 0]


def test_a_long_attribute_is_skipped() -> None:
    assert blocks(f"<p class='{'a ' * 2_000_000}'>x</p>") == [("p", "x")]


@settings(deadline=None)
@given(st.lists(st.sampled_from([
    "<", ">", "</", "<!--", "-->", "<p>", "</p>", "<a href=", "'", '"', "<script>", "</script>", "<table>", "<tr>",
    "<td>", "</table>", "<b>", "</b>", "<math>", "</math>", "&amp", "&#", "x", " ", "\n", "<br>", "<title>", "é", "文",
    "<li>", "<ul>", "</ul>", "<pre>", "</pre>", "=", "/", "hidden ", "<body>", "<head>", "</head>", "<svg>", "</svg>",
    "<script type=math/tex>", "<script type=application/ld+json>", "<img class=tex alt=x>", "<button>", "<![CDATA[",
    "</br>", "<select>", "<mjx-container>", "<span class=MathJax>", "</span>",
]), max_size=60))  # fmt: skip
def test_anything_is_read(pieces: list[str]) -> None:
    page, found = read("".join(pieces))
    count = len(page.block_element)
    assert (page.parent[1:] < np.arange(1, len(page.parent))).all()
    assert (np.diff(page.block_run) > 0).all()
    assert page.block_run[-1] == len(page.run_kind)
    assert (page.run_low <= page.run_high).all()
    assert (np.diff(page.attributes, prepend=0) >= 0).all()
    assert len(page.attributes) == len(page.tag) + 1
    assert page.attributes[-1] <= len(page.name)
    assert len(found.batch.offsets) == count + 1
    found.batch.data.tobytes().decode("utf-8")


@pytest.mark.data
def test_the_words_of_real_pages_are_those_that_lxml_sees(pomona_data: Path) -> None:
    """Both leave the same elements out; links side by side are parted here, and not there."""
    folder = pomona_data / "html_gold" / "wcxb_dev"
    with gzip.open(folder / "index.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines][:120]
    lost = extra = total = 0
    for row in rows:
        with gzip.open(folder / row["file"]) as file:
            text, _ = decode_html(file.read())
        found = Counter(re.findall(r"\w+", " ".join(text for _, text in blocks(text))))
        parser = lxml.html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, huge_tree=True)
        tree = lxml.html.document_fromstring(text.encode("utf-8", "replace"), parser=parser)
        skipped = "script style template svg select textarea iframe canvas object video audio math picture head"
        for element in list(tree.iter(*skipped.split())):
            if element.getparent() is not None:
                element.drop_tree()
        seen = Counter(re.findall(r"\w+", " ".join(tree.itertext())))
        lost += (seen - found).total()
        extra += (found - seen).total()
        total += seen.total()
    assert lost < 0.01 * total
    assert extra < 0.01 * total


def test_soft_hyphens_are_not_text() -> None:
    """Hyphenation for narrow screens would part words and hide them from every count of words."""
    assert blocks("<p>re\u00adcher&shy;che, caf\u00e9&#xAD;s<pre>a\u00adb") == [
        ("p", "recherche, caf\u00e9s"),
        ("pre", "ab"),
    ]
    assert blocks("<p>\u00ad&shy;") in ([], [("p", "")])
