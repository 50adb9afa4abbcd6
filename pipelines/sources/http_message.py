"""An HTTP response as an archive holds it: status, header fields, and the body with its chunks put together."""

from __future__ import annotations

import re
from dataclasses import dataclass

_STATUS = re.compile(rb"HTTP/\d(?:\.\d)?\s+(\d{3})")
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")
_HEADER_END = re.compile(rb"\r?\n\r?\n")


class BadHttpError(Exception):
    """The block is not an HTTP response; the message says what was found."""


@dataclass(frozen=True, slots=True)
class HttpMessage:
    """A response: `headers` by lower-case name, repeated fields joined with ", "; `body` still content-encoded."""

    status: int
    headers: dict[str, str]
    body: bytes

    @classmethod
    def parse(cls, block: bytes) -> HttpMessage:
        """Parse a record's block.

        Raises:
            BadHttpError: no status line, or a chunked body whose chunks do not fit.
        """
        found = _HEADER_END.search(block)
        # A header without an end has no body (seen in archives of servers that hung up).
        head, body = (block[: found.start()], block[found.end() :]) if found else (block, b"")
        lines = head.split(b"\n")
        status = _STATUS.match(lines[0])
        if status is None:
            raise BadHttpError(f"expected a status line such as 'HTTP/1.1 200 OK', found {lines[0][:60]!r}")
        fields: dict[str, list[str]] = {}
        name = ""
        for line in lines[1:]:
            text = line.decode("utf-8", "replace").rstrip("\r")
            if text[:1] in (" ", "\t") and name:  # a folded line (RFC 9112, 5.2)
                fields[name].append(" " + text.strip())
                continue
            field, colon, value = text.partition(":")
            if colon:
                name = field.strip().lower()
                if name in fields:
                    fields[name].append(", " + value.strip())
                else:
                    fields[name] = [value.strip()]
        headers = {name: "".join(pieces) for name, pieces in fields.items()}
        if "chunked" in headers.get("transfer-encoding", "").lower():
            body = _without_chunks(body)
        return cls(int(status.group(1)), headers, body)

    @property
    def media_type(self) -> str:
        """The media type in lower case, without parameters; "" where none was sent."""
        return self.headers.get("content-type", "").split(";", 1)[0].strip().lower()


def _without_chunks(body: bytes) -> bytes:
    """Undo chunked transfer coding (RFC 9112, 7.1). Bodies that were stored without their chunks pass as they are."""
    if _CHUNK_SIZE.match(body) is None:
        return body
    pieces: list[bytes] = []
    at = 0
    while at < len(body):
        size = _CHUNK_SIZE.match(body, at)
        if size is None:
            raise BadHttpError(f"expected a chunk size at byte {at} of the body, found {body[at : at + 20]!r}")
        length = int(size.group(1), 16)
        if length == 0:
            break
        piece = body[size.end() : size.end() + length]
        if len(piece) < length:
            raise BadHttpError(f"a chunk of {length} bytes is cut off after {len(piece)}")
        pieces.append(piece)
        at = size.end() + length
        if body.startswith(b"\r\n", at):
            at += 2
        elif body.startswith(b"\n", at):
            at += 1
    return b"".join(pieces)
