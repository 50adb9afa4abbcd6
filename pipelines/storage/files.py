"""Files that exist whole or not at all, on this machine or at a URL, and the digests that name them.

On this machine: temporary name, fsync, rename. On a store: written here, sent, and compared with what arrived.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from pipelines.storage.errors import NotWritable, StorageError, StorageFull, free, full_disk_named
from pipelines.storage.place import is_remote, shown
from pipelines.storage.remote import key_of, store_of
from pipelines.storage.retry import missing
from pipelines.storage.space import passing_folder

READ_AHEAD = 8 << 20
"""Bytes that a stream from a store asks for at a time."""

MANIFEST = "_manifest.json"
FOLDER = "_files.json"
"""Names the files of a folder that was published as one, with their sizes; written last."""


@contextmanager
def atomic(path: Path) -> Generator[Path]:
    """Yield a temporary path on this machine; on success what is there becomes `path`, on an error it is removed.

    Raises StorageFull where the disk is full.
    """
    if is_remote(path):
        with passing_folder() as folder:
            temporary = folder / (path.name or "file")
            with full_disk_named(temporary):
                yield temporary
            store_of(path).send(temporary, key_of(path))
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident():x}.tmp")
    with full_disk_named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with temporary.open("rb") as handle:
                os.fsync(handle.fileno())
            temporary.rename(path)
            sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder of this machine durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically."""
    if is_remote(path):
        store_of(path).put(key_of(path), data)
        return
    with atomic(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically; keys keep their order."""
    write_bytes(path, (json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n").encode())


def read_bytes(path: Path) -> bytes:
    """Read a file whole. Raises FileNotFoundError where there is none."""
    return store_of(path).read(key_of(path)) if is_remote(path) else path.read_bytes()


def read_json(path: Path) -> Any:
    """Read JSON; a damaged file is answered with its name."""
    try:
        return json.loads(read_bytes(path))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not valid JSON ({error}); delete the file's folder and run again") from error


def size(path: Path) -> int | None:
    """Return a file's size in bytes, None where there is none."""
    if is_remote(path):
        found = store_of(path).head(key_of(path))
        return None if found is None else found.size or 0
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def exists(path: Path) -> bool:
    """Whether there is a file. Of a folder ask for the manifest in it: a store has no folders."""
    return store_of(path).head(key_of(path)) is not None if is_remote(path) else path.exists()


def modified(path: Path) -> float:
    """Return when a file was last written, in seconds since the epoch. Raises FileNotFoundError."""
    if not is_remote(path):
        return path.stat().st_mtime
    found = store_of(path).head(key_of(path))
    if found is None:
        raise missing(path)
    return found.modified


def children(folder: Path, prefix: str = "") -> list[Path]:
    """List what is in a folder, by name; for what may be missed, since a store's listing may lag."""
    if is_remote(folder):
        return [folder / name for name in store_of(folder).names(key_of(folder)) if name.startswith(prefix)]
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.name.startswith(prefix))


def files_below(folder: Path) -> list[tuple[Path, str]]:
    """List every file in a folder and the folders in it: its path, and its name from the folder on; sorted by name.

    For input that nobody has made a manifest of: a store's listing may lag.
    """
    if is_remote(folder):
        inside = key_of(folder).rstrip("/") + "/"
        names = [key.removeprefix(inside) for key in store_of(folder).below(key_of(folder))]
        return sorted(((folder / name, name) for name in names), key=lambda found: found[1])
    found = [(path, path.relative_to(folder).as_posix()) for path in folder.rglob("*") if path.is_file()]
    return sorted(found, key=lambda one: one[1])


def open_read(path: Path) -> BinaryIO:
    """Open a file for reading as a stream; of a store, megabytes at a time, each tried again as every read is."""
    if not is_remote(path):
        return path.open("rb")
    from pipelines.storage.ranges import Ranges

    return cast(BinaryIO, io.BufferedReader(Ranges(path), READ_AHEAD))


def publish(source: Path, target: Path) -> None:
    """Make a finished file appear under a second name.

    On this machine a hard link where the file system has them, else a copy; within a store a copy that the store
    makes; between the two an upload or a download.
    """
    if is_remote(target):
        store = store_of(target)
        if is_remote(source) and store_of(source) is store:
            store.copy(key_of(source), key_of(target))
            return
        with local_copy(source) as file:
            store.send(file, key_of(target))
        return
    if is_remote(source):
        with atomic(target) as temporary:
            store_of(source).fetch(key_of(source), temporary)
        return
    with atomic(target) as temporary:
        temporary.unlink(missing_ok=True)
        try:
            os.link(source, temporary)
        except FileNotFoundError:
            raise
        except OSError:  # another disk, or a file system without links
            shutil.copyfile(source, temporary)


def publish_folder(source: Path, target: Path) -> None:
    """Make the files of a folder of this machine (not those of folders in it) appear as another folder.

    A file that names them is written last: `local_copy` needs it where the target is on a store.
    """
    files = sorted(path for path in source.iterdir() if path.is_file() and path.name != FOLDER)
    for file in files:
        publish(file, target / file.name)
    write_json(target / FOLDER, {"files": {file.name: file.stat().st_size for file in files}})


@contextmanager
def local_copy(path: Path) -> Generator[Path]:
    """Yield a path on this machine with the same content, for libraries that know no other.

    A path on this machine is yielded itself. A file of a store is fetched, and so is a folder that `publish_folder`
    made; what was fetched is removed at the end. Raises FileNotFoundError.
    """
    if not is_remote(path):
        yield path
        return
    store = store_of(path)
    with passing_folder() as folder:
        whole = folder / (path.name or "file")
        with full_disk_named(whole):
            try:
                store.fetch(key_of(path), whole)
            except FileNotFoundError:
                _fetch_folder(path, whole)
        yield whole


def _fetch_folder(path: Path, whole: Path) -> None:
    try:
        files: dict[str, int] = read_json(path / FOLDER)["files"]
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file, and no folder that was published (no {FOLDER} in it)") from None
    whole.mkdir()
    for name, length in files.items():
        store_of(path).fetch(key_of(path / name), whole / name)
        if (came := (whole / name).stat().st_size) != length:
            raise StorageError(
                f"{path / name}: {came} bytes, {path / FOLDER} says {length}; delete the folder, run again"
            )


def remove(folder: Path) -> None:
    """Remove a folder with everything in it, if there is one; its manifest first, so that no reader sees half of it.

    On a store whatever its listing does not show yet may stay: nothing refers to it.
    """
    if is_remote(folder):
        store = store_of(folder)
        first = [key_of(folder / name) for name in (MANIFEST, FOLDER)]
        store.delete(first)
        store.delete([key for key in store.below(key_of(folder)) if key not in first])
        return
    for name in (MANIFEST, FOLDER):
        if folder.is_dir():
            (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def remove_file(path: Path) -> None:
    """Remove a file, if there is one."""
    if is_remote(path):
        store_of(path).delete([key_of(path)])
    else:
        path.unlink(missing_ok=True)


def check_writable(folder: Path) -> None:
    """Write and remove a small file, so that a run that could not write says so before it starts.

    Raises NotWritable with the reason, StorageFull where the disk is full.
    """
    probe = folder / f".writable-{os.getpid()}"
    try:
        if not is_remote(folder):
            folder.mkdir(parents=True, exist_ok=True)
        write_bytes(probe, b"pomona\n")
        remove_file(probe)
    except StorageFull:
        raise
    except (OSError, StorageError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise NotWritable(
            f"{shown(folder)}: cannot write there ({reason}); nothing was started. Choose another --out, or change "
            "who may write to it"
        ) from error


def room(path: Path) -> int | None:
    """Return the bytes free where a path is, or would be; None on a store."""
    return None if is_remote(path) else free(path)


def sha256(path: Path) -> str:
    """Return a file's SHA-256 as hex."""
    with local_copy(path) as file, file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def digest_of(value: bytes) -> str:
    """Return the first 16 hex digits of SHA-256: enough to name a step, short enough for a folder."""
    return hashlib.sha256(value).hexdigest()[:16]
