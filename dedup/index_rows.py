"""The rows of an index: their keys in sorted runs, mapped from disk; all else is read when it is asked for.

A row keeps its number until the index is compacted: what is added comes behind, what is removed is marked. In memory is
a byte a row that says whether it is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup.deduplicate import order_of
from dedup.exact import CONTENT_TYPE
from dedup.index_run_files import id_keys, in_memory, mapped
from dedup.index_runs import Run, pairs
from dedup.segments import Manifest, Part, read_chosen, read_removed, read_rows
from dedup.shingles import Shingles
from kernels.distinct import distinct

__all__ = ["RANKED", "Rows"]

RANKED = ("quality", "length", "priority", "date")
"""What an index remembers of the stated order."""
_EVERY = int(np.iinfo(np.int64).max)


class Rows:
    """The rows that a manifest names, in order of addition; never changed: `follow` gives those of a later manifest."""

    def __init__(self, folder: Path) -> None:
        """Begin with no rows; `follow` maps what there is."""
        self._folder = folder
        self._named: tuple[tuple[Part, ...], tuple[Part, ...], tuple[Part, ...]] = ((), (), ())
        self._starts = np.zeros(1, np.int64)  # the first row of each segment, and the number of rows
        self._runs: list[tuple[Part, Run]] = []  # those of a segment without one have its name
        self._alive = np.zeros(0, np.bool_)

    @property
    def _segments(self) -> tuple[Part, ...]:
        return self._named[0]

    @property
    def _removals(self) -> tuple[Part, ...]:
        return self._named[1]

    def follow(self, manifest: Manifest) -> Rows:
        """Return the rows of a manifest; only what is new in it is mapped, where it continues the one of these rows.

        Raises:
            FileNotFoundError: a run was merged since the manifest was read.
            IndexRefusedError: a file is damaged.
        """
        if (manifest.segments, manifest.removals, manifest.runs) == self._named:
            return self
        continues = (
            manifest.segments[: len(self._segments)] == self._segments
            and manifest.removals[: len(self._removals)] == self._removals
        )
        before = self if continues else Rows(self._folder)
        new = Rows(self._folder)
        new._named = manifest.segments, manifest.removals, manifest.runs
        new._starts = np.cumsum([0, *(part.rows for part in manifest.segments)], dtype=np.int64)
        new._runs = before._runs_of(manifest, new._starts)
        # A run may reach beyond the rows of a manifest of the past: these are not there.
        new._alive = np.zeros(max(int(new._starts[-1]), sum(run.rows for _, run in new._runs)), np.bool_)
        known = int(before._starts[-1])
        new._alive[:known] = before._alive[:known]
        new._alive[known : new._starts[-1]] = True
        for part in manifest.removals[len(before._removals) :]:
            _, row = new._with_ids(read_removed(self._folder, part))
            # It speaks of the segments there were: the id may have come again since.
            new._alive[row[row < new._starts[part.segments]]] = False
        return new

    def _runs_of(self, manifest: Manifest, starts: NDArray[np.int64]) -> list[tuple[Part, Run]]:
        """Map the runs that are not mapped yet, and sort the keys of segments that none covers."""
        there: dict[Part, list[Run]] = {}
        for part, run in self._runs:
            there.setdefault(part, []).append(run)
        runs: list[tuple[Part, Run]] = []
        for part in manifest.runs:
            runs += [(part, run) for run in there.get(part) or [mapped(self._folder, part)]]
        for number in range(sum(part.segments for part in manifest.runs), len(manifest.segments)):
            part = manifest.segments[number]
            made = there.get(part) or in_memory(self._folder, part, int(starts[number]))
            runs += [(part, run) for run in made]
        return runs

    def _pairs(
        self, kind: str, keys: NDArray[np.uint64], most: int = _EVERY
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return pairs((run for _, run in self._runs), kind, keys, self._alive, most)

    def ids(self, rows: NDArray[np.int64]) -> Any:
        """Return the ids of rows, which rise."""
        return self._gathered("id", rows, pa.string())

    def rank(self, name: str, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return what rows, which rise, came with."""
        kind = pa.int64() if name == "length" else pa.float64()
        return self._gathered(name, rows, kind).to_numpy(zero_copy_only=False)

    def of_ids(self, ids: Any) -> NDArray[np.int64]:
        """Return the living row of each id, -1 where there is none."""
        found = np.full(len(ids), -1, np.int64)
        place, row = self._with_ids(ids)
        found[place[::-1]] = row[::-1]
        return found

    def of_content(self, digests: Any) -> NDArray[np.int64]:
        """Return the first living row of each content digest, -1 where there is none."""
        place, row = self._pairs("content", order_of(digests))
        place, row = self._same("content", CONTENT_TYPE, digests, place, row)
        found = np.full(len(digests), -1, np.int64)
        found[place[::-1]] = row[::-1]  # the first of several is written last
        return found

    def _with_ids(self, ids: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        place, row = self._pairs("id", id_keys(ids))
        return self._same("id", pa.string(), ids, place, row)

    def _same(
        self, name: str, kind: pa.DataType, asked: Any, place: NDArray[np.int64], row: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Leave the pairs whose values are the same, and not only 64 bits of them; rows rise."""
        order = np.argsort(row, kind="stable")
        place, row = place[order], row[order]
        same = pc.equal(asked.take(pa.array(place)), self._gathered(name, row, kind)).to_numpy(zero_copy_only=False)
        return place[same], row[same]

    def sharing(
        self, keys: NDArray[np.uint64], active: NDArray[np.bool_], most: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return pairs (row of ``keys``, row of the index) that share a key, each once; of a key the first ``most``."""
        rows = np.flatnonzero(active)
        place, found = self._pairs("band", keys[rows].ravel(), most)
        asked = rows[place // keys.shape[1]]
        codes = distinct(asked.astype(np.uint64) << np.uint64(32) | found.astype(np.uint64))
        return (codes >> np.uint64(32)).astype(np.int64), (codes & np.uint64(0xFFFFFFFF)).astype(np.int64)

    def sets(self, rows: NDArray[np.int64], wanted: NDArray[np.bool_]) -> Shingles:
        """Read the shingle sets of the wanted rows (ascending), and empty ones for the rest."""
        lengths = np.zeros(len(rows), np.int64)
        hashes = [np.zeros(0, np.uint64)]
        asked = np.flatnonzero(wanted)
        for number, some in self._by_segment(rows[asked]):
            here = asked[some]
            within = rows[here] - self._starts[number]
            [found] = read_chosen(self._folder, self._segments[number], within, ["shingles"])
            lengths[here] = found.value_lengths().to_numpy(zero_copy_only=False)
            hashes.append(found.flatten().to_numpy(zero_copy_only=False).astype(np.uint64))
        return Shingles(np.concatenate(([0], np.cumsum(lengths))).astype(np.int64), np.concatenate(hashes))

    def whole(self) -> Iterator[pa.Table]:
        """Read all living rows as a segment has them, portion by portion, in order of addition."""
        for number, part in enumerate(self._segments):
            alive = self._alive[self._starts[number] : self._starts[number + 1]]
            yield from read_rows(self._folder, part, np.flatnonzero(alive))

    def _by_segment(self, rows: NDArray[np.int64]) -> Iterator[tuple[int, slice]]:
        """Yield the segments that hold some of these rows, which rise, and where among them they stand."""
        bounds = np.searchsorted(rows, self._starts)
        for number in np.flatnonzero(np.diff(bounds)).tolist():
            yield number, slice(int(bounds[number]), int(bounds[number + 1]))

    def _gathered(self, name: str, rows: NDArray[np.int64], kind: pa.DataType) -> Any:
        taken: list[Any] = [pa.array([], kind)]
        for number, some in self._by_segment(rows):
            taken += read_chosen(self._folder, self._segments[number], rows[some] - self._starts[number], [name])
        return pa.concat_arrays(taken)
