"""A file of a store read at any place, without fetching it whole: for the footer and a few row groups of Parquet."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.storage.place import is_remote
from pipelines.storage.remote import WebStore, key_of, store_of
from pipelines.storage.retry import missing

WHOLE = 1 << 20
"""Bytes up to which a file is read at once."""


class Ranges(io.RawIOBase):
    """A readable, seekable file; each read asks the store for its bytes, tried again as every read is."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._store = store_of(path)
        self._key = key_of(path)
        found = self._store.head(self._key)
        if found is None:
            raise missing(path)
        # Whole where that is one request instead of many, and where the server does not know ranges.
        apart = found.size is not None and found.size > WHOLE
        if apart and isinstance(self._store, WebStore):
            self._whole = self._store.instead_of_a_part(self._key)
        else:
            self._whole = None if apart and self._store.ranged else self._store.read(self._key)
        self._size = len(self._whole) if self._whole is not None else found.size or 0
        self._at = 0

    def readable(self) -> bool:
        """Files here are read."""
        return True

    def seekable(self) -> bool:
        """Any byte can be asked for."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set where the next read begins, as io.RawIOBase.seek."""
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        """Return where the next read begins."""
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """Read as many bytes as the buffer holds."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def read(self, size: int = -1) -> bytes:
        """Read `size` bytes, or to the end."""
        stop = self._size if size is None or size < 0 else min(self._size, self._at + size)  # pyright: ignore[reportUnnecessaryComparison]
        if stop <= self._at:
            return b""
        data = self._whole[self._at : stop] if self._whole is not None else self._store.read(self._key, self._at, stop)
        self._at = stop
        return data


@dataclass(frozen=True, slots=True)
class Version:
    """A file as it is now: its bytes (None where a store does not say), and what changes when it does."""

    size: int | None
    tag: str


def version(path: Path) -> Version | None:
    """Ask for a file without reading it; None where there is none. The tag of one on this machine is its date."""
    if is_remote(path):
        found = store_of(path).head(key_of(path))
        return None if found is None else Version(found.size, found.tag or str(found.modified))
    try:
        stat = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Version(stat.st_size, str(stat.st_mtime_ns))


def read_span(path: Path, start: int, stop: int) -> bytes:
    """Read a file's bytes from `start` to before `stop`, which must lie in it. Raises FileNotFoundError."""
    if is_remote(path):
        return store_of(path).read(key_of(path), start, stop)
    with path.open("rb") as stream:
        stream.seek(start)
        return stream.read(stop - start)
