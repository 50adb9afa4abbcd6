"""From edges and components to verdicts, as plans: a component's members come together without their texts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.document import id_bits
from pipelines.engines.plan import Shard, Tables
from pipelines.steps.dedup_candidates import DECIDING, EDGES_SCHEMA, SAME_URL, spread
from pipelines.storage import at, read_batches, read_table

VERDICTS_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("cluster", pa.string()),
        pa.field("parent", pa.string()),
        pa.field("parent_uri", pa.string()),
        pa.field("similarity", pa.float64()),
        pa.field("method", pa.string()),
        pa.field("keep", pa.bool_()),
    ]
)

MEMBERS_SCHEMA = pa.schema(
    [
        pa.field("key", pa.uint64()),
        pa.field("row", pa.uint8()),
        *DECIDING,
        *EDGES_SCHEMA,
    ]
)
"""A component's documents (`row` 0) and edges (`row` 1); `key` is the component."""
MEMBERS_SORT = ("key", "row", "id", "left", "right", "kind")


@dataclass(frozen=True)
class ReadMembers:
    """Reads the documents of one part that are in a component, without their texts, and the edges that begin there."""

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield tables of MEMBERS_SCHEMA."""
        fingerprints, labels, edges = (at(path) for path in shard.payload)
        assigned = read_table(labels)
        node = assigned["node"].to_numpy()
        component = spread(assigned["component"].to_numpy())  # it decides its partition, so it has to be spread evenly
        if not len(node):
            return
        for table in read_batches(fingerprints, 16_384, [field.name for field in DECIDING]):
            bits = id_bits(table["id"])
            place = np.minimum(np.searchsorted(node, bits), len(node) - 1)
            inside = node[place] == bits
            rows = table.filter(pa.array(inside))
            yield _members(component[place[inside]], 0, {name: rows[name] for name in rows.column_names})
        for table in read_batches(edges, 65_536):
            place = np.searchsorted(node, table["left"].to_numpy())
            columns: dict[str, Any] = {name: table[name] for name in EDGES_SCHEMA.names}
            columns["id"] = pa.repeat(pa.scalar(""), table.num_rows)
            yield _members(component[place], 1, columns)


def _members(key: NDArray[np.uint64], row: int, columns: dict[str, Any]) -> pa.Table:
    n = len(key)
    given = {"key": pa.array(key), "row": pa.array(np.full(n, row, np.uint8)), **columns}
    if row == 0:  # what rows are sorted by is never null
        given |= {name: pa.array(np.zeros(n, np.uint64)) for name in ("left", "right")}
        given["kind"] = pa.array(np.zeros(n, np.uint8))
    arrays = [given[field.name] if field.name in given else pa.nulls(n, field.type) for field in MEMBERS_SCHEMA]
    return pa.table(arrays, schema=MEMBERS_SCHEMA)


@dataclass(frozen=True)
class Decide:
    """Decides on whole components, many at a time: they share no text, no URL and no edge."""

    config: Any

    def __call__(self, table: pa.Table) -> Tables:
        """Return a verdict for each document."""
        from dedup.documents import best_first, codes_of
        from dedup.settle import METHODS, Candidates, settle

        is_edge = pc.equal(table["row"], 1)
        documents, edges = table.filter(pc.invert(is_edge)).combine_chunks(), table.filter(is_edge)
        names = ("length", "quality", "priority", "date", "protected")
        values = {name: documents[name].to_numpy() for name in names}
        ids = documents["id"].combine_chunks()
        documents = documents.take(pa.array(best_first(ids, values, self.config))).combine_chunks()
        ids = documents["id"].combine_chunks()
        # Equal texts or URLs in two components are apart on purpose (`within: source`).
        component = documents["key"].to_numpy()
        candidates = Candidates(
            _within(component, codes_of(documents["content"].combine_chunks())),
            _within(component, codes_of(documents["same"].combine_chunks())),
            None if self.config.url is None else _within(component, codes_of(documents["uri"].combine_chunks())),
            documents["date"].to_numpy(),
            documents["protected"].to_numpy(),
        )
        near, of_urls = _edges(id_bits(ids), edges)
        settled = settle(candidates, near, self.config, of_urls)
        keep = settled.parent < 0
        parent = pa.array(np.maximum(settled.parent, 0), mask=keep)
        found = pa.table(
            [
                ids,
                ids.take(pa.array(settled.root)),
                ids.take(parent),
                documents["uri"].combine_chunks().take(parent),
                pa.array(settled.similarity, mask=np.isnan(settled.similarity)),
                pa.array(METHODS).take(pa.array(settled.method)),
                pa.array(keep),
            ],
            schema=VERDICTS_SCHEMA,
        )
        return {"matches": found}


def _within(component: NDArray[np.uint64], codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number pairs of a component and a code."""
    parts, places = np.unique(component, return_inverse=True)
    _, joined = np.unique(codes * max(len(parts), 1) + places, return_inverse=True)
    return np.where(codes < 0, -1, joined).astype(np.int64)


def _edges(node: NDArray[np.uint64], edges: pa.Table) -> tuple[Any, Any]:
    """Turn edges between nodes into edges between rows: near ones, and those of URLs.

    A node is the first 64 bits of an id. Should two documents share them, which of 10^9 documents one pair does with a
    probability of 3 %, the edges of both are left out: they stay, and nothing is removed for another's sake.
    """
    from dedup.edges import Edges

    order = np.argsort(node, kind="stable")
    ordered = node[order]
    twice = np.zeros(len(node), np.bool_)
    twice[1:] = ordered[1:] == ordered[:-1]
    twice[:-1] |= twice[1:]
    ends: list[NDArray[np.int64]] = []
    clear = np.ones(edges.num_rows, np.bool_)
    for side in ("left", "right"):
        place = np.minimum(np.searchsorted(ordered, edges[side].to_numpy()), max(len(node) - 1, 0))
        clear &= ~twice[place] if len(node) else False
        ends.append(order[place] if len(node) else place)
    value, of_url = edges["similarity"].to_numpy(), edges["kind"].to_numpy() == SAME_URL
    near, url = clear & ~of_url, clear & of_url
    told = [Edges(ends[0][rows], ends[1][rows], value[rows]) for rows in (near, url)]
    return told[0], told[1]
