"""The sorted runs of an index as files: mapped, not read; merged as they grow, as in a log-structured merge tree.

What is added is a run by itself, and is merged with the runs before it as long as these have not twice as many rows.
So n rows lie in at most log2 n runs, and each is written at most log2 n times. A run holds nothing that the segments do
not hold: where there is none for a segment (an index of the format before), it is made anew from its keys.

A file: 64 bytes (the name of the format, the number of keys of each kind, a digest of these and of all fences and
sums), then for each kind its keys, rows, fences and sums, each from a multiple of eight bytes on; little-endian.
"""

from __future__ import annotations

import itertools
import mmap
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray

from dedup.deduplicate import order_of
from dedup.documents import one_array
from dedup.exact import content_hash
from dedup.index_runs import KINDS, Keys, Run, blocks_of, merge, no_keys
from dedup.segments import FORMAT, IndexRefusedError, Manifest, Part, next_name, publish, read_keys

__all__ = ["covered", "id_keys", "in_memory", "mapped"]

_MAGIC: Final = b"pomona-keys-1\0\0\0"
_HEADER: Final = 64
_PORTION: Final = 1 << 20  # rows whose keys are sorted in memory at a time


def mapped(folder: Path, part: Part) -> Run:
    """Map a run; only its fences and check sums are read.

    Raises:
        FileNotFoundError: it was merged since the manifest was read.
        IndexRefusedError: it is damaged.
    """
    path = folder / part.name
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size != part.bytes or part.bytes < _HEADER:
            raise IndexRefusedError(f"{path}: not {part.bytes} bytes long; restore it or rebuild the index")
        buffer = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    counts: list[int] = np.frombuffer(buffer, "<u8", len(KINDS), len(_MAGIC)).tolist()
    if _size(counts) == part.bytes:
        parts = _views(buffer, counts)
        if buffer[:_HEADER] == _header(counts, parts):
            return Run(str(path), part.rows, parts)
    raise IndexRefusedError(f"{path}: damaged (its header); restore it or rebuild the index")


def in_memory(folder: Path, part: Part, first: int) -> Iterator[Run]:
    """Sort the keys of a segment whose first row has a number, a portion of its rows at a time."""
    for table in read_keys(folder, part, _PORTION):
        keys: Any = table["keys"].combine_chunks()
        bands = keys.type.list_size
        yield Run.of(
            first,
            table["banded"].to_numpy(),
            band=keys.flatten().to_numpy(zero_copy_only=False).reshape(-1, bands),
            content=order_of(one_array(table["content"])),
            id=id_keys(table["id"]),
        )
        first += table.num_rows


def id_keys(ids: Any) -> NDArray[np.uint64]:
    """Return the keys of ids."""
    return order_of(content_hash(one_array(ids)))


def covered(folder: Path, manifest: Manifest, present: Manifest) -> Manifest:
    """Write runs for the segments that have none; they are durable on return.

    Args:
        folder: the index.
        manifest: one that will be.
        present: the one that is; no file that it names is changed.

    Returns:
        The manifest with its new runs. Those that were merged into others are no longer named.
    """
    first = sum(part.rows for part in manifest.runs)
    levels = [_Level(mapped(folder, part), part.segments, part) for part in manifest.runs]
    number = itertools.count()
    for segment in manifest.segments[sum(part.segments for part in manifest.runs) :]:
        for run in in_memory(folder, segment, first):
            first += run.rows
            levels.append(_Level(run, 0))
            while len(levels) > 1 and levels[-2].run.rows < 2 * levels[-1].run.rows:
                newer, older = levels.pop(), levels.pop()
                file = folder / f".keys-{next(number)}.tmp"
                run = _written(file, older.run, newer.run)
                levels.append(_Level(run, older.segments + newer.segments, file=file))
                for gone in (older.file, newer.file):
                    if gone is not None:
                        gone.unlink()
        # A run covers the segments whose last rows it holds.
        levels[-1] = levels[-1]._replace(segments=levels[-1].segments + 1)
    parts: list[Part] = []
    for one in levels:
        part = one.part
        if part is None:
            name = next_name("keys", (*present.runs, *parts))
            file = one.file or folder / f".keys-{next(number)}.tmp"
            if one.file is None:
                _written(file, None, one.run)
            publish(file, folder / name)
            part = Part(name=name, rows=one.run.rows, bytes=(folder / name).stat().st_size, segments=one.segments)
        parts.append(part)
    return manifest.model_copy(update={"format": FORMAT, "runs": tuple(parts)})


class _Level(NamedTuple):
    """A run of the tree, and where it lies."""

    run: Run
    segments: int
    part: Part | None = None  # of a file that the manifest names
    file: Path | None = None  # one that has no name yet


def _written(path: Path, older: Run | None, newer: Run) -> Run:
    """Write one or two runs as one file, and map it."""
    before = {kind: older.parts[kind] if older else no_keys() for kind in KINDS}
    for run in (older, newer):
        if run is not None:
            run.check()  # what is damaged must not be written again under a new sum
    counts = [len(before[kind].keys) + len(newer.parts[kind].keys) for kind in KINDS]
    size = _size(counts)
    with path.open("w+b") as file:
        os.posix_fallocate(file.fileno(), 0, size)  # a full disk is told here, and not by a signal
        with mmap.mmap(file.fileno(), size) as buffer:
            parts = _views(buffer, counts)
            for kind in KINDS:
                merge(before[kind], newer.parts[kind], parts[kind])
            buffer[:_HEADER] = _header(counts, parts)
            del parts  # no array may see the file when it is closed
            buffer.flush()
    rows = newer.rows + (older.rows if older else 0)
    return mapped(path.parent, Part(name=path.name, rows=rows, bytes=size))


def _views(buffer: mmap.mmap, counts: Sequence[int]) -> dict[str, Keys]:
    """Return the arrays of a file."""
    parts: dict[str, Keys] = {}
    at = _HEADER
    for kind, count in zip(KINDS, counts, strict=True):
        arrays: list[Any] = []
        for name, length in zip(Keys._fields, (count, count, blocks_of(count), blocks_of(count)), strict=True):
            dtype = np.dtype("<u4" if name == "rows" else "<u8")
            arrays.append(np.frombuffer(buffer, dtype, length, at))
            at += _even(length * dtype.itemsize)
        parts[kind] = Keys(*arrays)
    return parts


def _size(counts: Sequence[int]) -> int:
    return _HEADER + sum(8 * count + _even(4 * count) + 16 * blocks_of(count) for count in counts)


def _even(size: int) -> int:
    return -(-size // 8) * 8


def _header(counts: Sequence[int], parts: dict[str, Keys]) -> bytes:
    """Return the beginning of a file, with the digest of what is read when it is opened."""
    begin = _MAGIC + np.array(counts, "<u8").tobytes()
    digest = xxhash.xxh3_128(begin)
    for part in parts.values():
        digest.update(part.fences.data)
        digest.update(part.sums.data)
    return begin.ljust(_HEADER - 16, b"\0") + digest.digest()
