"""Find the duplicates among documents and say which copy stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.config import DedupConfig
from dedup.documents import codes_of, documents_in_order
from dedup.edges import Edges, kept_edges, similarity
from dedup.exact import content_hash, normalised_hash
from dedup.minhash import band_keys, has_shingles, signatures
from dedup.pairs import in_buckets, pair_codes
from dedup.settle import Candidates, Settled, same_url, settle
from dedup.shingles import Shingles, shingle_sets

__all__ = ["DUPLICATES_SCHEMA", "deduplicate", "order_of", "sets_of", "told", "unpacked"]

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

    Documents of one URL are joined first, where ``config.url`` asks for it, then exact copies. Of the rest, texts that
    share a MinHash band are compared by the exact Jaccard similarity of their shingle sets (and by edit similarity,
    where that is asked for); those that match are joined by an edge, and the components of these verified edges are cut
    into clusters about the copies that stay (``dedup.clusters``). Which copy is the best follows ``config.order``: by
    default the highest ``quality``, then the longest text (in code points), the highest ``priority``, the newest
    ``date``, and the smallest id (by bytes); what is null or NaN comes last. The answer does not depend on the order of
    the rows.

    Args:
        documents: columns ``id`` (string, unique, not null), ``text`` (string or large_string; null counts as empty)
            and, if there are any, ``quality`` and ``priority`` (numbers), ``date`` (a timestamp or a number), ``url``
            (string; null is no URL) and ``protected`` (bool: such a document stays whatever it meets, and takes what is
            like it). Other columns are ignored.
        config: by default that of FineWeb, verified at 0.7.

    Returns:
        One row a document, in the order of ``documents`` (``DUPLICATES_SCHEMA``):
        ``cluster`` is the id of the kept document, never null; a document alone is its own cluster. ``parent`` is null
        for a kept document; else the document it was matched with: the kept one where these two were compared and
        match, else the verified neighbour through which it hangs on the cluster. ``similarity`` is the exact Jaccard
        similarity with the parent, 1 for exact copies, null for a kept document. Texts without any word or symbol
        (empty ones too) are duplicates of exact copies only.

    Raises:
        ValueError: a column is missing or of a wrong type, or an id is null or occurs twice.
    """
    config = config or DedupConfig()
    ordered = documents_in_order(documents, config)
    content = content_hash(ordered.text)
    same = content if config.exact == "bytes" else normalised_hash(ordered.text)
    candidates = Candidates(
        codes_of(content),
        codes_of(same),
        None if ordered.url is None else codes_of(ordered.url),
        ordered.date,
        ordered.protected,
    )
    losers, winners = same_url(candidates, config)
    alive = np.ones(len(candidates.text), np.bool_)
    alive[losers] = False
    rows = np.flatnonzero(alive)
    rows = rows[np.unique(candidates.text[rows], return_index=True)[1]]
    rows.sort()
    text = ordered.text.take(pa.array(rows))
    signature = signatures(text, config.minhash)
    active = has_shingles(signature)
    keys = band_keys(signature, config.bands, config.rows)
    active &= in_buckets(keys, active)
    first, second = unpacked(pair_codes(keys, active, order_of(same.take(pa.array(rows))), config.representatives))
    keep, value = kept_edges(sets_of(text, active, config), text, first, second, config)
    found = Edges(rows[first[keep]], rows[second[keep]], value[keep])
    settled = settle(candidates, found, config, _measured(ordered.text, losers, winners, config))
    return told(ordered.ids, settled, ordered.position)


def order_of(digests: Any) -> NDArray[np.uint64]:
    """Return the first 64 bits of 16-byte digests: what buckets are ordered by, wherever the rows stand."""
    if not len(digests):
        return np.empty(0, np.uint64)
    return np.frombuffer(digests.buffers()[1], "<u8", 2 * len(digests), 16 * digests.offset)[::2].astype(np.uint64)


def unpacked(codes: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the two rows of each code of ``dedup.pairs.pair_codes``."""
    return (codes >> np.uint64(32)).astype(np.int64), (codes & np.uint64(0xFFFFFFFF)).astype(np.int64)


def sets_of(text: Any, wanted: NDArray[np.bool_], config: DedupConfig) -> Shingles:
    """Return the shingle sets of the wanted rows, and empty ones for the rest."""
    rows = np.flatnonzero(wanted)
    found = shingle_sets(text.take(pa.array(rows)), config.shingle, config.profile)
    counts = np.zeros(len(wanted), np.int64)
    counts[rows] = np.diff(found.offsets)
    return Shingles(np.concatenate(([0], np.cumsum(counts))).astype(np.int64), found.hashes)


def told(ids: Any, settled: Settled, position: NDArray[np.int64] | None = None) -> pa.Table:
    """Write verdicts as a table (``DUPLICATES_SCHEMA``), in the caller's order where that is given."""
    keep = settled.parent < 0
    table = pa.table(
        [
            ids,
            ids.take(pa.array(settled.root)),
            ids.take(pa.array(np.maximum(settled.parent, 0), mask=keep)),
            pa.array(settled.similarity, mask=np.isnan(settled.similarity)),
            pa.array(keep),
        ],
        schema=DUPLICATES_SCHEMA,
    )
    if position is None:
        return table
    back = np.empty(len(keep), np.int64)
    back[position] = np.arange(len(keep))
    return table.take(back).combine_chunks()


def _measured(text: Any, losers: NDArray[np.int64], winners: NDArray[np.int64], config: DedupConfig) -> Edges | None:
    """Measure how alike the documents of one URL are, for the record."""
    if not len(losers):
        return None
    rows, places = np.unique(np.concatenate([losers, winners]), return_inverse=True)
    sets = shingle_sets(text.take(pa.array(rows)), config.shingle, config.profile)
    value = similarity(sets, places[: len(losers)], places[len(losers) :])
    return Edges(losers, winners, value)
