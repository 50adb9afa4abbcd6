"""Find the duplicates among documents and say which copy stays."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup.components import link
from dedup.config import DedupConfig
from dedup.edges import edges, in_buckets
from dedup.exact import content_hash
from dedup.minhash import band_keys, has_shingles, signatures
from dedup.shingles import Shingles, shingle_sets

__all__ = [
    "DUPLICATES_SCHEMA",
    "Copies",
    "Documents",
    "best_first",
    "deduplicate",
    "documents_in_order",
    "group_copies",
    "sets_of",
    "verdicts",
]

DUPLICATES_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("cluster", pa.string(), nullable=False),
        pa.field("parent", pa.string()),
        pa.field("similarity", pa.float64()),
        pa.field("keep", pa.bool_(), nullable=False),
    ]
)


def deduplicate(documents: pa.Table, config: DedupConfig | None = None) -> pa.Table:
    """Find exact and near-duplicates and keep the best copy of each.

    Exact duplicates (same bytes) are joined first. Of the rest, texts that share a MinHash band are compared by the
    exact Jaccard similarity of their shingle sets; those at or above ``config.threshold`` are joined by an edge, and
    each connected component of verified edges keeps one document: that of the highest ``quality`` (a null or NaN comes
    last), then the longest text (in code points), then the smallest id (by bytes). The answer does not depend on the
    order of the rows.

    Args:
        documents: columns ``id`` (string, unique, not null), ``text`` (string or large_string; null counts as empty)
            and, if there is one, ``quality`` (a number). Other columns are ignored.
        config: by default that of FineWeb, verified at 0.7.

    Returns:
        One row a document, in the order of ``documents`` (``DUPLICATES_SCHEMA``):
        ``cluster`` is the id of the kept document, never null; a document alone is its own cluster. ``parent`` is null
        for a kept document; else the kept document where their similarity reaches the threshold, else the verified
        neighbour through which it hangs on the cluster. ``similarity`` is the exact Jaccard similarity with the parent,
        1 for the same bytes, null for a kept document. Texts without any word or symbol (empty ones too) are duplicates
        of the same bytes only.

    Raises:
        ValueError: a column is missing or of a wrong type, or an id is null or occurs twice.
    """
    config = config or DedupConfig()
    ordered = documents_in_order(documents)
    copies = group_copies(content_hash(ordered.text))
    text = ordered.text.take(pa.array(copies.first))
    signature = signatures(text, config.minhash)
    active = has_shingles(signature)
    keys = band_keys(signature, config.bands, config.rows)
    active &= in_buckets(keys, active)
    sets = sets_of(text, active, config)
    links = link(len(text), edges(keys, active, sets, config.threshold, config.representatives), sets, config.threshold)
    return verdicts(ordered, copies, links.root, links.parent, links.similarity)


class Documents(NamedTuple):
    """Documents in the stated order, best copy first."""

    position: NDArray[np.int64]  # row in the caller's table
    ids: Any  # string array
    text: Any  # large_string array without nulls


class Copies(NamedTuple):
    """Groups of documents of the same bytes."""

    first: NDArray[np.int64]  # the best document of each group, ascending
    group: NDArray[np.int64]  # the group of each document


def best_first(ids: Any, length: NDArray[np.int64], quality: NDArray[np.float64] | None) -> NDArray[np.int64]:
    """Return the rows in the order of preference: quality descending, length descending, id ascending."""
    rank = np.zeros(len(ids)) if quality is None else np.where(np.isnan(quality), -np.inf, quality)
    table = pa.Table.from_arrays([pa.array(rank), pa.array(length), ids], names=["quality", "length", "id"])
    order = pc.sort_indices(table, [("quality", "descending"), ("length", "descending"), ("id", "ascending")])
    return order.to_numpy().astype(np.int64)


def documents_in_order(documents: pa.Table) -> Documents:
    """Check the caller's table and put its documents into the stated order."""
    for name in ("id", "text"):
        if name not in documents.column_names:
            found = ", ".join(documents.column_names) or "no columns"
            raise ValueError(f'documents: no column "{name}"; found {found}')
        kind = documents.schema.field(name).type
        if kind not in (pa.string(), pa.large_string(), pa.string_view(), pa.null()):
            raise ValueError(f'documents: column "{name}" is of type {kind}, expected string or large_string')
    ids = _one(documents["id"].cast(pa.string()))
    text = _one(documents["text"].cast(pa.large_string()))
    text = pc.fill_null(text, "") if text.null_count else text
    if ids.null_count:
        row = int(np.argmax(ids.is_null().to_numpy(zero_copy_only=False)))
        raise ValueError(f'documents: column "id" is null in row {row}; every document needs an id')
    if len(ids.unique()) != len(ids):
        counts = ids.value_counts()
        twice = counts[int(np.argmax(counts.field("counts").to_numpy()))].as_py()
        raise ValueError(f'documents: id "{twice["values"]}" occurs {twice["counts"]} times; ids must be unique')
    quality = None
    if "quality" in documents.column_names:
        column = documents["quality"]
        if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_null(column.type)):
            raise ValueError(f'documents: column "quality" is of type {column.type}, expected a number')
        quality = _one(column.cast(pa.float64())).to_numpy(zero_copy_only=False)  # null becomes NaN
    length = pc.utf8_length(text).to_numpy(zero_copy_only=False).astype(np.int64)
    position = best_first(ids, length, quality)
    return Documents(position, ids.take(pa.array(position)), text.take(pa.array(position)))


def sets_of(text: Any, wanted: NDArray[np.bool_], config: DedupConfig) -> Shingles:
    """Return the shingle sets of the wanted rows, and empty ones for the rest."""
    rows = np.flatnonzero(wanted)
    found = shingle_sets(text.take(pa.array(rows)), config.shingle, config.profile)
    counts = np.zeros(len(wanted), np.int64)
    counts[rows] = np.diff(found.offsets)
    return Shingles(np.concatenate(([0], np.cumsum(counts))).astype(np.int64), found.hashes)


def verdicts(
    ordered: Documents,
    copies: Copies,
    root: NDArray[np.int64],
    parent: NDArray[np.int64],
    similarity: NDArray[np.float64],
    known_ids: Any | None = None,
) -> pa.Table:
    """Carry the verdict of each group to its documents and restore the caller's order.

    ``root``, ``parent`` and ``similarity`` speak of nodes: first the ``known_ids`` of an index, if any, then the
    groups.
    """
    known = 0 if known_ids is None else len(known_ids)
    first_ids = ordered.ids.take(pa.array(copies.first))
    node_ids = first_ids if known_ids is None else pa.concat_arrays([known_ids.cast(pa.string()), first_ids])
    node = copies.group + known
    is_first = np.zeros(len(node), np.bool_)
    is_first[copies.first] = True
    kept_group = parent[node] < 0
    keep = is_first & kept_group
    # A copy of a kept document hangs on it; a copy of a removed one shares its fate.
    row_parent = np.where(kept_group, node, parent[node])
    row_similarity = np.where(kept_group, 1.0, similarity[node])
    table = pa.table(
        [
            ordered.ids,
            node_ids.take(pa.array(root[node])),
            node_ids.take(pa.array(row_parent, mask=keep)),
            pa.array(row_similarity, mask=keep),
            pa.array(keep),
        ],
        schema=DUPLICATES_SCHEMA,
    )
    back = np.empty(len(node), np.int64)
    back[ordered.position] = np.arange(len(node))
    return table.take(back).combine_chunks()


def group_copies(content: Any) -> Copies:
    """Group documents of equal content hashes (``dedup.exact``), groups in the order of their first document."""
    codes = content.dictionary_encode().indices.to_numpy(zero_copy_only=False)
    # Codes count up in order of first appearance, so a group's number grows with its best document.
    _, first, group = np.unique(codes, return_index=True, return_inverse=True)
    return Copies(first.astype(np.int64), group.astype(np.int64))


def _one(column: Any) -> Any:
    combined = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(combined, pa.ChunkedArray):
        combined = pa.concat_arrays(combined.chunks)
    return combined
