"""Main text by resiliparse: rules on a tree in C, the fastest of the known extractors."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np

from pipelines.extract.auto import described
from pipelines.extract.encoding import decode_html
from pipelines.extract.extraction import Extraction, ExtractionError
from pipelines.extract.page.parse import parse


def extract(html: bytes, url: str | None = None, charset: str | None = None) -> Extraction:
    """The main text of a page by `extract_plain_text(main_content=True)`, without alt texts or comments.

    What the page says of itself, and what it allows, is read as `auto` reads it.

    Raises:
        ExtractionError: "undecodable-content", "empty-document", "extraction-failed" where the library breaks.
        ModuleNotFoundError: it is not installed.
    """
    if importlib.util.find_spec("resiliparse") is None:
        raise ModuleNotFoundError("resiliparse is not installed: pip install 'pomona[resiliparse]'")
    from resiliparse.extract.html2text import extract_plain_text  # type: ignore[import-not-found]
    from resiliparse.parse.html import HTMLTree  # type: ignore[import-not-found]

    text, encoding = decode_html(html, charset)
    try:
        tree = HTMLTree.parse(text)
        title = " ".join((tree.title or "").split())
        main = str(
            extract_plain_text(tree, main_content=True, alt_texts=False, comments=False, preserve_formatting=True)
        )
    except Exception as error:  # whatever a page provokes in the library is that page's failure
        raise ExtractionError("extraction-failed", f"resiliparse: {type(error).__name__}: {error}"[:500]) from error
    main = "\n".join(line.rstrip() for line in main.replace("\xa0", " ").split("\n")).strip("\n")
    if not main:
        raise ExtractionError("empty-document", "resiliparse found no main text")
    data = np.frombuffer(text.encode("utf-8", "replace"), np.uint8)
    found = described(main, "resiliparse", encoding, data, parse(data))
    return replace(found, title=title or found.title)
