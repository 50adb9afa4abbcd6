"""The bytes inside a compressed file as a stream: gzip, bzip2, xz, zstd, or none, as the first bytes say.

Damage ends the stream and is kept in `damage`: what came before it is read, and the reader names what is missing. What
comes out is bounded by what is asked for, so a bomb is a long stream and never a large object.
"""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pipelines import storage
from pipelines.sources.archive_input import Damage

SUFFIXES = (".gz", ".bz2", ".xz", ".zst")
"""Ends of the names of compressed files; what a file is, its first bytes say."""

_CHUNK = 1 << 16


class _Decompressor(Protocol):
    """What bz2's, lzma's and zstd's decompressors have in common."""

    eof: Any
    unused_data: Any
    needs_input: Any

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Gzip:
    """zlib's decompressor with the interface of the others."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        piece = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        self.needs_input = not self._inner.unconsumed_tail and len(piece) < max_length
        return piece


def _zstd() -> _Decompressor:
    # The standard library has it from Python 3.14 on; until then the same code is a package.
    try:
        from compression import zstd  # pyright: ignore[reportMissingImports]
    except ImportError:
        from backports import zstd
    return zstd.ZstdDecompressor()


def _xz() -> _Decompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ)


@dataclass(frozen=True, slots=True)
class Packing:
    """A way of compressing: its name, the first bytes of each stream, and what undoes it."""

    name: str
    magic: bytes
    begin: Callable[[], _Decompressor]


PACKINGS = (
    Packing("gzip", b"\x1f\x8b\x08", _Gzip),
    Packing("bzip2", b"BZh", bz2.BZ2Decompressor),
    Packing("xz", b"\xfd7zXZ\x00", _xz),
    Packing("zstd", b"\x28\xb5\x2f\xfd", _zstd),
)
_SKIPPABLE = (0x184D2A50, 0x184D2A5F)  # RFC 8878, 3.1.2: frames of zstd that hold no content


def packing_of(head: bytes) -> Packing | None:
    """How a file that begins with these bytes (at least 8, if it has them) is compressed; None: not."""
    return next((one for one in PACKINGS if head.startswith(one.magic)), None)


def is_packed_name(name: str) -> bool:
    """Whether a file's name says that it is compressed."""
    return name.lower().endswith(SUFFIXES)


def without_packing(name: str) -> str:
    """A file's name without the suffix of its compression: "a.txt.gz" is "a.txt"."""
    return name[: name.rindex(".")] if is_packed_name(name) else name


class Unpacked(io.RawIOBase):
    """The content of a file, decompressed while it is read; several streams in one file are one content.

    Attributes:
        packing: how the file is compressed, None: it is not.
        damage: where (stored byte) and why reading ended early; None while all is well.
    """

    def __init__(self, stream: Any) -> None:
        super().__init__()
        self._stream = stream
        self._raw = bytes(stream.read(_CHUNK))
        self._read = len(self._raw)
        self._at = 0
        self._inner: _Decompressor | None = None
        self._first = True
        self.packing = packing_of(self._raw)
        self.damage: Damage | None = None

    def readable(self) -> bool:
        """Content is read."""
        return True

    def tell(self) -> int:
        """Bytes of content handed out."""
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer as far as one step goes; 0 at the end or at damage."""
        piece = self._next(len(buffer))
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def _next(self, most: int) -> bytes:
        if self.packing is None:
            piece, self._raw = self._raw[:most], self._raw[most:]
            return piece or bytes(self._stream.read(most))
        while self.damage is None:
            if self._inner is None and not self._begin(self.packing):
                return b""
            inner = self._inner
            assert inner is not None
            data = b""
            if inner.needs_input:
                data, self._raw = self._raw or self._more(), b""
                if not data:
                    self._fail(f"the file ends inside a {self.packing.name} stream")
                    return b""
            try:
                piece = inner.decompress(data, most)
            except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError) as error:
                self._fail(f"the {self.packing.name} stream is damaged: {error}")
                return b""
            except Exception as error:  # zstd's own error has no base in the standard library before 3.14
                if type(error).__name__ != "ZstdError":
                    raise
                self._fail(f"the zstd stream is damaged: {error}")
                return b""
            if inner.eof:
                self._raw = bytes(inner.unused_data) + self._raw
                self._inner = None
            if piece:
                return piece
        return b""

    def _begin(self, packing: Packing) -> bool:
        """Begin the next stream in the file; False at its end, or at something else."""
        if not self._first and packing.name in ("gzip", "xz"):
            while self._raw.startswith(b"\0") or not self._raw:  # padding, which both formats know
                self._raw = self._raw.lstrip(b"\0")
                if not self._raw:
                    self._raw = self._more()
                    if not self._raw:
                        return False
        while len(self._raw) < 8 and (more := self._more()):
            self._raw += more
        if not self._raw:
            return False
        skippable = packing.name == "zstd" and _SKIPPABLE[0] <= int.from_bytes(self._raw[:4], "little") <= _SKIPPABLE[1]
        if not skippable and not self._raw.startswith(packing.magic):
            self._fail(f"expected another {packing.name} stream or the end, found {self._raw[:20]!r}")
            return False
        self._inner, self._first = packing.begin(), False
        return True

    def _more(self) -> bytes:
        data = bytes(self._stream.read(_CHUNK))
        self._read += len(data)
        return data

    def _fail(self, detail: str) -> None:
        self.damage = Damage(self._read - len(self._raw), detail)


@contextmanager
def open_unpacked(path: Path) -> Generator[tuple[io.BufferedReader[Unpacked], Unpacked]]:
    """Open a file's content for reading by lines or pieces; the second value says how it ended."""
    with storage.open_read(path) as stream:
        content = Unpacked(stream)
        with io.BufferedReader(content, 1 << 18) as reader:
            yield reader, content


def read_all(path: Path, most: int) -> tuple[bytes, bool, Damage | None]:
    """A file's content, at most `most` bytes of it: the bytes, whether there are more, and what ended it early."""
    with open_unpacked(path) as (reader, content):
        data = reader.read(most + 1)
        return data[:most], len(data) > most, content.damage
