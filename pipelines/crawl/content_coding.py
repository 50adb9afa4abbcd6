"""Undoing an HTTP Content-Encoding under a limit, so that neither damage nor a bomb ends the reader."""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable
from typing import Any

DEFAULT_LIMIT = 20_000_000
"""Decoded bytes of one body at most."""


MAX_RATIO = 250
"""Decoded bytes for each stored one at most; pages have 3 to 20, tables of nothing but zeros 1,000."""

_FREE = 1 << 20
"""Decoded bytes that any body may have, whatever its ratio."""


class ContentCodingError(Exception):
    """A body that cannot be decoded. `reason`: "undecodable-content", "too-large" or "decompression-bomb"."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def decode_content(body: bytes, encoding: str | None, limit: int = DEFAULT_LIMIT) -> bytes:
    """Undo every coding of a Content-Encoding field, the last first (RFC 9110, 8.4).

    Known: gzip, x-gzip, deflate (with or without the zlib header, as browsers take it), br, zstd, identity. A body
    that is plain although gzip or deflate is claimed passes as it is: servers send that, and browsers show it.

    Raises:
        ContentCodingError: "undecodable-content" for damaged, truncated or unknown codings, "too-large" beyond the
        limit, "decompression-bomb" beyond MAX_RATIO.
    """
    ratio = max(_FREE, MAX_RATIO * len(body))
    try:
        return _decode(body, encoding, min(limit, ratio))
    except ContentCodingError as error:
        if error.reason != "too-large" or ratio >= limit:
            raise
        detail = f"{len(body)} bytes give more than {ratio}, {MAX_RATIO} times as many"
        raise ContentCodingError("decompression-bomb", detail) from error


def _decode(body: bytes, encoding: str | None, limit: int) -> bytes:
    codings = [coding.strip().lower() for coding in (encoding or "").split(",") if coding.strip()]
    for coding in reversed(codings):
        if coding in ("identity", "none", "utf-8"):  # the last two are not codings, but seen, and mean none
            continue
        if coding in ("gzip", "x-gzip"):
            body = _gzip(body, limit) if body[:2] == b"\x1f\x8b" or not _looks_plain(body) else body
        elif coding == "deflate":
            body = _deflate(body, limit)
        elif coding == "br":
            body = _brotli(body, limit)
        elif coding == "zstd":
            body = _zstd(body, limit)
        else:
            raise ContentCodingError("undecodable-content", f"Content-Encoding {coding!r} is not known")
    if len(body) > limit:
        raise ContentCodingError("too-large", f"{len(body)} bytes, the limit is {limit}")
    return body


def _looks_plain(body: bytes) -> bool:
    return body[:512].lstrip()[:1] in (b"<", b"{", b"") or body[:3] == b"\xef\xbb\xbf"


def _gzip(body: bytes, limit: int) -> bytes:
    pieces: list[bytes] = []
    length = 0
    while body:
        inflater = zlib.decompressobj(31)
        piece = _inflate(inflater, body, limit - length, "gzip")
        pieces.append(piece)
        length += len(piece)
        body = inflater.unused_data.lstrip(b"\0")  # members may be padded with zeros (as gzip itself accepts)
        if body and body[:2] != b"\x1f\x8b":
            break  # rubbish after a whole stream: browsers ignore it
    return b"".join(pieces)


def _deflate(body: bytes, limit: int) -> bytes:
    try:
        return _inflate(zlib.decompressobj(15), body, limit, "deflate")
    except ContentCodingError as error:
        if error.reason == "too-large":
            raise
    return _inflate(zlib.decompressobj(-15), body, limit, "deflate")


def _inflate(inflater: Any, body: bytes, limit: int, coding: str) -> bytes:
    try:
        out: bytes = inflater.decompress(body, max(limit, 0) + 1)
    except zlib.error as error:
        raise ContentCodingError("undecodable-content", f"{coding}: {error}") from error
    if len(out) > limit:
        raise ContentCodingError("too-large", f"{coding} body is longer than {limit} bytes when decoded")
    if not inflater.eof:
        raise ContentCodingError(
            "undecodable-content", f"{coding}: the stream is cut off after {len(body)} bytes ({len(out)} decoded)"
        )
    return out


def _brotli(body: bytes, limit: int) -> bytes:
    try:
        brotli: Any = importlib.import_module("brotli")
    except ImportError as error:
        raise ContentCodingError("undecodable-content", "br needs the package 'brotli'") from error
    decoder: Any = brotli.Decompressor()
    return _stepwise(body, limit, "br", decoder.process, lambda: bool(decoder.is_finished()), (brotli.error,))


def _zstd(body: bytes, limit: int) -> bytes:
    try:
        zstandard: Any = importlib.import_module("zstandard")
    except ImportError as error:
        raise ContentCodingError("undecodable-content", "zstd needs the package 'zstandard'") from error
    decoder: Any = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
    return _stepwise(body, limit, "zstd", decoder.decompress, lambda: bool(decoder.eof), (zstandard.ZstdError,))


def _stepwise(
    body: bytes,
    limit: int,
    coding: str,
    step: Callable[[bytes], bytes],
    finished: Callable[[], bool],
    errors: tuple[type[Exception], ...],
) -> bytes:
    """Feed small pieces, so that a bomb is noticed long before it is unpacked."""
    pieces: list[bytes] = []
    length = 0
    try:
        for start in range(0, len(body), 1024):
            if finished():
                break
            pieces.append(step(body[start : start + 1024]))
            length += len(pieces[-1])
            if length > limit:
                raise ContentCodingError("too-large", f"{coding} body is longer than {limit} bytes when decoded")
    except errors as error:
        raise ContentCodingError("undecodable-content", f"{coding}: {error}") from error
    if not finished():
        raise ContentCodingError("undecodable-content", f"{coding}: the stream is cut off after {len(body)} bytes")
    return b"".join(pieces)
