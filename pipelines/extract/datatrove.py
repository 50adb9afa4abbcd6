"""Main text by an extractor of datatrove; what the page says of itself, and what it allows, is read as elsewhere."""

from __future__ import annotations

import sys
from typing import Any

from pipelines.datatrove_blocks import name_of, running_extractor
from pipelines.extract.encoding import decode_html
from pipelines.extract.extraction import Extraction, ExtractionError
from pipelines.extract.html_page import HtmlPage


def extract(block: str, html: bytes, url: str | None = None, charset: str | None = None) -> Extraction:
    """The main text of a page by the extractor that `block` (a `BlockUse` as JSON) names.

    Raises:
        ExtractionError: what `HtmlPage.parse` raises; "empty-document" where the extractor finds nothing,
            "extraction-failed" where it breaks.
    """
    use, extractor = running_extractor(block)
    page = HtmlPage.parse(html, charset)
    text, _ = decode_html(html, charset)
    _forget()
    try:
        found: Any = extractor.extract(text)
    except ImportError:
        raise
    except Exception as error:  # whatever a page provokes in the library is that page's failure
        raise ExtractionError("extraction-failed", f"{use.block}: {type(error).__name__}: {error}"[:500]) from error
    main = "\n".join(line.rstrip() for line in str(found or "").split("\n")).strip("\n")
    main = main.encode("utf-8", "replace").decode("utf-8")
    if not main:
        raise ExtractionError("empty-document", f"{use.block} found no main text")
    return Extraction(
        main,
        page.title(),
        name_of(use),
        page.math_count(),
        page.meta_robots(),
        page.reservation(),
        page.encoding,
        license_link=page.license_link(),
    )


def _forget() -> None:
    """Empty trafilatura's memory of paragraphs: with it a page's text would depend on the pages before."""
    module: Any = sys.modules.get("trafilatura.deduplication")
    if module is not None:
        module.LRU_TEST.clear()
