"""A folder as a tree of source files, on this machine or on a store. Nothing is followed out of it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from pipelines import storage
from pipelines.sources.code.tree import Fault, Listing, Node, Parts, UnreadableError, parts_of

_OURS = frozenset({".git", ".hg", ".svn", ".bzr"})
"""Folders (for a worktree of git a file) of version control, which are no source."""


class FolderTree:
    """A folder of this machine; symbolic links are named, not followed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.faults: list[Fault] = []

    def children(self, folder: Path | None) -> list[Node]:
        """See `Tree.children`."""
        nodes: list[Node] = []
        try:
            with os.scandir(folder or self._path) as entries:
                for entry in entries:
                    if entry.name not in _OURS:
                        nodes.append(_node(entry))
        except OSError as error:
            raise UnreadableError("unreadable-folder", error.strerror or str(error)) from error
        return sorted(nodes, key=lambda node: node.name)

    def read(self, node: Node, limit: int) -> bytes:
        """See `Tree.read`."""
        try:
            # A link put in the file's place since it was listed must not lead elsewhere, nor a pipe keep us waiting.
            handle = os.open(node.ref, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(handle, "rb") as file:
                return file.read(limit + 1)
        except OSError as error:
            raise UnreadableError("unreadable-file", error.strerror or str(error)) from error


def _node(entry: os.DirEntry[str]) -> Node:
    path = Path(entry.path)
    try:
        if entry.is_symlink():
            return Node(entry.name, "link", ref=path, detail=str(path.readlink()))
        if entry.is_dir():
            return Node(entry.name, "folder", ref=path)
        found = entry.stat(follow_symlinks=False)
    except OSError:
        return Node(entry.name, "file", 0, path)  # reading it says why
    if not stat.S_ISREG(found.st_mode):
        return Node(entry.name, "special", ref=path, detail="not a regular file")
    return Node(entry.name, "file", found.st_size, path)


class StoreTree:
    """A folder at an address such as s3://bucket/folder."""

    def __init__(self, path: Path) -> None:
        self.faults: list[Fault] = []
        self._listing = Listing()
        for file, name in storage.files_below(path):
            parts = parts_of(name)
            if parts is None:
                self.faults.append(Fault(name, "unsafe-path", f"{name[:200]!r} is no path inside a folder"))
            elif not _OURS & set(parts):
                self._listing.add(parts, "file", storage.size(file) or 0, file)

    def children(self, folder: Parts | None) -> list[Node]:
        """See `Tree.children`."""
        return self._listing.children(folder)

    def read(self, node: Node, limit: int) -> bytes:
        """See `Tree.read`."""
        try:
            with storage.open_read(node.ref) as file:
                return file.read(limit + 1)
        except (OSError, storage.StorageError) as error:
            raise UnreadableError("unreadable-file", str(error)[:300]) from error
