"""Documents → documents without those that say what another one says (`dedup.semantic`).

Embeddings come from Parquet files keyed by id, or from an encoder. Clusters are found by one worker from a sample that
hashed ids choose; documents of one cluster then meet, wherever they lie, and are kept or dropped in order.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup.repeats import mixed
from dedup.semantic import SemanticConfig, assign, keep, kmeans, quantised
from kernels.strings import text_batch
from pipelines.document import DOCUMENT_SCHEMA, canonical_json, id_bits
from pipelines.engines.plan import GroupBy, Output, Plan, Shard, Tables
from pipelines.ledger import DROPPED, KEPT, LEDGER_SCHEMA, json_string, verdicts
from pipelines.recipe_parts import SemanticUse
from pipelines.steps.scope import ROWS, Scope
from pipelines.steps.step import LEDGER_OUTPUT, As, Body, Finished, ReadParts, Steps, by_id, partition_shards
from pipelines.storage import at, read_batches, read_table, sha256, size

STEP = "04-semantic"
ENCODERS = "filters.quality.encoder"

VECTORS_SCHEMA = pa.schema(
    [
        pa.field("key", pa.int64()),
        pa.field("id", pa.string()),
        pa.field("uri", pa.string()),
        pa.field("rank", pa.int32()),
        pa.field("order", pa.float64()),
        pa.field("vector", pa.binary()),
    ]
)
"""`key` is the cluster; `order` rises as quality times difficulty falls; `vector` are 16-bit numbers."""
GIVEN_SCHEMA = pa.schema([pa.field("id", pa.string()), pa.field("vector", pa.binary())])
CENTROIDS_SCHEMA = pa.schema([pa.field("cluster", pa.int64()), pa.field("vector", pa.binary())])
TOLD_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("cluster", pa.int64()),
        pa.field("parent", pa.string()),
        pa.field("parent_uri", pa.string()),
        pa.field("cosine", pa.float64()),
    ]
)


def packed(vectors: NDArray[np.int16]) -> pa.Array[Any]:
    """Return each vector's bytes."""
    width = vectors.shape[1] * 2
    column = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(width), len(vectors), [None, pa.py_buffer(np.ascontiguousarray(vectors, "<i2"))]
    )
    return column.cast(pa.binary())


def unpacked(column: pa.ChunkedArray[Any]) -> NDArray[np.int16]:
    """Return the vectors of a column without nulls; all are of one width, or it is told."""
    if not len(column):
        return np.zeros((0, 1), np.int16)
    widths = pc.unique(pc.binary_length(column)).to_pylist()
    if len(widths) > 1:
        found = ", ".join(str(one // 2) for one in sorted(widths))
        raise ValueError(f"embeddings have {found} components; expected one number for all")
    whole = column.cast(pa.binary(widths[0])).combine_chunks()
    whole = whole if isinstance(whole, pa.Array) else pa.concat_arrays(whole.chunks)
    data = np.frombuffer(whole.buffers()[1], "<i2", len(whole) * widths[0] // 2, whole.offset * widths[0])
    return data.reshape(len(whole), -1)


@dataclass(frozen=True)
class ReadGiven:
    """Reads a file of embeddings: `id` and `embedding`, a list of numbers."""

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield GIVEN_SCHEMA. Raises ValueError where one is null, not finite or of another width."""
        for table in read_batches(at(shard.payload), ROWS, ["id", "embedding"]):
            if not table.num_rows:
                continue
            ids = table["id"].cast(pa.string())
            lists = table["embedding"].combine_chunks()
            lists = pa.concat_arrays(lists.chunks) if isinstance(lists, pa.ChunkedArray) else lists
            lengths = pc.unique(pc.list_value_length(lists)).to_pylist()
            if len(lengths) != 1 or not lengths[0]:
                raise ValueError(f"{shard.payload}: embeddings have {lengths} components; expected one number for all")
            numbers = pc.list_flatten(lists).to_numpy(zero_copy_only=False).reshape(table.num_rows, -1)
            try:
                vectors = quantised(numbers)
            except ValueError as error:
                bad = int(np.flatnonzero(~np.isfinite(numbers.astype(np.float64)).all(axis=1))[0])
                raise ValueError(f"{shard.payload}: record {ids[bad]}: {error}") from error
            yield pa.table([ids, packed(vectors)], schema=GIVEN_SCHEMA)


@dataclass(frozen=True)
class FirstOfId:
    """Leaves one embedding for each id."""

    def __call__(self, table: pa.Table) -> Tables:
        """Return the first of each group."""
        ids = table["id"].combine_chunks()
        new = np.ones(len(ids), np.bool_)
        new[1:] = pc.not_equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False)
        return {"given": table.filter(pa.array(new))}


@dataclass(frozen=True)
class ReadVectors:
    """Reads the documents of one part that have an embedding, with their order; without text."""

    scope: Scope
    encoder: str | None
    product: tuple[str, ...]

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield VECTORS_SCHEMA, all in cluster 0."""
        documents, signals, given = shard.payload
        listing = None if given is None else read_table(at(given)).combine_chunks()
        measures = read_table(at(signals), ["id", *self.product]) if self.product else None
        columns = ["id", "uri", "source", "kind", "language", *([] if self.encoder is None else ["text"])]
        for table in read_batches(at(documents), ROWS, columns):
            some = table.filter(self.scope.covers(table))
            if listing is not None:
                found = pc.index_in(some["id"], value_set=listing["id"]).combine_chunks()
                some, found = some.filter(pc.is_valid(found)), found.drop_null()
                vectors = listing["vector"].take(found)
            else:
                assert self.encoder is not None
                vectors = packed(quantised(_encoder(self.encoder).embed(text_batch(some["text"]))))
            order = np.zeros(some.num_rows)
            if measures is not None:
                rows = pc.index_in(some["id"], value_set=measures["id"])
                values = np.ones(some.num_rows)
                for name in self.product:
                    values = values * pc.fill_null(measures[name].take(rows).cast(pa.float64()), np.nan).to_numpy()
                order = np.where(np.isnan(values), np.inf, -values)
            yield pa.table(
                [
                    pa.array(np.zeros(some.num_rows, np.int64)),
                    some["id"].cast(pa.string()),
                    some["uri"].cast(pa.string()),
                    pa.array(self.scope.rank(some)),
                    pa.array(order),
                    vectors,
                ],
                schema=VECTORS_SCHEMA,
            )


def _encoder(name: str) -> Any:
    """Load an encoder once a process."""
    if name not in _LOADED:
        module = importlib.import_module(ENCODERS)
        _LOADED[name] = module.Encoder(module.encoder_folder(name))
    return _LOADED[name]


_LOADED: dict[str, Any] = {}


@dataclass(frozen=True)
class Sample:
    """Takes a share of documents by their hashed ids; `key` becomes their random place."""

    share: float
    seed: int

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return the chosen rows."""
        number = mixed(id_bits(table["id"]), np.full(table.num_rows, self.seed, np.uint64))
        chosen = (number >> np.uint64(11)).astype(np.float64) < self.share * 2.0**53
        place = pa.array((number >> np.uint64(1)).astype(np.int64))
        return table.set_column(0, VECTORS_SCHEMA.field("key"), place).filter(pa.array(chosen))


def all_together(table: pa.Table, partitions: int) -> pa.Array:
    """Send every row to one partition."""
    return pa.array(np.zeros(table.num_rows, np.int32))


@dataclass(frozen=True)
class ReadAll:
    """Reads all parts of the sample as one table."""

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield the whole sample."""
        yield pa.concat_tables([read_table(at(path)) for path in shard.payload])


@dataclass(frozen=True)
class Train:
    """Finds the clusters of a sample that comes whole, in random order."""

    clusters: int
    rounds: int

    def __call__(self, table: pa.Table) -> Tables:
        """Return the centroids."""
        if not table.num_rows:
            return {"centroids": CENTROIDS_SCHEMA.empty_table()}
        made = kmeans(unpacked(table["vector"]), self.clusters, self.rounds)
        return {"centroids": pa.table([pa.array(np.arange(len(made))), packed(made)], schema=CENTROIDS_SCHEMA)}


@dataclass(frozen=True)
class Assign:
    """Gives each document its cluster."""

    centroids: str

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return the rows with their cluster as `key`."""
        centroids = unpacked(read_table(at(self.centroids))["vector"])
        vectors = unpacked(table["vector"])
        if len(vectors) and vectors.shape[1] != centroids.shape[1]:
            found = f"{vectors.shape[1]} and {centroids.shape[1]}"
            raise ValueError(f"embeddings have {found} components; expected one number for all")
        found = assign(vectors, centroids) if len(vectors) else np.zeros(0, np.int64)
        return table.set_column(0, VECTORS_SCHEMA.field("key"), pa.array(found))


def by_cluster(table: pa.Table, partitions: int) -> pa.Array:
    """Deal clusters out to partitions."""
    return pa.array((table["key"].to_numpy() % partitions).astype(np.int32))


@dataclass(frozen=True)
class Judge:
    """Keeps and drops documents, whole cluster by whole cluster, in order."""

    threshold: float

    def __call__(self, table: pa.Table) -> Tables:
        """Return TOLD_SCHEMA, a row a document."""
        key = table["key"].to_numpy()
        vectors = unpacked(table["vector"])
        parent = np.full(len(key), -1, np.int64)
        cosine = np.zeros(len(key))
        starts = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]])) if len(key) else np.empty(0, np.int64)
        for start, stop in zip(starts, [*starts[1:], len(key)], strict=True):
            found = keep(vectors[start:stop], self.threshold)
            parent[start:stop] = np.where(found.parent >= 0, found.parent + start, -1)
            cosine[start:stop] = found.cosine
        of = pa.array(parent, mask=parent < 0)
        return {
            "told": pa.table(
                [
                    table["id"],
                    pa.array(key),
                    table["id"].take(of),
                    table["uri"].take(of),
                    pa.array(cosine, mask=parent < 0),
                ],
                schema=TOLD_SCHEMA,
            )
        }


@dataclass(frozen=True)
class ReadJudged:
    """Reads the documents of one part with what was told of them."""

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield documents and the columns of TOLD_SCHEMA."""
        listing = read_table(at(shard.payload[1]))
        for table in read_batches(at(shard.payload[0]), ROWS):
            rows = pc.index_in(table["id"], value_set=listing["id"])
            for name in TOLD_SCHEMA.names[1:]:
                table = table.append_column(f"told.{name}", listing[name].take(rows))
            yield table


@dataclass(frozen=True)
class Apply:
    """Drops the documents that have a parent."""

    threshold: float

    def __call__(self, table: pa.Table) -> Tables:
        """Return the others, and a ledger row each."""
        keep_ = pc.is_null(table["told.parent"])
        told = pc.binary_join_element_wise(
            '{"parent":"', table["told.parent"], '","parent_uri":', json_string(table["told.parent_uri"]),
            ',"cluster":"', pc.cast(table["told.cluster"], pa.string()), '","similarity":',
            pc.cast(table["told.cosine"], pa.string()), ',"method":"semantic"}', "",
        )  # fmt: skip
        nothing = pa.scalar(None, pa.float64())
        ledger = verdicts(
            table,
            STEP,
            verdict=pc.if_else(keep_, KEPT, DROPPED),
            reason=pc.if_else(keep_, "", "semantic-duplicate"),
            signal=pc.if_else(keep_, pa.scalar(None, pa.string()), "dedup.cosine"),
            value=table["told.cosine"],
            threshold=pc.if_else(keep_, nothing, pa.scalar(self.threshold)),
            evidence=told,
        )
        documents = table.filter(keep_).select(DOCUMENT_SCHEMA.names)
        return {"documents": documents.cast(DOCUMENT_SCHEMA), "ledger": ledger.cast(LEDGER_SCHEMA)}


def configured(use: SemanticUse) -> SemanticConfig:
    """Return the parameters that a recipe's section means."""
    names = ("threshold", "clusters", "sample", "rounds", "seed")
    return SemanticConfig(**{name: getattr(use, name) for name in names})


def run(steps: Steps, use: SemanticUse, documents: Finished, measured: Finished) -> Finished:
    """Run the step."""
    config, scope = configured(use), Scope.of(use)
    product = tuple(name for name in (use.quality, use.difficulty) if name is not None)

    def body(folder: Path, _: str) -> Body:
        parts = documents.parts("documents")
        count = documents.account.kept
        signals = measured.parts("signals")
        given: list[Path] | list[None] = [None] * len(parts)
        if use.embeddings:
            given = _given(steps, folder, use.embeddings, len(parts))
        shards = [
            Shard(n, f"part-{n:05d}", tuple(None if one is None else str(one) for one in row), size(row[0]) or 0)
            for n, row in enumerate(zip(parts, signals, given, strict=True))
        ]
        vectors = steps.run(
            Plan(
                f"{STEP} vectors",
                shards,
                ReadVectors(scope, use.encoder, product),
                As("vectors"),
                {"vectors": Output(VECTORS_SCHEMA)},
                conserve=("vectors",),
            ),
            folder,
        )
        files = [folder / one.path for one in vectors.files["vectors"]]
        found = sum(one.rows for one in vectors.files["vectors"])
        clusters = config.number(found)
        sampled = steps.run(
            Plan(
                f"{STEP} sample",
                partition_shards([files]),
                ReadParts(),
                As("sample"),
                {"sample": Output(VECTORS_SCHEMA, ("key", "id"))},
                map=Sample(max(config.sample, clusters) / max(1, found), config.seed),
                group=GroupBy(VECTORS_SCHEMA, 1, all_together, ("key",), ("key", "id")),
                conserve=("sample",),
            ),
            folder,
        )
        whole = Shard(0, "sample", tuple(str(folder / one.path) for one in sampled.files["sample"]))
        trained = steps.run(
            Plan(
                f"{STEP} centroids",
                [whole],
                ReadAll(),
                Train(clusters, config.rounds),
                {"centroids": Output(CENTROIDS_SCHEMA, ("cluster",))},
            ),
            folder,
        )
        centroids = folder / trained.files["centroids"][0].path
        judged = steps.run(
            Plan(
                f"{STEP} judge",
                partition_shards([files]),
                ReadParts(rows=ROWS),
                Judge(config.threshold),
                {"told": Output(TOLD_SCHEMA)},
                map=Assign(str(centroids)),
                group=GroupBy(VECTORS_SCHEMA, len(parts), by_cluster, ("key",), ("key", "rank", "order", "id")),
                conserve=("told",),
            ),
            folder,
        )
        listed = steps.run(
            Plan(
                f"{STEP} listings",
                partition_shards([[folder / one.path for one in judged.files["told"]]]),
                ReadParts(),
                As("listings"),
                {"listings": Output(TOLD_SCHEMA)},
                group=GroupBy(TOLD_SCHEMA, len(parts), by_id, ("id",), ("id",)),
                conserve=("listings",),
            ),
            folder,
        )
        listings = [folder / one.path for one in listed.files["listings"]]
        outputs = {"documents": Output(DOCUMENT_SCHEMA), "ledger": LEDGER_OUTPUT}
        shards = partition_shards([parts, listings])
        done = steps.run_plan(
            Plan(STEP, shards, ReadJudged(), Apply(config.threshold), outputs, conserve=("ledger",)), folder
        )
        done.facts = {
            "documents": count,
            "without_embedding": count - found,
            "clusters": trained.files["centroids"][0].rows,
            "sample": sampled.files["sample"][0].rows,
        }
        done.scrap = ("given", "vectors", "sample", "centroids", "told", "listings")
        return done

    return steps.perform(
        STEP,
        code=(
            "kernels",
            "dedup.repeats",
            "dedup.semantic",
            *(("filters.quality.bert", "filters.quality.encoder") if use.encoder is not None else ()),
            "pipelines.recipe_parts",
            "pipelines.steps.scope",
            "pipelines.steps.semantic",
        ),
        parameters=use.model_dump(mode="json", exclude={"embeddings"}),
        inputs=[documents.digest, measured.digest, *(sha256(path) for path in use.embeddings), *_encoder_digest(use)],
        body=body,
    )


def _encoder_digest(use: SemanticUse) -> list[str]:
    """Return what an encoder's files are."""
    if use.encoder is None:
        return []
    module = importlib.import_module(ENCODERS)
    return [canonical_json(module.encoder_digests(module.encoder_folder(use.encoder))), version("torch")]


def _given(steps: Steps, folder: Path, files: tuple[Path, ...], partitions: int) -> list[Path]:
    """Bring embeddings to the parts of their documents."""
    plan = Plan(
        f"{STEP} given",
        [Shard(n, f"file-{n:05d}", str(path), size(path) or 0) for n, path in enumerate(files)],
        ReadGiven(),
        FirstOfId(),
        {"given": Output(GIVEN_SCHEMA, ("id", "vector"))},
        group=GroupBy(GIVEN_SCHEMA, partitions, by_id, ("id",), ("id", "vector")),
    )
    return [folder / one.path for one in steps.run(plan, folder).files["given"]]
