"""The chain of engines that a page goes through."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from pipelines.extract import ENGINES, HTML_PARTS, Chain, ExtractionError, extract_body, extract_html
from pipelines.extract.guard import Limits
from pipelines.extract.html_page import HtmlPage
from pipelines.extract.learn.gold import pages
from pipelines.extract.page.clean import as_utf8
from pipelines.extract.page.metadata import told
from pipelines.extract.page.parse import parse

ARTICLE = "<p>" + "The river rises in the hills above the town and runs past the old mill. " * 6 + "</p>"
TABLE = "<table><tr><th>Town<th>People" + "".join(f"<tr><td>Town {k}<td>{k * 137}" for k in range(8)) + "</table>"
PAGE = f"<html><head><title>A title</title></head><body>{ARTICLE}{TABLE}{ARTICLE}</body></html>".encode()


def test_the_first_engine_reads_what_it_can() -> None:
    found = Chain().extract(PAGE, None, None)
    assert (found.engine, found.broken) == ("auto", ())
    assert found == extract_html(PAGE)


def test_a_page_that_breaks_an_engine_goes_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> str:
        raise IndexError("no such block")

    monkeypatch.setattr("pipelines.extract.auto.main_text", fail)
    found = Chain().extract(PAGE, None, None)
    assert found.engine == "trafilatura"
    assert found.broken == ("auto: extraction-failed",)
    assert "The river rises" in found.text
    with pytest.raises(ExtractionError, match=r"auto: IndexError: no such block") as caught:
        Chain(("auto",)).extract(PAGE, None, None)
    assert caught.value.reason == "extraction-failed"


def test_what_is_wrong_with_the_page_is_not_tried_again() -> None:
    with pytest.raises(ExtractionError) as caught:
        Chain().extract(b"<p>  </p>", None, None)
    assert caught.value.reason == "empty-document"


def test_tables_may_be_plain() -> None:
    assert "| Town 3 | 411 |" in Chain(("auto",)).extract(PAGE, None, None).text
    plain = Chain(("auto",), markdown_tables=False).extract(PAGE, None, None).text
    assert "Town 3  411" in plain
    assert "|" not in plain


def test_resiliparse_reads_too(monkeypatch: pytest.MonkeyPatch) -> None:
    found = extract_html(PAGE, engine="resiliparse")
    assert (found.engine, found.title) == ("resiliparse", "A title")
    assert "The river rises" in found.text
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'pomona\[resiliparse\]'"):
        extract_html(PAGE, engine="resiliparse")


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_says_what_the_page_allows(engine: str) -> None:
    head = (
        b"<link rel=license href=' https://creativecommons.org/licenses/by/4.0/ '><meta name=robots content=noai>"
        b"<meta name=tdm-reservation content=1>"
    )
    link = b"<a rel='nofollow License' href='/terms'>Terms</a></body>"
    found = extract_html(PAGE.replace(b"</head>", head + b"</head>").replace(b"</body>", link), None, engine)
    assert found.license_link == "https://creativecommons.org/licenses/by/4.0/"
    assert (found.meta_robots, found.reservation) == ("noai", "tdm-reservation: 1")
    assert extract_html(PAGE.replace(b"</body>", link), None, engine).license_link == "/terms"
    assert extract_html(PAGE, None, engine).license_link is None


@pytest.mark.data
def test_licences_are_read_as_the_tree_has_them(pomona_data: Path) -> None:
    named = 0
    for gold in pages(pomona_data / "html_gold"):
        if b"license" not in gold.html.lower():
            continue
        try:
            tree = HtmlPage.parse(gold.html)
        except ExtractionError:
            continue
        raw = np.frombuffer(as_utf8(gold.html)[0], np.uint8)
        head = told(raw, parse(raw))
        assert (*head.licenses, None)[0] == tree.license_link(), gold.id
        assert (head.meta_robots, head.reservation) == (tree.meta_robots(), tree.reservation()), gold.id
        named += bool(head.licenses)
    assert named >= 40


BODIES = {
    "text/x-wiki": (b"The river '''rises''' in the [[hills]].\n", 100_000),
    "application/x-tex": (b"The river \\emph{rises} in $x_1$.\n\n", 100_000),
    HTML_PARTS: (b'["", "<p>The river <b>rises</b>.</p>"]', 100_000),
}


@pytest.mark.parametrize("kind", BODIES)
def test_readers_of_other_markup_work_in_a_child_within_limits(kind: str) -> None:
    piece, times = BODIES[kind]
    opening, between, closing = (b"[", b",", b"]") if kind == HTML_PARTS else (b"", b"", b"")
    with pytest.raises(ExtractionError) as caught:
        extract_body(opening + between.join([piece] * times) + closing, kind, chain=Chain(limits=Limits(seconds=0.2)))
    assert caught.value.reason == "too-slow"
    assert "rises" in extract_body(opening + piece + closing, kind).text


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(ValueError, match="expected one of auto, trafilatura, resiliparse"):
        Chain(("auto", "boilerpipe"))


def test_trafilatura_is_not_imported_where_auto_reads_the_page() -> None:
    import subprocess

    program = (
        "import sys; from pipelines.extract import Chain; "
        f"Chain().extract({PAGE!r}, None, None); "
        "print([name for name in ('trafilatura', 'lxml', 'resiliparse', 'lightgbm') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_first_page_does_not_wait_for_scipy() -> None:
    """Numba looks for its BLAS; who wants it afterwards has it."""
    pytest.importorskip("scipy")
    import subprocess
    import sys

    program = (
        "import sys; from pipelines.extract import extract_html;"
        "print(extract_html(b'<p>The river rises in the hills above the town.</p>' * 9).engine,"
        "'scipy.linalg' in sys.modules, 'pyarrow.compute' in sys.modules);"
        "import scipy.linalg.cython_blas; import numpy, numba;"
        "print(numba.njit(lambda a: numpy.dot(a, a))(numpy.ones(3)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["auto", "False", "False", "3.0"]
