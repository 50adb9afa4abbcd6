"""Source → documents: read every record of a source, extract its text, account for the rest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.document import DOCUMENT_SCHEMA, RIGHTS_TYPE, canonical_json, document_id
from pipelines.engines.plan import Engine, GroupBy, Output, Plan, Shard, Tables
from pipelines.ledger import DROPPED, FAILED, KEPT, LEDGER_SCHEMA, verdicts
from pipelines.sources.record import Failure, Record, Source, Unit
from pipelines.steps.step import LEDGER_OUTPUT, Finished, by_id, perform, run_plan

BATCH_BYTES = 8 << 20

RAW_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("uri", pa.string()),
        pa.field("source", pa.string()),
        pa.field("kind", pa.string()),
        pa.field("content_type", pa.string()),
        pa.field("body", pa.large_binary()),
        pa.field("fetched_at", pa.timestamp("us", tz="UTC")),
        pa.field("license", pa.string()),
        pa.field("rights", RIGHTS_TYPE),
        pa.field("metadata", pa.string()),
        pa.field("verdict", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("evidence", pa.string()),
    ]
)
"""A record as read: `body` is what the extractor sees; records already refused or failed have none."""

EXTRACTED_SCHEMA = pa.schema(
    [field.with_nullable(True) for field in DOCUMENT_SCHEMA]
    + [pa.field("verdict", pa.string()), pa.field("reason", pa.string()), pa.field("evidence", pa.string())]
)


@dataclass(frozen=True)
class ReadSource:
    """Reads the records of one unit in tables of about BATCH_BYTES."""

    name: str
    source: Source

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield tables of RAW_SCHEMA."""
        unit: Unit = shard.payload
        rows: list[dict[str, Any]] = []
        size = 0
        for outcome in self.source.read(unit):
            row: dict[str, Any] = {
                "id": document_id(self.name, outcome.uri, outcome.content),
                "uri": outcome.uri,
                "source": self.name,
                "reason": "",
            }
            if isinstance(outcome, Record):
                body = outcome.body
                row |= {
                    "kind": outcome.kind,
                    "content_type": outcome.content_type,
                    "body": body if isinstance(body, bytes) else body.encode("utf-8", "replace"),
                    "fetched_at": outcome.fetched_at,
                    "license": outcome.license,
                    "rights": outcome.rights.as_dict(),
                    "metadata": canonical_json(dict(outcome.metadata)),
                    "verdict": KEPT,
                }
                if isinstance(body, str):
                    row["content_type"] = outcome.content_type.partition(";")[0] + "; charset=utf-8"
                size += len(row["body"])
            else:
                row |= {
                    "verdict": FAILED if isinstance(outcome, Failure) else DROPPED,
                    "reason": outcome.reason,
                    "evidence": canonical_json(dict(outcome.evidence)),
                }
            rows.append(row)
            if size >= BATCH_BYTES or len(rows) >= 10_000:
                yield pa.Table.from_pylist(rows, RAW_SCHEMA)
                rows, size = [], 0
        yield pa.Table.from_pylist(rows, RAW_SCHEMA)


def extract(batch: pa.Table) -> pa.Table:
    """Extract the text of raw records; RAW_SCHEMA in, EXTRACTED_SCHEMA out, a row for a row."""
    from pipelines.extract import ExtractionError, extract_body

    rows: list[dict[str, Any]] = []
    for raw in batch.to_pylist():
        row = {name: raw.get(name) for name in EXTRACTED_SCHEMA.names}
        if raw["verdict"] == KEPT:
            try:
                found = extract_body(raw["body"], raw["content_type"], raw["uri"])
            except ExtractionError as error:
                row |= {
                    "verdict": FAILED,
                    "reason": error.reason,
                    "evidence": canonical_json({"detail": str(error), "bytes": len(raw["body"])}),
                }
            else:
                metadata = json.loads(raw["metadata"])
                if found.title and "title" not in metadata:
                    metadata["title"] = found.title
                metadata["extractor"] = found.engine
                row |= {"text": found.text, "metadata": canonical_json(metadata)}
                for name in ("meta_robots", "reservation"):
                    stated = getattr(found, name)
                    if stated and row["rights"] is not None and row["rights"][name] is None:
                        row["rights"][name] = stated
        rows.append(row)
    return pa.Table.from_pylist(rows, EXTRACTED_SCHEMA)


@dataclass(frozen=True)
class Settle:
    """Splits extracted records into documents and ledger rows; the second of two equal records is dropped."""

    step: str

    def __call__(self, table: pa.Table) -> Tables:
        """Take whole groups of equal ids, sorted by id."""
        ids = table["id"].combine_chunks()
        count = table.num_rows
        repeated = (
            pa.concat_arrays([pa.array([False]), pc.equal(ids[1:], ids[:-1])]) if count else pa.array([], pa.bool_())
        )
        first = pc.and_(pc.equal(table["verdict"], KEPT), pc.invert(repeated))
        again = pc.and_(pc.equal(table["verdict"], KEPT), repeated)
        verdict = pc.if_else(again, DROPPED, table["verdict"])
        reason = pc.if_else(again, "repeated-record", table["reason"])
        ledger = verdicts(table, self.step, verdict=verdict, reason=reason, evidence=table["evidence"])
        kept = table.filter(first).select(DOCUMENT_SCHEMA.names).cast(DOCUMENT_SCHEMA)
        return {"documents": kept, "ledger": ledger.cast(LEDGER_SCHEMA)}


def run(engine: Engine, root: Path, name: str, source: Source, parameters: dict[str, Any], partitions: int) -> Finished:
    """Run the step for one source."""
    step = f"01-extract-{name}"
    units = source.units()
    plan = Plan(
        name=step,
        shards=[Shard(index, unit.name, unit, unit.bytes) for index, unit in enumerate(units)],
        read=ReadSource(name, source),
        map=extract,
        group=GroupBy(EXTRACTED_SCHEMA, partitions, by_id, ("id", "verdict", "fetched_at", "reason", "evidence")),
        emit=Settle(step),
        outputs={"documents": Output(DOCUMENT_SCHEMA), "ledger": LEDGER_OUTPUT},
    )
    return perform(
        root,
        step,
        code=("pipelines.extract", "pipelines.sources", "pipelines.crawl.content_coding", "pipelines.steps.extract"),
        parameters={"source": parameters, "partitions": partitions},
        inputs=[f"{unit.name}:{unit.digest}" for unit in units],
        body=lambda folder: run_plan(engine, plan, folder),
    )
