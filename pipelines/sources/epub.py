"""EPUB books: the chapters of the spine, in its order, as one document a book or one a chapter.

Read with zipfile and lxml: a book is a zip of XHTML files, and the package file (OPF) says in which order. A book under
DRM is a failure with that name; obfuscated fonts are no DRM. A chapter that is missing or damaged is a failure of its
own, and the book is read without it.
"""

from __future__ import annotations

import errno
import io
import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal
from urllib.parse import unquote

import lxml.etree
from pydantic import Field

from pipelines import storage
from pipelines.extract import HTML_PARTS, ExtractionError
from pipelines.extract.encoding import decode_html, web_encoding
from pipelines.extract.html_parts import pack_parts
from pipelines.sources.files import UNIT_BYTES, Found, files_of, find, grouped
from pipelines.sources.licence_statement import spdx
from pipelines.sources.record import Failure, Outcome, Record, Unit
from pipelines.sources.source import Location, SourceFields

MAX_BOOK_BYTES = 50_000_000
_MAX_PACKAGE_BYTES = 10_000_000
_CONTAINER, _ENCRYPTION = "META-INF/container.xml", "META-INF/encryption.xml"
_FONTS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
"""Algorithms that hide fonts and nothing else (EPUB 3.3, 4.3)."""
_DC = "{http://purl.org/dc/elements/1.1/}"
_PAGES = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml", "text/x-oeb1-document")
_DECLARED = re.compile(rb"^\s*<\?xml[^>]*?encoding\s*=\s*[\"']([\w.:-]+)")


class BookError(Exception):
    """A book that cannot be read; `reason` is kebab-case."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Package:
    """What a package file says: its metadata by name, and the files of the spine in order."""

    metadata: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    spine: list[str] = field(default_factory=list[str])


class EpubSource(SourceFields):
    """EPUB 2 and 3 files."""

    type: Literal["epub"] = "epub"
    paths: Annotated[tuple[Location, ...], Field(min_length=1, description="Files, folders or patterns.")]
    split: Annotated[Literal["book", "chapter"], Field(description="What a document is.")] = "book"
    license: Annotated[str | None, Field(description="SPDX licence of books that state none that is known.")] = None
    kind: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", description="The documents' kind.")] = "book"
    max_record_bytes: Annotated[int, Field(ge=1, description="Longest book: its chapters unpacked.")] = MAX_BOOK_BYTES
    split_bytes: Annotated[int, Field(ge=1, description="Stored bytes that one worker reads, about.")] = UNIT_BYTES

    def units(self) -> list[Unit]:
        """Books, small ones together.

        Raises:
            FileNotFoundError: a path leads to no file.
        """
        return grouped(find(self.paths, (".epub",), f"sources.{self.name}.paths"), self.split_bytes)

    def read(self, unit: Unit) -> Iterator[Outcome]:
        """The books of one unit, by path; their chapters in the order of the spine."""
        for file in files_of(unit.payload):
            try:
                with storage.open_read(file.path) as stream, zipfile.ZipFile(stream) as book:
                    yield from self._book(file, book)
            except BookError as error:
                yield Failure(file.name, b"", error.reason, {"file": file.name, "detail": str(error)})
            except (zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError) as error:
                if _of_file_system(error):
                    raise
                evidence = {"file": file.name, "detail": f"expected a zip file: {error}"[:300]}
                yield Failure(file.name, b"", "damaged-file", evidence)

    def _book(self, file: Found, book: zipfile.ZipFile) -> Iterator[Outcome]:
        package = read_package(book)
        chapters: list[tuple[str, str, bytes]] = []
        left = self.max_record_bytes
        missing: list[str] = []
        failures: list[Failure] = []
        for href in package.spine:
            try:
                data = read_member(book, href, left)
                chapters.append((href, _decoded(data), data))
            except (BookError, ExtractionError) as error:
                if error.reason in ("too-large", "drm-protected"):
                    raise BookError(error.reason, str(error)) from error
                evidence = {"file": file.name, "chapter": href, "detail": str(error)}
                failures.append(Failure(f"{file.name}#{href}", b"", error.reason, evidence))
                missing.append(href)
                continue
            left -= len(data)
        yield from failures
        facts = _facts(package.metadata) | {"file": file.name, "chapters": len(chapters)}
        if missing:
            facts["missing_chapters"] = missing
        rights = " ".join(package.metadata.get("rights", []) + package.metadata.get("license", []))
        licence = spdx(rights) or self.license if rights else self.license
        if self.split == "chapter":
            for href, page, data in chapters:
                body = pack_parts([("", page)])
                yield Record(f"{file.name}#{href}", data, body, HTML_PARTS, self.kind, licence,
                             metadata={**facts, "chapter": href})  # fmt: skip
        elif chapters or not failures:
            content = b"\0".join(data for _, _, data in chapters)
            body = pack_parts([("", page) for _, page, _ in chapters])
            yield Record(file.name, content, body, HTML_PARTS, self.kind, licence, metadata=facts)


def read_package(book: zipfile.ZipFile) -> Package:
    """The package file of a book.

    Raises:
        BookError: "not-an-epub", "invalid-xml", "drm-protected", "damaged-file".
    """
    names = set(book.namelist())
    if _CONTAINER not in names:
        raise BookError("not-an-epub", f"the zip file has no {_CONTAINER}")
    container = _xml(book, _CONTAINER)
    opf = next((one.get("full-path") for one in container.iter("{*}rootfile") if one.get("full-path")), None)
    if opf is None or opf not in names:
        raise BookError("not-an-epub", f"{_CONTAINER} names the package file {opf!r}, which is not there")
    root = _xml(book, opf)
    folder = posixpath.dirname(opf)
    items: dict[str, tuple[str, str, str]] = {}
    for item in root.iter("{*}item"):
        href = posixpath.normpath(posixpath.join(folder, unquote((item.get("href") or "").partition("#")[0])))
        items[item.get("id") or ""] = (href, item.get("media-type") or "", item.get("properties") or "")
    spine: list[str] = []
    for reference in root.iter("{*}itemref"):
        href, kind, properties = items.get(reference.get("idref") or "", ("", "", ""))
        # What is not linear is notes and plates, and the navigation page repeats the headings.
        if kind in _PAGES and reference.get("linear") != "no" and "nav" not in properties.split() and href not in spine:
            spine.append(href)
    if _ENCRYPTION in names:
        _check_encryption(_xml(book, _ENCRYPTION), spine)
    metadata: dict[str, list[str]] = {}
    for one in root.iter():
        if not isinstance(one.tag, str):
            continue
        text = " ".join("".join(one.itertext()).split())
        if one.tag.startswith(_DC) and text:
            metadata.setdefault(one.tag.removeprefix(_DC), []).append(text)
        elif one.tag.endswith("}link") and (one.get("rel") or "") in ("cc:license", "license", "dcterms:license"):
            metadata.setdefault("license", []).append(one.get("href") or "")
    return Package(metadata, spine)


def read_member(book: zipfile.ZipFile, name: str, most: int) -> bytes:
    """A file of a book, whatever size its header states.

    Raises:
        BookError: "missing-chapter", "too-large", "drm-protected" (a password), "damaged-file".
    """
    try:
        info = book.getinfo(name)
    except KeyError:
        raise BookError("missing-chapter", f"the spine names {name}, which is not in the book") from None
    if info.flag_bits & 1:
        raise BookError("drm-protected", f"{name} is encrypted with a password")
    try:
        with book.open(info) as stream:
            data = stream.read(most + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
        if _of_file_system(error):
            raise
        raise BookError("damaged-file", f"{name}: {error}"[:300]) from error
    if len(data) > most:
        raise BookError("too-large", f"{name} has more than the {most} bytes that are left for the book")
    return data


def _of_file_system(error: Exception) -> bool:
    """Whether an error is the file system's own; a place before the file's beginning is asked for by a damaged book."""
    return isinstance(error, OSError) and error.errno not in (None, errno.EINVAL)


def _check_encryption(root: Any, spine: list[str]) -> None:
    for one in root.iter("{*}EncryptedData"):
        method = next((found.get("Algorithm") or "" for found in one.iter("{*}EncryptionMethod")), "")
        target = next((unquote(found.get("URI") or "") for found in one.iter("{*}CipherReference")), "")
        if method not in _FONTS and (not target or posixpath.normpath(target) in spine):
            raise BookError("drm-protected", f"{target or 'the book'} is encrypted ({method or 'no method stated'})")


def _xml(book: zipfile.ZipFile, name: str) -> Any:
    data = read_member(book, name, _MAX_PACKAGE_BYTES)
    parser = lxml.etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False, load_dtd=False)
    try:
        return lxml.etree.parse(io.BytesIO(data), parser).getroot()
    except lxml.etree.XMLSyntaxError as error:
        raise BookError("invalid-xml", f"{name}: {error}"[:300]) from error


def _decoded(data: bytes) -> str:
    """A chapter's characters, by XML's rules, else by the web's."""
    declared = _DECLARED.match(data[:200])
    label = declared.group(1).decode("ascii") if declared else None
    return decode_html(data, web_encoding(label))[0]


def _facts(metadata: dict[str, list[str]]) -> dict[str, Any]:
    """The Dublin Core of a book: single values where one is the rule, lists where there may be several."""
    single = {"title", "language", "publisher", "date", "rights", "description", "source"}
    found: dict[str, Any] = {}
    for name, values in metadata.items():
        if name in single:
            found[name] = values[0]
        elif name in ("creator", "contributor", "identifier", "subject", "license"):
            found[f"{name}s"] = values
    return found
