"""Pages laid out with tables, as pydoc's and many old ones are: their cells are blocks of text, not data.

Extractors write a table row as one line ("| a | b |"), which joins a whole docstring or article into one.
"""

from __future__ import annotations

import lxml.html

# HTML, 4.9.1: what says that a table is not for layout.
_DATA_MARKS = ("th", "caption", "thead", "colgroup")
_BLOCKS = ("p", "div", "pre", "dl", "ul", "ol", "blockquote", "table", "h1", "h2", "h3", "h4", "article", "section")
_CELLS = ("tbody", "tr", "td")
_LINES = 3
_SHARE = 0.5


def unfold_layout(tree: lxml.html.HtmlElement) -> bool:
    """Turn the tables of a page into plain blocks, in place, if most of its text lies in layout tables.

    A table is for layout if it has no header, caption or column marks of its own, and either says so
    (role="presentation") or has a cell with blocks, or several broken lines, in it. Pages with half their text or less
    in such tables are left alone, so that tables of data stay tables.

    Returns:
        Whether the page was changed.
    """
    outer = [table for table in tree.iter("table") if _is_layout(table) and not _inside_layout(table)]
    inside = sum(_length(table) for table in outer)
    body = tree.find("body")
    if inside <= _SHARE * _length(tree if body is None else body):
        return False
    for table in list(tree.iter("table")):
        if any(_own(table, mark) for mark in _DATA_MARKS):
            continue
        for part in [part for part in table.iter(*_CELLS) if next(part.iterancestors("table"), None) is table]:
            part.tag = "div"
        table.tag = "div"
    return True


def _is_layout(table: lxml.html.HtmlElement) -> bool:
    if (table.get("role") or "").lower() in ("presentation", "none"):
        return True
    if any(_own(table, mark) for mark in _DATA_MARKS):
        return False
    return any(
        next(cell.iterdescendants(*_BLOCKS), None) is not None or sum(1 for _ in cell.iter("br")) >= _LINES
        for cell in table.iter("td")
    )


def _inside_layout(table: lxml.html.HtmlElement) -> bool:
    return any(_is_layout(outer) for outer in table.iterancestors("table"))


def _own(table: lxml.html.HtmlElement, tag: str) -> bool:
    """Whether an element of this kind belongs to the table itself, not to one inside it."""
    return any(next(found.iterancestors("table"), None) is table for found in table.iter(tag))


def _length(element: lxml.html.HtmlElement) -> int:
    """Characters of visible text, spaces apart."""
    return sum(
        len("".join(text.split()))
        for part in element.iter()
        for text in ((part.text if part.tag not in ("script", "style", "noscript", "template") else None), part.tail)
        if text
    )
