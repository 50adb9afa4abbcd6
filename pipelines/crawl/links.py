"""What a page says to a crawler: the links to follow, in the order in which they stand, and its canonical address."""

from __future__ import annotations

import re
from dataclasses import dataclass

import lxml.etree

from pipelines.crawl.url import PageLinks, host_of, resolve

MAX_PARSED = 5_000_000
"""Bytes of a page that are searched for links; links in a longer tail are not followed."""

MAX_LINK_FIELD = 16_384
"""Characters of a Link header field that are read."""

# lxml.html's parser but for its element classes, which cost a call for every element that is looked at.
_PARSER = lxml.etree.HTMLParser(collect_ids=False)
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
        root = lxml.etree.fromstring(html[:MAX_PARSED], _PARSER)
    except (lxml.etree.LxmlError, ValueError):
        return NOTHING
    if root is None:
        return NOTHING
    base, canonical, follow = "", "", True
    for element in root.iter("link", "meta", "base"):
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
        elif not canonical and "canonical" in (element.get("rel") or "").lower().split():
            canonical = href
    start = (resolve(url, base) or url) if base else url
    return Said(_followed(root, start, limit) if follow else [], canonical_of(url, start, canonical))


def _followed(root: lxml.etree._Element, start: str, limit: int) -> list[str]:
    """The first addresses that anchors lead to, each once, from where relative ones begin."""
    resolver = PageLinks(start)
    found: dict[str, None] = {}
    met: set[str] = set()  # as they stand but for their fragments: two of three links of a page repeat another
    for element in root.iter("a", "area"):
        href = element.get("href")
        if not href:
            continue
        bare = href.strip().partition("#")[0]
        if bare in met or "nofollow" in (element.get("rel") or "").lower().split():
            continue
        address = resolver.resolve(href)
        if address is None:
            continue
        met.add(bare)
        if address not in found:
            if len(found) >= limit:
                break
            found[address] = None
    return list(found)


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
