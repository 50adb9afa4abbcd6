"""MediaWiki dumps (Wikipedia and its sisters): the pages of an XML export, one document each.

Redirects, pages of other namespaces and pages that are no wikitext are dropped with that reason. Of a page with several
revisions the last one is read. Wikitext becomes text in the extraction step (`pipelines/extract/wikitext.py`).
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

import lxml.etree
from pydantic import Field

from pipelines import storage
from pipelines.document import canonical_json
from pipelines.sources.archive_input import Damage
from pipelines.sources.files import UNIT_BYTES, Found, SourceError, digests, find
from pipelines.sources.mediawiki_pages import PageText, Span, bzip2_spans, pages, plain_spans
from pipelines.sources.packed import open_unpacked, packing_of
from pipelines.sources.record import Failure, Outcome, Record, Refusal, Unit
from pipelines.sources.source import Location, SourceFields

MAX_PAGE_BYTES = 10_000_000
_HEAD_BYTES = 1 << 20
_NAMESPACE = re.compile(r'<namespace key="(-?\d{1,9})"[^<>]*?(?:/>|>([^<]*)</namespace>)')
_NUMBER = re.compile(r"-?[0-9]{1,18}")
_MEDIA, _CATEGORY = 6, 14
_ENGLISH = ("File", "Image", "Media", "Category")


@dataclass(frozen=True, slots=True)
class Site:
    """What the head of a dump says of its wiki.

    Attributes:
        base: the address that page names follow, "" where it is not said.
        language: its language, "" where it is not said.
        hidden: how it calls the namespaces whose links show nothing in a text (files, categories).
        wide: the dump is in UTF-16.
    """

    base: str
    language: str
    hidden: tuple[str, ...]
    wide: bool = False

    @classmethod
    def of(cls, head: str, wide: bool) -> Site:
        """Read `<mediawiki>` and `<siteinfo>`; what is not there is left open."""
        base = re.search(r"<base>([^<]+)</base>", head)
        language = re.search(r'<mediawiki[^<>]*?xml:lang="([^"<>]+)"', head)
        names = {name for key, name in _NAMESPACE.findall(head) if int(key) in (_MEDIA, _CATEGORY, -2) and name}
        address = base.group(1).rsplit("/", 1)[0] + "/" if base else ""
        return cls(address, language.group(1) if language else "", tuple(sorted({*names, *_ENGLISH})), wide)


class MediaWikiSource(SourceFields):
    """XML exports, plain or compressed; `*-pages-articles-multistream.xml.bz2` is read by many workers."""

    type: Literal["mediawiki"] = "mediawiki"
    paths: Annotated[tuple[Location, ...], Field(min_length=1, description="Files, folders or patterns.")]
    namespaces: Annotated[tuple[int, ...], Field(description="Pages of these namespaces; 0: articles.")] = (0,)
    license: Annotated[str, Field(description="Of Wikimedia's dumps since June 2023; CC-BY-SA-3.0 before.")] = (
        "CC-BY-SA-4.0"
    )
    kind: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", description="The documents' kind.")] = "encyclopedia"
    max_record_bytes: Annotated[int, Field(ge=1, description="Longest page, as XML.")] = MAX_PAGE_BYTES
    split_bytes: Annotated[int, Field(ge=1, description="Stored bytes that one worker reads, about.")] = UNIT_BYTES

    def units(self) -> list[Unit]:
        """Parts of the files.

        Raises:
            FileNotFoundError: a path leads to no file.
            ModuleNotFoundError: mwparserfromhell is not installed.
        """
        if importlib.util.find_spec("mwparserfromhell") is None:
            raise ModuleNotFoundError(
                f"sources.{self.name}: MediaWiki needs the package mwparserfromhell (extra 'wiki')",
                name="mwparserfromhell",
            )
        files = find(self.paths, (".xml",), f"sources.{self.name}.paths")
        made: list[Unit] = []
        for file, (digest, size) in zip(files, digests(files), strict=True):
            site = self._site(file)
            spans = [Span()] if site.wide or size <= self.split_bytes else self._spans(file.path, size)
            for span in spans:
                name, covered = file.name, digest
                if len(spans) > 1:
                    name = f"{file.name}@{span.start}"
                    covered = hashlib.sha256(canonical_json([digest, span.start, span.end]).encode()).hexdigest()
                place = {
                    "path": str(file.path),
                    "name": file.name,
                    "span": [span.start, span.end],
                    "site": [site.base, site.language, list(site.hidden)],
                }
                end = size if span.end is None else span.end
                made.append(Unit(name, covered, end - span.start, canonical_json(place)))
        return made

    def read(self, unit: Unit) -> Iterator[Outcome]:
        """The pages of one unit, in the dump's order."""
        place: dict[str, Any] = json.loads(unit.payload)
        base, language, hidden = place["site"]
        site, span, name = Site(base, language, tuple(hidden)), Span(*place["span"]), str(place["name"])
        with storage.open_read(storage.at(place["path"])) as stream:
            for found in pages(stream, span, self.max_record_bytes):
                if isinstance(found, Damage):
                    evidence = {"file": name, "offset": found.offset, "detail": found.detail}
                    yield Failure(f"{name}#offset={found.offset}", b"", "damaged-file", evidence)
                else:
                    yield self._page(found, site, f"{name}@{span.start}", name)

    def _page(self, found: PageText, site: Site, where: str, file: str) -> Outcome:
        uri = f"{where}#page={found.number}"
        if found.xml is None:
            evidence = {"file": file, "bytes": found.length, "limit": self.max_record_bytes}
            return Failure(uri, b"", "too-large", evidence)
        try:
            page = parse_page(found.xml)
        except lxml.etree.XMLSyntaxError as error:
            return Failure(uri, found.xml, "invalid-xml", {"file": file, "detail": str(error)[:300]})
        title = (page.findtext("title") or "").strip()
        revisions = page.findall("revision")
        if not title or not revisions:
            detail = "a page without a title" if not title else "a page without a revision"
            return Failure(uri, found.xml, "invalid-page", {"file": file, "detail": detail})
        last = revisions[-1]
        text = last.findtext("text") or ""
        address = f"{site.base}{quote(title.replace(' ', '_'), safe=_SAFE)}" if site.base else f"{file}#{title}"
        facts: dict[str, Any] = {
            "title": title,
            "page_id": _number(page.findtext("id")),
            "revision": _number(last.findtext("id")),
            "revised": last.findtext("timestamp"),
            "namespace": _number(page.findtext("ns")) or 0,
            "file": file,
        }
        if site.language:
            facts["language"] = site.language
        content = text.encode()
        if facts["namespace"] not in self.namespaces:
            return Refusal(address, content, "other-namespace", {"title": title, "namespace": facts["namespace"]})
        redirect = page.find("redirect")
        if redirect is not None:
            return Refusal(address, content, "redirect", {"title": title, "to": redirect.get("title")})
        model = last.findtext("model") or "wikitext"
        if model != "wikitext":
            return Refusal(address, content, "not-wikitext", {"title": title, "model": model})
        if last.find("text") is not None and last.find("text").get("deleted") is not None:  # pyright: ignore[reportOptionalMemberAccess]
            return Refusal(address, content, "deleted-revision", {"title": title})
        kind = f"text/x-wiki; charset=utf-8; hidden={quote('|'.join(site.hidden), safe='')}"
        return Record(address, content, content, kind, self.kind, self.license, metadata=facts)

    def _site(self, file: Found) -> Site:
        with open_unpacked(file.path) as (reader, _):
            head = reader.read(_HEAD_BYTES)
        wide = head[:2] in (b"\xff\xfe", b"\xfe\xff")
        text = head.decode("utf-16" if wide else "utf-8", "replace")
        before = text.partition("<page>")[0]
        if "<mediawiki" not in before and "<page>" not in text:
            raise SourceError(
                f"{file.name}: expected a MediaWiki export (<mediawiki> ... <page>), found {text[:60]!r}; "
                f"take it out of sources.{self.name}.paths"
            )
        return Site.of(before, wide)

    def _spans(self, path: Path, size: int) -> list[Span]:
        with storage.open_read(path) as stream:
            packing = packing_of(stream.read(8))
            if packing is not None and packing.name == "bzip2":
                return bzip2_spans(stream, size, self.split_bytes)
        return [Span()] if packing is not None else plain_spans(size, self.split_bytes)


_SAFE = "/:@!$'()*,;~"
"""Characters that MediaWiki leaves as they are in the address of a page."""


def parse_page(xml: bytes) -> lxml.etree._Element:  # pyright: ignore[reportPrivateUsage]
    """A page's XML as a tree; no entity is resolved, nothing is fetched, libxml2's limits hold.

    Raises lxml.etree.XMLSyntaxError.
    """
    parser = lxml.etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False, recover=False)
    return lxml.etree.fromstring(xml, parser)


def _number(text: str | None) -> int | None:
    return int(text) if text and _NUMBER.fullmatch(text.strip()) else None
