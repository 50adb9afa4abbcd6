"""What a page says to a crawler: the links to follow, in the order in which they stand, and its canonical address."""

from __future__ import annotations

import re
from dataclasses import dataclass

import lxml.etree
import lxml.html

from pipelines.crawl.url import PageLinks, host_of, resolve

MAX_PARSED = 5_000_000
"""Bytes of a page that are searched for links; links in a longer tail are not followed."""

MAX_LINK_FIELD = 16_384
"""Characters of a Link header field that are read."""

_REL = re.compile(r";\s*rel\s*=\s*(?:\"([^\"]*)\"|([^\s\";,]*))", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Said:
    """What a page says.

    Attributes:
        links: normalised http(s) addresses, each once.
        canonical: the address that the page names as its canonical one, where it is another one on the same host.
    """

    links: list[str]
    canonical: str | None = None


NOTHING = Said([])


def read_page(html: bytes, url: str, limit: int) -> Said:
    """The links in `<a href>` and `<area href>`, at most `limit`, and the `<link rel=canonical>`.

    `<base href>` is obeyed; `rel=nofollow` links and all links of a page with a robots meta tag `nofollow` or `none`
    are left out (a site's wish that binds us as robots.txt does). Anything that lxml cannot read has no links.
    """
    try:
        # huge_tree stays off: libxml2 then refuses absurd nesting instead of running out of stack.
        root = lxml.html.document_fromstring(html[:MAX_PARSED])
    except (lxml.etree.LxmlError, ValueError):
        return NOTHING
    base, canonical, anchors, follow = "", "", list[tuple[str, str]](), True
    for element in root.iter("a", "area", "link", "meta", "base"):
        if element.tag == "meta":
            if (element.get("name") or "").strip().lower() == "robots":
                wishes = {wish.strip() for wish in (element.get("content") or "").lower().split(",")}
                follow = follow and not wishes & {"nofollow", "none"}
            continue
        href = element.get("href")
        if not href:
            continue
        if element.tag == "base":
            base = base or href
        elif element.tag == "link":
            if not canonical and "canonical" in (element.get("rel") or "").lower().split():
                canonical = href
        else:
            anchors.append((href, element.get("rel") or ""))
    start = (resolve(url, base) or url) if base else url
    resolver = PageLinks(start)
    found: dict[str, None] = {}
    if follow:
        for href, rel in anchors:
            if rel and "nofollow" in rel.lower().split():
                continue
            address = resolver.resolve(href)
            if address is not None and address not in found:
                if len(found) >= limit:
                    break
                found[address] = None
    return Said(list(found), canonical_of(url, start, canonical))


def canonical_of(url: str, base: str, link: str) -> str | None:
    """The canonical address that a page names; None where it is the page's own, or on another host (RFC 6596).

    One that leads to the front of the site is not believed of a page below it: a template that names the front on
    every page is a common mistake, and would leave one page of a whole site.
    """
    address = resolve(base, link) if link else None
    if address is None or address == url or host_of(address) != host_of(url):
        return None
    path = url.split("?", 1)[0].split("/", 3)[3]
    believed = address.split("/", 3)[3] != "" or path == "" or path.startswith(("index.", "default."))
    return address if believed else None


def links_in_header(field: str | None, relation: str) -> list[str]:
    """The targets of a Link header field with a relation, as they stand there (RFC 8288)."""
    found: list[str] = []
    pieces = (field or "")[:MAX_LINK_FIELD].split("<")[1:]
    for piece in pieces:
        target, bracket, parameters = piece.partition(">")
        rel = _REL.search(parameters)
        if bracket and rel is not None and relation in (rel.group(1) or rel.group(2) or "").lower().split():
            found.append(target.strip())
    return found
