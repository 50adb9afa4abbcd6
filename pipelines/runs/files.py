"""The files below a folder with their sizes, on this machine or on a store; bytes that two names share count once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pipelines.storage import is_remote, size
from pipelines.storage.remote import key_of, store_of

AT_ONCE = 16
"""Questions to a store on their way together."""


@dataclass(frozen=True)
class Stored:
    """A file: `inode` (device, number) tells which names share its bytes, and `names` how many do; None on a store."""

    path: Path
    bytes: int
    inode: tuple[int, int] | None = None
    names: int = 1


def stored(path: Path) -> Stored | None:
    """Look at one file; None where there is none."""
    if is_remote(path):
        found = size(path)
        return None if found is None else Stored(path, found)
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    return Stored(path, status.st_size, (status.st_dev, status.st_ino), status.st_nlink)


def below(folder: Path) -> list[Stored]:
    """List the files below a folder, by name; of one on a store those that its listing shows."""
    if is_remote(folder):
        store, base = store_of(folder), key_of(folder).rstrip("/") + "/"
        keys = sorted(key for key in store.below(key_of(folder)) if key.startswith(base))
        with ThreadPoolExecutor(AT_ONCE) as threads:
            found = list(threads.map(stored, (folder / key.removeprefix(base) for key in keys)))
    else:
        found = [stored(path) for path in sorted(folder.rglob("*")) if path.is_symlink() or not path.is_dir()]
    return [one for one in found if one is not None]


def disk_bytes(files: Iterable[Stored]) -> int:
    """Return the bytes that files take together."""
    return sum({one.inode or one.path: one.bytes for one in files}.values())


def freed_bytes(files: Iterable[Stored]) -> int:
    """Return the bytes that come free when files are removed: none of one that keeps another name."""
    once = {one.path: one for one in files}.values()
    removed = Counter(one.inode for one in once if one.inode is not None)
    return disk_bytes(one for one in once if one.inode is None or removed[one.inode] >= one.names)
