"""Where the trees of a source are, and the units they are read in.

A tree is planned once: its files are listed in order and cut into parts of about `split_bytes`; a part is a range of
the order, so that the files and nothing else decide what is in it. A compressed tar cannot be cut.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pipelines import storage
from pipelines.sources.code.archive_tree import is_divisible, open_archive
from pipelines.sources.code.folder_tree import FolderTree, StoreTree
from pipelines.sources.code.git_tree import open_commit
from pipelines.sources.code.scope import decides
from pipelines.sources.code.tree import Key, Node, Tree, UnreadableError, walk
from pipelines.sources.record import Unit


@dataclass(frozen=True, slots=True)
class Place:
    """A tree and what is known of it.

    Attributes:
        kind: "folder", "store" (a folder at an address), "git" or "archive".
        path: where it is.
        name: what it is called in what is reported, the same on every machine.
        address: beginning of its files' addresses, without a slash at the end.
        commit, revision: of a repository; "" for others.
        stars, license: as the recipe gives them.
    """

    kind: Literal["folder", "store", "git", "archive"]
    path: Path
    name: str
    address: str
    commit: str = ""
    revision: str = ""
    stars: int | None = None
    license: str | None = None

    def text(self) -> dict[str, Any]:
        """Its fields as JSON has them."""
        return {field: str(value) if field == "path" else value for field, value in self._fields()}

    def facts(self) -> dict[str, Any]:
        """What is kept of it in the metadata of each record."""
        found = {"commit": self.commit, "revision": self.revision} if self.commit else {}
        stars = {} if self.stars is None else {"stars": self.stars}
        return {"archive" if self.kind == "archive" else "repository": self.name, **found, **stars}

    def _fields(self) -> Iterator[tuple[str, Any]]:
        for field in self.__slots__:
            yield field, getattr(self, field)


@dataclass(frozen=True, slots=True)
class Part:
    """A range of a tree's order; its text is the unit's payload. `cut`: what comes after `end` is not read at all."""

    place: Place
    start: Key = ()
    end: Key | None = None
    cut: bool = False

    def text(self) -> str:
        """The payload that names this part; names that are not UTF-8 are escaped."""
        value = {"place": self.place.text(), "start": self.start, "end": self.end, "cut": self.cut}
        return json.dumps(value, sort_keys=True, separators=(",", ":"))

    @classmethod
    def of(cls, payload: str) -> Part:
        """The part that a payload names."""
        found = json.loads(payload)
        fields: dict[str, Any] = found["place"]
        fields["path"] = storage.at(fields["path"])
        place = Place(**fields)
        end = None if found["end"] is None else _key(found["end"])
        return cls(place, _key(found["start"]), end, found["cut"])


def _key(value: list[list[Any]]) -> Key:
    return tuple((int(kind), str(name)) for kind, name in value)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a tree: see the fields of the same names of `CodeSource`."""

    max_file_bytes: int
    max_unpacked_bytes: int
    max_files: int
    split_bytes: int


@contextmanager
def opened(place: Place, limits: Limits) -> Generator[Tree]:
    """The tree of a place.

    Raises:
        MissingExtra: it is a repository, and dulwich is not installed.
        RevisionError: the repository no longer has the commit.
        FileNotFoundError: it is no longer there.
    """
    if place.kind == "git":
        with open_commit(place.path, place.commit) as tree:
            yield tree
    elif place.kind == "archive":
        with open_archive(place.path, place.name, limits.max_unpacked_bytes) as tree:
            yield tree
    else:
        yield FolderTree(place.path) if place.kind == "folder" else StoreTree(place.path)


def units_of(place: Place, label: str, limits: Limits) -> list[Unit]:
    """The units of a tree, in its order; a tree without files is one unit, so that its faults are read.

    Args:
        place: the tree.
        label: what its units are called, unique in the source.
        limits: bounds.
    """
    whole = storage.sha256(place.path) if place.kind == "archive" else place.commit
    if place.kind == "archive" and not is_divisible(place.path):
        size = storage.size(place.path) or 0
        return [_unit(label, Part(place), whole, size)]
    with opened(place, limits) as tree:
        parts = list(_parts(place, tree, limits, hashing=not whole))
    return [
        _unit(label if not index else f"{label}@{index}", part, whole or digest, size)
        for index, (part, digest, size) in enumerate(parts)
    ]


def _unit(name: str, part: Part, digest: str, size: int) -> Unit:
    # Where it is on this machine does not count; all else that a record can show does, and the lists and texts of
    # libraries that licences and secrets are found by.
    covered = json.dumps([digest, replace(part, place=replace(part.place, path=Path())).text(), _libraries()])
    return Unit(name, hashlib.sha256(covered.encode()).hexdigest(), size, part.text())


@cache
def _libraries() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in ("detect-secrets", "identify", "license-expression"):
        with suppress(importlib.metadata.PackageNotFoundError):  # of an extra: without it nothing is found by it
            found[name] = importlib.metadata.version(name)
    return found


def _parts(place: Place, tree: Tree, limits: Limits, hashing: bool) -> Iterator[tuple[Part, str, int]]:
    """Ranges of a tree with a digest of what is read in each (where `hashing`) and their sizes.

    What states a licence in one range decides on files in others: it is in every digest.
    """
    found: list[tuple[Key, Key | None, bool, str, int]] = []
    licences = hashlib.sha256()
    content = hashlib.sha256()
    start: Key = ()
    size = files = 0
    cut: Key | None = None
    for folder in walk(tree):
        for parts, key, node in folder.files():
            if files >= limits.max_files:
                cut = key
                break
            files += 1
            readable = min(node.size, limits.max_file_bytes + 1)
            if size and size + readable > limits.split_bytes:
                found.append((start, key, False, content.hexdigest(), size))
                start, size, content = key, 0, hashlib.sha256()
            size += readable
            if hashing:
                line = f"{'/'.join(parts)}\0{_digest(tree, node, limits)}\n".encode("utf-8", "surrogateescape")
                content.update(line)
                if decides(parts):
                    licences.update(line)
        if cut is not None:
            break
    found.append((start, cut, cut is not None, content.hexdigest(), size))
    for start, end, is_cut, digest, size in found:
        yield Part(place, start, end, is_cut), digest + licences.hexdigest(), size


def _digest(tree: Tree, node: Node, limits: Limits) -> str:
    """What reading a file would show: its content, or why that is not read."""
    if node.kind != "file":
        return f"{node.kind} {node.detail}"
    if node.size > limits.max_file_bytes:
        return f"{node.size} bytes"
    try:
        return hashlib.sha256(tree.read(node, limits.max_file_bytes)).hexdigest()
    except UnreadableError as error:
        return f"{error.reason} {error}"
