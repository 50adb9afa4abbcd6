"""Documents → documents without those that say what another one says (`dedup.semantic`).

Embeddings come from Parquet files keyed by id, or from an encoder. Clusters are found by one worker from a sample that
hashed ids choose; documents of one cluster then meet, wherever they lie, and are kept or dropped in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.repeats import mixed
from dedup.semantic import SemanticConfig, assign, kmeans
from dedup.semantic_division import judged
from pipelines.document import DOCUMENT_SCHEMA, id_bits
from pipelines.engines.plan import GroupBy, Output, Plan, Shard, Tables
from pipelines.ledger import DROPPED, KEPT, LEDGER_SCHEMA, json_string, verdicts
from pipelines.recipe_parts import SemanticUse
from pipelines.steps import semantic_vectors
from pipelines.steps.beside import Beside, with_told
from pipelines.steps.scope import ROWS, Scope, covered
from pipelines.steps.semantic_vectors import VECTORS_SCHEMA, ReadVectors, encoder_digest, packed, unpacked
from pipelines.steps.step import LEDGER_OUTPUT, As, Body, Finished, ReadParts, Steps, by_id, partition_shards
from pipelines.steps.sums import count_above, total
from pipelines.storage import at, read_batches, read_table, sha256, size

STEP = "04-semantic"

CENTROIDS_SCHEMA = pa.schema([pa.field("cluster", pa.int64()), pa.field("vector", pa.binary())])
TOLD_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("cluster", pa.int64()),
        pa.field("parent", pa.string()),
        pa.field("parent_uri", pa.string()),
        pa.field("cosine", pa.float64()),
        pa.field("apart", pa.int64()),
    ]
)


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


def share(wanted: int, found: int) -> float:
    """Return a share of documents that has `wanted` of them but for one draw in 10^14, none of them all the less."""
    return min(1.0, (wanted + 8 * wanted**0.5 + 64) / max(1, found))


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
    """Finds the clusters of a sample that comes whole, in random order: of its first `sample` documents."""

    clusters: int
    rounds: int
    sample: int

    def __call__(self, table: pa.Table) -> Tables:
        """Return the centroids."""
        if not table.num_rows:
            return {"centroids": CENTROIDS_SCHEMA.empty_table()}
        made = kmeans(unpacked(table["vector"].slice(0, self.sample)), self.clusters, self.rounds)
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

    config: SemanticConfig

    def __call__(self, table: pa.Table) -> Tables:
        """Return TOLD_SCHEMA, a row a document."""
        key = table["key"].to_numpy()
        vectors = unpacked(table["vector"])
        parent = np.full(len(key), -1, np.int64)
        cosine = np.zeros(len(key))
        apart = np.zeros(len(key), np.int64)
        starts = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]])) if len(key) else np.empty(0, np.int64)
        for start, stop in zip(starts, [*starts[1:], len(key)], strict=True):
            found = judged(vectors[start:stop], self.config)
            parent[start:stop] = np.where(found.parent >= 0, found.parent + start, -1)
            cosine[start:stop] = found.cosine
            apart[start:stop] = found.apart
        of = pa.array(parent, mask=parent < 0)
        return {
            "told": pa.table(
                [
                    table["id"],
                    pa.array(key),
                    table["id"].take(of),
                    table["uri"].take(of),
                    pa.array(cosine, mask=parent < 0),
                    pa.array(apart),
                ],
                schema=TOLD_SCHEMA,
            )
        }


@dataclass(frozen=True)
class ReadJudged:
    """Reads the documents of one part with what was told of them."""

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield documents and the columns of TOLD_SCHEMA."""
        listing = Beside(read_table(at(shard.payload[1])))
        for table in read_batches(at(shard.payload[0]), ROWS):
            yield with_told(table, listing.take(table["id"]))


@dataclass(frozen=True)
class Apply:
    """Drops the documents that have a parent."""

    threshold: float

    def __call__(self, table: pa.Table) -> Tables:
        """Return the others, and a ledger row each."""
        keep_ = pc.is_null(table["told.parent"])
        apart = pc.cast(table["told.apart"], pa.string())
        told = pc.binary_join_element_wise(
            '{"parent":"', table["told.parent"], '","parent_uri":', json_string(table["told.parent_uri"]),
            ',"cluster":"', pc.cast(table["told.cluster"], pa.string()), '","similarity":',
            pc.cast(table["told.cosine"], pa.string()), ',"method":"semantic","not_compared":', apart, "}", "",
        )  # fmt: skip
        missed = pc.binary_join_element_wise(
            '{"cluster":"', pc.cast(table["told.cluster"], pa.string()), '","not_compared":', apart, "}", ""
        )
        missed = pc.if_else(pc.greater(table["told.apart"], 0), missed, pa.scalar(None, pa.string()))
        nothing = pa.scalar(None, pa.float64())
        ledger = verdicts(
            table,
            STEP,
            verdict=pc.if_else(keep_, KEPT, DROPPED),
            reason=pc.if_else(keep_, "", "semantic-duplicate"),
            signal=pc.if_else(keep_, pa.scalar(None, pa.string()), "dedup.cosine"),
            value=table["told.cosine"],
            threshold=pc.if_else(keep_, nothing, pa.scalar(self.threshold)),
            evidence=pc.if_else(keep_, missed, told),
        )
        documents = table.filter(keep_).select(DOCUMENT_SCHEMA.names)
        return {"documents": documents.cast(DOCUMENT_SCHEMA), "ledger": ledger.cast(LEDGER_SCHEMA)}


def configured(use: SemanticUse) -> SemanticConfig:
    """Return the parameters that a recipe's section means."""
    names = ("threshold", "clusters", "sample", "rounds", "seed", "largest")
    return SemanticConfig(**{name: getattr(use, name) for name in names})


def run(steps: Steps, use: SemanticUse, documents: Finished, measured: Finished) -> Finished:
    """Run the step."""
    config, scope = configured(use), Scope.of(use)
    product = tuple(name for name in (use.quality, use.difficulty) if name is not None)

    def body(folder: Path, _: str) -> Body:
        parts = documents.parts("documents")
        count = covered(steps, folder, STEP, scope, documents)
        signals = measured.parts("signals")
        given: list[Path] | list[None] = [None] * len(parts)
        there = 0
        if use.embeddings:
            given, there = semantic_vectors.given(steps, STEP, folder, use.embeddings, len(parts))
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
        wanted = max(config.sample, clusters)
        sampled = steps.run(
            Plan(
                f"{STEP} sample",
                partition_shards([files]),
                ReadParts(),
                As("sample"),
                {"sample": Output(VECTORS_SCHEMA, ("key", "id"))},
                map=Sample(share(wanted, found), config.seed),
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
                Train(clusters, config.rounds, wanted),
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
                Judge(config),
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
            "unused_embeddings": there - found if use.embeddings else 0,
            "clusters": trained.files["centroids"][0].rows,
            "sample": min(wanted, sampled.files["sample"][0].rows),
            "largest": config.largest,
            "in_divided_clusters": count_above(listings, "apart", 0),
            "pairs_not_compared": int(total(listings, "apart")) // 2,
        }
        done.scrap = ("given", "vectors", "sample", "centroids", "told", "listings", "covered")
        return done

    return steps.perform(
        STEP,
        code=(
            "kernels",
            "dedup.repeats",
            "dedup.semantic",
            "dedup.semantic_division",
            *(("filters.quality.bert", "filters.quality.encoder") if use.encoder is not None else ()),
            "pipelines.recipe_parts",
            "pipelines.steps.beside",
            "pipelines.steps.scope",
            "pipelines.steps.semantic",
            "pipelines.steps.semantic_vectors",
        ),
        parameters=use.model_dump(mode="json", exclude={"embeddings"}),
        inputs=[documents.digest, measured.digest, *(sha256(path) for path in use.embeddings), *encoder_digest(use)],
        body=body,
    )
