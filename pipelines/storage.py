"""Files that exist whole or not at all: temporary name, fsync, rename; and the digests that name them."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

MANIFEST = "_manifest.json"
ROW_GROUP_ROWS = 16_384
"""Rows in a Parquet row group: fixed, because group borders are bytes of the output."""


class RunLocked(Exception):
    """Another process is writing into the same run folder."""


class FileEntry(BaseModel):
    """One file of a step or a mixture: its path relative to the folder of the manifest, and what is in it."""

    path: str
    rows: int
    bytes: int
    sha256: str


@contextmanager
def atomic(path: Path) -> Generator[Path]:
    """Yield a temporary path beside `path`; on success it is synced and renamed, on an error removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        temporary.rename(path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically."""
    with atomic(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically; keys keep their order."""
    write_bytes(path, (json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read JSON; a damaged file is answered with its name."""
    try:
        return json.loads(path.read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not valid JSON ({error}); delete the file's folder and run again") from error


def write_parquet(path: Path, table: pa.Table) -> FileEntry:
    """Write a table atomically; equal tables give equal bytes, however they were chunked."""
    with atomic(path) as temporary:
        pq.write_table(
            table.combine_chunks(),
            temporary,
            compression="zstd",
            compression_level=3,
            row_group_size=ROW_GROUP_ROWS,
            write_statistics=True,
        )
        return entry(temporary, path, table.num_rows)


def entry(file: Path, final: Path, rows: int) -> FileEntry:
    """Describe a file by its digest; `final` is the name it will have."""
    return FileEntry(
        path=f"{final.parent.name}/{final.name}", rows=rows, bytes=file.stat().st_size, sha256=sha256(file)
    )


def sha256(path: Path) -> str:
    """Return a file's SHA-256 as hex."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def digest_of(value: bytes) -> str:
    """Return the first 16 hex digits of SHA-256: enough to name a step, short enough for a folder."""
    return hashlib.sha256(value).hexdigest()[:16]


@contextmanager
def lock(folder: Path, what: str) -> Generator[None]:
    """Hold a run folder alone; a second writer is refused with the holder's name.

    The lock is the kernel's (flock), so that it ends with the process however that ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ".lock"
    with path.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            raise RunLocked(
                f"{folder}: in use by {handle.read().strip() or 'another process'}; wait for it or choose another --out"
            ) from None
        handle.seek(0)
        handle.truncate()
        handle.write(f"{what}, process {os.getpid()} on {socket.gethostname()}\n")
        handle.flush()
        yield
