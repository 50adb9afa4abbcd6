"""Documents → documents without duplicates: exact ones first, then near ones, each match verified.

Fingerprints (content hash and band keys) are made by the engine, a part at a time; grouping them, and verifying the
candidates on their own texts, runs in the planning process; the verdicts are applied by the engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipelines.document import DOCUMENT_SCHEMA
from pipelines.engines.plan import Engine, Output, Plan, Tables
from pipelines.engines.task import read_parts
from pipelines.ledger import DROPPED, KEPT, LEDGER_SCHEMA, json_string, verdicts
from pipelines.recipe import Dedup, Recipe
from pipelines.steps.step import LEDGER_OUTPUT, Body, Finished, ReadParts, partition_shards, perform, run_plan
from pipelines.storage import write_parquet

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


def match(fingerprints: pa.Table, parts: list[Path], config: Any) -> pa.Table:
    """Decide which documents stay; VERDICTS_SCHEMA, a row a document, sorted by id.

    Only texts that share a band with another one are read.
    """
    from dedup.components import link
    from dedup.deduplicate import Documents, best_first, group_copies, sets_of
    from dedup.deduplicate import verdicts as decide
    from dedup.edges import edges, in_buckets

    table = fingerprints.combine_chunks()
    position = best_first(table["id"].combine_chunks(), table["length"].to_numpy(), None)
    ordered = table.take(pa.array(position)).combine_chunks()
    ids = ordered["id"].combine_chunks()
    copies = group_copies(ordered["content"].combine_chunks())
    first = pa.array(copies.first)
    active = ordered["active"].take(first).to_numpy()
    keys = ordered["keys"].combine_chunks().take(first)
    flat = keys.flatten().to_numpy().reshape(len(keys), config.bands)
    active = active & in_buckets(flat, active)
    sets = sets_of(_texts(parts, ids.take(first), active), active, config)
    found = edges(flat, active, sets, config.threshold, config.representatives)
    links = link(len(first), found, sets, config.threshold)
    told = decide(Documents(position, ids, None), copies, links.root, links.parent, links.similarity)
    exact = pc.is_in(
        pc.binary_join_element_wise(told["id"], pc.coalesce(told["parent"], told["id"]), "/"),
        value_set=_same_bytes(ids, copies.first, copies.group),
    )
    parent_uri = table["uri"].take(pc.index_in(told["parent"], value_set=table["id"]))
    whole = pa.table(
        [told["id"], told["cluster"], told["parent"], parent_uri, told["similarity"], exact, told["keep"]],
        schema=VERDICTS_SCHEMA,
    )
    return whole.sort_by("id")


def _same_bytes(ids: pa.Array, first: NDArray[np.int64], group: NDArray[np.int64]) -> pa.Array:
    """Return "copy/original" for every document and the first of its group of equal bytes."""
    return pc.binary_join_element_wise(ids, ids.take(pa.array(first[group])), "/")


def _texts(parts: list[Path], ids: pa.Array, wanted: NDArray[np.bool_]) -> pa.Array:
    """Return the texts of the wanted ids, in their order, and "" for the rest."""
    names = ids.filter(pa.array(wanted))
    texts, keys = [], []
    for path in parts:
        for table in read_parts([path], 4096, ["id", "text"]):
            chosen = table.filter(pc.is_in(table["id"], value_set=names))
            texts += chosen["text"].chunks
            keys += chosen["id"].chunks
    found = pa.chunked_array(texts, pa.large_string()).combine_chunks()
    found_ids = pa.chunked_array(keys, pa.string()).combine_chunks()
    return pc.fill_null(found.take(pc.index_in(ids, value_set=found_ids)), "")


@lru_cache(maxsize=2)
def _verdicts(path: str) -> pa.Table:
    return pq.read_table(path)


@dataclass(frozen=True)
class Apply:
    """Drops the documents that a verdict says are duplicates."""

    path: str

    def __call__(self, table: pa.Table) -> Tables:
        """Return the kept documents and the ledger."""
        listing = _verdicts(self.path)
        told = listing.take(pc.index_in(table["id"], value_set=listing["id"]).combine_chunks())
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
        return {"documents": table.filter(keep).cast(DOCUMENT_SCHEMA), "ledger": ledger.cast(LEDGER_SCHEMA)}


def run(engine: Engine, root: Path, recipe: Recipe, decided: Finished) -> Finished:
    """Run the step."""
    config = configured(recipe.dedup)

    def body(folder: Path) -> Body:
        shards = partition_shards([decided.parts("documents")])
        schema = fingerprint_schema(config.bands)
        made = engine.run(
            Plan(f"{STEP} fingerprints", shards, ReadParts(), Fingerprint(config), {"fingerprints": Output(schema)}),
            folder,
        )
        files = [folder / entry.path for entry in made.files["fingerprints"]]
        listing = match(pa.concat_tables([pq.read_table(path) for path in files]), decided.parts("documents"), config)
        path = folder / "verdicts" / "part-00000.parquet"
        entry = write_parquet(path, listing)
        outputs = {"documents": Output(DOCUMENT_SCHEMA), "ledger": LEDGER_OUTPUT}
        done = run_plan(engine, Plan(STEP, shards, ReadParts(), Apply(str(path)), outputs), folder)
        done.outputs["verdicts"] = [entry]
        return done

    return perform(
        root,
        STEP,
        code=("kernels", "dedup", "pipelines.steps.dedup"),
        parameters=config.model_dump(mode="json"),
        inputs=[decided.digest],
        body=body,
    )
