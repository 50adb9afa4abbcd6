"""Several pieces of HTML that are one document: the chapters of a book, the posts of a thread."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pipelines.document import canonical_json
from pipelines.extract.extraction import Extraction, ExtractionError
from pipelines.extract.html_structure import parse_content, render


def pack_parts(parts: Sequence[tuple[str, str]]) -> str:
    """Pieces as a record's body: for each what is said before it ("" for nothing), and its HTML."""
    return canonical_json([list(part) for part in parts])


def read_parts(body: bytes) -> Extraction:
    """The text of a body that `pack_parts` made.

    Raises:
        ExtractionError: "too-large", "too-deep" of any piece; "empty-document" where none has text.
    """
    texts: list[str] = []
    formulas = 0
    for lead, page in json.loads(body):
        text = ""
        if page.strip():
            text, found = render(parse_content(page))
            formulas += found
        joined = "\n\n".join(one for one in (lead, text) if one)
        if joined:
            texts.append(joined)
    whole = "\n\n".join(texts).encode("utf-8", "replace").decode("utf-8").replace("\0", "")
    if not whole.strip():
        raise ExtractionError("empty-document", f"{len(texts)} pieces of HTML and no text in them")
    return Extraction(whole, engine="structure", math_count=formulas)
