"""Main text by our own engine: one pass over the page, and learned models that know main text from the rest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kernels.start import load_numba
from kernels.words import Words, words
from pipelines.extract.delimiters import delimited
from pipelines.extract.extraction import Extraction, ExtractionError
from pipelines.extract.page import asciimath
from pipelines.extract.page.choice import chosen
from pipelines.extract.page.clean import as_utf8
from pipelines.extract.page.features import seen
from pipelines.extract.page.mathml import tex
from pipelines.extract.page.metadata import told
from pipelines.extract.page.model import Models, likely, models
from pipelines.extract.page.parse import ASCIIMATH, DISPLAY_TEX, IMAGE, MATHML, TEX, TEXT, Page, parse
from pipelines.extract.page.render import data_tables, rendered, whole_tables
from pipelines.extract.page.scripted import body
from pipelines.extract.page.text import Texts, texts

load_numba()

MAX_BYTES = 20_000_000
"""Longest page that is read."""
MAX_BLOCKS = 100_000
"""Most blocks of text of a page."""
MAX_ELEMENTS = 1_000_000
"""Most elements of a page."""
MAX_FORMULAS = 50_000
"""Most formulas of a page that are MathML without TeX: each is read as a tree of its own."""

MAY_BE = 0.1
"""How likely a block with a formula must be main text."""

_SIGNS = (b"$$", rb"\(", rb"\[", rb"\begin{")


def extract(
    html: bytes, url: str | None = None, charset: str | None = None, *, markdown_tables: bool = True
) -> Extraction:
    """The main text of a page; tables of data as Markdown, or a line a row.

    Raises:
        ExtractionError: "too-large", "undecodable-content", "empty-document".
    """
    if len(html) > MAX_BYTES:
        raise ExtractionError("too-large", f"the page has {len(html)} bytes, the limit is {MAX_BYTES}")
    clean, encoding = as_utf8(html, charset)
    if not clean or clean.isspace():
        raise ExtractionError("empty-document", f"the page has {len(html)} bytes and no character")
    data = np.frombuffer(clean, np.uint8)
    page = parse(data)
    _check("blocks of text", len(page.block_element), MAX_BLOCKS)
    _check("elements", len(page.tag), MAX_ELEMENTS)
    inside = texts(data, page)
    _check("formulas in MathML without TeX", len(inside.formulas), MAX_FORMULAS)
    main = main_text(data, page, inside, words(inside.batch), models(), markdown_tables=markdown_tables)
    if not main:
        none = "no block of the page is main text" if len(page.block_element) else "the page has no text"
        raise ExtractionError("empty-document", none)
    return described(main, "auto", encoding, data, page, inside)


def described(
    main: str, engine: str, encoding: str, data: NDArray[np.uint8], page: Page, inside: Texts | None = None
) -> Extraction:
    """A main text with what its page says of itself."""
    head = told(data, page)
    return Extraction(
        main,
        head.title,
        engine,
        math_count=formulas(data, page, inside or texts(data, page)),
        meta_robots=head.meta_robots,
        reservation=head.reservation,
        license_link=head.licenses[0] if head.licenses else None,
        encoding=encoding,
        author=head.author,
        date=head.date,
        site=head.site,
        language=head.language,
        licenses=head.licenses,
    )


def formulas(data: NDArray[np.uint8], page: Page, inside: Texts) -> int:
    """Formulas of a page: MathML, TeX scripts, formula images, and TeX delimiters in its text."""
    kinds = page.run_kind
    drawn = np.flatnonzero((kinds[1:] == IMAGE) & (kinds[:-1] == MATHML))  # an image beside its own MathML
    marked = int(_marked(kinds).sum()) - len(drawn)
    read = inside.batch.data.tobytes()
    if not any(sign in read for sign in _SIGNS):  # scripts, which are no text, are full of them
        return marked
    whole = data.tobytes()
    texts_only = np.flatnonzero(kinds == TEXT)
    bounds = zip(page.run_low[texts_only].tolist(), page.run_high[texts_only].tolist(), strict=True)
    written = "\n".join(whole[low:high].decode("utf-8", "replace") for low, high in bounds)
    return marked + delimited(written)


def keep_formulas(page: Page, p: NDArray[np.float32], keep: NDArray[np.bool_]) -> None:
    """Choose blocks with a marked formula too where they may be main text, in place.

    Furniture has none, and a proof without one of its lines is lost; but the models have seen few pages with formulas.
    """
    runs = np.flatnonzero(_marked(page.run_kind))
    if len(runs) and keep.any():
        blocks = np.searchsorted(page.block_run, runs, side="right") - 1
        keep[blocks[p[blocks] >= MAY_BE]] = True


def main_text(
    data: NDArray[np.uint8], page: Page, inside: Texts, split: Words, learned: Models, *, markdown_tables: bool = True
) -> str:
    """The text of the blocks that the models take for main text; "" where there is none.

    Where only a script would show the page's text, it is what the page's JSON-LD has of it.
    """
    scripted = body(data, page, len(inside.batch.data))
    if scripted:
        return scripted
    if not len(page.block_element):
        return ""
    view = seen(data, page, inside, split, learned.tables)
    p = likely(learned, page, view)
    keep = chosen(p, view.words)
    keep_formulas(page, p, keep)
    tables = data_tables(page, view.words)
    whole_tables(keep, view.words, tables)
    text = rendered(
        page,
        inside,
        keep,
        tables,
        lambda run: formula(data, page, run),
        markdown_tables=markdown_tables,
        ascii_math=asciimath.uses(data, inside.batch.data),
    )
    return "\n".join(line.rstrip() for line in text.split("\n")).strip("\n")


def formula(data: NDArray[np.uint8], page: Page, run: int) -> str:
    """The TeX of a run that is a formula but not in TeX."""
    markup = data[page.run_low[run] : page.run_high[run]].tobytes()
    if page.run_kind[run] == ASCIIMATH:
        return asciimath.tex(markup.decode("utf-8", "replace"))
    return tex(markup)


def _check(what: str, count: int, most: int) -> None:
    if count > most:
        raise ExtractionError("too-large", f"the page has {count} {what}, the limit is {most}")


def _marked(kinds: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Which runs are formulas by their markup."""
    return (kinds == MATHML) | (kinds == TEX) | (kinds == DISPLAY_TEX) | (kinds == IMAGE) | (kinds == ASCIIMATH)
