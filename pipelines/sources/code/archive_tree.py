"""Archives as trees of source files: zip (wheels, eggs, jars) and tar, plain or compressed.

Nothing is unpacked into folders: members are read by their place in the archive, so that no name of theirs can lead
anywhere. What it is, is told by its first bytes, not by its name. A compressed tar is unpacked once, into a passing
file.
"""

from __future__ import annotations

import bz2
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from pipelines import storage
from pipelines.sources.code.tree import Fault, Listing, Node, Parts, UnreadableError, parts_of
from pipelines.sources.tar_member import BoundedMember
from pipelines.storage.space import passing_folder

SUFFIXES = (
    ".zip", ".whl", ".egg", ".jar", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst",
    ".crate",
)  # fmt: skip
"""How the names of archives end; what they are is told by their bytes."""

MAX_MEMBERS = 1_000_000
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, OSError, EOFError, ValueError)
_CHUNK = 1 << 20
_ZSTANDARD = b"\x28\xb5\x2f\xfd"
_LAYERS = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", _ZSTANDARD)


class ArchiveTree:
    """An open archive; `read_member` reads some bytes of what a node refers to, and is set by who opened it."""

    def __init__(self, name: str) -> None:
        self.faults: list[Fault] = []
        self._name = name
        self._listing = Listing()
        self._members = 0
        self.read_member: Callable[[Any, int], bytes] = _unreadable

    def children(self, folder: Parts | None) -> list[Node]:
        """See `Tree.children`."""
        return self._listing.children(folder)

    def read(self, node: Node, limit: int) -> bytes:
        """See `Tree.read`."""
        try:
            return self.read_member(node.ref, limit + 1)
        except NotImplementedError as error:
            raise UnreadableError("unsupported-compression", str(error)[:300]) from error
        except RuntimeError as error:
            if "encrypted" in str(error) or "password" in str(error):
                raise UnreadableError("encrypted-member", str(error)[:300]) from error
            raise UnreadableError("damaged-archive", str(error)[:300]) from error
        except _DAMAGE as error:
            raise UnreadableError("damaged-archive", str(error)[:300] or type(error).__name__) from error

    def fault(self, reason: str, detail: str, name: str = "") -> None:
        """Note what cannot be read; each is one failure."""
        self.faults.append(Fault(name or self._name, reason, detail))

    @property
    def has_members(self) -> bool:
        """Whether anything was added."""
        return self._members > 0

    def add(self, name: str, kind: str, size: int, ref: Any, detail: str = "") -> bool:
        """Add a member; False where there are too many of them."""
        self._members += 1
        if self._members > MAX_MEMBERS:
            self.fault("too-many-members", f"more than {MAX_MEMBERS}; the rest is not read")
            return False
        parts = parts_of(name)
        if parts is None:
            self.fault("unsafe-path", f"{name[:200]!r} leads outside the archive or nowhere", name[:200])
        else:
            self._listing.add(parts, cast(Any, kind), size, ref, detail)
        return True


@contextmanager
def open_archive(path: Path, name: str, max_unpacked: int) -> Generator[ArchiveTree]:
    """An archive as a tree; one that is damaged has what can be read of it, and faults.

    Args:
        path: the archive, on this machine or at an address.
        name: what it is called in what is reported.
        max_unpacked: bytes that a compressed tar may unpack to; what comes after is a fault.
    """
    tree = ArchiveTree(name)
    with storage.open_read(path) as file:
        head = file.read(8)
        file.seek(0)
        opened: AbstractContextManager[None]
        if head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")):
            opened = _zip(tree, file)
        elif head.startswith(_LAYERS):
            opened = _packed_tar(tree, file, max_unpacked)
        else:
            opened = _tar(tree, file)
        with opened:
            if not tree.has_members and not tree.faults:
                tree.fault("empty-archive", "it holds no file; a file of zeros looks like that too")
            yield tree


def is_divisible(path: Path) -> bool:
    """Whether a part of an archive can be read without what is before it."""
    with storage.open_read(path) as file:
        return not file.read(8).startswith(_LAYERS)


def _unreadable(ref: Any, count: int) -> bytes:
    raise ValueError(f"no archive is open for {ref!r} ({count} bytes)")


@contextmanager
def _zip(tree: ArchiveTree, file: BinaryIO) -> Generator[None]:
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError) as error:
        tree.fault("damaged-archive", f"no list of members can be read: {error}"[:300])
        yield
        return
    with archive:

        def read(info: zipfile.ZipInfo, count: int) -> bytes:
            with archive.open(info) as member:
                return member.read(count)

        tree.read_member = read
        for info in archive.infolist():
            name = info.filename.replace("\\", "/")
            mode = info.external_attr >> 16
            if name.endswith("/"):  # `is_dir` fails on a member without a name
                continue
            kind = "link" if stat.S_ISLNK(mode) else "file"
            if not tree.add(name, kind, info.file_size, info):
                break
        yield


@contextmanager
def _tar(tree: ArchiveTree, file: BinaryIO) -> Generator[None]:
    try:
        archive = tarfile.TarFile(
            fileobj=file, mode="r", tarinfo=BoundedMember, encoding="utf-8", errors="surrogateescape", errorlevel=2
        )
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        if not tree.faults:
            tree.fault("damaged-archive", f"neither a zip nor a tar, plain or compressed: {error}"[:300])
        yield
        return

    def read(info: tarfile.TarInfo, count: int) -> bytes:
        member = archive.extractfile(info)
        if member is None:
            raise ValueError("not a file")
        data = member.read(count)
        if len(data) < min(count, info.size):
            raise EOFError(f"{len(data)} of {info.size} bytes, then the archive ends")
        return data

    tree.read_member = read
    while True:
        try:
            info = archive.next()
        except (tarfile.TarError, OSError, ValueError, EOFError, OverflowError) as error:
            if not tree.faults:  # else it ends where its compressed data does, which is said already
                tree.fault("damaged-archive", f"after {archive.offset} bytes: {error}"[:300])
            break
        if info is None:
            break
        cast(Any, archive).members = []  # what it keeps of each would grow with the archive
        if info.isdir() or info.type in (tarfile.XGLTYPE,):
            continue
        kind = "file" if info.isreg() else "link" if info.issym() else "special"
        detail = info.linkname if info.issym() or info.islnk() else "" if info.isreg() else "not a regular file"
        if not tree.add(info.name, kind, info.size, info, detail):
            break
    yield


@contextmanager
def _packed_tar(tree: ArchiveTree, file: BinaryIO, max_unpacked: int) -> Generator[None]:
    """Unpack into a passing file, as far as the data is sound and the limit allows, and read that."""
    with passing_folder() as folder:
        passing = folder / "unpacked.tar"
        with passing.open("wb") as target:
            _unpack(tree, file, target, max_unpacked)
        with passing.open("rb") as plain, _tar(tree, plain):
            yield


def _unpack(tree: ArchiveTree, file: BinaryIO, target: BinaryIO, limit: int) -> None:
    left = limit
    try:
        for piece in _pieces(file):
            target.write(piece[:left])
            left -= len(piece)
            if left < 0:
                tree.fault("unpacked-limit", f"unpacks to more than {limit} bytes; the rest is not read")
                return
    except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError) as error:
        tree.fault("damaged-archive", f"the compressed data: {error}"[:300])


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    """What a compressed file unpacks to, about a megabyte at a time; several members are one after the other.

    Raises:
        EOFError: the data ends too early.
        zlib.error, lzma.LZMAError, OSError, ValueError: it is damaged.
    """
    head = file.read(4)
    file.seek(0)
    if head == _ZSTANDARD:
        import pyarrow as pa

        with pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd") as stream:
            while piece := stream.read(_CHUNK):
                yield piece
        return
    unpacker = _unpacker(head)
    data = b""
    while True:
        if not data and unpacker.needs_input:
            data = file.read(_CHUNK)
            if not data:
                raise EOFError("ends too early")
        piece = unpacker.decompress(data, _CHUNK)
        data = b""
        if piece:
            yield piece
        if unpacker.eof:
            data = unpacker.unused_data or file.read(_CHUNK)
            if not data.startswith(head[:2]):  # padding, or nothing
                return
            unpacker = _unpacker(head)


def _unpacker(head: bytes) -> Any:
    if head.startswith(b"\x1f\x8b"):
        return _Gzip()
    return bz2.BZ2Decompressor() if head.startswith(b"BZh") else lzma.LZMADecompressor(memlimit=256 << 20)


class _Gzip:
    """zlib's decompressor with the interface of the other two."""

    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(31)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inflater.decompress(self._inflater.unconsumed_tail + data, max_length)

    @property
    def needs_input(self) -> bool:
        return not self._inflater.unconsumed_tail

    @property
    def eof(self) -> bool:
        return self._inflater.eof

    @property
    def unused_data(self) -> bytes:
        return self._inflater.unused_data
