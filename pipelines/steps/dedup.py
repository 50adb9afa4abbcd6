"""Documents → documents without duplicates: exact ones first, then near ones, each match verified.

All of it runs on the engine: fingerprints (content hash and band keys) part by part; documents that share a band or
their bytes meet in a first shuffle; the members of each connected component come together with their texts in a second
one, where candidates are verified and the best copy is chosen. Only the components themselves (two 64-bit numbers a
candidate edge) are found in the planning process.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.document import DOCUMENT_SCHEMA, id_bits
from pipelines.engines.plan import GroupBy, Output, Plan, Shard, Tables
from pipelines.ledger import DROPPED, KEPT, LEDGER_SCHEMA, json_string, verdicts
from pipelines.recipe import Dedup, Recipe
from pipelines.steps.step import LEDGER_OUTPUT, As, Body, Finished, ReadParts, Steps, by_id, partition_shards
from pipelines.storage import at, read_batches, read_table, write_parquet

STEP = "04-dedup"

VERDICTS_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("cluster", pa.string()),
        pa.field("parent", pa.string()),
        pa.field("parent_uri", pa.string()),
        pa.field("similarity", pa.float64()),
        pa.field("exact", pa.bool_()),
        pa.field("keep", pa.bool_()),
    ]
)


BUCKETS_SCHEMA = pa.schema([pa.field("key", pa.uint64()), pa.field("node", pa.uint64())])
CANDIDATES_SCHEMA = pa.schema([pa.field("left", pa.uint64()), pa.field("right", pa.uint64())])
ASSIGNMENTS_SCHEMA = pa.schema([pa.field("node", pa.uint64()), pa.field("key", pa.uint64())])
"""`key` is the component."""


def configured(settings: Dedup) -> Any:
    """Return the `dedup.DedupConfig` that a recipe's section means."""
    from dedup import DedupConfig

    config = DedupConfig.preset(settings.preset)
    return config if settings.threshold is None else config.model_copy(update={"threshold": settings.threshold})


def fingerprint_schema(bands: int) -> pa.Schema:
    """Return the schema of fingerprints with so many bands."""
    return pa.schema(
        [
            pa.field("id", pa.string()),
            pa.field("uri", pa.string()),
            pa.field("length", pa.int64()),
            pa.field("content", pa.binary(16)),
            pa.field("active", pa.bool_()),
            pa.field("keys", pa.list_(pa.uint64(), bands)),
        ]
    )


def members_schema(bands: int) -> pa.Schema:
    """Return the schema of a component's members: fingerprint, text and the component as `key`."""
    fields = [*fingerprint_schema(bands), pa.field("text", pa.large_string())]
    return pa.schema([pa.field("key", pa.uint64()), *fields])


@dataclass(frozen=True)
class Fingerprint:
    """Makes the fingerprints of a table of documents."""

    config: Any

    def __call__(self, table: pa.Table) -> Tables:
        """Return a fingerprint a row."""
        from dedup.exact import content_hash
        from dedup.minhash import band_keys, has_shingles, signatures

        signature = signatures(table["text"], self.config.minhash)
        keys = band_keys(signature, self.config.bands, self.config.rows)
        schema = fingerprint_schema(self.config.bands)
        rows = pa.table(
            [
                table["id"].cast(pa.string()),
                table["uri"].cast(pa.string()),
                pc.utf8_length(table["text"]).cast(pa.int64()),
                content_hash(table["text"]),
                pa.array(has_shingles(signature)),
                pa.FixedSizeListArray.from_arrays(pa.array(keys.reshape(-1)), type=schema.field("keys").type),
            ],
            schema=schema,
        )
        return {"fingerprints": rows}


def match(documents: pa.Table, config: Any) -> pa.Table:
    """Decide which documents of whole components stay; VERDICTS_SCHEMA, a row a document.

    `documents` are of `MEMBERS_SCHEMA`: all members of some components, in any order. Documents of different components
    share no band, so that deciding on many at once is deciding on each.
    """
    from dedup.components import link
    from dedup.deduplicate import Documents, best_first, group_copies, sets_of
    from dedup.deduplicate import verdicts as decide
    from dedup.edges import edges, in_buckets

    table = documents.combine_chunks()
    ids = table["id"].combine_chunks()
    position = best_first(ids, table["length"].to_numpy(), None)
    ordered = table.take(pa.array(position)).combine_chunks()
    ids = ordered["id"].combine_chunks()
    copies = group_copies(ordered["content"].combine_chunks())
    first = pa.array(copies.first)
    active = ordered["active"].take(first).to_numpy()
    keys = ordered["keys"].combine_chunks().take(first)
    flat = keys.flatten().to_numpy().reshape(len(keys), config.bands)
    active = active & in_buckets(flat, active)
    sets = sets_of(ordered["text"].combine_chunks().take(first), active, config)
    found = edges(flat, active, sets, config.threshold, config.representatives)
    links = link(len(first), found, sets, config.threshold)
    told = decide(Documents(position, ids, None), copies, links.root, links.parent, links.similarity)
    exact = pc.is_in(
        pc.binary_join_element_wise(told["id"], pc.coalesce(told["parent"], told["id"]), "/"),
        value_set=_same_bytes(ids, copies.first, copies.group),
    )
    parent_uri = table["uri"].take(pc.index_in(told["parent"], value_set=table["id"]))
    return pa.table(
        [told["id"], told["cluster"], told["parent"], parent_uri, told["similarity"], exact, told["keep"]],
        schema=VERDICTS_SCHEMA,
    )


def _same_bytes(ids: pa.Array, first: NDArray[np.int64], group: NDArray[np.int64]) -> pa.Array:
    """Return "copy/original" for every document and the first of its group of equal bytes."""
    return pc.binary_join_element_wise(ids, ids.take(pa.array(first[group])), "/")


@dataclass(frozen=True)
class Explode:
    """Turns fingerprints into rows of a key and a document: one for its content and one for each of its bands."""

    bands: int

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return rows of BUCKETS_SCHEMA."""
        node = id_bits(table["id"])
        digests = table["content"].combine_chunks()
        content = np.frombuffer(digests.buffers()[1], "<u8", 2 * len(digests), 16 * digests.offset)[::2]
        active = table["active"].to_numpy()
        keys = table["keys"].combine_chunks().flatten().to_numpy().reshape(-1, self.bands)[active]
        return pa.table(
            [
                pa.array(np.concatenate([content, keys.reshape(-1)])),
                pa.array(np.concatenate([node, np.repeat(node[active], self.bands)])),
            ],
            schema=BUCKETS_SCHEMA,
        )


def by_key(table: pa.Table, partitions: int) -> pa.Array:
    """Partition rows by a 64-bit hash."""
    top = table["key"].to_numpy() >> np.uint64(32)
    return pa.array((top * np.uint64(partitions) >> np.uint64(32)).astype(np.int32))


@dataclass(frozen=True)
class Meet:
    """Joins every document of a bucket with the bucket's first: edges of which nothing is verified yet."""

    def __call__(self, table: pa.Table) -> Tables:
        """Return rows of CANDIDATES_SCHEMA for whole buckets, sorted by key and node."""
        key, node = table["key"].to_numpy(), table["node"].to_numpy()
        starts = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]])) if len(key) else np.empty(0, np.int64)
        first = np.repeat(node[starts], np.diff(np.append(starts, len(key))))
        pairs = np.unique(np.stack([first, node], axis=1)[first != node], axis=0)
        columns = [pa.array(np.ascontiguousarray(pairs[:, side])) for side in (0, 1)]
        return {"candidates": pa.table(columns, schema=CANDIDATES_SCHEMA)}


def assign(pairs: Iterable[pa.Table], partitions: int) -> list[pa.Table]:
    """Find the connected components of candidate edges: for each partition of ids, ASSIGNMENTS_SCHEMA sorted by node.

    Documents in no edge are in no row. Numbers are the first 64 bits of ids; should two ids share them, their
    components become one, which costs a comparison and changes no verdict.
    """
    from dedup.components import components

    tables = list(pairs)
    left, right = (
        np.concatenate([table[side].to_numpy() for table in tables] or [np.empty(0, np.uint64)])
        for side in ("left", "right")
    )
    nodes, places = np.unique(np.concatenate([left, right]), return_inverse=True)
    half = len(left)
    roots = components(len(nodes), places[:half].astype(np.int64), places[half:].astype(np.int64))
    part = (nodes >> np.uint64(32)) * np.uint64(partitions) >> np.uint64(32)
    borders = np.searchsorted(part, np.arange(partitions + 1, dtype=np.uint64))
    return [
        pa.table(
            # A component's number decides its partition, so it has to be spread evenly.
            [pa.array(nodes[start:stop]), pa.array(spread(nodes[roots[start:stop]]))],
            schema=ASSIGNMENTS_SCHEMA,
        )
        for start, stop in pairwise(borders)
    ]


def spread(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Mix 64-bit numbers (splitmix64's finaliser), so that the smallest of many is as likely large as small."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        numbers = (numbers ^ numbers >> np.uint64(shift)) * np.uint64(factor)
    return numbers ^ numbers >> np.uint64(31)


@dataclass(frozen=True)
class ReadMembers:
    """Reads the documents of one part that are in a component, with their fingerprints."""

    schema: pa.Schema

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield tables of `members_schema`."""
        documents, fingerprints, assignments = (at(path) for path in shard.payload)
        assigned = read_table(assignments)
        marks = read_table(fingerprints, [name for name in self.schema.names if name not in ("key", "text")])
        for table in read_batches(documents, 4096, ["id", "text"]):
            found = pc.index_in(pa.array(id_bits(table["id"])), value_set=assigned["node"].combine_chunks())
            inside = table.append_column("key", assigned["key"].take(found)).filter(pc.is_valid(found))
            rows = marks.take(pc.index_in(inside["id"], value_set=marks["id"]).combine_chunks())
            columns = {**dict(zip(rows.column_names, rows.columns, strict=True)), "key": inside["key"]}
            columns["text"] = inside["text"]
            yield pa.table([columns[name] for name in self.schema.names], schema=self.schema)


@dataclass(frozen=True)
class Match:
    """Decides on whole components."""

    config: Any

    def __call__(self, table: pa.Table) -> Tables:
        """Return the verdicts."""
        return {"matches": match(table, self.config)}


@dataclass(frozen=True)
class ReadJudged:
    """Reads the documents of one part with their verdicts; one that no other resembles has none, and stays."""

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield tables of DOCUMENT_SCHEMA and JUDGED_SCHEMA's columns."""
        documents, listing = at(shard.payload[0]), read_table(at(shard.payload[1]))
        for table in read_batches(documents, 4096):
            told = listing.take(pc.index_in(table["id"], value_set=listing["id"]).combine_chunks())
            keep = pc.fill_null(told["keep"], True)
            columns = [pc.coalesce(told["cluster"], table["id"]), told["parent"], told["parent_uri"]]
            columns += [told["similarity"], pc.fill_null(told["exact"], False), keep]
            for name, column in zip(VERDICTS_SCHEMA.names[1:], columns, strict=True):
                table = table.append_column(f"verdict.{name}", column)
            yield table


@dataclass(frozen=True)
class Apply:
    """Drops the documents that a verdict says are duplicates."""

    def __call__(self, table: pa.Table) -> Tables:
        """Return the kept documents and the ledger."""
        told = {name: table[f"verdict.{name}"] for name in VERDICTS_SCHEMA.names[1:]}
        keep = told["keep"]
        evidence = pc.binary_join_element_wise(
            '{"parent":"', told["parent"], '","parent_uri":', json_string(told["parent_uri"]), ',"cluster":"',
            told["cluster"], '","similarity":', pc.cast(told["similarity"], pa.string()), ',"method":"',
            pc.if_else(told["exact"], "exact", "minhash"), '"}', "",
        )  # fmt: skip
        ledger = verdicts(
            table,
            STEP,
            verdict=pc.if_else(keep, KEPT, DROPPED),
            reason=pc.if_else(keep, "", pc.if_else(told["exact"], "exact-duplicate", "near-duplicate")),
            signal=pc.if_else(keep, pa.scalar(None, pa.string()), "dedup.similarity"),
            value=told["similarity"],
            evidence=evidence,
        )
        documents = table.filter(keep).select(DOCUMENT_SCHEMA.names)
        return {"documents": documents.cast(DOCUMENT_SCHEMA), "ledger": ledger.cast(LEDGER_SCHEMA)}


def run(steps: Steps, recipe: Recipe, decided: Finished) -> Finished:
    """Run the step."""
    config = configured(recipe.dedup)
    partitions = recipe.partitions

    def body(folder: Path, _: str) -> Body:
        documents = decided.parts("documents")
        marks_schema = fingerprint_schema(config.bands)
        members = members_schema(config.bands)
        marks = steps.run(
            Plan(
                f"{STEP} fingerprints",
                partition_shards([documents]),
                ReadParts(("id", "uri", "text")),
                Fingerprint(config),
                {"fingerprints": Output(marks_schema)},
                conserve=("fingerprints",),
            ),
            folder,
        )
        fingerprints = [folder / entry.path for entry in marks.files["fingerprints"]]
        buckets = steps.run(
            Plan(
                f"{STEP} buckets",
                partition_shards([fingerprints]),
                ReadParts(("id", "content", "active", "keys"), 16_384),
                Meet(),
                {"candidates": Output(CANDIDATES_SCHEMA, ("left", "right"))},
                map=Explode(config.bands),
                group=GroupBy(BUCKETS_SCHEMA, partitions, by_key, ("key",), ("key", "node")),
            ),
            folder,
        )
        pairs = (read_table(folder / entry.path) for entry in buckets.files["candidates"])
        assignments: list[Path] = []
        for part, table in enumerate(assign(pairs, partitions)):
            assignments.append(folder / "assignments" / f"part-{part:05d}.parquet")
            write_parquet(assignments[-1], table)
        matches = steps.run(
            Plan(
                f"{STEP} matches",
                partition_shards([documents, fingerprints, assignments]),
                ReadMembers(members),
                Match(config),
                {"matches": Output(VERDICTS_SCHEMA)},
                group=GroupBy(members, partitions, by_key, ("key",), ("key", "id")),
                conserve=("matches",),
            ),
            folder,
        )
        told = steps.run(
            Plan(
                f"{STEP} verdicts",
                partition_shards([[folder / entry.path for entry in matches.files["matches"]]]),
                ReadParts(),
                As("verdicts"),
                {"verdicts": Output(VERDICTS_SCHEMA)},
                group=GroupBy(VERDICTS_SCHEMA, partitions, by_id, ("id",), ("id",)),
                conserve=("verdicts",),
            ),
            folder,
        )
        listings = [folder / entry.path for entry in told.files["verdicts"]]
        outputs = {"documents": Output(DOCUMENT_SCHEMA), "ledger": LEDGER_OUTPUT}
        shards = partition_shards([documents, listings])
        done = steps.run_plan(Plan(STEP, shards, ReadJudged(), Apply(), outputs, conserve=("ledger",)), folder)
        done.outputs["verdicts"] = told.files["verdicts"]
        done.facts = {"candidates": sum(entry.rows for entry in buckets.files["candidates"])}
        done.scrap = ("fingerprints", "candidates", "assignments", "matches")
        return done

    return steps.perform(
        STEP,
        code=("kernels", "dedup", "pipelines.steps.dedup"),
        parameters={**config.model_dump(mode="json"), "partitions": partitions},
        inputs=[decided.digest],
        body=body,
    )
