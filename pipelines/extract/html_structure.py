r"""All of a page's text with its structure: for HTML that is content from beginning to end.

Chapters of a book and posts of a thread have no furniture to be left out, so nothing is judged here: headings, lists,
tables and quotations become Markdown, `<pre>` a fenced block with its indentation, MathML with TeX in it `$...$`; TeX
between dollar signs stays as it is.
"""

from __future__ import annotations

import re
from typing import Any

import lxml.etree

from pipelines.extract.extraction import ExtractionError
from pipelines.extract.html_page import parse_html

MAX_CHARACTERS = 20_000_000
"""Longest page that is parsed."""

_DROPPED = frozenset(
    {"script", "style", "nav", "head", "template", "noscript", "svg", "iframe", "form", "button", "select", "textarea",
     "object", "audio", "video", "canvas", "rt", "rp", "link", "meta", "title"}
)  # fmt: skip
_INLINE = frozenset(
    {"a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em", "font", "i", "ins",
     "kbd", "label", "mark", "q", "ruby", "rb", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "time",
     "tt", "u", "var", "wbr", "img", "math"}
)  # fmt: skip
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_DISPLAY = re.compile(r"(\$\$.{1,10000}?\$\$|\\begin\{(\w{1,20}\*?)\}.{1,10000}?\\end\{\2\})", re.DOTALL)
_SPACE = re.compile(r"[ \t\r\n\f\v\xa0]+")
_TEX = "application/x-tex"
_RAISED = re.compile(r"[a-z]|[+−-]?\d{1,4}", re.IGNORECASE)
"""What changes its meaning when it is not raised or lowered: 10^3, x^n, a_1; not the "st" of 1st."""


def parse_content(page: str) -> Any:
    """A page as a tree: XHTML by XML's rules where it keeps them, else HTML by the browser's.

    No entity is resolved, nothing is fetched, libxml2's limits on depth and size hold.

    Raises:
        ExtractionError: "too-large", "too-deep", "empty-document".
    """
    if len(page) > MAX_CHARACTERS:
        raise ExtractionError("too-large", f"the page has {len(page)} characters, the limit is {MAX_CHARACTERS}")
    if not page.strip():
        raise ExtractionError("empty-document", "the page has no character")
    text = re.sub(r"^\s*<\?xml[^>]*\?>", "", page.removeprefix("\ufeff"))
    if "http://www.w3.org/1999/xhtml" in text[:4096] and "<!ENTITY" not in text:
        parser = lxml.etree.XMLParser(
            encoding="utf-8", resolve_entities=False, no_network=True, huge_tree=False, remove_comments=True,
            remove_pis=True, load_dtd=False,
        )  # fmt: skip
        try:
            return lxml.etree.fromstring(text.encode("utf-8", "replace"), parser)
        except lxml.etree.XMLSyntaxError:
            pass  # not well-formed, or entities that only a DTD knows: as a browser would read it
    return parse_html(text.replace("\0", ""))


def render(tree: Any) -> tuple[str, int]:
    """A tree's text, blocks apart by empty lines; and the number of formulas that MathML gave."""
    writer = _Writer()
    writer.children(tree)
    return writer.text(), writer.formulas


class _Writer:
    """Blocks of text, and the line that is being written."""

    def __init__(self) -> None:
        self._blocks: list[str] = []
        self._line: list[str] = []
        self._lists: set[int] = set()
        self.formulas = 0

    def text(self, *, inside_item: bool = False) -> str:
        """All blocks; in an item of a list the lists in it follow without an empty line."""
        self._end()
        parts: list[str] = []
        for at, block in enumerate(self._blocks):
            parts += ["" if not at else "\n" if inside_item and at in self._lists else "\n\n", block]
        return "".join(parts)

    def children(self, element: Any) -> None:
        """Write what is inside an element."""
        if element.text:
            self._line.append(element.text)
        for child in element:
            if isinstance(child.tag, str):
                self._element(child)
            if child.tail:
                self._line.append(child.tail)

    def _element(self, element: Any) -> None:
        name = _name(element)
        if name in _DROPPED or element.get("hidden") is not None:
            return
        if name == "br":
            self._line.append("\1")
        elif name == "math":
            self._math(element)
        elif name in _INLINE:
            self._inline(element, name)
        elif name in _HEADINGS:
            self._prefixed("#" * _HEADINGS[name] + " ", _flat(element))
        elif name == "pre":
            self._end()
            code = "".join(element.itertext()).replace("\r\n", "\n").strip("\n")
            if code.strip():
                self._blocks.append(f"```\n{code}\n```")
        elif name in ("ul", "ol"):
            self._list(element, name == "ol")
        elif name == "table":
            self._table(element)
        elif name == "blockquote":
            self._quotation(element)
        else:
            self._end()
            self.children(element)
            self._end()

    def _inline(self, element: Any, name: str) -> None:
        if name == "code" and not len(element) and (element.text or "").strip() and "`" not in element.text:
            self._line.append(f"`{element.text}`")
        elif name in ("sup", "sub") and not len(element) and _RAISED.fullmatch(element.text or ""):
            self._line.append(("^" if name == "sup" else "_") + element.text)
        elif name == "img":
            self._image(element)
        elif name == "q":
            self._line.append("“")
            self.children(element)
            self._line.append("”")
        else:
            self.children(element)

    def _image(self, element: Any) -> None:
        """Formulas drawn as images have their TeX as text."""
        classes, alt = f" {element.get('class') or ''} ", (element.get("alt") or "").strip()
        if alt and (" tex " in classes or " latex " in classes or "mwe-math" in classes):
            self.formulas += 1
            self._line.append(f"${alt}$")

    def _math(self, element: Any) -> None:
        tex = element.get("alttext") or next(
            (
                "".join(one.itertext())
                for one in element.iter()
                if isinstance(one.tag, str)
                and _name(one) == "annotation"
                and (one.get("encoding") or "").lower() == _TEX
            ),
            "",
        )
        self.formulas += 1
        if not tex.strip():
            self._line.append(" ".join("".join(element.itertext()).split()))
        else:
            mark = "$$" if element.get("display") == "block" else "$"
            self._line.append(f"{mark}{' '.join(tex.split())}{mark}")

    def _list(self, element: Any, numbered: bool) -> None:
        self._end()
        items: list[str] = []
        for child in element:
            if not isinstance(child.tag, str):
                continue
            item = _Writer()
            item.children(child)
            inner = item.text(inside_item=True)
            self.formulas += item.formulas
            if not inner:
                continue
            mark = f"{len(items) + 1}. " if numbered else "- "
            items.append(mark + inner.replace("\n", "\n" + " " * len(mark)))
        if items:
            # Items of several blocks stand apart, those of one line do not.
            joint = "\n\n" if any("\n\n" in item for item in items) else "\n"
            self._lists.add(len(self._blocks))
            self._blocks.append(re.sub(r"(?m)[ \t]+$", "", joint.join(items)))

    def _table(self, element: Any) -> None:
        self._end()
        rows = [
            [
                _flat(cell).replace("|", "\\|")
                for cell in row
                if isinstance(cell.tag, str) and _name(cell) in ("td", "th")
            ]
            for row in element.iter()
            if isinstance(row.tag, str) and _name(row) == "tr" and _of_table(row) is element
        ]
        rows = [row for row in rows if any(row)]
        if rows:
            width = max(map(len, rows))
            lines = [f"| {' | '.join([*row, *[''] * (width - len(row))])} |" for row in rows]
            if any(isinstance(one.tag, str) and _name(one) == "th" for one in element.iter()):
                lines.insert(1, "|" + " --- |" * width)
            self._blocks.append("\n".join(lines))

    def _quotation(self, element: Any) -> None:
        self._end()
        inner, formulas = render(element)
        self.formulas += formulas
        if inner:
            self._blocks.append("\n".join(f"> {line}".rstrip() for line in inner.split("\n")))

    def _prefixed(self, prefix: str, text: str) -> None:
        self._end()
        if text:
            self._blocks.append(prefix + text)

    def _end(self) -> None:
        """End the line that is being written: spaces joined as a browser does, displayed TeX as it is."""
        parts = _DISPLAY.split("".join(self._line))
        self._line = []
        # re.split gives text, display, name of the environment, text ...
        shown = [
            part.strip("\n") if at % 3 == 1 else _SPACE.sub(" ", part)
            for at, part in enumerate(parts)
            if at % 3 != 2 and part is not None
        ]
        lines = [line.strip() for line in "".join(shown).split("\1")]
        text = "\n".join(lines).strip("\n")
        if text.strip():
            self._blocks.append(text)


def _flat(element: Any) -> str:
    """What is in an element, in one line."""
    return " ".join(render(element)[0].split())


def _of_table(row: Any) -> Any:
    """The table that a row is of: one inside a cell is told there, and not once more for each table around it."""
    return next(
        (outer for outer in row.iterancestors() if isinstance(outer.tag, str) and _name(outer) == "table"), None
    )


def _name(element: Any) -> str:
    """A tag's name without its namespace."""
    return str(element.tag).rpartition("}")[2].lower()
