"""An index of kept documents that lasts across runs: add, replace, query, remove, compact."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, Self, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from numpy.typing import NDArray

from dedup.clusters import link
from dedup.config import DedupConfig
from dedup.deduplicate import DUPLICATES_SCHEMA, order_of, sets_of, unpacked
from dedup.documents import Documents, best_first, codes_of, documents_in_order
from dedup.edges import Edges, similarity
from dedup.exact import content_hash, normalised_hash
from dedup.index_rows import Rows
from dedup.minhash import band_keys, has_shingles, signatures
from dedup.pairs import in_buckets, pair_codes
from dedup.segments import (
    MANIFEST,
    IndexRefusedError,
    Manifest,
    Part,
    clear_orphans,
    locked,
    next_name,
    read_manifest,
    segment_schema,
    write_manifest,
    write_part,
)
from dedup.shingles import Shingles

__all__ = ["REPLACED_SCHEMA", "Index", "Replacement"]

# Its signatures tell whether this code splits and hashes words as the code that made an index did.
_PROBE_TEXT = "An index 42 don't x^2+1 >= 0 \u00e9 e\u0301 \u0e14\u0e35 \u0e14\u0e39 \u304b \u304c \u4e2d\u6587 #tag"

_MEET = 64
"""Of a band key's indexed documents, how many a new one is compared with: they are different texts as it is."""

REPLACED_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("cluster", pa.string(), nullable=False),
        pa.field("parent", pa.string(), nullable=False),
        pa.field("similarity", pa.float64(), nullable=False),
    ]
)
"""Indexed documents that gave way: ``cluster`` is the new kept document, ``parent`` the verified match."""


class Replacement(NamedTuple):
    """What ``Index.replace`` did."""

    table: pa.Table  # as ``Index.add``
    replaced: pa.Table  # REPLACED_SCHEMA: a row for each indexed document that gave way


class Index:
    """A folder of kept documents, by content, band key and shingle set; the texts themselves are not in it.

    Only documents that are kept enter the index: a duplicate is answered and forgotten, so that a text whose kept copy
    is removed counts as new when it comes again. With ``add`` an indexed document stays whatever comes later; with
    ``replace`` a better copy takes its place.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """Use ``create`` or ``open``."""
        self._folder = folder
        self._manifest = manifest
        self._rows = Rows(folder, manifest)

    @classmethod
    def create(cls, path: str | Path, config: DedupConfig | None = None) -> Self:
        """Make an empty index in a new or empty folder.

        Raises:
            IndexRefusedError: the folder holds something.
            ValueError: the configuration asks for what an index cannot tell: it stores neither texts nor URLs.
        """
        folder = Path(path)
        config = config or DedupConfig()
        if config.edit_similarity is not None or config.url is not None:
            name = "url" if config.edit_similarity is None else "edit_similarity"
            raise ValueError(f"{name}: an index stores neither texts nor URLs; leave it out (None)")
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

    @property
    def digest(self) -> str:
        """A digest of what the index holds: equal for equal manifests."""
        return xxhash.xxh3_128_hexdigest(self._manifest.model_dump_json().encode())

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
        return self._match(documents, replace=False).table

    def matches(self, documents: pa.Table) -> pa.Table:
        """Return the documents that are like an indexed one; no document counts for another, so batches may be cut.

        Args:
            documents: as for ``query``; one that is in the index under its own id is like no other, and is left out.

        Returns:
            The columns of ``query``, only rows whose match is in the index, in the order of ``documents``.
        """
        found = self._match(documents, replace=False, alone=True).table
        like = pc.is_in(found["parent"], value_set=self._rows.ids)
        own = pc.is_in(found["id"], value_set=self._rows.ids)
        return found.filter(pc.and_not(like, own))

    def add(self, documents: pa.Table) -> pa.Table:
        """Add the documents that are no duplicates; they are on disk when this returns.

        Columns and answer are those of ``query``. Adding the same documents again changes nothing.

        Raises:
            ValueError: as ``query``; or a document that is no duplicate has an id that is in the index for another
                text (remove that id first). Nothing is added then.
        """
        return self._add(documents, replace=False).table

    def replace(self, documents: pa.Table) -> Replacement:
        """Add documents, a better copy taking the place of an indexed one; on disk when this returns.

        Better is what comes first in the stated order (``config.order``): the index holds the quality, length,
        priority and date that each document came with. One manifest names both what came and what went, so that no
        crash leaves both copies, or neither.

        Returns:
            The answer for ``documents``, and a row for each indexed document that gave way.

        Raises:
            ValueError: as ``add``.
        """
        return self._add(documents, replace=True)

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
                self._publish(self._without(self._manifest, present))
            return len(present)

    def compact(self) -> int:
        """Write what is left into one segment and delete the files of what was removed; returns the bytes set free.

        What the index answers stays the same. The new manifest is durable before any file goes, so that a crash leaves
        one whole index and at worst files that none names, which the next ``compact`` clears. An index that another
        process opened before has to be opened again.
        """
        with locked(self._folder):
            self._refresh()
            manifest = self._manifest
            if len(manifest.segments) > 1 or manifest.removals:
                segments: tuple[Part, ...] = ()
                if len(self):
                    name = next_name("segment", manifest.segments)
                    schema = segment_schema(self.config.bands)
                    segments = (write_part(self._folder, name, self._rows.whole(), schema=schema),)
                self._publish(manifest.model_copy(update={"segments": segments, "removals": ()}))
            return clear_orphans(self._folder, self._manifest)

    def _add(self, documents: pa.Table, *, replace: bool) -> Replacement:
        with locked(self._folder):
            self._refresh()
            match = self._match(documents, replace=replace)
            kept = match.kept
            ids = match.ids.take(pa.array(kept))
            gone = match.replaced["id"].combine_chunks()
            taken = ids.filter(pc.is_in(ids, value_set=self._rows.ids))
            if len(taken) and pc.is_in(taken, value_set=gone).false_count:
                where = f"in the index {self._folder} for another text"
                still = taken.filter(pc.invert(pc.is_in(taken, value_set=gone)))
                raise ValueError(f'documents: id "{still[0].as_py()}" is {where}; remove it first')
            manifest = self._manifest
            if len(gone):
                manifest = self._without(manifest, gone)
            if len(kept):
                name = next_name("segment", self._manifest.segments)
                part = write_part(self._folder, name, [match.segment(kept, self.config)])
                manifest = manifest.model_copy(update={"segments": (*manifest.segments, part)})
            if manifest is not self._manifest:
                self._publish(manifest)
            return Replacement(match.table, match.replaced)

    def _without(self, manifest: Manifest, ids: Any) -> Manifest:
        """Write a removal from the segments there are, and return the manifest that will name it."""
        name = next_name("removal", manifest.removals)
        part = write_part(self._folder, name, [pa.table({"id": ids})], segments=len(manifest.segments))
        return manifest.model_copy(update={"removals": (*manifest.removals, part)})

    def _publish(self, manifest: Manifest) -> None:
        write_manifest(self._folder, manifest)
        self._manifest = manifest
        self._rows = Rows(self._folder, manifest)

    def _refresh(self) -> None:
        """Take over what another process has written since."""
        current = read_manifest(self._folder)
        if current != self._manifest:
            self._manifest = current
            self._rows = Rows(self._folder, current)

    def _match(self, documents: pa.Table, *, replace: bool, alone: bool = False) -> _Match:
        config, rows = self.config, self._rows
        ordered = documents_in_order(documents, config)
        content: Any = content_hash(ordered.text) if config.exact == "bytes" else normalised_hash(ordered.text)
        codes = codes_of(content)  # in the order of first appearance: a group's number grows with its best document
        _, first, group = np.unique(codes, return_index=True, return_inverse=True)
        text: Any = ordered.text.take(pa.array(first))
        digests: Any = content.take(pa.array(first))
        same = pc.index_in(digests, value_set=rows.content).fill_null(-1).to_numpy().astype(np.int64)
        signature = signatures(text, config.minhash)
        banded = has_shingles(signature)
        keys = band_keys(signature, config.bands, config.rows)
        active = banded & (same < 0)  # a copy of an indexed text is answered already

        asked, candidates = rows.sharing(keys, active, _MEET)
        known, places = np.unique(np.concatenate([candidates, same[same >= 0]]), return_inverse=True)
        k = len(known)
        new_active = active & in_buckets(keys, active) & (not alone)
        inside = unpacked(pair_codes(keys, new_active, order_of(digests), config.representatives))
        left = np.concatenate([places[: len(candidates)], k + inside[0]])
        right = np.concatenate([k + asked, k + inside[1]])

        wanted = np.zeros(k + len(text), np.bool_)
        wanted[left] = True
        wanted[right] = True
        indexed_sets, new_sets = rows.sets(known, wanted[:k]), sets_of(text, wanted[k:], config)
        sets = Shingles(
            np.concatenate([indexed_sets.offsets, new_sets.offsets[1:] + indexed_sets.offsets[-1]]),
            np.concatenate([indexed_sets.hashes, new_sets.hashes]),
        )
        value = similarity(sets, left, right, config.threshold)
        keep = value >= config.threshold
        copies = np.flatnonzero(same >= 0)
        found = Edges(
            np.concatenate([left[keep], np.searchsorted(known, same[copies])]),
            np.concatenate([right[keep], k + copies]),
            np.concatenate([value[keep], np.ones(len(copies))]),
        )
        known_ids: Any = rows.ids.take(pa.array(known))
        node_ids = pa.concat_arrays([known_ids, ordered.ids.take(pa.array(first))])
        stays = np.arange(k + len(text)) < k
        if replace:
            values = {
                name: np.concatenate([rows.rank[name][known], getattr(ordered, name)[first]])
                for name in ("quality", "length", "priority", "date")
            }
            values["protected"] = np.concatenate([np.zeros(k, np.bool_), ordered.protected[first]])
            # Nodes are numbered indexed ones first, so that of two that are equal in all of it the indexed one stays.
            order = best_first(pa.array(np.arange(k + len(text))), values, config)
            stays = np.zeros(k + len(text), np.bool_)
        else:
            order = np.arange(k + len(text))
        links = _linked(order, found, config, stays)
        return _Match.of(self.config, ordered, first, group, text, digests, banded, keys, node_ids, k, links)


def _linked(
    order: NDArray[np.int64], found: Edges, config: DedupConfig, stays: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Link nodes that stand in another order than their numbers; the answer speaks of the nodes."""
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    links = link(len(order), Edges(place[found.left], place[found.right], found.similarity), config.reach, stays[order])
    parent = np.where(links.parent >= 0, order[np.maximum(links.parent, 0)], -1)
    return order[links.root][place], parent[place], links.similarity[place]


class _Match(NamedTuple):
    """The answer to a query, and what is needed to add its kept documents."""

    table: pa.Table
    replaced: pa.Table
    kept: NDArray[np.int64]  # of the distinct texts, those that stay
    ids: Any  # of each distinct text its best document
    text: Any
    content: Any
    banded: NDArray[np.bool_]
    keys: NDArray[np.uint64]
    rank: dict[str, NDArray[Any]]

    @classmethod
    def of(
        cls,
        config: DedupConfig,
        ordered: Documents,
        first: NDArray[np.int64],
        group: NDArray[np.int64],
        text: Any,
        content: Any,
        banded: NDArray[np.bool_],
        keys: NDArray[np.uint64],
        node_ids: Any,
        known: int,
        links: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]],
    ) -> Self:
        root, parent, value = links
        node = group + known
        is_first = np.zeros(len(node), np.bool_)
        is_first[first] = True
        stays = parent[node] < 0
        keep = is_first & stays
        # A copy of a kept document hangs on it; a copy of a removed one shares its fate.
        table = pa.table(
            [
                ordered.ids,
                node_ids.take(pa.array(root[node])),
                node_ids.take(pa.array(np.where(stays, node, parent[node]), mask=keep)),
                pa.array(np.where(stays, 1.0, value[node]), mask=keep),
                pa.array(keep),
            ],
            schema=DUPLICATES_SCHEMA,
        )
        back = np.empty(len(node), np.int64)
        back[ordered.position] = np.arange(len(node))
        gone = np.flatnonzero(parent[:known] >= 0)
        replaced = pa.table(
            [
                node_ids.take(pa.array(gone)),
                node_ids.take(pa.array(root[gone])),
                node_ids.take(pa.array(parent[gone])),
                pa.array(value[gone]),
            ],
            schema=REPLACED_SCHEMA,
        )
        return cls(
            table.take(back).combine_chunks(),
            replaced,
            np.flatnonzero(parent[known:] < 0),
            node_ids.slice(known),
            text,
            content,
            banded,
            keys,
            {name: getattr(ordered, name)[first] for name in ("quality", "length", "priority", "date")},
        )

    def segment(self, rows: NDArray[np.int64], config: DedupConfig) -> pa.Table:
        """Return the rows of a segment for the texts that stay."""
        banded = self.banded[rows]
        sets = sets_of(self.text.take(pa.array(rows)), banded, config)
        columns = [
            self.ids.take(pa.array(rows)),
            self.content.take(pa.array(rows)),
            pa.array(banded),
            pa.FixedSizeListArray.from_arrays(pa.array(self.keys[rows].ravel()), config.bands),
            *(pa.array(self.rank[name][rows]) for name in ("quality", "length", "priority", "date")),
            pa.LargeListArray.from_arrays(cast(Any, sets.offsets), pa.array(sets.hashes)),
        ]
        return pa.Table.from_arrays(columns, schema=segment_schema(config.bands))


def _probe(config: DedupConfig) -> str:
    return xxhash.xxh3_128_hexdigest(signatures(pa.array([_PROBE_TEXT]), config.minhash).tobytes())
