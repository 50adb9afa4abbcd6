"""What becomes of each record of an archive: a page, a text, or a reason why it is neither.

`request`, `warcinfo` and `metadata` records describe others and are not counted; types that nobody asked for are
dropped, each with its name. Every damaged place is one failure that names the file and the byte.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines import storage
from pipelines.crawl.content_coding import ContentCodingError, decode_content
from pipelines.crawl.links import links_in_header
from pipelines.crawl.record_fields import TDM_FIELD, TRAINING_FIELD
from pipelines.licence_link import spdx_of
from pipelines.sources.archive import WHOLE, ArchiveRecord, Span, read_archive
from pipelines.sources.archive_input import Damage
from pipelines.sources.http_message import BadHttpError, HttpMessage
from pipelines.sources.record import Failure, Outcome, Record, Refusal, Rights
from pipelines.sources.robots_snapshot import Judgement, RobotsCheck
from pipelines.training_consent import noted

MAX_RECORD_BYTES = 20_000_000
"""Longest page in bytes, as stored and when decoded."""

HTML_TYPES = ("text/html", "application/xhtml+xml")

DESCRIBING = frozenset({"request", "warcinfo", "metadata"})
"""Types of records that say something of others and are no content."""

# What a comment took it keeps: else many of them could be parted in all ways, each to be tried.
_MARKUP = re.compile(
    rb"\s*+(?:(?><!--.{0,4000}?-->)\s*+)*+<(?:!doctype\s+html|html|head|body|title|meta|script|div|p|h1)\b", re.I | re.S
)
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w:.-]+)", re.I)


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
    records: tuple[str, ...] = ("response",)

    def outcomes(self) -> Callable[[ArchiveRecord, str], Outcome]:
        """What becomes of single records, each with its archive's name; one that only describes others is dropped."""
        judge = None if self.check is None else self.check.judge()
        return lambda record, name: replace(self, name=name)._outcome(record, judge)

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
                elif found.kind not in DESCRIBING and found.offset not in without:
                    yield self._outcome(found, judge)

    def _outcome(self, record: ArchiveRecord, judge: Callable[[str], Judgement] | None) -> Outcome:
        place = {"file": self.name, "offset": record.offset}
        uri = record.uri or f"{self.name}#offset={record.offset}"
        if record.kind not in self.records or record.kind not in ("response", "conversion"):
            reason = "not-a-response" if "response" in self.records else "not-a-conversion"
            return Refusal(uri, record.block or b"", reason, {**place, "type": record.kind})
        if record.block is None:
            return Failure(uri, b"", "too-large", {**place, "bytes": record.length, "limit": self.max_record_bytes})
        if record.kind == "conversion":
            return self._text(record, record.block, uri, place, judge)
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
        rights = self._judged(uri, message.body, _rights(record, message), place, judge)
        if isinstance(rights, Refusal):
            return rights
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

    def _text(
        self,
        record: ArchiveRecord,
        block: bytes,
        uri: str,
        place: dict[str, Any],
        judge: Callable[[str], Judgement] | None,
    ) -> Outcome:
        """A text that somebody extracted: WET's conversions are UTF-8, without any header field of the page's."""
        media_type = record.headers.get("content-type", "text/plain").partition(";")[0].strip().lower()
        if media_type != "text/plain":
            return Refusal(uri, block, "not-text", {**place, "content_type": record.headers["content-type"]})
        rights = self._judged(uri, block, Rights(), place, judge)
        if isinstance(rights, Refusal):
            return rights
        said = {
            "languages": record.headers.get("warc-identified-content-language"),
            "refers_to": record.headers.get("warc-refers-to"),
        }
        return Record(
            uri=uri,
            content=block,
            body=block,
            content_type="text/plain; charset=utf-8",
            kind="web",
            license=self.license,
            fetched_at=fetched_at(record.headers.get("warc-date", "")),
            rights=rights,
            metadata={
                "archive": self.name,
                "offset": record.offset,
                **{name: value for name, value in said.items() if value},
            },
        )

    def _judged(
        self,
        uri: str,
        content: bytes,
        rights: Rights,
        place: dict[str, Any],
        judge: Callable[[str], Judgement] | None,
    ) -> Rights | Refusal:
        """A page's rights with what the snapshot says of it, or its refusal."""
        if self.check is None or judge is None:
            return rights
        said = judge(uri)
        if self.check.decides and not said.allowed:
            evidence = {"rule": said.rule, "robots_digest": said.digest, "robots_date": said.date}
            return Refusal(uri, content, "robots-refused", {**place, "agent": self.check.agent, **evidence})
        rights = replace(rights, training=said.training)
        if self.check.decides:
            rights = replace(rights, robots_rule=said.rule, robots_digest=said.digest)
        return rights


def fetched_at(date: str) -> datetime | None:
    """A WARC-Date (ISO 8601, any precision) or an ARC date (yyyymmddhhmmss) as UTC; None where it is neither."""
    digits = date.strip()
    try:
        if digits.isdecimal():
            return datetime.strptime(digits[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", digits.replace("Z", "+00:00")))
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):  # the latter where UTC is before the year 1
        return None


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
