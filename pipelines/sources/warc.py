"""Web archives as a source: the HTTP responses of WARC and ARC files, plain or gzipped.

Only `response` records are records of the source. `request`, `warcinfo` and `metadata` records describe those and are
not counted; the rest hold content that Pomona does not read (`resource`, `conversion`, `revisit` ...) and are
dropped, each with its type. Every damaged place is one failure that names the file and the byte.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from pipelines import storage
from pipelines.crawl.content_coding import ContentCodingError, decode_content
from pipelines.crawl.links import links_in_header
from pipelines.crawl.record_fields import TDM_FIELD, TRAINING_FIELD
from pipelines.licence_link import spdx_of
from pipelines.sources.archive import WHOLE, ArchiveRecord, Span, read_archive
from pipelines.sources.archive_input import Damage
from pipelines.sources.http_message import BadHttpError, HttpMessage
from pipelines.sources.record import Failure, Outcome, Record, Refusal, Rights, Unit
from pipelines.sources.robots_snapshot import Judgement, Missing, RobotsCheck, load
from pipelines.sources.source import Location, SourceFields
from pipelines.sources.split import SPLIT_BYTES, ArchiveFile, Place, archive_units
from pipelines.training_consent import NOTED, expand, noted

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
    robots: Annotated[
        Location | None, Field(description="A snapshot of robots.txt files to check the pages against once more.")
    ] = None
    robots_agent: Annotated[
        str, Field(pattern=r"^[A-Za-z_-]+$", description="Product token whose rules in the snapshot decide.")
    ] = "PomonaBot"
    robots_missing: Annotated[
        Missing, Field(description="What becomes of pages of sites that the snapshot does not have.")
    ] = "keep"
    training_tokens: Annotated[
        tuple[str, ...], Field(description="Tokens whose refusals are noted beside the common ones.")
    ] = ()

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
        return checked_units(archive_units(_uniquely_named(files), self.split_bytes), self._check())

    def read(self, unit: Unit) -> Iterator[Outcome]:
        """The outcomes of one unit, in its file's order."""
        place = Place.of(unit.payload)
        return read_place(place, self.max_record_bytes, self.content_types, self.license, self._check())

    def _check(self) -> RobotsCheck | None:
        if self.robots is None:
            return None
        tokens = expand((*NOTED, *self.training_tokens))
        return RobotsCheck(self.robots, self.robots_agent, self.robots_missing, tokens)


def checked_units(units: list[Unit], check: RobotsCheck | None) -> list[Unit]:
    """Units whose digests cover the robots.txt files that their pages are checked against, too."""
    if check is None:
        return units
    snapshot = load(check.place).digest
    digests = (hashlib.sha256(f"{unit.digest} {snapshot}".encode()).hexdigest() for unit in units)
    return [replace(unit, digest=digest) for unit, digest in zip(units, digests, strict=True)]


def read_place(
    place: Place,
    max_record_bytes: int,
    content_types: tuple[str, ...],
    licence: str | None,
    check: RobotsCheck | None = None,
) -> Iterator[Outcome]:
    """The outcomes of what a unit of archives covers."""
    reader = ArchiveReader(place.name, max_record_bytes, content_types, licence, check)
    return reader.read(place.path, place.span, place.without)


@dataclass(frozen=True, slots=True)
class ArchiveReader:
    """Turns an archive's records into outcomes; `name` stands for the file in what is reported.

    With a `check`, pages that its snapshot refuses are dropped, and the others' rights say what it allowed them by.
    """

    name: str
    max_record_bytes: int = MAX_RECORD_BYTES
    content_types: tuple[str, ...] = HTML_TYPES
    license: str | None = None
    check: RobotsCheck | None = None

    def read(self, path: Path, span: Span = WHOLE, without: Set[int] = frozenset()) -> Iterator[Outcome]:
        """The outcomes of a file, in its order; never raises for what the bytes are.

        Args:
            path: the file.
            span: the part of it that is read.
            without: offsets of records that are passed over.
        """
        places: dict[int, int] = {}
        judge = None if self.check is None else self.check.judge()
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
                    yield self._outcome(found, judge)

    def _outcome(self, record: ArchiveRecord, judge: Callable[[str], Judgement] | None) -> Outcome:
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
        rights = _rights(record, message)
        if self.check is not None and judge is not None:
            said = judge(uri)
            if self.check.decides and not said.allowed:
                evidence = {"rule": said.rule, "robots_digest": said.digest, "robots_date": said.date}
                return Refusal(uri, message.body, "robots-refused", {**place, "agent": self.check.agent, **evidence})
            rights = replace(rights, training=said.training)
            if self.check.decides:
                rights = replace(rights, robots_rule=said.rule, robots_digest=said.digest)
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
            license=self.license or _licence(message),
            fetched_at=fetched_at(record.headers.get("warc-date", "")),
            rights=rights,
            metadata={"archive": self.name, "offset": record.offset, **_licence_link(message)},
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
    # TDMRep, "Processing priority": the answer's own fields stand above the site's file.
    reservation = "; ".join(
        f"{name}: {message.headers[name]}" for name in ("tdm-reservation", "tdm-policy") if name in message.headers
    ) or record.headers.get(TDM_FIELD.lower(), "")
    return Rights(
        robots_rule=record.headers.get("x-pomona-robots-rule"),
        robots_digest=digest.removeprefix("sha256:") if digest else None,
        x_robots_tag=message.headers.get("x-robots-tag"),
        reservation=reservation or None,
        training=noted(record.headers.get(TRAINING_FIELD.lower())),
    )


def _licence_link(message: HttpMessage) -> dict[str, str]:
    """The licence that the Link header field names (RFC 4946), as metadata."""
    links = links_in_header(message.headers.get("link"), "license")
    return {"license_link": links[0]} if links else {}


def _licence(message: HttpMessage) -> str | None:
    return spdx_of(_licence_link(message).get("license_link", ""))


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
