"""What an earlier crawl stored, as the next one needs it: what to ask with, what to compare, what to read again."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pipelines.crawl.fetch import Exchange, Headers
from pipelines.crawl.folder import PAGES, read_manifest
from pipelines.crawl.record_fields import TDM_FIELD, TRAINING_FIELD
from pipelines.crawl.warc_writer import payload_digest
from pipelines.sources.archive import ArchiveRecord, Span, read_archive
from pipelines.training_consent import NONE

# Fields by which a site says how a page may be used; they travel with the document.
_RIGHTS = ("x-robots-tag", "tdm-reservation", "tdm-policy")
# Fields without which equal bytes are not the same page.
_MEANING = ("content-type", "content-encoding", *_RIGHTS)
NOT_CANONICAL = "not-canonical"
"""Why a page is withdrawn that may come back: the one it was left to may go."""
# Our own files hold no longer block: max_body_bytes was obeyed when they were written.
_LIMIT = 1 << 40


@dataclass(frozen=True, slots=True)
class SiteSaid:
    """What a site says of the use of one page elsewhere than in its answer.

    Attributes:
        tdm: by its tdmrep.json, "" where that says nothing.
        training: the tokens for which its robots.txt refuses the page, or NONE.
    """

    tdm: str = ""
    training: str = NONE

    def fields(self) -> list[tuple[str, str]]:
        """The fields of a record's header."""
        return [*([(TDM_FIELD, self.tdm)] if self.tdm else []), (TRAINING_FIELD, self.training)]


@dataclass(frozen=True, slots=True)
class StoredPage:
    """A page of the earlier crawl.

    Attributes:
        url: its address.
        file, offset: where its record is: path in the crawl's folder, stored byte.
        record_id, date: WARC-Record-ID and WARC-Date of the record.
        depth: links from a seed, as then found.
        digest: payload digest as WARC writes it.
        media_type: of its answer, in lower case.
        conditions: header fields that ask for the page only if it has changed (RFC 9110, 13.1.2 and 13.1.3).
        meaning: the values of the fields that must be equal for the page to be the same.
        site_said: what the site's tdmrep.json and robots.txt said of its use, as then noted (see `SiteSaid`).
        current: whether it was a document; False where it was left to the page that it names as canonical.
    """

    url: str
    file: str
    offset: int
    record_id: str
    date: str
    depth: int
    digest: str
    media_type: str
    conditions: tuple[tuple[bytes, bytes], ...]
    meaning: tuple[str | None, ...]
    site_said: SiteSaid = SiteSaid()
    current: bool = True

    @property
    def place(self) -> str:
        """Where it is stored, for evidence."""
        return f"{self.file}#offset={self.offset}"

    def is_confirmed(self, exchange: Exchange, site_said: SiteSaid) -> bool:
        """Whether an answer says that the page stands: 304, or the same bytes, and no other rights than were stored.

        What a 304 leaves out has not changed (RFC 9110, 15.4.5). `site_said` is what holds now.
        """
        if site_said != self.site_said:
            return False
        if exchange.status == 304:
            stored = dict(zip(_MEANING, self.meaning, strict=True))
            return all(exchange.header(name) in (None, stored[name]) for name in _RIGHTS)
        same = self.meaning == _values(exchange, _MEANING) and self.digest == payload_digest(exchange.body)
        return exchange.status == 200 and same


class Previous:
    """The current generation of a finished crawl.

    Args:
        folder: where it is.

    Raises:
        FileNotFoundError: no finished crawl is there, or one of its files is missing.
        ValueError: its manifest is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = read_manifest(folder)
        self.generation: int = self.manifest.get("generation", 0)
        self.pages: dict[str, StoredPage] = {}
        for file in self.manifest["files"]:
            if not (folder / file["path"]).is_file():
                raise FileNotFoundError(f"{folder / file['path']}: named by crawl.json, but missing; restore it")
            if file["path"].startswith(f"{PAGES}/"):
                self._learn(file["path"], {one["offset"]: one["reason"] for one in file.get("withdrawn", [])})

    def only(self, urls: Iterable[str]) -> Previous:
        """The same crawl, knowing these pages and no files: what one worker needs."""
        part = copy.copy(self)
        part.manifest = {}
        part.pages = {url: self.pages[url] for url in urls if url in self.pages}
        return part

    def _learn(self, path: str, withdrawn: Mapping[int, str]) -> None:
        with (self.folder / path).open("rb") as stream:
            for record in read_archive(stream, _LIMIT):
                if not isinstance(record, ArchiveRecord) or record.kind != "response":
                    continue
                reason = withdrawn.get(record.offset)
                if reason not in (None, NOT_CANONICAL):
                    continue
                exchange = _exchange(record)
                asked = ((b"If-None-Match", b"etag"), (b"If-Modified-Since", b"last-modified"))
                known = {name.lower(): value for name, value in exchange.headers}
                depth = record.headers.get("x-pomona-depth", "0")
                self.pages[record.uri] = StoredPage(
                    record.uri,
                    path,
                    record.offset,
                    record.headers.get("warc-record-id", ""),
                    record.headers.get("warc-date", ""),
                    int(depth) if depth.isdecimal() else 0,
                    payload_digest(exchange.body),
                    exchange.media_type,
                    tuple((field, known[name]) for field, name in asked if known.get(name)),
                    _values(exchange, _MEANING),
                    SiteSaid(
                        record.headers.get(TDM_FIELD.lower(), ""), record.headers.get(TRAINING_FIELD.lower(), NONE)
                    ),
                    reason is None,
                )

    def exchange(self, page: StoredPage) -> Exchange:
        """The answer as it was stored.

        Raises:
            ValueError: the record cannot be read any more.
        """
        with (self.folder / page.file).open("rb") as stream:
            record = next(read_archive(stream, _LIMIT, Span(page.offset, packed=True)), None)
        if not isinstance(record, ArchiveRecord) or record.uri != page.url:
            raise ValueError(f"{self.folder / page.file}: no readable record of {page.url} at byte {page.offset}")
        return _exchange(record)

    def files(self, withdrawn: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The manifest's files with more records withdrawn.

        Args:
            withdrawn: what the manifest is to say of each, by the page's address; the offset is added.
        """
        more: dict[str, list[dict[str, Any]]] = {}
        for url, said in withdrawn.items():
            page = self.pages[url]
            more.setdefault(page.file, []).append({"offset": page.offset, "uri": url, **said})
        files: list[dict[str, Any]] = []
        for file in self.manifest["files"]:
            # Those left to another page are decided anew each time.
            before = [record for record in file.get("withdrawn", []) if record["reason"] != NOT_CANONICAL]
            records = [*before, *more.get(file["path"], [])]
            kept = {name: value for name, value in file.items() if name != "withdrawn"}
            if records:
                kept["withdrawn"] = sorted(records, key=lambda record: int(record["offset"]))
            files.append(kept)
        return files


def _values(exchange: Exchange, names: tuple[str, ...]) -> tuple[str | None, ...]:
    return tuple(exchange.header(name) for name in names)


def _exchange(record: ArchiveRecord) -> Exchange:
    """The answer in a record that our writer made (so its lines have one form)."""
    head, _, body = (record.block or b"").partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    version, _, rest = first.partition(b" ")
    status, _, reason = rest.partition(b" ")
    headers: Headers = []
    for line in lines:
        name, _, value = line.partition(b":")
        headers.append((name, value.strip()))
    date = datetime.fromisoformat(record.headers["warc-date"].replace("Z", "+00:00"))
    address = record.headers.get("warc-ip-address", "")
    return Exchange(record.uri, date, address, b"", int(status), reason, version, headers, body)
