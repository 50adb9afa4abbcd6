"""Records that an index selects, read by their byte ranges: of each archive only what is asked for.

Entries are put in order by file and place, so that neither the order of an index nor how many name the same record
shows. Ranges that lie near one another are asked for together. One entry gives one outcome, whatever it leads to.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from pipelines import storage
from pipelines.document import canonical_json
from pipelines.sources.archive import ArchiveRecord, Span, begins_record, read_archive
from pipelines.sources.archive_index import ENTRY_SCHEMA, Problem, Select, read_index
from pipelines.sources.archive_input import Damage, Stream
from pipelines.sources.archive_list import below
from pipelines.sources.archive_outcomes import DESCRIBING
from pipelines.sources.files import SourceError
from pipelines.sources.record import Failure, Outcome, Unit
from pipelines.storage.ranges import Version, read_span, version

GAP = 1 << 16
"""Bytes between two ranges that are read rather than asked around: about what a request takes to be answered."""
RUN_BYTES = 16 << 20
"""Most bytes that are asked for at once, where no single record is longer."""

_ASKED_AT_ONCE = 16
_INDEXES_AT_ONCE = 4
_TOGETHER = 64
_HEADERS = 1 << 17  # stored bytes of a record beside its block

Wanted = tuple[int, int | None, str | None]
"""Offset, length and address of a record."""


@dataclass(frozen=True, slots=True)
class Ranged:
    """Some records of one archive. `size` is the archive's, None where a server does not say; `found`: it is there."""

    path: Path
    name: str
    found: bool
    size: int | None
    wanted: Sequence[Wanted]

    def json(self) -> list[Any]:
        """A form for payloads."""
        return [str(self.path), self.name, self.found, self.size, [list(one) for one in self.wanted]]


def index_units(indexes: Sequence[tuple[Path, str]], base: Path, select: Select, about: int) -> list[Unit]:
    """The units of what indexes select, about so many stored bytes each, and one for each index with problems.

    Raises:
        FileNotFoundError: an index is missing.
        SourceError: nothing is selected; see also `read_index`.
    """
    with ThreadPoolExecutor(_INDEXES_AT_ONCE) as threads:
        read = list(threads.map(lambda index: _read(index[0], select), indexes))
    tables = [ENTRY_SCHEMA.empty_table(), *(table for table, _ in read)]
    troubled = [
        Unit(f"{name}!", storage.sha256(path), storage.size(path) or 0, canonical_json({"index": [str(path), name]}))
        for (path, name), (_, problems) in zip(indexes, read, strict=True)
        if problems
    ]
    entries = pa.concat_tables(tables)
    if not entries.num_rows and not troubled:
        names = ", ".join(name for _, name in indexes)
        raise SourceError(
            f"{names}: no entry is selected by {select.model_dump_json()}; change 'select' "
            "(its status is 200 where nothing else is said, and [] where an index has none)"
        )
    return [*_units(_by_file(entries), base, about), *troubled]


def _read(path: Path, select: Select) -> tuple[pa.Table, bool]:
    """What is selected of an index, and whether it has problems: those are read again where they are told."""
    tables = [ENTRY_SCHEMA.empty_table()]
    problems = False
    for item in read_index(path, select):
        if isinstance(item, Problem):
            problems = True
        else:
            tables.append(item)
    return pa.concat_tables(tables), problems


def read_problems(payload: dict[str, Any], select: Select) -> Iterator[Outcome]:
    """What of an index names no record, as failures."""
    path, name = payload["index"]
    for item in read_index(storage.at(path), select):
        if isinstance(item, Problem):
            evidence = {"file": name, "place": item.where, "detail": item.detail}
            yield Failure(f"{name}#{item.where}", item.content, item.reason, evidence)


def read_ranges(
    payload: dict[str, Any], most: int, outcome: Callable[[ArchiveRecord, str], Outcome]
) -> Iterator[Outcome]:
    """The outcomes of a unit, one for each entry, by file and place.

    Args:
        payload: the unit's.
        most: longest block of a record in bytes.
        outcome: what becomes of a record; the second argument is its archive's name.
    """
    for path, name, found, size, wanted in payload["ranges"]:
        file = Ranged(storage.at(path), name, found, size, [(one[0], one[1], one[2]) for one in wanted])
        yield from _read_file(file, most, outcome)


def runs(wanted: Sequence[Wanted]) -> list[list[Wanted]]:
    """Entries, ascending, in groups that are read at once; one whose length is not known stands alone."""
    made: list[list[Wanted]] = []
    start = end = 0
    for one in wanted:
        offset, length, _ = one
        near = bool(made) and made[-1][-1][1] is not None and length is not None and offset - end <= GAP
        if near and length is not None and max(end, offset + length) - start <= RUN_BYTES:
            made[-1].append(one)
            end = max(end, offset + length)
        else:
            made.append([one])
            start, end = offset, offset + (length or 0)
    return made


def _by_file(entries: pa.Table) -> dict[str, list[Wanted]]:
    """Entries by file in the order of names, each place once: as its longest range says."""
    order = [("file", "ascending"), ("offset", "ascending"), ("length", "descending"), ("url", "ascending")]
    table = entries.sort_by(order).combine_chunks()
    if not table.num_rows:
        return {}
    file = table["file"].combine_chunks().dictionary_encode()
    code, offset = file.indices.to_numpy(), table["offset"].to_numpy()
    new = np.ones(table.num_rows, bool)
    new[1:] = (code[1:] != code[:-1]) | (offset[1:] != offset[:-1])
    table = table.filter(pa.array(new))
    found: dict[str, list[Wanted]] = {}
    columns = [table[name].to_pylist() for name in ("file", "offset", "length", "url")]
    for name, at, length, url in zip(*columns, strict=True):
        found.setdefault(name, []).append((at, length, url))
    return found


def _units(entries: dict[str, list[Wanted]], base: Path, about: int) -> list[Unit]:
    files = [(below(base, name), name, wanted) for name, wanted in entries.items()]
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as threads:
        versions = list(threads.map(lambda file: version(file[0]), files))
    groups: list[list[tuple[Ranged, str]]] = [[]]
    held = 0
    for (path, name, wanted), there in zip(files, versions, strict=True):
        size = None if there is None else there.size
        for part in _parts(wanted, about):
            file = Ranged(path, name, there is not None, size, part)
            length = _bytes(part)
            if groups[-1] and held + length > about:
                groups.append([])
                held = 0
            groups[-1].append((file, _state(file, there)))
            held += length
        # As in `files.grouped`: which archives share a unit depends on their names, so that one more changes little.
        if xxhash.xxh3_64_intdigest(name.encode()) % _TOGETHER == 0:
            groups.append([])
            held = 0
    return [_unit(group) for group in groups if group]


def _parts(wanted: Sequence[Wanted], about: int) -> Iterator[list[Wanted]]:
    """One archive's entries in pieces of about so many bytes."""
    part: list[Wanted] = []
    held = 0
    for one in wanted:
        if part and held + (one[1] or GAP) > about:
            yield part
            part, held = [], 0
        part.append(one)
        held += one[1] or GAP
    yield part


def _bytes(wanted: Sequence[Wanted]) -> int:
    return sum(length or GAP for _, length, _ in wanted)


def _state(file: Ranged, there: Version | None) -> str:
    """What changes when the bytes that are read do: here their digest, on a store the archive's size and tag.

    Nothing of an archive on a store is read for it: that would be to read everything twice.
    """
    if there is None:
        return "missing"
    if storage.is_remote(file.path):
        return f"{there.size} {there.tag}"
    content = hashlib.sha256()
    for run in runs(file.wanted):
        last = max(offset + (length or RUN_BYTES) for offset, length, _ in run)
        content.update(read_span(file.path, run[0][0], last))
    return content.hexdigest()


def _unit(group: list[tuple[Ranged, str]]) -> Unit:
    files = [file for file, _ in group]
    covered = canonical_json([[file.name, state, [list(one) for one in file.wanted]] for file, state in group])
    count = sum(len(file.wanted) for file in files)
    name = f"{files[0].name}@{files[0].wanted[0][0]}+{count}"
    payload = canonical_json({"ranges": [file.json() for file in files]})
    digest = hashlib.sha256(covered.encode()).hexdigest()
    return Unit(name, digest, sum(_bytes(file.wanted) for file in files), payload)


def _read_file(file: Ranged, most: int, outcome: Callable[[ArchiveRecord, str], Outcome]) -> Iterator[Outcome]:
    gone = not file.found
    for run in runs(file.wanted):
        start = run[0][0]
        stop = max(offset + min(length or 0, most + _HEADERS) for offset, length, _ in run)
        stop = stop if file.size is None else min(stop, file.size)
        data = b""
        try:
            if not gone and stop > start:
                data = read_span(file.path, start, stop)
        except FileNotFoundError:
            gone = True
        for offset, length, url in run:
            place = {"file": file.name, "offset": offset}
            uri = url or f"{file.name}#offset={offset}"
            if gone:
                detail = "the index names this archive, and it is not there"
                yield Failure(uri, b"", "missing-file", {**place, "detail": detail})
            elif length is not None and length > most + _HEADERS:
                yield Failure(uri, b"", "too-large", {**place, "bytes": length, "limit": most})
            elif length is None and (file.size is None or offset < file.size):
                with storage.open_read(file.path) as stream:
                    stream.seek(offset)
                    head = stream.read(4096)
                    yield _one(stream, head, Span(offset, offset + 1), most, uri, file.name, outcome)
            else:
                part = data[offset - start : offset - start + (length or 0)]
                span = Span(offset, offset + len(part))
                yield _one(_Part(part, offset), part, span, most, uri, file.name, outcome)


def _one(
    stream: Stream,
    head: bytes,
    span: Span,
    most: int,
    uri: str,
    name: str,
    outcome: Callable[[ArchiveRecord, str], Outcome],
) -> Outcome:
    """What the record at a place is; `head`: how the bytes there begin."""
    place = {"file": name, "offset": span.start}
    if not begins_record(head):
        detail = f"no record begins there; found {head[:20]!r}" if head else "the archive ends before that"
        return Failure(uri, head[:100], "no-record", {**place, "detail": detail})
    packed = head.startswith(b"\x1f\x8b\x08")
    first: ArchiveRecord | None = None
    for item in read_archive(stream, most + (1 << 16), Span(span.start, span.end, packed)):
        if isinstance(item, Damage):
            if first is not None:
                break
            return Failure(uri, b"", "damaged-archive", {**place, "detail": item.detail})
        if item.kind not in DESCRIBING:
            return outcome(item, name)
        first = first or item  # a member can begin with a record that describes the next
    if first is not None:
        return outcome(first, name)
    return Failure(uri, b"", "no-record", {**place, "detail": "only line ends there"})


class _Part(io.BytesIO):
    """Some bytes of a file at the places that they have in it."""

    def __init__(self, data: bytes, start: int) -> None:
        super().__init__(data)
        self._start = start

    def seek(self, position: int, whence: int = 0, /) -> int:
        """Go to a position in the file."""
        return super().seek(max(0, position - self._start), whence) + self._start
