"""A file of records that are lines, or runs of lines, read in parts that begin where a record does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from pipelines import storage

MORE = 1 << 20
"""Bytes of a line that are read at a time: no line is held that nobody asked for."""


def line_spans(path: Path, size: int, about: int, ends: Callable[[bytes], bool] | None = None) -> list[tuple[int, int]]:
    """Cut a file, uncompressed, into spans (start, end) of about equal size that begin where a record does.

    Where it is cut depends on its bytes and on `about` only; reading the spans gives what reading the file gives.

    Args:
        path: the file.
        size: its bytes.
        about: bytes of a span, at most about.
        ends: whether a line (with its end) ends a record; None: every line is one.
    """
    count = -(-size // about) if size else 1
    starts = [0]
    if count > 1:
        with storage.open_read(path) as stream:
            for number in range(1, count):
                stream.seek(max(size * number // count - 1, 0))
                _pass_line(stream)
                while ends is not None and (line := stream.readline(MORE)):
                    if not line.endswith(b"\n"):
                        _pass_line(stream)
                    elif ends(line):
                        break
                border = stream.tell()
                if starts[-1] < border < size:
                    starts.append(border)
    return list(zip(starts, [*starts[1:], size], strict=True))


def lines_between(stream: BinaryIO, start: int, end: int | None, most: int) -> Iterator[tuple[int, bytes | None, int]]:
    """The lines of a stream from its present position on: offset, bytes with the line's end, and length.

    Args:
        stream: where the next byte is the one at `start`.
        start: offset of that byte.
        end: offset where to stop; None: the end of the stream.
        most: bytes of a line that is held; of a longer one the bytes are None.
    """
    at = start
    while end is None or at < end:
        line = stream.readline(most + 1)
        if not line:
            return
        length = len(line)
        if length > most and not line.endswith(b"\n"):
            length += _pass_line(stream)
        yield at, line if length <= most else None, length
        at += length


def _pass_line(stream: BinaryIO) -> int:
    """Go to the beginning of the next line; how many bytes that took."""
    passed = 0
    while piece := stream.readline(MORE):
        passed += len(piece)
        if piece.endswith(b"\n"):
            break
    return passed
