"""The rows of an index in memory: everything but their shingles, which are read when they are asked for.

A row keeps its number as long as the index is open: what is added comes behind, what is removed is marked. So an index
that grew or shrank is followed by reading what is new, not all of it again.
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
from dedup.exact import CONTENT_TYPE, content_hash
from dedup.index_runs import Runs
from dedup.segments import Manifest, Part, read_keys, read_removed, read_rows, read_sets
from dedup.shingles import Shingles

__all__ = ["RANKED", "Rows"]

RANKED = ("quality", "length", "priority", "date")
"""What an index remembers of the stated order."""
_EVERY = np.iinfo(np.int64).max


class Rows:
    """The rows that a manifest names, in order of addition; never changed: `follow` gives those of a later manifest."""

    def __init__(self, folder: Path, bands: int) -> None:
        """Begin with no rows; `follow` reads what there is."""
        self._folder = folder
        self._bands = bands
        self._segments: tuple[Part, ...] = ()
        self._removals: tuple[Part, ...] = ()
        self._starts = np.zeros(1, np.int64)  # the first row of each segment, and the number of rows
        self._tables: list[pa.Table] = []
        self._by_band = Runs()
        self._by_content = Runs()
        self._by_id = Runs()
        self._alive = np.zeros(0, np.bool_)

    def follow(self, manifest: Manifest) -> Rows:
        """Return the rows of a manifest; only what is new in it is read, where it continues the one of these rows."""
        continues = (
            manifest.segments[: len(self._segments)] == self._segments
            and manifest.removals[: len(self._removals)] == self._removals
        )
        new = Rows(self._folder, self._bands)
        if continues:
            new.__dict__.update(self.__dict__)
        first = len(new._segments)
        tables = [read_keys(self._folder, part).combine_chunks() for part in manifest.segments[first:]]
        new._add(tables)
        removals = manifest.removals[len(new._removals) :]
        new._segments, new._removals = manifest.segments, manifest.removals
        if removals:
            new._alive = new._alive.copy()
        for part in removals:
            _, row = new._with_ids(read_removed(self._folder, part))
            # It speaks of the segments there were: the id may have come again since.
            new._alive[row[row < new._starts[part.segments]]] = False
        return new

    def _add(self, tables: list[pa.Table]) -> None:
        """Take over new segments, all at once."""
        if not tables:
            return
        before = int(self._starts[-1])
        ends = before + np.cumsum([table.num_rows for table in tables])
        self._starts = np.concatenate([self._starts, ends])
        self._tables = [*self._tables, *(table.drop_columns(["keys", "banded"]) for table in tables)]
        self._alive = np.concatenate([self._alive, np.ones(int(ends[-1]) - before, np.bool_)])
        rows = np.arange(before, ends[-1])
        banded = np.concatenate([table["banded"].to_numpy() for table in tables])
        flat: list[Any] = [_array(table["keys"]).flatten().to_numpy(zero_copy_only=False) for table in tables]
        keys = np.concatenate(flat).reshape(-1, self._bands)[banded]
        # The number of the band is part of a key, so one column serves all bands.
        self._by_band = self._by_band.added(keys.ravel(), np.repeat(rows[banded], self._bands))
        self._by_content = self._by_content.added(
            np.concatenate([order_of(_array(table["content"])) for table in tables]), rows
        )
        self._by_id = self._by_id.added(np.concatenate([_hashed(_array(table["id"])) for table in tables]), rows)

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
        place, row = self._by_content.pairs(order_of(digests), self._alive, _EVERY)
        place, row = self._same("content", CONTENT_TYPE, digests, place, row)
        found = np.full(len(digests), -1, np.int64)
        found[place[::-1]] = row[::-1]  # the first of several is written last
        return found

    def _with_ids(self, ids: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        place, row = self._by_id.pairs(_hashed(ids), self._alive, _EVERY)
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
        place, found = self._by_band.pairs(keys[rows].ravel(), self._alive, most)
        asked = rows[place // keys.shape[1]]
        codes = np.unique(asked.astype(np.uint64) << np.uint64(32) | found.astype(np.uint64))
        return (codes >> np.uint64(32)).astype(np.int64), (codes & np.uint64(0xFFFFFFFF)).astype(np.int64)

    def sets(self, rows: NDArray[np.int64], wanted: NDArray[np.bool_]) -> Shingles:
        """Read the shingle sets of the wanted rows (ascending), and empty ones for the rest."""
        lengths = np.zeros(len(rows), np.int64)
        hashes = [np.zeros(0, np.uint64)]
        asked = np.flatnonzero(wanted)
        for number, some in self._by_segment(rows[asked]):
            here = asked[some]
            lengths[here], found = read_sets(self._folder, self._segments[number], rows[here] - self._starts[number])
            hashes.append(found)
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
            taken.append(_array(self._tables[number][name]).take(pa.array(rows[some] - self._starts[number])))
        return pa.concat_arrays(taken)


def _array(column: Any) -> Any:
    """Return a column as one array."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(whole, pa.ChunkedArray):
        whole = pa.concat_arrays(whole.chunks) if whole.num_chunks else pa.array([], whole.type)
    return whole


def _hashed(ids: Any) -> NDArray[np.uint64]:
    return order_of(_array(content_hash(ids)))
