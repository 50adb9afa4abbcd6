"""WARC 1.1 files (ISO 28500:2017) of HTTP exchanges, byte for byte, one gzip member a record.

Written without a WARC library because warcio writes header fields from text and so changes bytes outside ASCII, and
FastWARC's writing interface differs between its major versions; the format is a header, a block and two line ends.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from pipelines.crawl.errors import CrawlError
from pipelines.crawl.fetch import Exchange
from pipelines.crawl.journal import Mark
from pipelines.storage import sync_folder

_RENAMED = {b"transfer-encoding": b"X-Crawl-Transfer-Encoding"}
# Compressed bodies gain nothing from a high level, and a crawl waits for the network anyhow: zlib's default.
_LEVEL = 6

_PROFILE = "http://netpreserve.org/warc/1.1/revisit/"
NOT_MODIFIED, IDENTICAL = "server-not-modified", "identical-payload-digest"
"""Profiles of a revisit: the server said so, or the bytes did."""

Fields = Sequence[tuple[str, str]]


class Referred(Protocol):
    """A record that a revisit refers to."""

    @property
    def url(self) -> str:
        """Its target address."""
        ...

    @property
    def record_id(self) -> str:
        """Its WARC-Record-ID."""
        ...

    @property
    def date(self) -> str:
        """Its WARC-Date."""
        ...

    @property
    def digest(self) -> str:
        """Its WARC-Payload-Digest."""
        ...


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a record was written: the file's path in the crawl's folder, and the byte where the record begins."""

    file: str
    offset: int


NOWHERE = Placed("", 0)


class WarcWriter:
    """Writes exchanges to `<folder>/<prefix>-00000.warc.gz` and on, a new file when one is full.

    A file being written ends in ".open"; it is flushed to disk and renamed when it is closed, so that a file with its
    final name is always whole.

    Args:
        folder: made if it is missing.
        prefix: beginning of the file names.
        info: fields of each file's warcinfo record (software, format, robots ...).
        max_bytes: size at which a file is closed and the next one begun.
        marks: how far an earlier process came that was killed: files are cut back to that, and the last one goes on.

    Raises:
        CrawlError: a file is shorter than its mark says.
    """

    def __init__(self, folder: Path, prefix: str, info: Fields, max_bytes: int, marks: Sequence[Mark] = ()) -> None:
        self._folder = folder
        self._prefix = prefix
        self._info = info
        self._max_bytes = max_bytes
        self._stream = None
        self._name = ""
        self._info_id = ""
        self._closed: list[Mark] = []
        self.files: list[Path] = []
        for mark in sorted(marks, key=lambda mark: mark.name):
            if mark.name.startswith(f"{folder.name}/"):
                self._restore(mark)

    def sync(self) -> list[Mark]:
        """Flush and sync what was written since the last call; how far each file is that changed."""
        marks, self._closed = self._closed, []
        if self._stream is not None:
            self._stream.flush()
            os.fsync(self._stream.fileno())
            marks.append(self._mark(self._stream.tell(), closed=False))
        return marks

    def _mark(self, length: int, *, closed: bool) -> Mark:
        return Mark(f"{self._folder.name}/{self._name}", length, closed, self._info_id)

    def _restore(self, mark: Mark) -> None:
        """Bring a file to the length of its mark, and open it again if it was being written."""
        self._name, self._info_id = mark.name.rpartition("/")[2], mark.info_id
        final = self._folder / self._name
        being_written = final.with_name(final.name + ".open")
        # Closed after the last commit: it has its final name, and the mark does not know.
        if final.exists() and not mark.closed:
            final.replace(being_written)
        path = final if mark.closed else being_written
        length = path.stat().st_size if path.exists() else 0
        if length < mark.length:
            raise CrawlError(
                f"{path}: {length} bytes, but {mark.length} were written; this crawl cannot be continued: "
                f"delete {self._folder.parent} and start again"
            )
        if length > mark.length:
            os.truncate(path, mark.length)
        if mark.closed:
            self.files.append(final)
        else:
            self._stream = path.open("ab")

    def write(self, exchange: Exchange, extra: Fields = ()) -> Placed:
        """Write the request and the response of an exchange; `extra` fields go into the response's WARC header.

        The header block is the server's, except that Transfer-Encoding, which was undone in transit, is renamed to
        X-Crawl-Transfer-Encoding as Common Crawl does: a reader would undo it again.
        """
        return self._pair(
            "response", exchange, exchange.body, [*extra, ("WARC-Payload-Digest", payload_digest(exchange.body))]
        )

    def revisit(self, exchange: Exchange, of: Referred, extra: Fields = ()) -> Placed:
        """Write an exchange that brought nothing new, without a body (WARC 1.1, 6.7).

        Args:
            exchange: a 304 answer to a conditional request, or an answer whose payload was stored before.
            of: the record that it refers to.
            extra: as in `write`.
        """
        unmodified = exchange.status == 304
        fields = [
            *extra,
            ("WARC-Profile", _PROFILE + (NOT_MODIFIED if unmodified else IDENTICAL)),
            ("WARC-Refers-To", of.record_id),
            ("WARC-Refers-To-Target-URI", of.url),
            ("WARC-Refers-To-Date", of.date),
        ]
        if not unmodified:
            fields += [("WARC-Payload-Digest", of.digest), ("WARC-Truncated", "length")]
        return self._pair("revisit", exchange, b"", fields)

    def _pair(self, kind: str, exchange: Exchange, body: bytes, fields: Fields) -> Placed:
        if self._stream is None or self._stream.tell() >= self._max_bytes:
            self.close()
            self._begin()
        placed = Placed(f"{self._folder.name}/{self._name}", 0 if self._stream is None else self._stream.tell())
        record_id = _record_id()
        common = [
            ("WARC-Target-URI", exchange.url),
            ("WARC-Date", _date(exchange.date)),
            ("WARC-Warcinfo-ID", self._info_id),
        ]
        if exchange.address:
            common.append(("WARC-IP-Address", exchange.address))
        version = exchange.version
        if version == b"HTTP/2":
            # A WARC's HTTP messages are those of HTTP/1.1 (readers know no other); what was spoken stands beside it.
            common.append(("WARC-Protocol", "h2"))
            version = b"HTTP/1.1"
        block = b" ".join(part for part in (version, str(exchange.status).encode(), exchange.reason))
        block += b"\r\n"
        for name, value in exchange.headers:
            block += _RENAMED.get(name.lower(), name) + b": " + value + b"\r\n"
        block += b"\r\n" + body
        self._record(kind, record_id, [*common, *fields], "application/http;msgtype=response", block)
        self._record(
            "request",
            _record_id(),
            [*common, ("WARC-Concurrent-To", record_id)],
            "application/http;msgtype=request",
            exchange.request,
        )
        return placed

    def release(self) -> None:
        """Let go of the file being written as it is: a later process cuts it back to what was committed."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def close(self) -> None:
        """Finish the file being written, if there is one."""
        if self._stream is None:
            return
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._closed.append(self._mark(self._stream.tell(), closed=True))
        self._stream.close()
        self._stream = None
        final = self._folder / self._name
        final.with_name(final.name + ".open").replace(final)
        self.files.append(final)

    def _begin(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._name = f"{self._prefix}-{len(self.files):05d}.warc.gz"
        self._stream = (self._folder / (self._name + ".open")).open("wb")
        sync_folder(self._folder)
        self._info_id = _record_id()
        body = "".join(f"{name}: {value}\r\n" for name, value in self._info).encode()
        fields = [("WARC-Date", _date(datetime.now(UTC))), ("WARC-Filename", self._name)]
        self._record("warcinfo", self._info_id, fields, "application/warc-fields", body)

    def _record(self, kind: str, record_id: str, fields: Fields, content_type: str, block: bytes) -> None:
        if self._stream is None:
            raise ValueError("this WARC file is not open")
        header = [
            ("WARC-Type", kind),
            ("WARC-Record-ID", record_id),
            *fields,
            ("WARC-Block-Digest", payload_digest(block)),
            ("Content-Type", content_type),
            ("Content-Length", str(len(block))),
        ]
        text = "WARC/1.1\r\n" + "".join(f"{name}: {_one_line(value)}\r\n" for name, value in header) + "\r\n"
        # mtime=0: equal records give equal bytes
        self._stream.write(gzip.compress(text.encode("utf-8") + block + b"\r\n\r\n", _LEVEL, mtime=0))


def _record_id() -> str:
    return f"<urn:uuid:{uuid.uuid4()}>"


def _date(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def payload_digest(data: bytes) -> str:
    """A digest as WARC files write it: SHA-1 in Base32, which is what tools compare."""
    return "sha1:" + base64.b32encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()


def _one_line(value: str) -> str:
    return " ".join(value.split())
