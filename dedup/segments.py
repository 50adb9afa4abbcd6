"""The folder of an index: immutable Parquet segments, sorted runs of their keys, and a manifest of those that count.

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
    "publish",
    "read_chosen",
    "read_keys",
    "read_manifest",
    "read_removed",
    "read_rows",
    "segment_schema",
    "write_manifest",
    "write_part",
]

FORMAT: Final = "pomona-dedup-index-3"
_BEFORE: Final = "pomona-dedup-index-2"  # without runs; they are written when the index is next changed
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
    segments: int = 0  # of a removal: it applies to this many segments, those that existed; of a run: it covers so many


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
    runs: tuple[Part, ...] = ()  # of the keys of the first segments on (`dedup.index_run_files`)
    additions: tuple[Addition, ...] = ()

    @property
    def state(self) -> State:
        """What the index holds now; equal digests, equal answers."""
        # Runs say nothing that the segments do not say, and are merged in time; nor does the format tell what is held.
        held = self.model_copy(update={"additions": (), "format": _BEFORE}).model_dump_json(exclude={"runs"})
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
        text = path.read_bytes()
        raw = json.loads(text)
        found = raw.get("format") if isinstance(raw, dict) else None
        if found not in (FORMAT, _BEFORE):
            raise IndexRefusedError(
                f"{path}: format {found!r}, expected {FORMAT!r}; rebuild the index with this version"
            )
        manifest = Manifest.model_validate(raw)
    except (json.JSONDecodeError, UnicodeDecodeError, ValidationError) as error:
        raise IndexRefusedError(
            f"{path}: not a manifest ({error}); restore it from a copy or rebuild the index"
        ) from error
    for part in (*manifest.segments, *manifest.removals, *manifest.runs):
        file = folder / part.name
        size = file.stat().st_size if file.exists() else None
        if size != part.bytes:
            if path.read_bytes() != text:  # a writer has replaced what it named
                return read_manifest(folder)
            state = "missing" if size is None else f"{size} bytes long"
            raise IndexRefusedError(f"{file}: {state}, expected {part.bytes} bytes; restore it or rebuild the index")
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest; the change is durable on return."""
    text = json.dumps(manifest.model_dump(mode="json"), indent=1, sort_keys=True) + "\n"
    temporary = folder / f".{MANIFEST}.tmp"
    temporary.write_text(text, encoding="utf-8")
    publish(temporary, folder / MANIFEST)


def next_name(kind: str, parts: Sequence[Part]) -> str:
    """Return a file name that no part has: one more than the largest number, since names are never used again."""
    last = max((int(part.name.partition(".")[0].rpartition("-")[2]) for part in parts), default=-1)
    return f"{kind}-{last + 1:06d}.{'run' if kind == 'keys' else 'parquet'}"


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
    publish(temporary, folder / name)
    return Part(name=name, rows=rows, bytes=(folder / name).stat().st_size, segments=segments)


def publish(temporary: Path, final: Path) -> None:
    """Give a file its name; both are durable on return."""
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(final)
    descriptor = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def clear_orphans(folder: Path, manifest: Manifest) -> int:
    """Delete the index's files that the manifest does not name; returns their bytes."""
    named = {part.name for part in (*manifest.segments, *manifest.removals, *manifest.runs)}
    freed = 0
    kinds = ("segment-*.parquet", "removal-*.parquet", "keys-*.run", ".*.tmp")
    for file in [file for kind in kinds for file in folder.glob(kind)]:
        if file.name not in named:
            freed += file.stat().st_size
            file.unlink()
    return freed


def read_keys(folder: Path, part: Part, portion: int) -> Iterator[pa.Table]:
    """Read what the keys of a segment's rows are made of, about so many rows at a time."""
    groups = max(1, portion // _ROWS_A_GROUP)
    try:
        file = pq.ParquetFile(folder / part.name, page_checksum_verification=True)
        for first in range(0, file.num_row_groups, groups):
            chosen = list(range(first, min(first + groups, file.num_row_groups)))
            yield file.read_row_groups(chosen, columns=["id", "content", "banded", "keys"]).combine_chunks()
    except (OSError, pa.ArrowInvalid) as error:
        raise IndexRefusedError(f"{folder / part.name}: damaged ({error}); restore it or rebuild the index") from error


def read_removed(folder: Path, part: Part) -> Any:
    """Read the ids of a removal."""
    try:
        table = pq.ParquetFile(folder / part.name, page_checksum_verification=True).read(columns=["id"])
    except (OSError, pa.ArrowInvalid) as error:
        raise IndexRefusedError(f"{folder / part.name}: damaged ({error}); restore it or rebuild the index") from error
    if table.num_rows != part.rows:
        raise IndexRefusedError(f"{folder / part.name}: {table.num_rows} rows, expected {part.rows}; rebuild the index")
    return table["id"].combine_chunks()


def read_chosen(folder: Path, part: Part, rows: NDArray[np.int64], columns: Sequence[str]) -> list[Any]:
    """Read columns of some rows of a segment; only the row groups in which they stand.

    Args:
        folder: the index.
        part: the segment.
        rows: ascending; one may be asked for more than once.
        columns: names.

    Returns:
        An Arrow array for each column.
    """
    try:
        file = pq.ParquetFile(folder / part.name, page_checksum_verification=True)
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        starts = np.concatenate(([0], np.cumsum(sizes)))
        of_row = np.searchsorted(starts, rows, side="right") - 1
        groups = np.unique(of_row)
        table: Any = file.read_row_groups(groups.tolist(), columns=list(columns))
    except (OSError, pa.ArrowInvalid) as error:
        raise IndexRefusedError(f"{folder / part.name}: damaged ({error}); restore it or rebuild the index") from error
    before = np.concatenate(([0], np.cumsum(np.diff(starts)[groups])))
    within = pa.array(before[np.searchsorted(groups, of_row)] + rows - starts[of_row])
    return [table[name].combine_chunks().take(within) for name in columns]


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


def _names(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
