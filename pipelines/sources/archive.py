"""Records of WARC and ARC files, plain or gzipped, with every damaged place reported and passed over.

The framing is ours because of what damage must not do: FastWARC 2.0.1 ends without a word where a header is cut off,
steps over a record whose first line is damaged, and reads no ARC; warcio stops at the first damaged byte. Here each
byte range that is no record is reported once, and reading goes on at the next place that looks like a record.

A file can be read in spans. Their borders are found by reading the file once from its beginning (`borders`), never by
searching from the middle: compressed or quoted content can hold bytes that look like a member or a record.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pipelines.sources.archive_input import ArchiveInput, Damage, Stream

_MAX_HEADER_LINES = 1000
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
class Span:
    """A part of an archive file that can be read alone; spans of one file together give what the whole file gives.

    Attributes:
        start: stored byte where it begins: 0, or a border.
        end: the border where it ends; None: the end of the file.
        packed: whether the file is gzip; None, at 0 only: as its first bytes say.
    """

    start: int = 0
    end: int | None = None
    packed: bool | None = None


WHOLE = Span()


def read_archive(stream: Stream, limit: int, span: Span = WHOLE) -> Iterator[ArchiveRecord | Damage]:
    """The records of an archive in order, and its damaged places; never raises for what the bytes are.

    Args:
        stream: the file, seekable.
        limit: longest block in bytes that is read into memory.
        span: the part of the file that is read.

    Raises:
        OSError: the file system's own errors only.
    """
    source = ArchiveInput(stream, _begins, span.start, span.packed)
    end = span.end
    return _items(source, limit, span.start > 0, lambda border: end is not None and border >= end)


def borders(stream: Stream) -> Iterator[tuple[int, bool]]:
    """The places in a file where a span can begin, ascending, each with whether the file is gzip; 0 is left out.

    In gzip a border is a member that begins where a record ended; a file that is one member has none. There are none
    inside damaged places, nor where nothing follows. The file is read to its end.

    Args:
        stream: the file, seekable.
    """
    source = ArchiveInput(stream, _begins)
    found: list[int] = []

    def note(border: int) -> bool:
        found.append(border)
        return False

    for _ in _items(source, 0, False, note):
        yield from ((border, source.packed) for border in found)
        found.clear()


def begins_record(data: bytes) -> bool:
    """Whether stored bytes, gzip or not, begin like a record; of a member its first kilobytes are enough."""
    if not data.startswith(b"\x1f\x8b"):
        return _begins(data)
    try:
        return _begins(zlib.decompressobj(31).decompress(data, 4096))
    except zlib.error:
        return False


def _items(
    source: ArchiveInput, limit: int, anything: bool, stop: Callable[[int], bool]
) -> Iterator[ArchiveRecord | Damage]:
    """What follows in a file; `stop` is asked at each border. `anything`: records came before, in another span."""
    lost = False  # inside a damaged place, which was reported
    while True:
        if anything and not lost and (border := source.border) is not None and stop(border):
            return
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


def _warc(source: ArchiveInput, offset: int, limit: int) -> ArchiveRecord | Damage:
    fields: dict[str, list[str]] = {}
    name = ""
    for _ in range(_MAX_HEADER_LINES):
        line = source.line()
        if not line.endswith(b"\n"):
            return Damage(offset, f"the record's header is cut off after {len(fields)} fields{source.why}")
        if not line.strip():
            break
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        if text[0] in " \t" and name:  # a folded line (WARC/1.0)
            fields[name].append(text.strip())
            continue
        field, colon, value = text.partition(":")
        if colon:
            name = field.strip().lower()
            fields[name] = [value.strip()]
    else:
        return Damage(offset, f"the record's header has more than {_MAX_HEADER_LINES} lines")
    headers = {name: " ".join(pieces) for name, pieces in fields.items()}
    length = headers.get("content-length", "")
    if not (length.isascii() and length.isdecimal() and len(length) < 19):
        return Damage(offset, f"Content-Length is {length!r}, expected a number")
    return _block(source, offset, headers.get("warc-type", "").lower(), headers, int(length), limit)


def _arc(source: ArchiveInput, offset: int, match: re.Match[bytes], limit: int) -> ArchiveRecord | Damage:
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
    source: ArchiveInput, offset: int, kind: str, headers: dict[str, str], length: int, limit: int
) -> ArchiveRecord | Damage:
    begin = source.offset
    if (left := source.cut_after(length)) is not None:  # known before it is read: once is enough
        got, block = left, None
    elif length > limit:
        got = source.skip(length)
        block = None
    else:
        block = source.read(length)
        got = len(block)
    if got < length:
        found = Damage(offset, f"the record is cut off: {got} of {length} bytes are there{source.why}")
        if not source.packed:  # a length that is wrong shall not cost the records that follow
            source.go_back(begin)
            while line := source.line():
                if _WARC_LINE.match(line) or _ARC_LINE.match(line):
                    source.take_back(line)
                    break
        return found
    return ArchiveRecord(offset, kind, headers, block, length)


def _begins(data: bytes) -> bool:
    """Whether decompressed bytes begin like a record."""
    line = data.lstrip(b"\r\n").split(b"\n", 1)[0]
    return bool(_WARC_LINE.match(line) or _ARC_LINE.match(line))
