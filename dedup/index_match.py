"""What an index answers: documents against its rows, and against one another."""

from __future__ import annotations

from typing import Any, NamedTuple, Self, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.clusters import link
from dedup.config import DedupConfig
from dedup.deduplicate import DUPLICATES_SCHEMA, order_of, sets_of, unpacked
from dedup.documents import Documents, best_first, codes_of, documents_in_order
from dedup.edges import Edges, similarity
from dedup.exact import content_hash, normalised_hash
from dedup.index_rows import RANKED, Rows
from dedup.minhash import band_keys, has_shingles, signatures
from dedup.pairs import in_buckets, pair_codes
from dedup.segments import segment_schema
from dedup.shingles import Shingles

__all__ = ["REPLACED_SCHEMA", "Match", "matched"]

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


class Distinct(NamedTuple):
    """The distinct texts of a query, in the order of their best documents."""

    ordered: Documents
    first: NDArray[np.int64]  # of each text its best document
    group: NDArray[np.int64]  # of each document its text
    text: Any
    content: Any  # of each text its hash
    banded: NDArray[np.bool_]  # whether it has shingles
    keys: NDArray[np.uint64]  # of its bands


class Match(NamedTuple):
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
        asked: Distinct,
        node_ids: Any,
        known: int,
        links: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]],
    ) -> Self:
        """Read the answer from the links between nodes: indexed rows (``known`` of them), then distinct texts."""
        root, parent, value = links
        ordered, first = asked.ordered, asked.first
        node = asked.group + known
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
            asked.text,
            asked.content,
            asked.banded,
            asked.keys,
            {name: getattr(ordered, name)[first] for name in RANKED},
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
            *(pa.array(self.rank[name][rows]) for name in RANKED),
            pa.LargeListArray.from_arrays(cast(Any, sets.offsets), pa.array(sets.hashes)),
        ]
        return pa.Table.from_arrays(columns, schema=segment_schema(config.bands))


def matched(documents: pa.Table, rows: Rows, config: DedupConfig, *, replace: bool, alone: bool = False) -> Match:
    """Match documents with the rows of an index.

    Args:
        documents: as for ``dedup.deduplicate``.
        rows: the index.
        config: its configuration.
        replace: whether a better document takes an indexed one's place; else those that are indexed stay.
        alone: whether no document counts for another.
    """
    ordered = documents_in_order(documents, config)
    content: Any = content_hash(ordered.text) if config.exact == "bytes" else normalised_hash(ordered.text)
    codes = codes_of(content)  # in the order of first appearance: a group's number grows with its best document
    _, first, group = np.unique(codes, return_index=True, return_inverse=True)
    text: Any = ordered.text.take(pa.array(first))
    digests: Any = content.take(pa.array(first))
    same = rows.of_content(digests)
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
    node_ids = pa.concat_arrays([rows.ids(known), ordered.ids.take(pa.array(first))])
    stays = np.arange(k + len(text)) < k
    if replace:
        values = {name: np.concatenate([rows.rank(name, known), getattr(ordered, name)[first]]) for name in RANKED}
        values["protected"] = np.concatenate([np.zeros(k, np.bool_), ordered.protected[first]])
        # Nodes are numbered indexed ones first, so that of two that are equal in all of it the indexed one stays.
        order = best_first(pa.array(np.arange(k + len(text))), values, config)
        stays = np.zeros(k + len(text), np.bool_)
    else:
        order = np.arange(k + len(text))
    links = _linked(order, found, config, stays)
    distinct = Distinct(ordered, first, group, text, digests, banded, keys)
    return Match.of(distinct, node_ids, k, links)


def _linked(
    order: NDArray[np.int64], found: Edges, config: DedupConfig, stays: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Link nodes that stand in another order than their numbers; the answer speaks of the nodes."""
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    links = link(len(order), Edges(place[found.left], place[found.right], found.similarity), config.reach, stays[order])
    parent = np.where(links.parent >= 0, order[np.maximum(links.parent, 0)], -1)
    return order[links.root][place], parent[place], links.similarity[place]
