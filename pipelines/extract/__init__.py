"""Bytes to text, one file an engine."""

from __future__ import annotations

import re

from pipelines.extract.extraction import Extraction, ExtractionError

__all__ = ["ENGINES", "HTML_PARTS", "Extraction", "ExtractionError", "extract_body", "extract_html"]

ENGINES = ("auto", "trafilatura")
"""Names of the HTML engines; "auto" is trafilatura with the settings of `extract/trafilatura.py`."""

HTML_PARTS = "application/x-html-parts+json"
"""Media type of pages that are all content (chapters of a book, posts of a thread): see `extract/html_parts.py`."""

_HTML = ("text/html", "application/xhtml+xml")
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([^\s;\"']+)", re.IGNORECASE)


def extract_html(html: bytes, url: str | None = None, engine: str = "auto", charset: str | None = None) -> Extraction:
    """The main text of an HTML page.

    Args:
        html: the page's bytes, transfer and content encodings undone.
        url: where it was found; engines use it for links only.
        engine: one of ENGINES.
        charset: the charset of the HTTP Content-Type, where there was one.

    Raises:
        ExtractionError: no text; its `reason` says why.
        ValueError: an unknown engine.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine is {engine!r}, expected one of {', '.join(ENGINES)}")
    from pipelines.extract.html_page import HtmlPage
    from pipelines.extract.trafilatura import extract

    return extract(HtmlPage.parse(html, charset), url)


def extract_body(body: bytes, content_type: str, url: str | None = None, engine: str = "auto") -> Extraction:
    """The text of a record's body, by its media type: HTML through an engine, other texts as they are.

    Args:
        body: the record's body.
        content_type: media type with its parameters ("text/html; charset=utf-8").
        url: where it was found.
        engine: one of ENGINES, for HTML.

    Raises:
        ExtractionError: no text; "unsupported-type" for anything but texts.
    """
    media_type = content_type.split(";", 1)[0].strip().lower()
    match = _CHARSET.search(content_type)
    charset = match.group(1) if match else None
    if media_type in _HTML:
        return extract_html(body, url, engine, charset)
    if media_type == "text/x-wiki":
        from pipelines.extract.wikitext import read_wikitext

        return read_wikitext(body, content_type)
    if media_type == "application/x-tex":
        from pipelines.extract.latex import read_latex

        return read_latex(body)
    if media_type == HTML_PARTS:
        from pipelines.extract.html_parts import read_parts

        return read_parts(body)
    if media_type.startswith("text/") or media_type in ("application/x-python-code", "application/json"):
        from pipelines.extract.text import read_text

        return read_text(body, media_type, charset)
    raise ExtractionError("unsupported-type", f"no reader for {media_type or 'a record without a media type'}")
