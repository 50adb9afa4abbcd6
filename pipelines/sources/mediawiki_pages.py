"""The pages of a MediaWiki export (XML), found by their borders in a stream that can begin anywhere.

In an export `<page>` and `</page>` stand for nothing else: what authors write is escaped. So a file can be read in
parts, a part being the pages that begin in it. In bzip2 the parts begin at streams: Wikipedia's multistream dumps are
hundreds of thousands of them, one after the other, and each begins with the same ten bytes. Their index says where the
streams are and what is in them; the bytes say the former themselves, so no index is needed.
"""

from __future__ import annotations

import bz2
import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from pipelines.sources.archive_input import Damage
from pipelines.sources.packed import Unpacked

BZIP2_STREAM = re.compile(rb"BZh[1-9]1AY&SY")
"""How a bzip2 stream with content begins: its header and the first block's magic number."""

_OPEN, _CLOSE = b"<page>", b"</page>"
_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a dump: stored bytes `start` to `end` (None: the end of the file). What begins there is read."""

    start: int = 0
    end: int | None = None


@dataclass(frozen=True, slots=True)
class PageText:
    """One page: the XML from `<page>` to `</page>`; None where it is longer than the limit. `number` counts from 0."""

    number: int
    xml: bytes | None
    length: int


def bzip2_spans(stream: BinaryIO, size: int, about: int) -> list[Span]:
    """Cut a bzip2 file at its streams into parts of about equal size; a file that is one stream is one part."""
    count = -(-size // about)
    starts = [0]
    for number in range(1, count):
        found = _next_stream(stream, max(size * number // count, starts[-1] + 1), size)
        if found is not None and found > starts[-1]:
            starts.append(found)
    return [Span(start, end) for start, end in zip(starts, [*starts[1:], None], strict=True)]


def plain_spans(size: int, about: int) -> list[Span]:
    """Cut an uncompressed file anywhere."""
    count = max(1, -(-size // about))
    starts = [size * number // count for number in range(count)]
    return [Span(start, end) for start, end in zip(starts, [*starts[1:], None], strict=True)]


def pages(stream: BinaryIO, span: Span, limit: int) -> Iterator[PageText | Damage]:
    """The pages that begin in a part of a dump, in order, and its damaged places.

    Args:
        stream: the file, seekable.
        span: the part; in a compressed file other than bzip2 the whole.
        limit: bytes of the longest page that is held.
    """
    pieces = _Pieces(stream, span)
    buffer = bytearray()
    base = 0  # position of the buffer's first byte in the part's content
    number = 0
    begun = False  # the buffer begins with a page
    skipped = 0  # bytes of the present page that were let go, beyond the limit
    searched = 0
    for piece in pieces:
        if isinstance(piece, Damage):
            if pieces.end is not None and not begun:
                return  # it is the next part's
            detail = piece.detail + (f"; a page of at least {skipped + len(buffer)} bytes is cut off" if begun else "")
            yield Damage(piece.offset, detail)
            base += len(buffer) + skipped
            buffer.clear()
            begun, skipped, searched = False, 0, 0
            continue
        buffer += piece
        while True:
            if not begun:
                at = buffer.find(_OPEN, searched)
                if at < 0:
                    keep = max(0, len(buffer) - len(_OPEN) + 1)
                    if pieces.end is not None and base + keep >= pieces.end:
                        return
                    base += keep
                    del buffer[:keep]
                    searched = 0
                    break
                if pieces.end is not None and base + at >= pieces.end:
                    return
                base += at
                del buffer[:at]
                begun, searched = True, 0
            end = buffer.find(_CLOSE, searched)
            if end < 0:
                searched = max(0, len(buffer) - len(_CLOSE) + 1)
                if len(buffer) > limit:
                    skipped += searched
                    del buffer[:searched]
                    searched = 0
                break
            inner = buffer.find(_OPEN, 0 if skipped else 1, end)
            if inner >= 0:  # the page before it was never closed: it is told as it is, and costs no other
                cut = skipped + inner
                yield PageText(number, bytes(buffer[:inner]) if cut <= limit else None, cut)
                number += 1
                base += cut
                del buffer[:inner]
                skipped, searched = 0, end - inner
                if pieces.end is not None and base >= pieces.end:
                    return
                continue
            length = skipped + end + len(_CLOSE)
            xml = bytes(buffer[: end + len(_CLOSE)]) if length <= limit else None
            yield PageText(number, xml, length)
            number += 1
            base += length
            del buffer[: end + len(_CLOSE)]
            begun, skipped, searched = False, 0, 0
    if begun:
        yield Damage(span.start, f"the file ends inside a page, after {skipped + len(buffer)} bytes of it")


class _Pieces:
    """The content of a part and of what follows it, in UTF-8, piece by piece; damage in its place.

    Attributes:
        end: position in the content where the part ends; None until it is known, or where it is the file's end.
    """

    def __init__(self, stream: BinaryIO, span: Span) -> None:
        self._stream, self._span = stream, span
        self.end: int | None = None

    def __iter__(self) -> Iterator[bytes | Damage]:
        head = self._head()
        if head.startswith(b"BZh"):
            yield from self._bzip2()
            return
        if not self._span.start:
            self._stream.seek(0)
            content = Unpacked(self._stream)
            if content.packing is not None:
                yield from _utf8(iter(lambda: content.read(_CHUNK) or b"", b""))
                if content.damage is not None:
                    yield content.damage
                return
        self._stream.seek(self._span.start)
        if self._span.end is not None:
            self.end = self._span.end - self._span.start
        yield from _utf8(iter(lambda: self._stream.read(_CHUNK), b""))

    def _head(self) -> bytes:
        self._stream.seek(0)
        return self._stream.read(8)

    def _bzip2(self) -> Iterator[bytes | Damage]:
        """The streams from the part's first on; after a damaged one the next that begins."""
        if self._span.start == 0 and self._span.end is None:
            yield from _utf8_or_damage(self._streams())
        else:
            yield from self._streams()

    def _streams(self) -> Iterator[bytes | Damage]:
        at = self._span.start  # stored position of the present stream
        given = 0
        self._stream.seek(at)
        raw = b""
        while True:
            raw = raw or self._stream.read(_CHUNK)
            if not raw:
                return
            if self._span.end is not None and at >= self._span.end and self.end is None:
                self.end = given
            inner = bz2.BZ2Decompressor()
            begun = self._stream.tell() - len(raw)
            try:
                while not inner.eof:
                    if inner.needs_input:
                        raw = raw or self._stream.read(_CHUNK)
                        if not raw:
                            raise EOFError("the file ends inside a bzip2 stream")
                        piece, raw = inner.decompress(raw, _CHUNK), b""
                    else:
                        piece = inner.decompress(b"", _CHUNK)
                    given += len(piece)
                    if piece:
                        yield piece
            except (OSError, EOFError, ValueError) as error:
                yield Damage(begun, f"the bzip2 stream is damaged: {error}")
                following = _next_stream(self._stream, begun + 1, None)
                if following is None:
                    return
                at, raw = following, b""
                self._stream.seek(at)
                continue
            raw = inner.unused_data
            at = self._stream.tell() - len(raw)
            if raw.strip(b"\0") and not raw.startswith(b"BZh"[: len(raw)]):
                yield Damage(at, f"expected another bzip2 stream or the end, found {raw[:20]!r}")
                return


def _next_stream(stream: BinaryIO, at: int, size: int | None) -> int | None:
    """Where the next bzip2 stream begins, at a stored position or after it."""
    while size is None or at < size:
        stream.seek(at)
        window = stream.read(1 << 20)
        found = BZIP2_STREAM.search(window)
        if found is not None:
            return at + found.start()
        if len(window) < 1 << 20:
            return None
        at += len(window) - 9  # one may begin near the window's end
    return None


def _utf8(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Content in UTF-16 (with its byte order mark) as UTF-8; any other as it is."""
    decoder: codecs.IncrementalDecoder | None = None
    first = True
    for piece in pieces:
        if first and piece.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            decoder = codecs.getincrementaldecoder("utf-16")("replace")
        first = False
        yield piece if decoder is None else decoder.decode(piece).encode("utf-8", "replace")


def _utf8_or_damage(pieces: Iterator[bytes | Damage]) -> Iterator[bytes | Damage]:
    """The same where damaged places come between."""
    held: list[Damage] = []

    def content() -> Iterator[bytes]:
        for piece in pieces:
            if isinstance(piece, Damage):
                held.append(piece)
                yield b""
            else:
                yield piece

    for piece in _utf8(content()):
        if held:
            yield held.pop()
        elif piece:
            yield piece
