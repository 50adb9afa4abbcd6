"""From documents to verified edges, as plans: fingerprints, buckets, what is wanted where, verification.

No task holds more than it streams and its largest group. Candidates are chosen by keys alone (`dedup.pairs`); then each
pair's texts meet in the partition of its first node, at most 1/64 of one text's candidates in a group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.document import id_bits
from pipelines.engines.plan import GroupBy, Output, Plan, Shard, Tables
from pipelines.steps.step import ReadParts, partitions_of_hash
from pipelines.storage import at, read_batches, read_table

BAND, SAME_TEXT, SAME_URL = 0, 1, 2
"""Why documents meet."""

BUCKETS_SCHEMA = pa.schema(
    [
        pa.field("key", pa.uint64()),
        pa.field("kind", pa.uint8()),
        pa.field("order", pa.uint64()),
        pa.field("node", pa.uint64()),
        pa.field("following", pa.uint32()),
    ]
)
CANDIDATES_SCHEMA = pa.schema(
    [pa.field("left", pa.uint64()), pa.field("right", pa.uint64()), pa.field("kind", pa.uint8())]
)
LINKS_SCHEMA = pa.schema([pa.field("left", pa.uint64()), pa.field("right", pa.uint64())])
WANTED_SCHEMA = pa.schema(
    [
        pa.field("node", pa.uint64()),
        pa.field("left", pa.uint64()),
        pa.field("salt", pa.uint8()),
        pa.field("kind", pa.uint8()),
    ]
)
MEETING_SCHEMA = pa.schema([*WANTED_SCHEMA, pa.field("text", pa.large_string())])
EDGES_SCHEMA = pa.schema([*CANDIDATES_SCHEMA, pa.field("similarity", pa.float64())])

DOCUMENT_COLUMNS = ("id", "uri", "source", "text", "fetched_at")


DECIDING = (
    pa.field("id", pa.string()),
    pa.field("uri", pa.string()),
    pa.field("length", pa.int64()),
    pa.field("quality", pa.float64()),
    pa.field("priority", pa.float64()),
    pa.field("date", pa.float64()),
    pa.field("protected", pa.bool_()),
    pa.field("content", pa.binary(16)),
    pa.field("same", pa.binary(16)),
)
"""What is known of a document when it is decided which copy stays: of fingerprints, and of a component's members."""


def fingerprint_schema(bands: int) -> pa.Schema:
    """Return the schema of fingerprints with so many bands."""
    return pa.schema(
        [
            *DECIDING,
            pa.field("scope", pa.uint64()),
            pa.field("active", pa.bool_()),
            pa.field("keys", pa.list_(pa.uint64(), bands)),
        ]
    )


@dataclass(frozen=True)
class Fingerprint:
    """Makes the fingerprints of a table of documents: all that decides about them, without their texts.

    `sources` are in the order of their priority, the first one best; those of `protect` keep their documents. With
    `apart` documents of different sources never meet. A column `quality` counts where there is one.
    """

    config: Any
    sources: tuple[str, ...] = ()
    protect: tuple[str, ...] = ()
    apart: bool = False

    def __call__(self, table: pa.Table) -> Tables:
        """Return a fingerprint a row."""
        from dedup.documents import numbers
        from dedup.exact import content_hash, normalised_hash
        from dedup.minhash import band_keys, has_shingles, signatures

        signature = signatures(table["text"], self.config.minhash)
        keys = band_keys(signature, self.config.bands, self.config.rows)
        schema = fingerprint_schema(self.config.bands)
        content = content_hash(table["text"])
        source = table["source"].cast(pa.string())
        rank = pc.fill_null(pc.index_in(source, value_set=pa.array(self.sources, pa.string())), len(self.sources))
        scope = _hashed(source) if self.apart else np.zeros(table.num_rows, np.uint64)
        dated = table.rename_columns({"fetched_at": "date"})
        rows = pa.table(
            [
                table["id"].cast(pa.string()),
                table["uri"].cast(pa.string()),
                pc.utf8_length(table["text"]).cast(pa.int64()),
                pa.array(numbers(table, "quality")),
                pc.negate(rank.cast(pa.float64())),
                pa.array(numbers(dated, "date")),
                pc.is_in(source, value_set=pa.array(self.protect, pa.string())),
                content,
                content if self.config.exact == "bytes" else normalised_hash(table["text"]),
                pa.array(scope),
                pa.array(has_shingles(signature)),
                pa.FixedSizeListArray.from_arrays(pa.array(keys.reshape(-1)), type=schema.field("keys").type),
            ],
            schema=schema,
        )
        return {"fingerprints": rows}


@dataclass(frozen=True)
class Explode:
    """Turns fingerprints into a row for each bucket: of the text, of each band, and of the URL where that counts."""

    config: Any

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return rows of BUCKETS_SCHEMA."""
        from dedup.deduplicate import order_of
        from dedup.pairs import next_band

        node, order = id_bits(table["id"]), order_of(table["same"].combine_chunks())
        scope = spread(table["scope"].to_numpy())
        active = table["active"].to_numpy()
        keys = table["keys"].combine_chunks().flatten().to_numpy().reshape(-1, self.config.bands)[active]
        repeat = self.config.bands
        parts = [
            (order ^ scope, SAME_TEXT, order, node, np.zeros(len(node), np.uint32)),
            (
                (keys ^ scope[active][:, None]).reshape(-1),
                BAND,
                np.repeat(order[active], repeat),
                np.repeat(node[active], repeat),
                next_band(keys).reshape(-1),
            ),
        ]
        if self.config.url is not None:
            parts.append((_hashed(table["uri"]) ^ scope, SAME_URL, order, node, np.zeros(len(node), np.uint32)))
        kinds = np.concatenate([np.full(len(part[0]), part[1], np.uint8) for part in parts])
        key, order, node, following = (np.concatenate([part[i] for part in parts]) for i in (0, 2, 3, 4))
        return pa.table([key, kinds, order, node, following], schema=BUCKETS_SCHEMA)


@dataclass(frozen=True)
class Meet:
    """Chooses the pairs of each bucket: candidates to verify, and links between documents of the same text."""

    most: int

    def __call__(self, table: pa.Table) -> Tables:
        """Return candidates and links for whole buckets, sorted by key, kind, order and node."""
        from dedup.pairs import within_buckets

        key, kind, order, node, following = (table[name].to_numpy() for name in BUCKETS_SCHEMA.names)
        same = kind == SAME_TEXT
        left, right = _stars(key[same], node[same])
        links = pa.table([np.minimum(left, right), np.maximum(left, right)], schema=LINKS_SCHEMA)

        other = ~same
        key, kind, order, node, following = (column[other] for column in (key, kind, order, node, following))
        # Of equal texts the first stands for all, and is the same one in every bucket.
        fresh = _changes(key, kind, order)
        key, kind, node, following = (column[fresh] for column in (key, kind, node, following))
        starts = np.flatnonzero(_changes(key, kind))
        first, second = within_buckets(np.append(starts, len(key)).astype(np.int64), following, self.most)
        a, b = node[first], node[second]
        pairs = pa.table([np.minimum(a, b), np.maximum(a, b), kind[first]], schema=CANDIDATES_SCHEMA)
        pairs = pairs.filter(pc.not_equal(pairs["left"], pairs["right"]))
        # Pairs that share several bands of this partition: each once (of many partitions, `Once` sees to it).
        return {"candidates": pairs.group_by(pairs.column_names).aggregate([]), "links": links}


@dataclass(frozen=True)
class Ask:
    """Says of each candidate pair where its texts are wanted: in the group of its left node and a salt of the right."""

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return rows of WANTED_SCHEMA: two a pair."""
        left, right, kind = (table[name].to_numpy() for name in CANDIDATES_SCHEMA.names)
        salt = (right >> np.uint64(58)).astype(np.uint8)
        return pa.table(
            [
                np.concatenate([right, left]),
                np.concatenate([left, left]),
                np.concatenate([salt, salt]),
                np.concatenate([kind, np.zeros(len(left), np.uint8)]),
            ],
            schema=WANTED_SCHEMA,
        )


@dataclass(frozen=True)
class Once:
    """Leaves each row of a sorted table once, as the output of that name."""

    output: str

    def __call__(self, table: pa.Table) -> Tables:
        """Return the distinct rows."""
        return {self.output: table.filter(pa.array(_changes(*(column.to_numpy() for column in table.columns))))}


def read_texts(path: str) -> Iterator[pa.Table]:
    """Read the documents of a part, only ids and texts."""
    yield from read_batches(at(path), 4096, ["id", "text"])


@dataclass(frozen=True)
class ReadWanted:
    """Reads the texts of one part, each as often as it is wanted; `texts` gives tables of id and text for a path."""

    texts: Callable[[str], Iterator[pa.Table]] = read_texts

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield tables of MEETING_SCHEMA."""
        documents, listing = shard.payload
        wanted = read_table(at(listing))
        asked = wanted["node"].to_numpy()
        if not len(asked):
            return
        for table in self.texts(documents):
            node = id_bits(table["id"])
            first = np.searchsorted(asked, node, side="left")
            count = np.searchsorted(asked, node, side="right") - first
            ends = np.cumsum(count)
            rows = np.arange(ends[-1]) - np.repeat(ends - count, count) + np.repeat(first, count)
            told = wanted.take(pa.array(rows))
            text = table["text"].take(pa.array(np.repeat(np.arange(len(node)), count)))
            yield pa.table([*told.columns, text.cast(pa.large_string())], schema=MEETING_SCHEMA)


@dataclass(frozen=True)
class Verify:
    """Compares each text with the left one of its group, exactly."""

    config: Any

    def __call__(self, table: pa.Table) -> Tables:
        """Return the edges of whole groups, sorted by left, salt, node and kind; those of URLs whatever they are."""
        from dedup.edges import kept_edges, similarity
        from dedup.shingles import shingle_sets

        left, salt, node, kind = (table[name].to_numpy() for name in ("left", "salt", "node", "kind"))
        begins = _changes(left, salt)
        group = np.cumsum(begins) - 1
        own = np.full(int(group[-1]) + 1 if len(group) else 0, -1, np.int64)
        mine = np.flatnonzero(node == left)
        own[group[mine]] = mine
        others = np.flatnonzero((node != left) & (own[group] >= 0))
        firsts = own[group[others]]

        rows, places = np.unique(np.concatenate([node[firsts], node[others]]), return_inverse=True)
        where = np.zeros(len(rows), np.int64)
        where[places] = np.concatenate([firsts, others])
        text = table["text"].combine_chunks().take(pa.array(where))
        sets = shingle_sets(text, self.config.shingle, self.config.profile)
        a, b = places[: len(others)], places[len(others) :]
        keep, value = kept_edges(sets, text, a, b, self.config)
        url = np.flatnonzero(kind[others] == SAME_URL)
        value[url], keep[url] = similarity(sets, a[url], b[url]), True
        chosen = others[keep]
        edges = pa.table([left[chosen], node[chosen], kind[chosen], value[keep]], schema=EDGES_SCHEMA)
        return {"edges": edges}


def by_node(table: pa.Table, partitions: int) -> pa.Array:
    """Partition rows by a node: as documents are by their ids."""
    return partitions_of_hash(table["node"], partitions)


def asking(step: str, shards: Sequence[Shard], partitions: int) -> Plan:
    """Return the plan that tells each node, where it is, in which pairs it is wanted; the shards are candidates."""
    order = tuple(WANTED_SCHEMA.names)
    return Plan(
        f"{step} wanted",
        shards,
        ReadParts(rows=65_536),
        Once("wanted"),
        {"wanted": Output(WANTED_SCHEMA, order)},
        map=Ask(),
        group=GroupBy(WANTED_SCHEMA, partitions, by_node, ("node",), order),
    )


def by_left(table: pa.Table, partitions: int) -> pa.Array:
    """Partition rows by the left node: as documents are by their ids."""
    return partitions_of_hash(table["left"], partitions)


def spread(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Mix 64-bit numbers (splitmix64's finaliser; 0 stays 0): the smallest of many is as likely large as small."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        numbers = (numbers ^ numbers >> np.uint64(shift)) * np.uint64(factor)
    return numbers ^ numbers >> np.uint64(31)


def _hashed(column: pa.ChunkedArray) -> NDArray[np.uint64]:
    from dedup.deduplicate import order_of
    from dedup.exact import content_hash

    return order_of(content_hash(column.cast(pa.string())))


def _changes(*columns: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell which rows differ from the row before."""
    differs = np.zeros(len(columns[0]), np.bool_)
    if len(differs):
        differs[0] = True
        for column in columns:
            differs[1:] |= column[1:] != column[:-1]
    return differs


def _stars(key: NDArray[np.uint64], node: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Join every node of a key with the key's first."""
    starts = np.flatnonzero(_changes(key))
    first = np.repeat(node[starts], np.diff(np.append(starts, len(key))))
    apart = first != node
    return first[apart], node[apart]
