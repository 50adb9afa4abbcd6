"""Room on this machine for what a store cannot hold: spills, and files on their way to or from a URL.

`POMONA_SCRATCH` names the folder; without it, one for this user below the system's temporary folder (TMPDIR).
"""

from __future__ import annotations

import atexit
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pipelines.storage.place import is_remote

_ALIVE = ".alive"
_held: dict[int, tuple[Path, Any]] = {}
"""This process's folder and the open file that marks it as in use, by process id: a fork must make its own."""


def root() -> Path:
    """Return the folder for scratch files, made where it is missing."""
    named = os.environ.get("POMONA_SCRATCH")
    path = Path(named) if named else Path(tempfile.gettempdir()) / f"pomona-{os.getuid()}"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def scratch(folder: Path, name: str) -> Path:
    """Return a folder on this machine for files that only one machine needs while it writes to `folder`.

    It is the same in every process of a machine, so that work that was cut off finds what it left.
    """
    return _spills(folder) / name


def clear_scratch(folder: Path) -> None:
    """Remove everything below `scratch(folder, ...)` on this machine."""
    shutil.rmtree(_spills(folder), ignore_errors=True)


def _spills(folder: Path) -> Path:
    if not is_remote(folder):
        return folder / "_spill"
    return root() / "spill" / hashlib.sha256(str(folder).encode()).hexdigest()[:32]


@contextmanager
def passing_folder() -> Generator[Path]:
    """Yield a new folder for files on their way; removed at the end, or by a later process if this one is killed."""
    path = Path(tempfile.mkdtemp(dir=_own()))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _own() -> Path:
    """Return this process's folder. The kernel's lock on a file in it ends with the process, however that ends."""
    found = _held.get(os.getpid())
    if found is not None and found[0].is_dir():
        return found[0]
    passing = root() / "passing"
    passing.mkdir(exist_ok=True)
    _sweep(passing)
    path = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=passing))
    mark = (path / _ALIVE).open("w")
    fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
    _held[os.getpid()] = (path, mark)
    atexit.register(_leave, os.getpid(), path)
    return path


def _leave(process: int, path: Path) -> None:
    if os.getpid() == process:
        shutil.rmtree(path, ignore_errors=True)


def _sweep(passing: Path) -> None:
    """Remove the folders of processes that are no more."""
    for folder in passing.iterdir():
        with suppress(OSError), (folder / _ALIVE).open("r+") as mark:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
