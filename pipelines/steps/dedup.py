"""Documents → documents without duplicates: one copy of each URL if asked, exact ones, near ones, each match verified.

All of it is plans that the engine runs; the planning process only counts rows. Fingerprints are made part by part.
Documents meet in buckets (of a band, a text, a URL), where keys alone choose the candidate pairs; the texts of a pair
meet once to be compared exactly; the components of what was verified are found, and their members, without texts, come
together to be cut into clusters, where the best copy is chosen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.document import DOCUMENT_SCHEMA
from pipelines.engines.plan import GroupBy, Output, Plan, Shard, Tables
from pipelines.ledger import DROPPED, KEPT, LEDGER_SCHEMA, json_string, verdicts
from pipelines.recipe import Recipe
from pipelines.steps.beside import Beside
from pipelines.steps.dedup_candidates import (
    BUCKETS_SCHEMA,
    CANDIDATES_SCHEMA,
    DOCUMENT_COLUMNS,
    EDGES_SCHEMA,
    LINKS_SCHEMA,
    MEETING_SCHEMA,
    Explode,
    Fingerprint,
    Meet,
    ReadWanted,
    Verify,
    asking,
    by_left,
    fingerprint_schema,
)
from pipelines.steps.dedup_clusters import MEMBERS_SCHEMA, MEMBERS_SORT, VERDICTS_SCHEMA, Decide, ReadMembers
from pipelines.steps.dedup_components import label, shards_of
from pipelines.steps.dedup_index import configured, recalled
from pipelines.steps.step import (
    LEDGER_OUTPUT,
    As,
    Body,
    Finished,
    ReadParts,
    Steps,
    by_id,
    by_key,
    partition_shards,
)
from pipelines.storage import at, read_batches, read_table

STEP = "04-dedup"

REASONS = {
    "exact": "exact-duplicate",
    "normalised": "normalised-duplicate",
    "minhash": "near-duplicate",
    "url": "url-duplicate",
    "index": "indexed-duplicate",
}
"""Why a document is dropped, by the method that found its parent."""


@dataclass(frozen=True)
class ReadDocuments:
    """Reads the documents of one part, with `signal` of the measured ones as `quality`, without those of an index.

    The payload is documents, then signals where there is a `signal`, then what is indexed where `indexed` says so.
    """

    signal: str | None
    indexed: bool

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield tables of `DOCUMENT_COLUMNS`, and `quality`."""
        paths = [at(path) for path in shard.payload]
        measured = Beside(read_table(paths[1], ["id", self.signal])) if self.signal else None
        known = Beside(read_table(paths[-1], ["id"])) if self.indexed else None
        for table in read_batches(paths[0], 4096, list(DOCUMENT_COLUMNS)):
            if known is not None:
                table = table.filter(pc.invert(known.holds(table["id"])))
            if measured is not None:
                table = table.append_column("quality", measured.take(table["id"])[self.signal].cast(pa.float64()))
            yield table


@dataclass(frozen=True)
class ReadJudged:
    """Reads the documents of one part with their verdicts; one that no other resembles has none, and stays."""

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield tables of DOCUMENT_SCHEMA and the verdicts' columns."""
        documents, listing = at(shard.payload[0]), read_table(at(shard.payload[1]))
        if len(shard.payload) > 2:
            listing = pa.concat_tables([listing, _of_index(read_table(at(shard.payload[2])))]).sort_by("id")
        beside = Beside(listing)
        for table in read_batches(documents, 4096):
            told = beside.take(table["id"])
            keep = pc.fill_null(told["keep"], True)
            columns = [pc.coalesce(told["cluster"], table["id"]), told["parent"], told["parent_uri"]]
            columns += [told["similarity"], pc.fill_null(told["method"], ""), keep]
            for name, column in zip(VERDICTS_SCHEMA.names[1:], columns, strict=True):
                table = table.append_column(f"verdict.{name}", column)
            yield table


def _of_index(found: pa.Table) -> pa.Table:
    """Write what an index knows as verdicts."""
    n = found.num_rows
    columns = [found["id"], found["cluster"], found["parent"], pa.nulls(n, pa.string()), found["similarity"]]
    columns += [pa.repeat(pa.scalar("index"), n), pa.repeat(pa.scalar(False), n)]
    return pa.table(columns, schema=VERDICTS_SCHEMA)


@dataclass(frozen=True)
class Apply:
    """Drops the documents that a verdict says are duplicates."""

    def __call__(self, table: pa.Table) -> Tables:
        """Return the kept documents and the ledger."""
        told = {name: table[f"verdict.{name}"] for name in VERDICTS_SCHEMA.names[1:]}
        keep = told["keep"]
        methods, reasons = pa.array(list(REASONS)), pa.array(list(REASONS.values()))
        evidence = pc.binary_join_element_wise(
            '{"parent":', json_string(told["parent"]),
            ',"parent_uri":', pc.coalesce(json_string(told["parent_uri"]), "null"),
            ',"cluster":', json_string(told["cluster"]),
            ',"similarity":', pc.coalesce(pc.cast(told["similarity"], pa.string()), "null"),
            ',"method":"', told["method"], '"}', "",
        )  # fmt: skip
        ledger = verdicts(
            table,
            STEP,
            verdict=pc.if_else(keep, KEPT, DROPPED),
            reason=pc.if_else(keep, "", reasons.take(pc.index_in(told["method"], value_set=methods).combine_chunks())),
            signal=pc.if_else(keep, pa.scalar(None, pa.string()), "dedup.similarity"),
            value=told["similarity"],
            evidence=pc.if_else(keep, pa.scalar(None, pa.string()), evidence),
        )
        documents = table.filter(keep).select(DOCUMENT_SCHEMA.names)
        return {"documents": documents.cast(DOCUMENT_SCHEMA), "ledger": ledger.cast(LEDGER_SCHEMA)}


def run(steps: Steps, recipe: Recipe, decided: Finished, measured: Finished | None = None) -> Finished:
    """Run the step; `measured` has the signals, where the recipe takes its quality from one."""
    settings = recipe.dedup
    config = configured(settings)
    partitions = recipe.partitions
    signal = settings.quality
    state: Any = None
    if settings.index is not None:
        from dedup import Index

        # What this very input put there does not count: a repeated run is the same step, or at least the same bytes.
        state = Index.state_before(settings.index, decided.digest, config)

    def body(folder: Path, _: str) -> Body:
        documents = decided.parts("documents")
        inputs = [documents]
        if signal is not None and measured is not None:
            inputs.append(measured.parts("signals"))
        known: list[Path] | None = None
        if settings.index is not None:
            known = recalled(steps, STEP, folder, documents, settings.index, state, settings.protect)
            inputs.append(known)
        fingerprints = _made(steps, folder, inputs, recipe, config)
        edges, labels, scrap = verified_edges(steps, folder, documents, fingerprints, config, partitions)
        listings = verdicts_of(steps, folder, [fingerprints, labels, edges], config, partitions)
        outputs = {"documents": Output(DOCUMENT_SCHEMA), "ledger": LEDGER_OUTPUT}
        shards = partition_shards([documents, listings[0]] + ([] if known is None else [known]))
        done = steps.run_plan(Plan(STEP, shards, ReadJudged(), Apply(), outputs, conserve=("ledger",)), folder)
        done.outputs["verdicts"] = listings[1]
        done.facts = {"candidates": scrap[0], "edges": scrap[1], "links": scrap[2]}
        if state is not None:
            done.facts["index"] = {"of": decided.digest, "state": state.model_dump()}
        done.scrap = (*scrap[3], "fingerprints", "candidates", "links", "wanted", "edges", "matches", "indexed")
        return done

    return steps.perform(
        STEP,
        code=(
            "kernels",
            "dedup",
            "pipelines.steps.beside",
            "pipelines.steps.dedup",
            "pipelines.steps.dedup_candidates",
            "pipelines.steps.dedup_clusters",
            "pipelines.steps.dedup_components",
            "pipelines.steps.dedup_index",
        ),
        parameters={
            **config.model_dump(mode="json"),
            "partitions": partitions,
            "recipe": settings.model_dump(mode="json", exclude={"index", "index_add"}),
            "index": None if state is None else state.digest,
        },
        inputs=[decided.digest] + ([measured.digest] if signal is not None and measured is not None else []),
        body=body,
    )


def _made(steps: Steps, folder: Path, inputs: list[list[Path]], recipe: Recipe, config: Any) -> list[Path]:
    settings = recipe.dedup
    marks = steps.run(
        Plan(
            f"{STEP} fingerprints",
            partition_shards(inputs),
            ReadDocuments(settings.quality, settings.index is not None),
            Fingerprint(config, settings.sources, settings.protect, settings.within == "source"),
            {"fingerprints": Output(fingerprint_schema(config.bands))},
            conserve=("fingerprints",),
        ),
        folder,
    )
    return [folder / entry.path for entry in marks.files["fingerprints"]]


def verified_edges(
    steps: Steps,
    folder: Path,
    documents: list[Path],
    fingerprints: list[Path],
    config: Any,
    partitions: int,
    reader: ReadWanted = ReadWanted(),  # noqa: B008 - frozen, and without state
) -> tuple[list[Path], list[Path], tuple[int, int, int, list[str]]]:
    """Find the verified edges and the components: files of each, and how many there were on the way."""
    met = steps.run(
        Plan(
            f"{STEP} buckets",
            partition_shards([fingerprints]),
            ReadParts(("id", "uri", "scope", "same", "active", "keys"), 16_384),
            Meet(config.representatives),
            {
                "candidates": Output(CANDIDATES_SCHEMA, ("left", "right", "kind")),
                "links": Output(LINKS_SCHEMA, ("left", "right")),
            },
            map=Explode(config),
            group=GroupBy(BUCKETS_SCHEMA, partitions, by_key, ("key", "kind"), ("key", "kind", "order", "node")),
        ),
        folder,
    )
    wanted = steps.run(asking(STEP, shards_of(folder, met.files["candidates"]), partitions), folder)
    compared = steps.run(
        Plan(
            f"{STEP} verified",
            partition_shards([documents, [folder / entry.path for entry in wanted.files["wanted"]]]),
            reader,
            Verify(config),
            {"edges": Output(EDGES_SCHEMA, ("left", "right", "kind"))},
            group=GroupBy(MEETING_SCHEMA, partitions, by_left, ("left", "salt"), ("left", "salt", "node", "kind")),
        ),
        folder,
    )
    edges, links = compared.files["edges"], met.files["links"]
    labels, scrap = label(steps, STEP, folder, [*edges, *links], partitions)
    counted = [sum(entry.rows for entry in files) for files in (met.files["candidates"], edges, links)]
    return [folder / entry.path for entry in edges], labels, (counted[0], counted[1], counted[2], scrap)


def verdicts_of(
    steps: Steps, folder: Path, inputs: list[list[Path]], config: Any, partitions: int
) -> tuple[list[Path], Any]:
    """Decide on every component; the verdicts come back to the parts of their documents."""
    matches = steps.run(
        Plan(
            f"{STEP} matches",
            partition_shards(inputs),
            ReadMembers(),
            Decide(config),
            {"matches": Output(VERDICTS_SCHEMA)},
            group=GroupBy(MEMBERS_SCHEMA, partitions, by_key, ("key",), MEMBERS_SORT),
        ),
        folder,
    )
    told = steps.run(
        Plan(
            f"{STEP} verdicts",
            shards_of(folder, matches.files["matches"]),
            ReadParts(),
            As("verdicts"),
            {"verdicts": Output(VERDICTS_SCHEMA)},
            group=GroupBy(VERDICTS_SCHEMA, partitions, by_id, ("id",), ("id",)),
            conserve=("verdicts",),
        ),
        folder,
    )
    return [folder / entry.path for entry in told.files["verdicts"]], told.files["verdicts"]
