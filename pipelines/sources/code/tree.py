"""A tree of source files wherever it lies: a folder, a commit, an archive. Walked in one order, read a file at a time.

The order: the files of a folder by name, then the folders in it by name, each with all that it holds. A part of a tree
is a range of that order, and a worker that reads a range enters only the folders that reach into it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol
from urllib.parse import quote

Parts = tuple[str, ...]
"""A path's names; bytes that are not UTF-8 are surrogates, as `os.fsdecode` has them."""

Kind = Literal["file", "folder", "link", "submodule", "special"]

Key = tuple[tuple[int, str], ...]
"""A place in a tree's order; (0, name) a file, (1, name) a folder."""

DEEPEST = 256
"""Folders in folders; a deeper one is not entered."""

_LONGEST_NAME = 4096


@dataclass(frozen=True, slots=True)
class Node:
    """What stands under a name in a folder.

    Attributes:
        name: its name there.
        kind: "file", "folder", "link" (symbolic), "submodule", or "special" (a device, a pipe, a hard link).
        size: bytes of a file as its tree declares them.
        ref: what the tree needs to find it again.
        detail: where a link or a submodule leads.
    """

    name: str
    kind: Kind
    size: int = 0
    ref: Any = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """A part of a tree that cannot be read: a damaged place of an archive, a name that leads outside it."""

    name: str
    reason: str
    detail: str


class UnreadableError(Exception):
    """A file of a tree cannot be read; `reason` is kebab-case, for the ledger."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class Tree(Protocol):
    """A tree of files. `faults` are known once the tree is open."""

    faults: list[Fault]

    def children(self, folder: Any) -> list[Node]:
        """What is in a folder (a folder node's `ref`; None: the root), by name.

        Raises:
            UnreadableError: the folder cannot be listed.
        """
        ...

    def read(self, node: Node, limit: int) -> bytes:
        """A file's bytes, at most `limit` and one more, whatever its declared size.

        Raises:
            UnreadableError: it cannot be read.
        """
        ...


def parts_of(name: str) -> Parts | None:
    """The names of a path in an archive; None for one that is empty or leads outside (absolute, "..", a drive)."""
    if name.startswith("/") or "\0" in name or len(name) > _LONGEST_NAME or (len(name) > 1 and name[1] == ":"):
        return None
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    return None if not parts or ".." in parts or len(parts) > DEEPEST else parts


def quoted(name: str, safe: str = "") -> str:
    """A name as a part of an address; all its bytes can be told from it."""
    return quote(name.encode("utf-8", "surrogateescape"), safe=safe)


def file_key(parts: Parts) -> Key:
    """Where a file comes in its tree's order."""
    return (*((1, part) for part in parts[:-1]), (0, parts[-1]))


def folder_key(parts: Parts) -> Key:
    """Where a folder comes in its tree's order."""
    return tuple((1, part) for part in parts)


def reaches(folder: Parts, start: Key, end: Key | None) -> bool:
    """Whether files in a folder, or deeper in it, can come in [start, end)."""
    key = folder_key(folder)
    return key >= start[: len(key)] and (end is None or key < end)


class Listing:
    """The folders of a tree whose files are known as one list, as an archive's are."""

    def __init__(self) -> None:
        self._folders: dict[Parts, dict[tuple[str, str], Node]] = {(): {}}

    def add(self, parts: Parts, kind: Kind, size: int, ref: Any, detail: str = "") -> None:
        """Add a file and the folders it is in; the second of one name is called "name~2"."""
        if parts[:-1] not in self._folders:
            for depth in range(1, len(parts)):
                folder = parts[:depth]
                if folder not in self._folders:
                    self._folders[folder] = {}
                    self._folders[folder[:-1]][folder[-1], "folder"] = Node(folder[-1], "folder", ref=folder)
        siblings = self._folders[parts[:-1]]
        name, again = parts[-1], 1
        while (name, "file") in siblings:
            again += 1
            name = f"{parts[-1]}~{again}"
        siblings[name, "file"] = Node(name, kind, size, ref, detail)

    def children(self, folder: Parts | None) -> list[Node]:
        """What is in a folder, by name; a file before a folder of the same name."""
        return [node for _, node in sorted(self._folders[folder or ()].items())]


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder met on a walk; `children` are None where it could not be listed, and `why` says why not."""

    parts: Parts
    children: list[Node] | None
    why: UnreadableError | None = None

    def files(self, start: Key = (), end: Key | None = None) -> Iterator[tuple[Parts, Key, Node]]:
        """What lies in it directly and comes in [start, end), in order: all but folders."""
        for node in self.children or []:
            if node.kind != "folder":
                parts = (*self.parts, node.name)
                key = file_key(parts)
                if key >= start and (end is None or key < end):
                    yield parts, key, node


def walk(tree: Tree, start: Key = (), end: Key | None = None) -> Iterator[Folder]:
    """The folders of a tree that reach into [start, end): each before those in it, the files of each before those."""
    stack: list[tuple[Parts, Any]] = [((), None)]
    while stack:
        parts, ref = stack.pop()
        if len(parts) > DEEPEST:
            yield Folder(parts, None, UnreadableError("too-deep", f"more than {DEEPEST} folders deep"))
            continue
        try:
            children = tree.children(ref)
        except UnreadableError as error:
            yield Folder(parts, None, error)
            continue
        yield Folder(parts, children)
        below = [((*parts, node.name), node.ref) for node in children if node.kind == "folder"]
        stack += [one for one in reversed(below) if reaches(one[0], start, end)]
