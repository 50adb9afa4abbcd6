"""What can go wrong with a run's files, each said once, with what to do."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class StorageError(Exception):
    """A file cannot be read or written; the message names it, what was tried and what to do."""


class StorageFull(StorageError):
    """The disk, a quota or a limit on a file's size is reached."""


class NotWritable(StorageError):
    """A folder that a run must write to does not take files."""


class TryAgain(StorageError):
    """A store did not do, or not wholly, what it was asked to; asked again, it may."""


class Truncated(TryAgain):
    """Fewer or other bytes arrived than were sent: the transfer is made again."""


class RunLocked(Exception):
    """Another process is writing into the same run folder."""


class LockLost(StorageError):
    """Another process took this run's folder over, or may have: what follows must not be written."""


@contextmanager
def full_disk_named(path: Path) -> Generator[None]:
    """Answer a full disk while `path` is written with StorageFull: the file, what is free, what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise StorageFull(
            f"{path}: no room to write ({os.strerror(error.errno)}); {free(path):,} bytes are free there. Make room or "
            "choose another place, then run the same command again: what is finished is kept"
        ) from error


def free(path: Path) -> int:
    """Return the bytes free on the disk where a path is, or would be."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free
