"""A page as a tree: parsed under limits, with what its head and its formulas say."""

from __future__ import annotations

import re
from dataclasses import dataclass

import lxml.etree
import lxml.html

from pipelines.extract.delimiters import delimited
from pipelines.extract.encoding import decode_html
from pipelines.extract.extraction import ExtractionError

MAX_BYTES = 20_000_000
"""Longest page that is parsed, in bytes."""

MAX_ELEMENTS = 300_000
"""Most elements of a page: engines take seconds for so many, and more are no page for a reader."""

_ROBOTS = re.compile(r"robots|[\w-]*bot|applebot-extended|google-extended", re.IGNORECASE)
_FORMULAS = (
    "//math"
    " | //script[starts-with(@type, 'math/')]"
    " | //img[contains(concat(' ', @class, ' '), ' tex ') or contains(concat(' ', @class, ' '), ' latex ')"
    " or contains(@src, 'latex.php') or contains(@src, 'codecogs.com')]"
    " | //img[contains(@class, 'mwe-math') and not(ancestor::*[contains(@class, 'mwe-math-element')]//math)]"
)


def parse_html(text: str) -> lxml.html.HtmlElement:
    """A page's text as a tree by the browser's rules; comments and processing instructions are left out.

    Raises:
        ExtractionError: "too-deep" (libxml2's 256 levels: it would leave out the rest of the page without a word),
            "too-large" (one text beyond its limit), "empty-document".
    """
    parser = lxml.html.HTMLParser(
        encoding="utf-8", remove_comments=True, remove_pis=True, collect_ids=False, default_doctype=False
    )
    try:
        tree = lxml.html.document_fromstring(text.encode("utf-8", "replace"), parser=parser)
    except (lxml.etree.LxmlError, ValueError) as error:
        raise ExtractionError("empty-document", f"no element can be read: {error}") from error
    for entry in parser.error_log:
        if entry.type_name == "ERR_RESOURCE_LIMIT" or "XML_PARSE_HUGE" in entry.message:
            reason = "too-deep" if "depth" in entry.message else "too-large"
            raise ExtractionError(reason, f"the page goes beyond a limit of the parser: {entry.message.strip()}")
    return tree


@dataclass(frozen=True, slots=True)
class HtmlPage:
    """A parsed page: its tree (comments and processing instructions left out), and the encoding it was in."""

    tree: lxml.html.HtmlElement
    encoding: str

    @classmethod
    def parse(cls, html: bytes, charset: str | None = None) -> HtmlPage:
        """Parse a page.

        Raises:
            ExtractionError: "too-large" (bytes, elements, one text), "too-deep", "undecodable-content",
                "empty-document".
        """
        if len(html) > MAX_BYTES:
            raise ExtractionError("too-large", f"the page has {len(html)} bytes, the limit is {MAX_BYTES}")
        text, encoding = decode_html(html, charset)
        if not text.strip():
            raise ExtractionError("empty-document", f"the page has {len(html)} bytes and no character")
        tree = parse_html(text)
        elements = sum(1 for _ in tree.iter())
        if elements > MAX_ELEMENTS:
            raise ExtractionError("too-large", f"the page has {elements} elements, the limit is {MAX_ELEMENTS}")
        return cls(tree, encoding)

    def title(self) -> str:
        """The `<title>`, else the first `<h1>`, spaces joined."""
        for path in (".//title", ".//h1"):
            found = self.tree.find(path)
            if found is not None:
                title = " ".join(str(found.text_content()).split())
                if title:
                    return title
        return ""

    def meta_robots(self) -> str | None:
        """What the robots meta tags say: "noindex, noai", and "gptbot: noindex" where a tag speaks to one crawler."""
        found: dict[str, None] = {}
        for name, content in self._metas():
            if _ROBOTS.fullmatch(name):
                value = " ".join(content.split())
                if value:
                    found[value if name == "robots" else f"{name}: {value}"] = None
        return ", ".join(found) or None

    def reservation(self) -> str | None:
        """TDM reservation meta tags (TDMRep, W3C community report, 3.4)."""
        found = [
            f"{name}: {content.strip()}" for name, content in self._metas() if name in ("tdm-reservation", "tdm-policy")
        ]
        return "; ".join(found) or None

    def license_link(self) -> str | None:
        """The address of the page's licence: the first `<link>`, `<a>` or `<area>` with `rel=license`."""
        for element in self.tree.iter("link", "a", "area"):
            href = (element.get("href") or "").strip()
            if href and "license" in (element.get("rel") or "").lower().split():
                return href[:2083]
        return None

    def math_count(self) -> int:
        """Formulas of the page: MathML, TeX scripts, formula images, and TeX delimiters in its text."""
        marked = self.tree.xpath(_FORMULAS)
        written = delimited(str(self.tree.text_content()))
        return (len(marked) if isinstance(marked, list) else 0) + written

    def _metas(self) -> list[tuple[str, str]]:
        return [
            ((meta.get("name") or "").strip().lower(), meta.get("content") or "")
            for meta in self.tree.iter("meta")
            if meta.get("name")
        ]
