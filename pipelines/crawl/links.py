"""The links of a page that a crawler follows, in the order in which they stand."""

from __future__ import annotations

import lxml.etree
import lxml.html

from pipelines.crawl.url import resolve

MAX_PARSED = 5_000_000
"""Bytes of a page that are searched for links; links in a longer tail are not followed."""


def links(html: bytes, url: str, limit: int) -> list[str]:
    """Normalised http(s) addresses in `<a href>` and `<area href>`, each once, at most `limit`.

    `<base href>` is obeyed; `rel=nofollow` links and all links of a page with a robots meta tag `nofollow` or `none`
    are left out (a site's wish that binds us as robots.txt does). Anything that lxml cannot read has no links.
    """
    try:
        # huge_tree stays off: libxml2 then refuses absurd nesting instead of running out of stack.
        root = lxml.html.document_fromstring(html[:MAX_PARSED])
    except (lxml.etree.LxmlError, ValueError):
        return []
    for meta in root.iter("meta"):
        if (meta.get("name") or "").strip().lower() == "robots":
            wishes = {wish.strip() for wish in (meta.get("content") or "").lower().split(",")}
            if wishes & {"nofollow", "none"}:
                return []
    base = url
    for element in root.iter("base"):
        href = element.get("href")
        if href:
            base = resolve(url, href) or url
            break
    found: dict[str, None] = {}
    for element in root.iter("a", "area"):
        href = element.get("href")
        if not href or "nofollow" in (element.get("rel") or "").lower().split():
            continue
        address = resolve(base, href)
        if address is not None and address not in found:
            found[address] = None
            if len(found) >= limit:
                break
    return list(found)
