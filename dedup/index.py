"""An index of kept documents that lasts across runs: add, query, remove."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, Self, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from numpy.typing import NDArray

from dedup.components import link
from dedup.config import DedupConfig
from dedup.deduplicate import Copies, Documents, documents_in_order, group_copies, sets_of, verdicts
from dedup.edges import edges, in_buckets
from dedup.exact import CONTENT_TYPE, content_hash
from dedup.minhash import band_keys, has_shingles, signatures
from dedup.segments import (
    MANIFEST,
    IndexRefusedError,
    Manifest,
    locked,
    read_keys,
    read_manifest,
    read_removed,
    read_sets,
    segment_schema,
    write_manifest,
    write_part,
)
from dedup.shingles import Shingles

__all__ = ["Index"]

# Its signatures tell whether this code splits and hashes words as the code that made an index did.
_PROBE_TEXT = "An index 42 don't x^2+1 >= 0 \u00e9 e\u0301 \u0e14\u0e35 \u0e14\u0e39 \u304b \u304c \u4e2d\u6587 #tag"


class Index:
    """A folder of kept documents, by content, band key and shingle set; the texts themselves are not in it.

    Only documents that are kept enter the index: a duplicate is answered and forgotten, so that a text whose kept copy
    is removed counts as new when it comes again. An indexed document stays whatever comes later.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """Use ``create`` or ``open``."""
        self._folder = folder
        self._manifest = manifest
        self._rows = _Rows(folder, manifest)

    @classmethod
    def create(cls, path: str | Path, config: DedupConfig | None = None) -> Self:
        """Make an empty index in a new or empty folder.

        Raises:
            IndexRefusedError: the folder holds something.
        """
        folder = Path(path)
        config = config or DedupConfig()
        if (folder / MANIFEST).exists():
            raise IndexRefusedError(f"{folder}: an index is there already; use Index.open, or remove it first")
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise IndexRefusedError(f"{folder}: not an empty folder; choose another or empty it")
        folder.mkdir(parents=True, exist_ok=True)
        manifest = Manifest(config=config, probe=_probe(config))
        write_manifest(folder, manifest)
        return cls(folder, manifest)

    @classmethod
    def open(cls, path: str | Path, config: DedupConfig | None = None) -> Self:
        """Open an index.

        Args:
            path: its folder.
            config: if given, the configuration that the index must have.

        Raises:
            IndexRefusedError: there is no whole index, it has another configuration, or other code made its hashes.
        """
        folder = Path(path)
        manifest = read_manifest(folder)
        if config is not None and config != manifest.config:
            asked, found = config.model_dump(), manifest.config.model_dump()
            fields = [name for name in asked if asked[name] != found[name]]
            different = ", ".join(f"{name} {found[name]!r}, asked {asked[name]!r}" for name in fields)
            raise IndexRefusedError(
                f"{folder}: made with another configuration ({different}); use its own or rebuild it"
            )
        if manifest.probe != _probe(manifest.config):
            raise IndexRefusedError(
                f"{folder}: made by code that splits or hashes words differently; rebuild the index"
            )
        return cls(folder, manifest)

    @property
    def config(self) -> DedupConfig:
        """The configuration of the index."""
        return self._manifest.config

    def __len__(self) -> int:
        """Return the number of documents in the index."""
        return len(self._rows.ids)

    def query(self, documents: pa.Table) -> pa.Table:
        """Say which documents would be kept if they were added now; the index does not change.

        Args:
            documents: as for ``dedup.deduplicate``.

        Returns:
            The columns of ``dedup.deduplicate``, one row a document in the same order. ``cluster`` and ``parent`` may
            name indexed documents. Duplicates among ``documents`` count too. A document that is in the index already is
            answered with ``keep`` false and its own id as parent.

        Raises:
            ValueError: as ``dedup.deduplicate``.
        """
        return self._match(documents).table

    def add(self, documents: pa.Table) -> pa.Table:
        """Add the documents that are no duplicates; they are on disk when this returns.

        Columns and answer are those of ``query``. Adding the same documents again changes nothing.

        Raises:
            ValueError: as ``query``; or a document that is no duplicate has an id that is in the index for another
                text (remove that id first). Nothing is added then.
        """
        with locked(self._folder):
            self._refresh()
            match = self._match(documents)
            kept = np.flatnonzero(match.parent < 0)
            if not len(kept):
                return match.table
            ids = match.ids.take(pa.array(kept))
            taken = ids.filter(pc.is_in(ids, value_set=self._rows.ids))
            if len(taken):
                where = f"in the index {self._folder} for another text"
                raise ValueError(f'documents: id "{taken[0].as_py()}" is {where}; remove it first')
            text = match.text.take(pa.array(kept))
            banded = match.banded[kept]
            sets = sets_of(text, banded, self.config)
            schema = segment_schema(self.config.bands)
            columns = [
                ids,
                match.content.take(pa.array(kept)),
                pa.array(banded),
                pa.FixedSizeListArray.from_arrays(pa.array(match.keys[kept].ravel()), self.config.bands),
                pa.LargeListArray.from_arrays(cast(Any, sets.offsets), pa.array(sets.hashes)),
            ]
            table = pa.Table.from_arrays(columns, schema=schema)
            name = f"segment-{len(self._manifest.segments):06d}.parquet"
            part = write_part(self._folder, name, table)
            self._publish(self._manifest.model_copy(update={"segments": (*self._manifest.segments, part)}))
            return match.table

    def remove(self, ids: Iterable[str]) -> int:
        """Remove documents by id; the removal is on disk when this returns.

        Returns:
            How many were in the index. Ids that are not there are passed over, so that a removal may be repeated.
        """
        with locked(self._folder):
            self._refresh()
            asked = pa.array(list(ids), pa.string()).unique()
            present = asked.filter(pc.is_in(asked, value_set=self._rows.ids))
            if len(present):
                name = f"removal-{len(self._manifest.removals):06d}.parquet"
                table = pa.table({"id": present})
                part = write_part(self._folder, name, table, segments=len(self._manifest.segments))
                self._publish(self._manifest.model_copy(update={"removals": (*self._manifest.removals, part)}))
            return len(present)

    def _publish(self, manifest: Manifest) -> None:
        write_manifest(self._folder, manifest)
        self._manifest = manifest
        self._rows = _Rows(self._folder, manifest)

    def _refresh(self) -> None:
        """Take over what another process has written since."""
        current = read_manifest(self._folder)
        if current != self._manifest:
            self._manifest = current
            self._rows = _Rows(self._folder, current)

    def _match(self, documents: pa.Table) -> _Match:
        config, rows = self.config, self._rows
        ordered: Documents = documents_in_order(documents)
        every_content: Any = content_hash(ordered.text)
        copies: Copies = group_copies(every_content)
        ids: Any = ordered.ids.take(pa.array(copies.first))
        text: Any = ordered.text.take(pa.array(copies.first))
        content: Any = every_content.take(pa.array(copies.first))
        found_rows: Any = pc.index_in(content, value_set=rows.content)
        same = found_rows.fill_null(-1).to_numpy().astype(np.int64)
        signature = signatures(text, config.minhash)
        banded = has_shingles(signature)
        keys = band_keys(signature, config.bands, config.rows)
        active = banded & (same < 0)  # a copy of an indexed text is answered already

        candidates = rows.sharing(keys[active].ravel(), config.representatives)
        known = np.unique(np.concatenate([candidates, same[same >= 0]]))
        k = len(known)
        all_keys = np.concatenate([rows.keys[known], keys])
        all_active = np.concatenate([rows.banded[known], active])
        all_active &= in_buckets(all_keys, all_active)
        indexed_sets = rows.sets(known, all_active[:k])
        new_sets = sets_of(text, all_active[k:], config)
        sets = Shingles(
            np.concatenate([indexed_sets.offsets, new_sets.offsets[1:] + indexed_sets.offsets[-1]]),
            np.concatenate([indexed_sets.hashes, new_sets.hashes]),
        )
        found = edges(all_keys, all_active, sets, config.threshold, config.representatives, known=k)
        links = link(k + len(text), found, sets, config.threshold, known=k)
        copied = np.flatnonzero(same >= 0)
        at = np.searchsorted(known, same[copied])
        links.root[k + copied] = at
        links.parent[k + copied] = at
        links.similarity[k + copied] = 1.0
        known_ids = rows.ids.take(pa.array(known))
        table = verdicts(ordered, copies, links.root, links.parent, links.similarity, known_ids)
        return _Match(table, ids, text, content, banded, keys, links.parent[k:])


class _Match(NamedTuple):
    """The answer to a query, and what is needed to add its kept documents."""

    table: pa.Table
    ids: Any  # of each distinct text its best document
    text: Any
    content: Any
    banded: NDArray[np.bool_]
    keys: NDArray[np.uint64]
    parent: NDArray[np.int64]  # -1 where kept


class _Rows:
    """The living rows of an index, without their shingles, in order of addition."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._folder = folder
        self._parts = manifest.segments
        removals = [(part.segments, read_removed(folder, part)) for part in manifest.removals]
        ids: list[Any] = []
        content: list[Any] = []
        keys = [np.zeros((0, manifest.config.bands), np.uint64)]
        banded = [np.zeros(0, np.bool_)]
        segment = [np.zeros(0, np.int64)]
        row = [np.zeros(0, np.int64)]
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
        self.ids: Any = pa.concat_arrays(ids) if ids else pa.array([], pa.string())
        self.content: Any = pa.concat_arrays(content) if content else pa.array([], CONTENT_TYPE)
        self.keys = np.concatenate(keys)
        self.banded = np.concatenate(banded)
        self._segment = np.concatenate(segment)
        self._row = np.concatenate(row)
        # The number of the band is part of a key, so one sorted column serves all bands. Rows of one key stay
        # ascending.
        with_keys = np.flatnonzero(self.banded)
        flat = self.keys[with_keys].ravel()
        order = np.argsort(flat, kind="stable")
        self._sorted_keys = flat[order]
        self._key_rows = with_keys[order // manifest.config.bands]

    def sharing(self, keys: NDArray[np.uint64], most: int) -> NDArray[np.int64]:
        """Return the rows that have one of the keys, of each key the first ``most``: no later one would be compared."""
        first = np.searchsorted(self._sorted_keys, keys, side="left")
        count = np.minimum(np.searchsorted(self._sorted_keys, keys, side="right") - first, most)
        ends = np.cumsum(count)
        total = int(ends[-1]) if len(ends) else 0
        at = np.arange(total) - np.repeat(ends - count, count) + np.repeat(first, count)
        return np.unique(self._key_rows[at])

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


def _probe(config: DedupConfig) -> str:
    return xxhash.xxh3_128_hexdigest(signatures(pa.array([_PROBE_TEXT]), config.minhash).tobytes())
