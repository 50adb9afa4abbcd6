"""Main text by trafilatura.

Settings: trafilatura's own balance, with tables, without comments, links or formatting marks. On 120 pages each of
WCXB and magic-html its mean F1 (bags of 4 words against gold) was 0.784 and 0.811; favour_recall 0.767 and 0.815,
fast 0.762 and 0.800. Pages whose text lies in layout tables are unfolded first and read with favour_recall: there the
balance loses more than half of the text (of pydoc's page on textwrap 367 of 898 words were left, and 892 with recall,
in one line a table cell).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.extract.extraction import Extraction, ExtractionError
from pipelines.extract.html_page import HtmlPage
from pipelines.extract.layout_table import unfold_layout

if TYPE_CHECKING:
    from collections.abc import Callable


def extract(page: HtmlPage, url: str | None) -> Extraction:
    """The main text of a page; the page's tree is used up.

    Raises:
        ExtractionError: "empty-document" where no main text is found, "extraction-failed" where trafilatura breaks.
    """
    title, robots, reservation, formulas = page.title(), page.meta_robots(), page.reservation(), page.math_count()
    license_link = page.license_link()
    unfolded = unfold_layout(page.tree)
    try:
        text = _extractor()(
            page.tree,
            url=url,
            include_comments=False,
            include_tables=True,
            favor_recall=unfolded,
            # trafilatura's own memory of paragraphs would make a page's text depend on the ones before it
            deduplicate=False,
        )
    except Exception as error:  # whatever a page provokes in the library is that page's failure
        raise ExtractionError("extraction-failed", f"trafilatura: {type(error).__name__}: {error}"[:500]) from error
    text = _clean(text or "")
    if not text:
        raise ExtractionError("empty-document", "trafilatura found no main text")
    return Extraction(
        text,
        title,
        "trafilatura+layout" if unfolded else "trafilatura",
        formulas,
        robots,
        reservation,
        page.encoding,
        license_link,
    )


def _extractor() -> Callable[..., str | None]:
    # Imported on first use: it takes 0.5 s, which commands without extraction should not pay.
    import trafilatura

    return trafilatura.extract


def _clean(text: str) -> str:
    """Lines without trailing space, no-break spaces as spaces, no lone surrogates (from references such as &#xD800;).

    A no-break space says where a line may not be broken on the page; in a text it is a space (pydoc writes no other).
    """
    plain = text.replace("\xa0", " ").encode("utf-8", "replace").decode("utf-8")
    return "\n".join(line.rstrip() for line in plain.split("\n")).strip("\n")
