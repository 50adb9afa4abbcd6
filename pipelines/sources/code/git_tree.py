"""A commit of a git repository as a tree of source files, read by dulwich (used under Apache-2.0) without a checkout.

Hooks, filters and attributes of the repository are never run, and links and submodules are named, not followed.
"""

from __future__ import annotations

import hashlib
import stat
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, cast

from pipelines.sources.code.extra import extra
from pipelines.sources.code.tree import Fault, Node, UnreadableError
from pipelines.storage import shown

_HEADER = 4096
_COMMIT, _TREE, _BLOB = 1, 2, 3
_NAMES = {_COMMIT: "commit", _TREE: "tree", _BLOB: "blob"}
_OFS_DELTA, _REF_DELTA = 6, 7


class RevisionError(Exception):
    """A repository has no such commit, branch or tag; the message says what to do."""


class GitTree:
    """The tree of a commit. `close` gives its files back."""

    def __init__(self, path: Path, commit: str) -> None:
        self._repository = _repository(path)
        self._objects: Any = self._repository.object_store
        try:
            raw = self._checked(commit.encode(), _COMMIT)
        except UnreadableError:
            self._repository.close()
            raise
        self._root: bytes = extra("dulwich.objects", "dulwich").Commit.from_raw_string(_COMMIT, raw).tree
        self._packs: dict[str, BinaryIO] = {}
        self.faults: list[Fault] = []

    def close(self) -> None:
        """Close the repository's files."""
        for file in self._packs.values():
            file.close()
        self._repository.close()

    def children(self, folder: bytes | None) -> list[Node]:
        """See `Tree.children`."""
        nodes: list[Node] = []
        sha = folder or self._root
        content = self._checked(sha, _TREE)
        try:
            entries = extra("dulwich.objects", "dulwich").Tree.from_raw_string(_TREE, content).items()
        except _damage() as error:
            raise UnreadableError("damaged-repository", f"tree {_hex(sha)}: {error!r}"[:300]) from error
        for entry in entries:
            name = entry.path.decode("utf-8", "surrogateescape")
            sha = cast(bytes, entry.sha)
            if stat.S_ISDIR(entry.mode):
                nodes.append(Node(name, "folder", ref=sha))
            elif stat.S_ISLNK(entry.mode):
                nodes.append(Node(name, "link", ref=sha))
            elif stat.S_IFMT(entry.mode) == 0o160000:
                nodes.append(Node(name, "submodule", ref=sha, detail=_hex(sha)))
            else:
                nodes.append(Node(name, "file", self._size(sha), sha))
        return sorted(nodes, key=lambda node: node.name)

    def read(self, node: Node, limit: int) -> bytes:
        """See `Tree.read`. A blob is unpacked whole: callers do not ask for one that is declared too large."""
        return self._checked(node.ref, _BLOB)[: limit + 1]

    def _checked(self, sha: bytes, kind: int) -> bytes:
        """An object's content, which must have the digest that it is called by: a cut-off one can be unpacked too."""
        try:
            found, content = self._objects.get_raw(sha)
        except _damage() as error:
            raise UnreadableError("damaged-repository", f"{_NAMES[kind]} {_hex(sha)}: {error!r}"[:300]) from error
        digest = hashlib.sha1 if len(sha) == 40 else hashlib.sha256  # names of objects, not a matter of security
        if found != kind or digest(b"%s %d\0" % (_NAMES[kind].encode(), len(content)) + content).hexdigest() != _hex(
            sha
        ):
            raise UnreadableError("damaged-repository", f"{_hex(sha)} is not the {_NAMES[kind]} that its name says")
        return content

    def _size(self, sha: bytes) -> int:
        """The size that a blob declares, from its header alone; 0 where it cannot be told (reading it says why)."""
        try:
            raw = bytes.fromhex(sha.decode())
            for pack in self._objects.packs:
                try:
                    offset = pack.index.object_offset(raw)
                except KeyError:
                    continue
                return self._packed_size(pack, offset, len(raw))
            return _loose_size(Path(self._objects.path) / sha[:2].decode() / sha[2:].decode())
        except _damage():
            return 0

    def _packed_size(self, pack: Any, offset: int, name_bytes: int) -> int:
        path = str(pack.data.path)
        if path not in self._packs:
            self._packs[path] = Path(path).open("rb")  # noqa: SIM115 - closed with the tree
        file = self._packs[path]
        file.seek(offset)
        head = file.read(_HEADER)
        kind, size, at = _object_header(head)
        if kind == _OFS_DELTA:
            while head[at] & 0x80:
                at += 1
            at += 1
        elif kind == _REF_DELTA:
            at += name_bytes
        else:
            return size
        # A delta begins with the sizes of what it is applied to and of what comes out.
        delta = zlib.decompressobj().decompress(head[at:], 32)
        _, at = _number(delta, 0)
        return _number(delta, at)[0]


@contextmanager
def open_commit(path: Path, commit: str) -> Generator[GitTree]:
    """A commit as a tree.

    Raises:
        MissingExtra: dulwich is not installed.
        RevisionError: the repository no longer has the commit.
    """
    try:
        tree = GitTree(path, commit)
    except UnreadableError as error:
        raise RevisionError(f"{path}: the commit {commit} cannot be read ({error}); fetch it again") from error
    try:
        yield tree
    finally:
        tree.close()


def is_repository(path: Path) -> bool:
    """Whether a folder is a git repository: a working one (with .git in it) or a bare one."""
    if (path / ".git").is_file() or (path / ".git" / "objects").is_dir():
        return True
    return (path / "HEAD").is_file() and (path / "objects").is_dir() and (path / "refs").is_dir()


def commit_of(path: Path, revision: str) -> str:
    """The commit (hex) that a branch, a tag, a commit's name or HEAD leads to.

    Raises:
        MissingExtra: dulwich is not installed.
        RevisionError: there is none.
    """
    repository = _repository(path)
    try:
        parse: Any = extra("dulwich.objectspec", "dulwich").parse_commit
        return _hex(parse(repository, revision.encode()).id)
    except (KeyError, ValueError) as error:
        branches = sorted(name.decode("utf-8", "replace") for name in repository.refs.subkeys(b"refs/heads/"))
        known = f"its branches: {', '.join(branches[:10])}" if branches else "it has no commit"
        raise RevisionError(f"{path}: no commit, branch or tag is called {revision!r}; {known}") from error
    finally:
        repository.close()


def origin_of(path: Path) -> str | None:
    """The address that a repository was cloned from, without user, password and ".git"; None where it has none."""
    repository = _repository(path)
    try:
        url = repository.get_config().get((b"remote", b"origin"), b"url").decode("utf-8", "replace")
    except KeyError:
        return None
    finally:
        repository.close()
    return web_address(url)


def web_address(url: str) -> str | None:
    """The https address of a remote, however it is written (git@host:owner/name.git); None for a path."""
    if url.startswith(("https://", "http://", "ssh://", "git://")):
        rest = shown(url).split("://", 1)[1]
        host, slash, path = rest.partition("/")
        host = (
            host.rpartition("@")[2] if url.startswith(("https", "http")) else host.rpartition("@")[2].partition(":")[0]
        )
        rest = host + slash + path
    elif ":" in url and "/" not in url.partition(":")[0] and "@" in url.partition(":")[0]:
        rest = url.partition("@")[2].replace(":", "/", 1)
    else:
        return None
    return "https://" + rest.rstrip("/").removesuffix(".git")


def _repository(path: Path) -> Any:
    repo = extra("dulwich.repo", "dulwich")
    errors = extra("dulwich.errors", "dulwich")
    try:
        return repo.Repo(str(path))
    except errors.NotGitRepository as error:
        raise RevisionError(f"{path}: no git repository") from error


@cache
def _damage() -> tuple[type[Exception], ...]:
    """What dulwich's parsers raise for damaged and missing objects."""
    errors = extra("dulwich.errors", "dulwich")
    own = (errors.FileFormatException, errors.ChecksumMismatch)
    return (*own, KeyError, ValueError, IndexError, TypeError, AssertionError, OSError, EOFError, zlib.error)


def _hex(sha: bytes) -> str:
    return sha.decode("ascii", "replace")


def _loose_size(path: Path) -> int:
    """The size in a loose object's header: "blob 1234" and a NUL."""
    with path.open("rb") as file:
        head = zlib.decompressobj().decompress(file.read(_HEADER), 64)
    return int(head.partition(b"\0")[0].split()[1])


def _object_header(data: bytes) -> tuple[int, int, int]:
    """Type, size and length of the header of a packed object (gitformat-pack)."""
    kind, size, shift, at = data[0] >> 4 & 7, data[0] & 15, 4, 0
    while data[at] & 0x80:
        at += 1
        size |= (data[at] & 0x7F) << shift
        shift += 7
    return kind, size, at + 1


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where it ends."""
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not data[at - 1] & 0x80:
            return value, at
