"""Records of WARC and ARC files, plain or gzipped, with every damaged place reported and passed over.

The framing is ours because of what damage must not do: FastWARC 2.0.1 ends without a word where a header is cut off,
steps over a record whose first line is damaged, and reads no ARC; warcio stops at the first damaged byte. Here each
byte range that is no record is reported once, and reading goes on at the next place that looks like a record.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

_CHUNK = 1 << 16
_MAX_LINE = 1 << 16
_MAX_HEADER_LINES = 1000
_GZIP = b"\x1f\x8b\x08"
_WARC_LINE = re.compile(rb"WARC/\d+\.\d+\s*$")
# ARC 1: URL IP date type length; ARC 2: URL IP date type status checksum location offset file length. URLs may hold
# spaces.
_ARC_LINE = re.compile(
    rb"(\S.*?) (\d{1,3}(?:\.\d{1,3}){3}|[\dA-Fa-f]*:[\dA-Fa-f:]+|-) (\d{8,17}) (\S+)"
    rb"(?: (?:\d+|-) \S+ \S+ \d+ \S+)? (\d+)\s*$"
)
# Lines that were meant to begin a record: each is reported, also inside a damaged place.
_ALMOST = re.compile(rb"WARC/|(?:https?|ftp|dns|filedesc):\S* \S+ \S+ \S+ \S+\s*$")


@dataclass(frozen=True, slots=True)
class ArchiveRecord:
    """One record.

    Attributes:
        offset: byte in the file (as it is stored) where the record begins; in gzip the beginning of its member.
        kind: WARC-Type in lower case; ARC records are "response", an ARC's file description "warcinfo".
        headers: fields of the record's header, names in lower case, the last value where one is repeated.
        block: the content block; None where it is longer than the reader's limit.
        length: the block's length in bytes.
    """

    offset: int
    kind: str
    headers: dict[str, str]
    block: bytes | None
    length: int

    @property
    def uri(self) -> str:
        """The target address, without the angle brackets that old writers put around it."""
        return self.headers.get("warc-target-uri", "").strip().removeprefix("<").removesuffix(">")


@dataclass(frozen=True, slots=True)
class Damage:
    """A place that cannot be read as a record: where it begins, and what was found."""

    offset: int
    detail: str


def read_archive(stream: BinaryIO, limit: int) -> Iterator[ArchiveRecord | Damage]:
    """The records of an archive in order, and its damaged places; never raises for what the bytes are.

    Args:
        stream: the file, seekable, at its beginning.
        limit: longest block in bytes that is read into memory.

    Raises:
        OSError: the file system's own errors only.
    """
    source = _Input(stream)
    lost = False  # inside a damaged place, which was reported
    anything = False
    while True:
        offset = source.offset
        line = source.line()
        if not line:
            if source.damage is not None:
                if not lost:
                    yield Damage(source.damage.offset, source.damage.detail)
                if source.recover():
                    lost, anything = True, True
                    continue
            elif not anything:
                yield Damage(0, "the file is empty")
            return
        if not line.strip():
            continue
        anything = True
        if _WARC_LINE.match(line):
            found = _warc(source, offset, limit)
        elif (match := _ARC_LINE.match(line)) is not None:
            found = _arc(source, offset, match, limit)
        else:
            if not lost or _ALMOST.match(line):
                yield Damage(offset, f"expected the first line of a record, found {line[:60]!r}")
            lost = True
            continue
        yield found
        lost = isinstance(found, Damage)


def _warc(source: _Input, offset: int, limit: int) -> ArchiveRecord | Damage:
    headers: dict[str, str] = {}
    name = ""
    for _ in range(_MAX_HEADER_LINES):
        line = source.line()
        if not line.endswith(b"\n"):
            return Damage(offset, f"the record's header is cut off after {len(headers)} fields{source.why}")
        if not line.strip():
            break
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        if text[0] in " \t" and name:  # a folded line (WARC/1.0)
            headers[name] += " " + text.strip()
            continue
        field, colon, value = text.partition(":")
        if colon:
            name = field.strip().lower()
            headers[name] = value.strip()
    else:
        return Damage(offset, f"the record's header has more than {_MAX_HEADER_LINES} lines")
    length = headers.get("content-length", "")
    if not (length.isascii() and length.isdecimal() and len(length) < 19):
        return Damage(offset, f"Content-Length is {length!r}, expected a number")
    return _block(source, offset, headers.get("warc-type", "").lower(), headers, int(length), limit)


def _arc(source: _Input, offset: int, match: re.Match[bytes], limit: int) -> ArchiveRecord | Damage:
    uri, address, date, content_type = (match.group(at).decode("utf-8", "replace") for at in (1, 2, 3, 4))
    headers = {
        "warc-target-uri": uri,
        "warc-ip-address": address,
        "warc-date": date,
        "arc-content-type": content_type,
        "content-type": "application/http; msgtype=response" if uri.startswith("http") else content_type,
    }
    kind = "warcinfo" if uri.startswith("filedesc:") else "response"
    return _block(source, offset, kind, headers, int(match.group(5)), limit)


def _block(
    source: _Input, offset: int, kind: str, headers: dict[str, str], length: int, limit: int
) -> ArchiveRecord | Damage:
    if length > limit:
        got = source.skip(length)
        block = None
    else:
        block = source.read(length)
        got = len(block)
    if got < length:
        return Damage(offset, f"the record is cut off: {got} of {length} bytes are there{source.why}")
    return ArchiveRecord(offset, kind, headers, block, length)


class _Input:
    """The decompressed bytes of a file, the places in the stored file that they come from, and their damage."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._raw = stream.read(_CHUNK)
        self._raw_end = len(self._raw)  # position in the file after `_raw`
        self._gzip = self._raw.startswith(_GZIP)
        self.damage: Damage | None = None
        self._inflater: Any = None  # zlib.decompressobj has no public type
        self._member = 0
        self._buffer = bytearray()
        self._at = 0
        self._base = 0  # decompressed position of the buffer's first byte
        self._members: list[tuple[int, int]] = []  # (decompressed position, offset in the file), ascending
        if self._raw and not self._gzip and not _begins(self._raw) and self._next_member(0) is not None:
            # A gzip file whose very first bytes are damaged.
            self._gzip = True
            self.damage = Damage(0, f"expected a gzip member, found {self._raw[:20]!r}")
        self._stream.seek(self._raw_end)

    @property
    def offset(self) -> int:
        """Where in the file the next byte is stored; in gzip the beginning of its member."""
        here = self._base + self._at
        if not self._gzip:
            return here
        if self._at >= len(self._buffer):
            self._fill()
        while len(self._members) > 1 and self._members[1][0] <= here:
            self._members.pop(0)
        return self._members[0][1] if self._members else self._member

    @property
    def why(self) -> str:
        """The cause of a sudden end, as a clause for a message."""
        return f" ({self.damage.detail})" if self.damage is not None else " (the file ends there)"

    def line(self) -> bytes:
        """The next line with its end, at most 64 KiB of it; b"" at the end or at damage."""
        while True:
            end = self._buffer.find(b"\n", self._at, self._at + _MAX_LINE)
            if end >= 0:
                return self._take(end + 1 - self._at)
            if len(self._buffer) - self._at >= _MAX_LINE or not self._fill():
                return self._take(min(_MAX_LINE, len(self._buffer) - self._at))

    def read(self, length: int) -> bytes:
        """The next bytes; fewer only at the end or at damage."""
        while len(self._buffer) - self._at < length and self._fill():
            pass
        return self._take(min(length, len(self._buffer) - self._at))

    def skip(self, length: int) -> int:
        """Pass over bytes without keeping them; how many there were."""
        left = length
        while left and (self._at < len(self._buffer) or self._fill()):
            step = min(left, len(self._buffer) - self._at)
            self._at += step
            left -= step
        return length - left

    def recover(self) -> bool:
        """After damage in gzip: go to the next member that begins like a record; False where there is none."""
        if self.damage is None or not self._gzip:
            return False
        position = self._next_member(self._member + 1)
        self.damage = None
        if position is None:
            return False
        self._stream.seek(position)
        self._raw, self._raw_end = b"", position
        self._inflater = None
        self._base += len(self._buffer)
        self._buffer, self._at = bytearray(), 0
        return True

    def _next_member(self, position: int) -> int | None:
        """Where the next gzip member that begins like a record is, from a position in the file on."""
        while True:
            self._stream.seek(position)
            window = self._stream.read(4 * _CHUNK)
            at = window.find(_GZIP)
            while at >= 0 and not _member_begins(window[at : at + 4096]):
                at = window.find(_GZIP, at + 1)
            if at >= 0:
                return position + at
            if len(window) < 4 * _CHUNK:
                return None
            position += len(window) - 4096  # a member may begin near the window's end

    def _take(self, length: int) -> bytes:
        taken = bytes(self._buffer[self._at : self._at + length])
        self._at += length
        return taken

    def _fill(self) -> bool:
        """Add decompressed bytes to the buffer; False at the end or at damage."""
        if self.damage is not None:
            return False
        if self._at:
            self._base += self._at
            del self._buffer[: self._at]
            self._at = 0
        if not self._gzip:
            piece, self._raw = self._raw or self._stream.read(_CHUNK), b""
            self._buffer += piece
            return bool(piece)
        while True:
            if not self._raw:
                self._raw = self._stream.read(_CHUNK)
                self._raw_end += len(self._raw)
            if self._inflater is None and not self._begin_member():
                return False
            if self._inflate():
                return True
            if self.damage is not None:
                return False

    def _begin_member(self) -> bool:
        while self._raw.startswith(b"\0"):  # padding between members
            self._raw = self._raw.lstrip(b"\0") or self._read_raw()
        if not self._raw:
            return False
        self._member = self._raw_end - len(self._raw)
        if len(self._raw) < len(_GZIP):
            self._raw += self._read_raw()
        if not self._raw.startswith(_GZIP):
            self.damage = Damage(self._member, f"expected a gzip member, found {self._raw[:20]!r}")
            return False
        self._inflater = zlib.decompressobj(31)
        self._members.append((self._base + len(self._buffer), self._member))
        return True

    def _read_raw(self) -> bytes:
        piece = self._stream.read(_CHUNK)
        self._raw_end += len(piece)
        return piece

    def _inflate(self) -> bool:
        """Inflate some of the current member; whether bytes came out."""
        inflater = self._inflater
        if inflater is None:
            return False
        try:
            # Bounded output: a bomb of a member is passed over piece by piece.
            piece = inflater.decompress(self._raw, 16 * _CHUNK)
        except zlib.error as error:
            self.damage = Damage(self._member, f"the gzip member is damaged: {error}")
            return False
        if not (self._raw or piece or inflater.eof):
            self.damage = Damage(self._member, "the file ends inside a gzip member")
            return False
        self._raw = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
        if inflater.eof:
            self._inflater = None
        self._buffer += piece
        return bool(piece)


def _begins(data: bytes) -> bool:
    """Whether decompressed bytes begin like a record."""
    line = data.lstrip(b"\r\n").split(b"\n", 1)[0]
    return bool(_WARC_LINE.match(line) or _ARC_LINE.match(line))


def _member_begins(member: bytes) -> bool:
    """Whether the beginning of a gzip member unpacks to the beginning of a record."""
    try:
        return _begins(zlib.decompressobj(31).decompress(member, 4096))
    except zlib.error:
        return False
