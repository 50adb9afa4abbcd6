"""Sitemaps (sitemaps.org, protocol 0.9): the addresses that a site itself lists, and when each was last changed."""

from __future__ import annotations

import io
from dataclasses import dataclass, field

import lxml.etree

from pipelines.crawl.content_coding import ContentCodingError, decode_content
from pipelines.crawl.url import normalise, without_session

MAX_BYTES = 50 * 1024 * 1024
MAX_URLS = 50_000
"""Limits of the protocol for one file, unpacked."""

MAX_NESTING = 3
"""Levels of index files; the protocol allows one."""

_GZIP = b"\x1f\x8b"
_LASTMOD = 32


@dataclass(frozen=True, slots=True)
class Sitemap:
    """What one file says.

    Attributes:
        urls: normalised addresses in order, each with its lastmod ("" where it has none).
        sitemaps: addresses of other sitemaps, where the file is an index.
        error: why the file, or the rest of it, was not read; "" where it was read whole.
    """

    urls: dict[str, str] = field(default_factory=dict[str, str])
    sitemaps: list[str] = field(default_factory=list[str])
    error: str = ""


def parse(body: bytes) -> Sitemap:
    """Read a sitemap: XML (urlset or sitemapindex, any namespace) or lines of text, gzipped or not; never raises.

    What stands before an error is kept. Entities are not resolved, nothing is loaded from elsewhere.
    """
    if body.startswith(_GZIP):
        try:
            body = decode_content(body, "gzip", MAX_BYTES)
        except ContentCodingError as error:
            return Sitemap(error=f"{error.reason}: {error}"[:200])
    if len(body) > MAX_BYTES:
        return Sitemap(error=f"too-large: {len(body)} bytes, the limit is {MAX_BYTES}")
    start = body[:512].removeprefix(b"\xef\xbb\xbf").lstrip()
    return _xml(body) if start.startswith(b"<") else _text(body)


def _text(body: bytes) -> Sitemap:
    found = Sitemap()
    for line in body.decode("utf-8-sig", "replace").splitlines():
        url = normalise(line) if line.strip() else None
        if url is not None:
            found.urls[without_session(url)] = ""
            if len(found.urls) >= MAX_URLS:
                break
    return found


def _xml(body: bytes) -> Sitemap:
    found, error = Sitemap(), ""
    try:
        events = lxml.etree.iterparse(
            io.BytesIO(body), events=("end",), resolve_entities=False, no_network=True, huge_tree=False, recover=False
        )
        for _, element in events:
            name = _local(element.tag)
            if name not in ("url", "sitemap"):
                continue
            said = {_local(child.tag): (child.text or "").strip() for child in element}
            url = normalise(said.get("loc", ""))
            if url is not None and name == "url":
                found.urls.setdefault(without_session(url), said.get("lastmod", "")[:_LASTMOD])
            elif url is not None:
                found.sitemaps.append(url)
            # What was read is let go: a file of 50 MB would else take ten times that as a tree.
            element.clear()
            while element.getprevious() is not None:
                del element.getparent()[0]
            if len(found.urls) >= MAX_URLS or len(found.sitemaps) >= MAX_URLS:
                error = f"more than {MAX_URLS} entries: the rest was not read"
                break
    except (lxml.etree.LxmlError, ValueError) as failure:
        error = f"not well-formed: {failure}"[:200]
    return Sitemap(found.urls, found.sitemaps, error)


def _local(tag: object) -> str:
    return tag.rpartition("}")[2].lower() if isinstance(tag, str) else ""
