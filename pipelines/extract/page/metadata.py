"""What a page says of itself: title, author, date, site, language, licences, and what it allows."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.extract.page.names import ATTRIBUTE, RAW_JSON, RAW_TITLE, TAG
from pipelines.extract.page.parse import Page
from pipelines.extract.references import unescape

_ROBOTS = re.compile(r"robots|[\w-]*bot|applebot-extended|google-extended", re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?(?:\.\d+)?(?:Z|[+-]\d{2}:?\d{2})?)?")
_ARTICLES = ("Article", "NewsArticle", "BlogPosting", "WebPage", "Report", "TechArticle", "ScholarlyArticle")
# In order of how much they are believed.
_TITLES = ("og:title", "twitter:title", "dc.title", "citation_title")
_AUTHORS = ("author", "article:author", "dc.creator", "citation_author", "parsely-author", "sailthru.author", "byl")
_DATES = (
    "article:published_time", "datepublished", "date", "dc.date", "dc.date.issued", "citation_publication_date",
    "parsely-pub-date", "pubdate", "publishdate", "sailthru.date", "article:modified_time",
)  # fmt: skip
_SITES = ("og:site_name", "application-name", "dc.publisher")
_NAMES = {number: name for name, number in ATTRIBUTE.items()}
_MOST_JSON = 200_000
"""Bytes of a JSON-LD script beyond which it is not read."""
_DEEPEST = 8
"""Lists in lists of a JSON-LD script that are looked into."""


@dataclass(frozen=True, slots=True)
class Head:
    """A page's metadata; "" and None where it says nothing."""

    title: str = ""
    author: str = ""
    date: str = ""  # ISO 8601, as precise as the page is
    site: str = ""
    language: str = ""  # as the page says, BCP 47
    licenses: tuple[str, ...] = ()  # addresses of rel=license, cut after 2083 characters
    meta_robots: str | None = None
    reservation: str | None = None


def told(html: NDArray[np.uint8], page: Page) -> Head:
    """Read a page's metadata."""
    reader = _Reader(html, page)
    metas: dict[str, str] = {}
    robots: dict[str, None] = {}
    reserved: list[str] = []
    for element in np.flatnonzero(page.tag == TAG["meta"]).tolist():
        said = reader.attributes(element)
        name = (said.get("name") or said.get("property") or said.get("itemprop") or "").strip().lower()
        content = " ".join(said.get("content", "").split())
        if not name or not content:
            continue
        metas.setdefault(name, content)
        if "name" in said and _ROBOTS.fullmatch(name):
            robots[content if name == "robots" else f"{name}: {content}"] = None
        elif name in ("tdm-reservation", "tdm-policy"):
            reserved.append(f"{name}: {content}")
    graph = _Graph(reader.raw(RAW_JSON))
    return Head(
        title=reader.title() or _first(metas, _TITLES) or graph.title,
        author=graph.author or _first(metas, _AUTHORS),
        date=_date(graph.date) or _date(_first(metas, _DATES)) or reader.time(),
        site=_first(metas, _SITES) or graph.site,
        language=reader.language() or metas.get("content-language", ""),
        licenses=reader.licenses(),
        meta_robots=", ".join(robots) or None,
        reservation="; ".join(reserved) or None,
    )


class _Reader:
    def __init__(self, html: NDArray[np.uint8], page: Page) -> None:
        self._whole, self._page = html.tobytes(), page
        self._low, self._high = page.low.tolist(), page.high.tolist()

    def attributes(self, element: int) -> dict[str, str]:
        low, high = self._page.attributes[element : element + 2].tolist()
        found: dict[str, str] = {}
        for k, number in enumerate(self._page.name[low:high].tolist(), low):
            name = _NAMES.get(number)
            if name:
                found.setdefault(name, self._value(k))
        return found

    def raw(self, name: int) -> list[str]:
        """The contents of raw elements."""
        return [
            self._bytes(k).decode("utf-8", "replace")
            for k in np.flatnonzero(self._page.name == name).tolist()
            if self._high[k] - self._low[k] <= _MOST_JSON
        ]

    def title(self) -> str:
        for k in np.flatnonzero(self._page.name == RAW_TITLE)[:1].tolist():
            return " ".join(self._value(k).split())
        return ""

    def language(self) -> str:
        for element in np.flatnonzero(self._page.tag == TAG["html"])[:1].tolist():
            return self.attributes(element).get("lang", "").strip()
        return ""

    def time(self) -> str:
        for element in np.flatnonzero(self._page.tag == TAG["time"])[:3].tolist():
            date = _date(self.attributes(element).get("datetime", ""))
            if date:
                return date
        return ""

    def licenses(self) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for k in np.flatnonzero(self._page.name == ATTRIBUTE["rel"]).tolist():
            said = self._bytes(k).lower()
            if b"license" in said and b"license" in said.split():
                element = int(np.searchsorted(self._page.attributes, k, side="right")) - 1
                address = self.attributes(element).get("href", "").strip()[:2083]
                if address:
                    found[address] = None
        return tuple(found)

    def _bytes(self, k: int) -> bytes:
        return self._whole[self._low[k] : self._high[k]]

    def _value(self, k: int) -> str:
        return unescape(self._bytes(k).decode("utf-8", "replace"))


class _Graph:
    """JSON-LD: the first article, or page, of a page's scripts."""

    def __init__(self, scripts: list[str]) -> None:
        self.title = self.author = self.date = self.site = ""
        for script in scripts:
            try:
                found = json.loads(script, strict=False)
            except (ValueError, RecursionError):
                continue
            for node in _nodes(found):
                kinds = node.get("@type")
                kinds = kinds if isinstance(kinds, list) else [kinds]
                if not any(kind in _ARTICLES for kind in kinds):
                    continue
                self.title = self.title or _string(node.get("headline"))
                self.author = self.author or _names(node.get("author"))
                self.date = self.date or _string(node.get("datePublished"))
                self.site = self.site or _names(node.get("publisher"))


def _nodes(found: Any, depth: int = 0) -> list[dict[str, Any]]:
    if depth > _DEEPEST:
        return []
    if isinstance(found, list):
        return [node for one in found[:50] for node in _nodes(one, depth + 1)]
    if isinstance(found, dict):
        return [found, *(_nodes(found["@graph"], depth + 1) if isinstance(found.get("@graph"), list) else [])]
    return []


def _string(value: Any) -> str:
    """A string of JSON in one line, without what JSON can say and a text cannot hold: lone surrogates and NULs."""
    if not isinstance(value, str):
        return ""
    return " ".join(unescape(value).encode("utf-8", "replace").decode("utf-8").replace("\0", "").split())


def _names(value: Any, depth: int = 0) -> str:
    if isinstance(value, list):
        inner = value[:20] if depth < _DEEPEST else []
        return "; ".join(dict.fromkeys(name for one in inner for name in [_names(one, depth + 1)] if name))
    return _string(value.get("name")) if isinstance(value, dict) else _string(value)


def _first(metas: dict[str, str], names: tuple[str, ...]) -> str:
    return next((metas[name] for name in names if metas.get(name)), "")


def _date(text: str) -> str:
    match = _DATE.match(text.strip())
    return match.group(0) if match else ""
