"""Web archives as a source: the HTTP responses of WARC and ARC files, plain or gzipped.

Only `response` records are records of the source. `request`, `warcinfo` and `metadata` records describe those and are
not counted; the rest hold content that Pomona does not read (`resource`, `conversion`, `revisit` ...) and are
dropped, each with its type. Every damaged place is one failure that names the file and the byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from pipelines import storage
from pipelines.crawl.content_coding import ContentCodingError, decode_content
from pipelines.sources.archive import WHOLE, ArchiveRecord, Span, read_archive
from pipelines.sources.archive_input import Damage
from pipelines.sources.http_message import BadHttpError, HttpMessage
from pipelines.sources.record import Failure, Outcome, Record, Refusal, Rights, Unit
from pipelines.sources.source import Location, SourceFields
from pipelines.sources.split import SPLIT_BYTES, ArchiveFile, Place, archive_units

MAX_RECORD_BYTES = 20_000_000
"""Longest page in bytes, as stored and when decoded."""

HTML_TYPES = ("text/html", "application/xhtml+xml")

_DESCRIBING = frozenset({"request", "warcinfo", "metadata"})
_MARKUP = re.compile(
    rb"\s*(?:<!--.{0,4000}?-->\s*)*<(?:!doctype\s+html|html|head|body|title|meta|script|div|p|h1)\b", re.I | re.S
)
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w:.-]+)", re.I)


class WarcSource(SourceFields):
    """Archive files, on this machine or at addresses."""

    type: Literal["warc"] = "warc"
    paths: Annotated[
        tuple[Location, ...], Field(min_length=1, description="Files, or folders of *.warc* and *.arc* files.")
    ]
    max_record_bytes: Annotated[int, Field(ge=1)] = MAX_RECORD_BYTES
    content_types: tuple[str, ...] = (*HTML_TYPES, "text/plain")
    license: Annotated[str | None, Field(description="SPDX licence of all pages, where one is known.")] = None

    split_bytes: Annotated[int, Field(ge=1, description="Stored bytes of a file that one worker reads, about.")] = (
        SPLIT_BYTES
    )

    def units(self) -> list[Unit]:
        """The files, ordered by path; one longer than `split_bytes` is several units.

        Raises:
            FileNotFoundError: a path does not exist, or a folder holds no archive.
        """
        files: list[tuple[Path, str]] = []
        for path in self.paths:
            if storage.exists(path) if storage.is_remote(path) else path.is_file():
                files.append((path, path.name))
                continue
            below = storage.files_below(path)
            found = [(file, name) for file, name in below if _is_archive(name)]
            if not found and not below and not path.exists():
                raise FileNotFoundError(f"{path}: no such file or folder (sources.{self.name}.paths)")
            if not found:
                raise FileNotFoundError(f"{path}: no *.warc, *.warc.gz, *.arc or *.arc.gz file in this folder")
            files.extend(found)
        return archive_units(_uniquely_named(files), self.split_bytes)

    def read(self, unit: Unit) -> Iterator[Outcome]:
        """The outcomes of one unit, in its file's order."""
        return read_place(Place.of(unit.payload), self.max_record_bytes, self.content_types, self.license)


def read_place(
    place: Place, max_record_bytes: int, content_types: tuple[str, ...], licence: str | None
) -> Iterator[Outcome]:
    """The outcomes of what a unit of archives covers."""
    reader = ArchiveReader(place.name, max_record_bytes, content_types, licence)
    return reader.read(place.path, place.span, place.without)


@dataclass(frozen=True, slots=True)
class ArchiveReader:
    """Turns an archive's records into outcomes; `name` stands for the file in what is reported."""

    name: str
    max_record_bytes: int = MAX_RECORD_BYTES
    content_types: tuple[str, ...] = HTML_TYPES
    license: str | None = None

    def read(self, path: Path, span: Span = WHOLE, without: Set[int] = frozenset()) -> Iterator[Outcome]:
        """The outcomes of a file, in its order; never raises for what the bytes are.

        Args:
            path: the file.
            span: the part of it that is read.
            without: offsets of records that are passed over.
        """
        places: dict[int, int] = {}
        with storage.open_read(path) as stream:
            # A block is a header and a body: the header gets room of its own, so that the limit is the body's.
            for found in read_archive(stream, self.max_record_bytes + (1 << 16), span):
                if isinstance(found, Damage):
                    evidence = {"file": self.name, "offset": found.offset, "detail": found.detail}
                    # A gzip member can hold several damaged places; each is a record of its own in the ledger.
                    places[found.offset] = places.get(found.offset, 0) + 1
                    again = f"~{places[found.offset]}" if places[found.offset] > 1 else ""
                    yield Failure(f"{self.name}#offset={found.offset}{again}", b"", "damaged-archive", evidence)
                elif found.kind not in _DESCRIBING and found.offset not in without:
                    yield self._outcome(found)

    def _outcome(self, record: ArchiveRecord) -> Outcome:
        place = {"file": self.name, "offset": record.offset}
        uri = record.uri or f"{self.name}#offset={record.offset}"
        if record.kind != "response":
            return Refusal(uri, record.block or b"", "not-a-response", {**place, "type": record.kind})
        if record.block is None:
            return Failure(uri, b"", "too-large", {**place, "bytes": record.length, "limit": self.max_record_bytes})
        if not record.headers.get("content-type", "application/http").lower().startswith("application/http"):
            return Refusal(uri, record.block, "not-html", {**place, "content_type": record.headers["content-type"]})
        try:
            message = HttpMessage.parse(record.block)
        except BadHttpError as error:
            return Failure(uri, record.block, "bad-http", {**place, "detail": str(error)})
        if message.status != 200:
            return Refusal(uri, message.body, "http-status", {**place, "status": message.status})
        if message.media_type and message.media_type not in self.content_types:
            return Refusal(uri, message.body, "not-html", {**place, "content_type": message.headers["content-type"]})
        try:
            body = decode_content(message.body, message.headers.get("content-encoding"), self.max_record_bytes)
        except ContentCodingError as error:
            return Failure(uri, message.body, error.reason, {**place, "detail": str(error)})
        if not message.media_type and not _MARKUP.match(body[:8192]):
            return Refusal(uri, message.body, "not-html", {**place, "content_type": None})
        return Record(
            uri=uri,
            content=message.body,
            body=body,
            content_type=_content_type(message),
            kind="web",
            license=self.license,
            fetched_at=fetched_at(record.headers.get("warc-date", "")),
            rights=_rights(record, message),
            metadata={"archive": self.name, "offset": record.offset},
        )


def fetched_at(date: str) -> datetime | None:
    """A WARC-Date (ISO 8601, any precision) or an ARC date (yyyymmddhhmmss) as UTC; None where it is neither."""
    digits = date.strip()
    try:
        if digits.isdecimal():
            return datetime.strptime(digits[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", digits.replace("Z", "+00:00")))
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _content_type(message: HttpMessage) -> str:
    """Media type and charset only, as the extractor needs them."""
    charset = _CHARSET.search(message.headers.get("content-type", ""))
    media_type = message.media_type or "text/html"
    return f"{media_type}; charset={charset.group(1).lower()}" if charset else media_type


def _rights(record: ArchiveRecord, message: HttpMessage) -> Rights:
    """What our crawler wrote beside the record about robots.txt, and what the site's own header fields say."""
    digest = record.headers.get("x-pomona-robots-digest")
    reservation = "; ".join(
        f"{name}: {message.headers[name]}" for name in ("tdm-reservation", "tdm-policy") if name in message.headers
    )
    return Rights(
        robots_rule=record.headers.get("x-pomona-robots-rule"),
        robots_digest=digest.removeprefix("sha256:") if digest else None,
        x_robots_tag=message.headers.get("x-robots-tag"),
        reservation=reservation or None,
    )


def _is_archive(name: str) -> bool:
    return name.lower().endswith((".warc", ".warc.gz", ".arc", ".arc.gz"))


def _uniquely_named(files: list[tuple[Path, str]]) -> list[ArchiveFile]:
    """Files of one name from several folders are told apart by a number."""
    seen: dict[str, int] = {}
    named: list[ArchiveFile] = []
    for path, name in files:
        seen[name] = seen.get(name, 0) + 1
        again = f"~{seen[name]}" if seen[name] > 1 else ""
        named.append(ArchiveFile(path, name + again))
    return named
