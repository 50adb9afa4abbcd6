"""A store of files by key, over any fsspec filesystem: whole files in, whole files out, every transfer checked.

Nothing here decides by listing: a file exists where asking for its key says so. `children` and `remove_below` list,
because nothing else can; what they miss is never taken for absent by anyone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from pipelines.storage.errors import StorageError, Truncated
from pipelines.storage.place import is_remote, shown
from pipelines.storage.retry import Policy, code_of, missing, retried, told

T = TypeVar("T")

PIECE = 16 << 20
"""Bytes of a large file that travel in one request, and are sent again when it fails."""
AT_ONCE = 4
"""Pieces of one file on their way together."""


@dataclass(frozen=True)
class Head:
    """What a store says of a file.

    `size` in bytes (None where it does not say), `tag` of this version, `modified` in epoch seconds, and `md5` of the
    bytes; empty where the store has none.
    """

    size: int | None
    tag: str = ""
    modified: float = 0.0
    md5: str = ""


class Store:
    """Files of one fsspec filesystem. Keys are as fsspec has them, without the scheme."""

    conditional = False
    """Whether `replace` can demand that the file is as it was."""
    writable = True
    ranged = True
    """Whether it serves parts of a file."""

    def __init__(self, filesystem: Any, scheme: str) -> None:
        self._fs = filesystem
        self._scheme = scheme

    def url(self, key: str) -> str:
        """Return a key as a reader knows it."""
        return key if "://" in key else f"{self._scheme}://{key.lstrip('/')}"

    def head(self, key: str) -> Head | None:
        """Ask for a file by its key; None where there is none."""

        def ask() -> Head | None:
            found: dict[str, Any] = self._fs.info(key)
            if found.get("type") == "directory":
                return None
            return Head(found.get("size"), str(found.get("ETag", "")).strip('"'), _seconds(found))

        try:
            return self._retried("asking for the file", key, ask)
        except FileNotFoundError as error:
            if code_of(error)[0] in (401, 403):  # fsspec's answer to every refusal of a web server
                raise StorageError(f"{shown(self.url(key))}: the server refuses access ({told(error)})") from error
            return None

    def read(self, key: str, start: int | None = None, stop: int | None = None) -> bytes:
        """Return a file's bytes, all or from `start` to before `stop`. Raises FileNotFoundError."""

        def ask() -> bytes:
            data: bytes = self._fs.cat_file(key, start=start, end=stop)
            if start is not None and stop is not None and len(data) != stop - start:
                raise Truncated(f"{self.url(key)}: {len(data)} bytes came of the {stop - start} asked for")
            return data

        return self._retried("reading", key, ask)

    def fetch(self, key: str, local: Path) -> None:
        """Write a file's bytes to a file on this machine, complete. Raises FileNotFoundError."""
        found = self.head(key)
        if found is None:
            raise missing(self.url(key))
        self._fetch(key, local, found)
        came = local.stat().st_size
        if found.size is not None and came != found.size:
            raise StorageError(f"{self.url(key)}: {came} bytes came of {found.size}; was it replaced? Run again")

    def _fetch(self, key: str, local: Path, found: Head) -> None:
        def ask() -> None:
            self._fs.get_file(key, str(local))
            if found.size is not None and local.stat().st_size != found.size:
                raise Truncated(f"{self.url(key)}: {local.stat().st_size} bytes came of {found.size}")

        self._retried("reading", key, ask)

    def send(self, local: Path, key: str) -> None:
        """Store a file of this machine, whole or not at all, and check what arrived."""
        self._must_write(key)

        def ask() -> None:
            self._fs.put_file(str(local), key)
            self._arrived(key, local.stat().st_size)

        self._retried("writing", key, ask)

    def put(self, key: str, data: bytes, policy: Policy | None = None) -> None:
        """Store some bytes, whole or not at all, and check what arrived."""
        self._must_write(key)

        def ask() -> None:
            self._fs.pipe_file(key, data)
            self._arrived(key, len(data))

        self._retried("writing", key, ask, policy)

    def create(self, key: str, data: bytes) -> str | None:
        """Store a file only if there is none: its tag ("" where the store has none), None where one is there."""
        self._must_write(key)
        try:
            self._retried("creating", key, lambda: self._fs.pipe_file(key, data, mode="create"))
        except FileExistsError:
            return None
        return ""

    def replace(self, key: str, data: bytes, tag: str, policy: Policy | None = None) -> str | None:
        """Store a file in place of the one with this tag: the new tag, None where it is another or gone.

        A store that is not `conditional` replaces whatever is there.
        """
        del tag
        self.put(key, data, policy)
        return ""

    def copy(self, key: str, to: str) -> None:
        """Copy within the store, without the bytes passing here."""
        self._must_write(to)
        found = self.head(key)
        if found is None:
            raise missing(self.url(key))

        def ask() -> None:
            self._fs.cp_file(key, to)
            if found.size is not None:
                self._arrived(to, found.size)

        self._retried(f"copying {self.url(key)} to", to, ask)

    def delete(self, keys: Sequence[str]) -> None:
        """Remove files; one that is not there is no error."""
        for key in keys:
            self._must_write(key)
            try:
                self._retried("removing", key, lambda key=key: self._fs.rm_file(key))
            except FileNotFoundError:
                continue

    def below(self, key: str) -> list[str]:
        """List the keys below a folder; new ones may be missing."""
        try:
            found: list[str] = self._retried("listing", key, lambda: list(self._fs.find(key)))
        except FileNotFoundError:
            return []
        return found

    def names(self, key: str) -> list[str]:
        """List the names in a folder; new ones may be missing."""
        try:
            found: list[str] = self._retried("listing", key, lambda: list(self._fs.ls(key, detail=False)))
        except FileNotFoundError:
            return []
        return sorted({one.rstrip("/").rpartition("/")[2] for one in found})

    def _arrived(self, key: str, size: int) -> None:
        found = self.head(key)
        if found is None or (found.size is not None and found.size != size):
            came = "nothing" if found is None else f"{found.size} bytes"
            raise Truncated(f"{self.url(key)}: {size} bytes were sent and {came} arrived")

    def _must_write(self, key: str) -> None:
        if not self.writable:
            raise StorageError(f"{shown(self.url(key))}: {self._scheme}:// is read only; write to a path or to s3://")

    def _retried(self, operation: str, key: str, call: Callable[[], T], policy: Policy | None = None) -> T:
        return retried(operation, self.url(key), call, policy)


class WebStore(Store):
    """Files of a web server: read only; whole where the server knows no ranges, as many do not."""

    writable = False
    ranged = False

    def read(self, key: str, start: int | None = None, stop: int | None = None) -> bytes:
        """Return a file's bytes, all or from `start` to before `stop`. Raises FileNotFoundError."""
        if start is None or stop is None:
            return super().read(key, start, stop)

        def ask() -> bytes:
            data: bytes = self._fs.cat_file(key, start=start, end=stop)
            if len(data) >= stop and len(data) > stop - start:
                return data[start:stop]  # a server that knows no ranges sends everything
            if len(data) != stop - start:
                raise Truncated(f"{self.url(key)}: {len(data)} bytes came of the {stop - start} asked for")
            return data

        return self._retried("reading", key, ask)

    def instead_of_a_part(self, key: str) -> bytes | None:
        """Ask for one byte: None where it comes, the whole file where the server sends that instead."""
        data: bytes = self._retried("reading", key, lambda: self._fs.cat_file(key, start=0, end=1))
        return None if len(data) == 1 else data


def in_pieces(size: int, piece: int, do: Callable[[int, int, int], T]) -> list[T]:
    """Call `do(number, start, stop)` for each piece of a file, a few at once; the answers in order."""
    borders = [(number, at, min(at + piece, size)) for number, at in enumerate(range(0, size, piece))]
    if len(borders) < 2:
        return [do(*border) for border in borders]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(AT_ONCE) as threads:
        futures = [threads.submit(do, *border) for border in borders]
        try:
            return [future.result() for future in futures]
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise


def store_of(path: Path) -> Store:
    """Return the store of a remote path."""
    scheme = str(cast(Any, path).protocol)
    if scheme in ("s3", "s3a"):
        from pipelines.storage.s3 import connect

        return connect()
    return _store(scheme, os.getpid())


@cache
def _store(scheme: str, process: int) -> Store:
    """Connect; once a process, since a connection does not outlive a fork."""
    del process
    import fsspec

    options: dict[str, Any] = {"use_listings_cache": False} if scheme != "memory" else {}
    if scheme in ("http", "https"):
        from aiohttp import ClientTimeout

        options["client_kwargs"] = {"timeout": ClientTimeout(total=None, sock_connect=10, sock_read=60)}
        return WebStore(fsspec.filesystem(scheme, **options), scheme)
    return Store(fsspec.filesystem(scheme, **options), scheme)


def key_of(path: Path) -> str:
    """Return a remote path's key in its store."""
    assert is_remote(path)
    return str(cast(Any, path).path)


def _seconds(found: dict[str, Any]) -> float:
    for name in ("LastModified", "last_modified", "mtime", "updated", "created"):
        value = found.get(name)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, int | float):
            return float(value)
    return 0.0
