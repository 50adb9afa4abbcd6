"""Durable writes: temporary name, fsync, rename. A reader sees the old content or the new, never a part."""

from __future__ import annotations

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Flush a file's content, or a folder's entries, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomic(path: Path, content: bytes) -> None:
    """Replace a file's content."""
    temporary = path.with_name(f".tmp-{path.name}-{os.getpid()}")
    temporary.write_bytes(content)
    sync(temporary)
    temporary.replace(path)
    sync(path.parent)


def publish_folder(temporary: Path, final: Path) -> None:
    """Flush a folder's files and give it its final name, which must not exist, in the same parent."""
    for file in sorted(temporary.rglob("*")):
        sync(file)
    sync(temporary)
    temporary.rename(final)
    sync(final.parent)
