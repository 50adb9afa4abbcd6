"""The folder of an index: immutable Parquet segments, and a manifest that says which of them count.

``manifest.json`` is replaced atomically and last, after every file it names is on disk (written under a temporary name,
fsync, rename, fsync of the folder). A crash therefore leaves the index as it was before the call, at worst beside a
file that no manifest names. One process writes at a time (a lock on the file ``lock``); readers need no lock.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from dedup.config import DedupConfig
from dedup.exact import CONTENT_TYPE

__all__ = [
    "FORMAT",
    "MANIFEST",
    "Addition",
    "IndexRefusedError",
    "Manifest",
    "Part",
    "State",
    "clear_orphans",
    "locked",
    "next_name",
    "read_keys",
    "read_manifest",
    "read_removed",
    "read_rows",
    "read_sets",
    "segment_schema",
    "write_manifest",
    "write_part",
]

FORMAT: Final = "pomona-dedup-index-2"
MANIFEST: Final = "manifest.json"
_ROWS_A_GROUP: Final = 1024  # rows read together when the shingles of one of them are asked for


class IndexRefusedError(ValueError):
    """The folder cannot be used as the index that was asked for; the message says why."""


class Part(BaseModel):
    """One file of the index."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    rows: int
    bytes: int
    segments: int = 0  # of a removal: it applies to this many segments, the ones that existed


class State(BaseModel):
    """An index as it was at some time: so many of its segments and removals, and the digest of these."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    segments: int
    removals: int
    digest: str


class Addition(BaseModel):
    """What was added (the digest of an input), and the index as it was asked before."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    of: str
    state: State


class Manifest(BaseModel):
    """What the index consists of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str = FORMAT
    config: DedupConfig
    probe: str  # digest of the signatures of a fixed text: another rule of words or hashing gives another
    segments: tuple[Part, ...] = ()
    removals: tuple[Part, ...] = ()
    additions: tuple[Addition, ...] = ()

    @property
    def state(self) -> State:
        """What the index holds now; equal digests, equal answers."""
        held = self.model_copy(update={"additions": ()}).model_dump_json()
        return State(
            segments=len(self.segments),
            removals=len(self.removals),
            digest=xxhash.xxh3_128_hexdigest(held.encode()),
        )

    def before(self, of: str) -> State:
        """Return the state before that input was added, or the present one where it was not."""
        return next((one.state for one in self.additions if one.of == of), self.state)

    def as_of(self, state: State, folder: Path) -> Manifest:
        """Return the manifest as it was in a state.

        Raises:
            IndexRefusedError: the files of then were compacted since.
        """
        update = {"segments": self.segments[: state.segments], "removals": self.removals[: state.removals]}
        found = self.model_copy(update=update)
        if found.state.digest != state.digest:
            raise IndexRefusedError(
                f"{folder}: it was compacted since this input was added to it, and cannot be asked as it was before; "
                "keep the run that was made then, or build anew without index_add or with another index"
            )
        return found


def segment_schema(bands: int) -> pa.Schema:
    """Return the columns of a segment: one row a kept document."""
    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("content", CONTENT_TYPE, nullable=False),  # XXH3-128 of the text, or of its normalised form
            pa.field("banded", pa.bool_(), nullable=False),  # false: the text has no shingle, and its keys mean nothing
            pa.field("keys", pa.list_(pa.uint64(), bands), nullable=False),
            # What the document came with: it says whether a later copy is better.
            pa.field("quality", pa.float64(), nullable=False),  # NaN: not known
            pa.field("length", pa.int64(), nullable=False),
            pa.field("priority", pa.float64(), nullable=False),
            pa.field("date", pa.float64(), nullable=False),
            pa.field("shingles", pa.large_list(pa.uint64()), nullable=False),  # ascending, each once
        ]
    )


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest and check that the files it names are whole.

    Raises:
        IndexRefusedError: there is no manifest, it cannot be read, or a file is missing or of another length.
    """
    path = folder / MANIFEST
    if not path.exists():
        state = "it holds files but no manifest: half-written, or no index" if _names(folder) else "nothing is there"
        raise IndexRefusedError(f"{folder}: no index ({state}); make one with Index.create")
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        found = raw.get("format") if isinstance(raw, dict) else None
        if found != FORMAT:
            raise IndexRefusedError(
                f"{path}: format {found!r}, expected {FORMAT!r}; rebuild the index with this version"
            )
        manifest = Manifest.model_validate(raw)
    except (json.JSONDecodeError, UnicodeDecodeError, ValidationError) as error:
        raise IndexRefusedError(
            f"{path}: not a manifest ({error}); restore it from a copy or rebuild the index"
        ) from error
    for part in (*manifest.segments, *manifest.removals):
        file = folder / part.name
        size = file.stat().st_size if file.exists() else None
        if size != part.bytes:
            state = "missing" if size is None else f"{size} bytes long"
            raise IndexRefusedError(f"{file}: {state}, expected {part.bytes} bytes; restore it or rebuild the index")
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest; the change is durable on return."""
    text = json.dumps(manifest.model_dump(mode="json"), indent=1, sort_keys=True) + "\n"
    temporary = folder / f".{MANIFEST}.tmp"
    temporary.write_text(text, encoding="utf-8")
    _publish(temporary, folder / MANIFEST)


def next_name(kind: str, parts: Sequence[Part]) -> str:
    """Return a file name that no part has: one more than the largest number, since names are never used again."""
    last = max((int(part.name.removesuffix(".parquet").rpartition("-")[2]) for part in parts), default=-1)
    return f"{kind}-{last + 1:06d}.parquet"


def write_part(
    folder: Path, name: str, tables: Iterable[pa.Table], segments: int = 0, schema: pa.Schema | None = None
) -> Part:
    """Write one Parquet file durably and return its entry for the manifest."""
    temporary = folder / f".{name}.tmp"
    rows = 0
    with ExitStack() as stack:
        writer: Any = None  # pq.ParquetWriter, which has no types
        for table in tables:
            if writer is None:
                writer = pq.ParquetWriter(
                    temporary,
                    schema or table.schema,
                    compression="zstd",
                    write_page_checksum=True,
                    use_dictionary=False,
                )
                stack.callback(writer.close)
            writer.write_table(table, row_group_size=_ROWS_A_GROUP)
            rows += table.num_rows
    _publish(temporary, folder / name)
    return Part(name=name, rows=rows, bytes=(folder / name).stat().st_size, segments=segments)


def clear_orphans(folder: Path, manifest: Manifest) -> int:
    """Delete the index's files that the manifest does not name; returns their bytes."""
    named = {part.name for part in (*manifest.segments, *manifest.removals)}
    freed = 0
    for file in [*folder.glob("segment-*.parquet"), *folder.glob("removal-*.parquet"), *folder.glob(".*.tmp")]:
        if file.name not in named:
            freed += file.stat().st_size
            file.unlink()
    return freed


def read_keys(folder: Path, part: Part) -> pa.Table:
    """Read all of a segment but its shingles."""
    return _read(folder, part, ["id", "content", "banded", "keys", "quality", "length", "priority", "date"])


def read_removed(folder: Path, part: Part) -> Any:
    """Read the ids of a removal."""
    return _read(folder, part, ["id"])["id"].combine_chunks()


def read_sets(folder: Path, part: Part, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Read the shingle sets of some rows of a segment.

    Args:
        folder: the index.
        part: the segment.
        rows: ascending.

    Returns:
        The length of each set, and their hashes one after another.
    """
    try:
        file = pq.ParquetFile(folder / part.name, page_checksum_verification=True)
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        starts = np.concatenate(([0], np.cumsum(sizes)))
        of_row = np.searchsorted(starts, rows, side="right") - 1
        groups = np.unique(of_row)
        column: Any = file.read_row_groups(groups.tolist(), columns=["shingles"])["shingles"].combine_chunks()
    except (OSError, pa.ArrowInvalid) as error:
        raise IndexRefusedError(f"{folder / part.name}: damaged ({error}); restore it or rebuild the index") from error
    before = np.concatenate(([0], np.cumsum(np.diff(starts)[groups])))
    within = before[np.searchsorted(groups, of_row)] + rows - starts[of_row]
    chosen = column.take(pa.array(within))
    lengths = chosen.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
    return lengths, chosen.flatten().to_numpy(zero_copy_only=False).astype(np.uint64)


def read_rows(folder: Path, part: Part, rows: NDArray[np.int64]) -> Iterator[pa.Table]:
    """Read some rows (ascending) of a segment with all columns, row groups at a time."""
    try:
        file = pq.ParquetFile(folder / part.name, page_checksum_verification=True)
        start = 0
        for group in range(file.num_row_groups):
            stop = start + file.metadata.row_group(group).num_rows
            here = rows[np.searchsorted(rows, start) : np.searchsorted(rows, stop)] - start
            if len(here):
                table: Any = file.read_row_group(group).take(pa.array(here))
                yield table
            start = stop
    except (OSError, pa.ArrowInvalid) as error:
        raise IndexRefusedError(f"{folder / part.name}: damaged ({error}); restore it or rebuild the index") from error


@contextmanager
def locked(folder: Path) -> Generator[None]:
    """Hold the right to write; waits while another process holds it. A killed process holds nothing."""
    with (folder / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _read(folder: Path, part: Part, columns: list[str]) -> pa.Table:
    try:
        table = pq.ParquetFile(folder / part.name, page_checksum_verification=True).read(columns=columns)
    except (OSError, pa.ArrowInvalid) as error:
        raise IndexRefusedError(f"{folder / part.name}: damaged ({error}); restore it or rebuild the index") from error
    if table.num_rows != part.rows:
        raise IndexRefusedError(f"{folder / part.name}: {table.num_rows} rows, expected {part.rows}; rebuild the index")
    return table


def _names(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()] if folder.is_dir() else []


def _publish(temporary: Path, final: Path) -> None:
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(final)
    descriptor = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
