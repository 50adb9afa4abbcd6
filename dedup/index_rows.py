"""The living rows of an index in memory: everything but their shingles, which are read when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup.exact import CONTENT_TYPE
from dedup.segments import Manifest, read_keys, read_removed, read_rows, read_sets
from dedup.shingles import Shingles

__all__ = ["Rows"]


class Rows:
    """The rows that no removal names, in order of addition."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """Read the segments and removals that a manifest names."""
        self._folder = folder
        self._parts = manifest.segments
        removals = [(part.segments, read_removed(folder, part)) for part in manifest.removals]
        ids: list[Any] = []
        content: list[Any] = []
        keys = [np.zeros((0, manifest.config.bands), np.uint64)]
        banded = [np.zeros(0, np.bool_)]
        segment = [np.zeros(0, np.int64)]
        row = [np.zeros(0, np.int64)]
        rank: dict[str, list[Any]] = {name: [] for name in ("quality", "length", "priority", "date")}
        for number, part in enumerate(manifest.segments):
            table: Any = read_keys(folder, part).combine_chunks()
            alive = np.ones(table.num_rows, np.bool_)
            for segments, removed in removals:
                if number < segments:
                    alive &= ~pc.is_in(table["id"], value_set=removed).to_numpy()
            living = np.flatnonzero(alive)
            table = table.take(pa.array(living)).combine_chunks()
            ids.append(table["id"].combine_chunks())
            content.append(table["content"].combine_chunks())
            flat = table["keys"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
            keys.append(flat.reshape(len(living), manifest.config.bands))
            banded.append(table["banded"].to_numpy())
            segment.append(np.full(len(living), number))
            row.append(living)
            for name, values in rank.items():
                values.append(table[name].to_numpy())
        self.ids: Any = pa.concat_arrays(ids) if ids else pa.array([], pa.string())
        self.content: Any = pa.concat_arrays(content) if content else pa.array([], CONTENT_TYPE)
        self.keys = np.concatenate(keys)
        self.banded = np.concatenate(banded)
        self.rank: dict[str, NDArray[Any]] = {
            name: np.concatenate([np.zeros(0, np.int64 if name == "length" else np.float64), *values])
            for name, values in rank.items()
        }
        self._segment = np.concatenate(segment)
        self._row = np.concatenate(row)
        # The number of the band is part of a key, so one sorted column serves all bands. Rows of one key stay
        # ascending.
        with_keys = np.flatnonzero(self.banded)
        flat = self.keys[with_keys].ravel()
        order = np.argsort(flat, kind="stable")
        self._sorted_keys = flat[order]
        self._key_rows = with_keys[order // manifest.config.bands]

    def sharing(
        self, keys: NDArray[np.uint64], active: NDArray[np.bool_], most: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return pairs (row of ``keys``, row of the index) that share a key, each once; of a key the first ``most``."""
        rows = np.flatnonzero(active)
        asked = np.repeat(rows, keys.shape[1])
        flat = keys[rows].ravel()
        first = np.searchsorted(self._sorted_keys, flat, side="left")
        count = np.minimum(np.searchsorted(self._sorted_keys, flat, side="right") - first, most)
        ends = np.cumsum(count)
        total = int(ends[-1]) if len(ends) else 0
        at = np.arange(total) - np.repeat(ends - count, count) + np.repeat(first, count)
        codes = np.unique(
            np.repeat(asked, count).astype(np.uint64) << np.uint64(32) | self._key_rows[at].astype(np.uint64)
        )
        return (codes >> np.uint64(32)).astype(np.int64), (codes & np.uint64(0xFFFFFFFF)).astype(np.int64)

    def sets(self, rows: NDArray[np.int64], wanted: NDArray[np.bool_]) -> Shingles:
        """Read the shingle sets of the wanted rows (ascending), and empty ones for the rest."""
        lengths = np.zeros(len(rows), np.int64)
        hashes = [np.zeros(0, np.uint64)]
        for number, part in enumerate(self._parts):
            here = np.flatnonzero(wanted & (self._segment[rows] == number))
            if len(here):
                lengths[here], found = read_sets(self._folder, part, self._row[rows[here]])
                hashes.append(found)
        return Shingles(np.concatenate(([0], np.cumsum(lengths))).astype(np.int64), np.concatenate(hashes))

    def whole(self) -> Iterator[pa.Table]:
        """Read all living rows as a segment has them, portion by portion, in order of addition."""
        for number, part in enumerate(self._parts):
            living = self._row[self._segment == number]
            yield from read_rows(self._folder, part, living)
