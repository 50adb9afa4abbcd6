"""A run folder held by one process: the kernel's lock on this machine, a renewed object on a store."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from pipelines.storage.errors import RunLocked
from pipelines.storage.place import is_remote

LOCK = ".lock"


class Hold(Protocol):
    """A run folder that is held."""

    def check(self) -> None:
        """Raise LockLost when another process has taken the folder over, or may have."""
        ...


class KernelHold:
    """A lock of this machine's kernel: it cannot be lost."""

    def check(self) -> None:
        """Say nothing: the lock ends with the process, not before."""


@contextmanager
def lock(folder: Path, what: str) -> Generator[Hold]:
    """Hold a run folder alone; a second writer is refused with RunLocked and the holder's name.

    On this machine the lock is the kernel's (flock), so that it ends with the process however that ends. On a store
    it is an object with a counter that the holder keeps raising: see `remote_lock`.
    """
    holder = f"{what}, process {os.getpid()} on {socket.gethostname()}"
    if is_remote(folder):
        from pipelines.storage.remote_lock import RemoteLock

        held = RemoteLock(folder / LOCK, holder)
        held.acquire()
        try:
            yield held
        except BaseException:
            held.release(quiet=True)
            raise
        held.release()
        return
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    with path.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            raise refused(folder, handle.read().strip()) from None
        handle.seek(0)
        handle.truncate()
        handle.write(f"{holder}\n")
        handle.flush()
        yield KernelHold()


def refused(folder: Path, holder: str) -> RunLocked:
    """Return the refusal, with the holder's name."""
    return RunLocked(f"{folder}: in use by {holder or 'another process'}; wait for it or choose another --out")
