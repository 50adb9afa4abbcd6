"""Units of archive files: a small file is one unit, a large one several of about equal size.

That way one file ten times as long as the others does not set the time that all of them take.

A large file is read once, by the planning process, for both its digest and its borders (see `borders`). Where it is cut
depends on its bytes and on `split_bytes` only; a file that is one gzip member cannot be cut.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from pipelines import storage
from pipelines.document import canonical_json
from pipelines.sources.archive import WHOLE, Span, borders
from pipelines.sources.archive_input import Stream
from pipelines.sources.files import Found
from pipelines.sources.record import Failure, Unit
from pipelines.storage.ranges import version

SPLIT_BYTES = 64 << 20
"""Stored bytes of an archive file that one unit holds, about."""


_ASKED_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """An archive file to be read.

    Attributes:
        path: where it is.
        name: what it is called in what is reported, the same on every machine.
        sha256: digest of its bytes where it is known; None: to be made.
        without: offsets of records that are not read, ascending.
    """

    path: Path
    name: str
    sha256: str | None = None
    without: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """What a unit of an archive covers; its text is the unit's payload."""

    path: Path
    name: str
    span: Span = WHOLE
    without: frozenset[int] = frozenset()

    def text(self) -> str:
        """The payload that names this place."""
        span = [self.span.start, self.span.end, self.span.packed]
        return canonical_json(
            {"path": str(self.path), "name": self.name, "span": span, "without": sorted(self.without)}
        )

    @classmethod
    def of(cls, payload: str) -> Place:
        """The place that a payload names."""
        found = json.loads(payload)
        return cls(storage.at(found["path"]), found["name"], Span(*found["span"]), frozenset(found["without"]))


def archive_units(files: Iterable[ArchiveFile], split_bytes: int) -> list[Unit]:
    """The units of archive files, in order; files are looked at side by side, as many as there are processors."""
    # Threads are enough: hashing and inflating let others run.
    with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        return [unit for units in threads.map(lambda file: _units(file, split_bytes), files) for unit in units]


def _units(file: ArchiveFile, split_bytes: int) -> list[Unit]:
    size = storage.size(file.path)
    if size is None:
        raise FileNotFoundError(f"{file.path}: it was there a moment ago")
    if size <= split_bytes:
        return [_unit(file, file.sha256 or storage.sha256(file.path), size, WHOLE)]
    digest, spans = spans_of(file.path, size, split_bytes)
    return [_unit(file, digest, size, span) for span in spans]


def listed_units(files: Sequence[Found], split_bytes: int) -> list[Unit]:
    """The units of files that a list names, in order; one that is not there is a unit too, so that it is counted.

    Files on a store are known by address, size and the store's tag, not by their content: a segment of Common Crawl has
    900 of a gigabyte, and is not read to find out whether it was read. Each is one unit.
    """
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as threads:
        versions = list(threads.map(lambda file: version(file.path), files))
    here = [
        ArchiveFile(file.path, file.name)
        for file, found in zip(files, versions, strict=True)
        if found is not None and not storage.is_remote(file.path)
    ]
    known = {name: list(units) for name, units in groupby(archive_units(here, split_bytes), _file_of)}
    made: list[Unit] = []
    for file, found in zip(files, versions, strict=True):
        if found is None:
            payload = canonical_json({"missing": file.name})
            made.append(Unit(file.name, hashlib.sha256(payload.encode()).hexdigest(), 0, payload))
        elif storage.is_remote(file.path):
            said = canonical_json([str(file.path), found.size, found.tag])
            place = Place(file.path, file.name)
            made.append(Unit(file.name, hashlib.sha256(said.encode()).hexdigest(), found.size or 0, place.text()))
        else:
            made += known[file.name]
    return made


def missing_file(name: str) -> Failure:
    """What becomes of a file that a list names and that is not there."""
    evidence = {"file": name, "detail": "the list of paths names this archive, and it is not there"}
    return Failure(name, b"", "missing-file", evidence)


def _file_of(unit: Unit) -> str:
    return Place.of(unit.payload).name


def spans_of(path: Path, size: int, split_bytes: int) -> tuple[str, Sequence[Span]]:
    """A file's SHA-256 (hex) and the spans that it is read in, of about equal size and at most about `split_bytes`."""
    about = -(-size // -(-size // split_bytes))
    starts = [0]
    packed = None
    with storage.open_read(path) as file:
        stream = _Hashed(file)
        for border, is_packed in borders(stream):
            if border // about > starts[-1] // about:  # the first border in each part of `about` bytes
                starts.append(border)
                packed = is_packed
        digest = stream.hexdigest()
    if len(starts) == 1:
        return digest, [WHOLE]
    ends = [*starts[1:], None]
    return digest, [Span(start, end, packed if start else None) for start, end in zip(starts, ends, strict=True)]


def _unit(file: ArchiveFile, digest: str, size: int, span: Span) -> Unit:
    end = size if span.end is None else span.end
    without = frozenset(offset for offset in file.without if span.start <= offset < end)
    place = Place(file.path, file.name, span, without)
    name = file.name
    if span != WHOLE:
        name = f"{name}@{span.start}"
    if span != WHOLE or without:
        covered = canonical_json([digest, span.start, span.end, span.packed, sorted(without)])
        digest = hashlib.sha256(covered.encode()).hexdigest()
    return Unit(name, digest, end - span.start, place.text())


class _Hashed:
    """A file whose bytes are hashed while they are read, each once, however often they are read again."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()
        self._hashed = 0
        self._at = 0

    def read(self, count: int, /) -> bytes:
        data = self._stream.read(count)
        self._at += len(data)
        new = self._at - self._hashed
        if new > 0:
            self._hash.update(memoryview(data)[len(data) - new :])
            self._hashed = self._at
        return data

    def seek(self, position: int, /) -> int:
        self._read_to(position)
        self._at = self._stream.seek(position)
        return self._at

    def hexdigest(self) -> str:
        """SHA-256 of the whole file."""
        self._read_to(None)
        return self._hash.hexdigest()

    def _read_to(self, position: int | None) -> None:
        """Hash what lies before a position; None: the end."""
        if position is not None and position <= self._hashed:
            return
        self._at = self._stream.seek(self._hashed)
        while (position is None or self._at < position) and self.read(1 << 20):
            pass
