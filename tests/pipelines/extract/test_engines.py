"""The chain of engines that a page goes through."""

from __future__ import annotations

import sys

import pytest

from pipelines.extract import Chain, ExtractionError, extract_html

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
