"""Wikitext, LaTeX and the HTML of books are read under limits: what takes too long is ended, and costs no other."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest

from pipelines.extract import HTML_PARTS, Chain, ExtractionError, extract_body
from pipelines.extract.guard import Limits
from pipelines.extract.html_parts import pack_parts

SECONDS = 2.0
CHAIN = Chain(limits=Limits(SECONDS))
SOUND = {
    "text/x-wiki": b"A '''river''' of [[water]].",
    "application/x-tex": rb"\documentclass{article}\begin{document}A river of $H_2O$.\end{document}",
    HTML_PARTS: pack_parts([("", "<p>A river of water.</p>")]).encode(),
}
_ITEM = "* The [[river]] rose {{convert|3|m|ft}} in '''one''' night, ''and'' fell <ref>So</ref> again.\n"
_LINE = r"The \emph{river} rose by $h_1 + \frac{a}{b}$ metres, and \textbf{fell} again \cite{x}.%" + "\n\n"
_PART = "<p>The <em>river</em> rose by <code>h</code>, <a href=x>and</a> fell again.</p><ul><li>one<li>two</ul>\n"
SLOW = {
    # As much of the ordinary as is read at all, and things made to cost: both take longer than the limit.
    "wikitext": ("text/x-wiki", (_ITEM * (9_900_000 // len(_ITEM))).encode()),
    "wikitext that nothing closes": ("text/x-wiki", b"{{a|" * 60_000 + b"[[b|" * 60_000),
    "latex": ("application/x-tex", (r"\begin{document}" + _LINE * (19_000_000 // len(_LINE))).encode()),
    "latex macros": (
        "application/x-tex",
        rb"\documentclass{article}\newcommand{\a}{\b\b}\newcommand{\b}{\c\c}\newcommand{\c}{x}\begin{document}"
        + rb"\a{\ensuremath{y}}" * 300_000,
    ),
    "book": (HTML_PARTS, pack_parts([("", _PART * (19_000_000 // len(_PART)))]).encode()),
    "book of open environments": (HTML_PARTS, pack_parts([("", "<p>" + "$$ x \\begin{a} " * 200_000)]).encode()),
}


@pytest.fixture(autouse=True)
def _no_child_is_left() -> Iterator[None]:
    before = set(psutil.Process().children())  # of tests that ran in this process before
    yield
    assert len(set(psutil.Process().children()) - before) <= 1, "a reader that was ended leaves no process"


@pytest.mark.slow
@pytest.mark.timeout(600)  # a limit that ends nothing hangs, on a machine however busy
@pytest.mark.parametrize("name", SLOW)
def test_the_limit_ends_what_takes_too_long(name: str) -> None:
    kind, body = SLOW[name]
    assert extract_body(SOUND[kind], kind, None, CHAIN).text.startswith("A ")  # the child has imported its reader
    with pytest.raises(ExtractionError) as caught:
        extract_body(body, kind, None, CHAIN)
    assert caught.value.reason == "too-slow", caught.value
    assert extract_body(SOUND[kind], kind, None, CHAIN).text.startswith("A ")
