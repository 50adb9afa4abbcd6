"""Source → documents: read every record of a source, extract its text, account for the rest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.datatrove_blocks import identity
from pipelines.document import DOCUMENT_SCHEMA, canonical_json, document_id
from pipelines.engines.plan import GroupBy, Output, Plan, PlanError, Shard, Tables, TaskResult
from pipelines.engines.task import Notes, part_key
from pipelines.extract import Chain, Extraction, ExtractionError, extract_body
from pipelines.extract.guard import Limits
from pipelines.extract.page.model import digest
from pipelines.ledger import DROPPED, FAILED, KEPT, LEDGER_SCHEMA, verdicts
from pipelines.licence_link import spdx_of
from pipelines.recipe import BlockUse, Extract
from pipelines.sources.raw import RAW_SCHEMA, READY, GivesTables, plain_texts
from pipelines.sources.record import Failure, Record, Source, Unit
from pipelines.steps.step import LEDGER_OUTPUT, As, Body, Finished, ReadParts, Steps, by_id
from pipelines.storage import publish
from pipelines.takedown.guard import NOTHING, Guard

BATCH_BYTES = 8 << 20

CODE = (
    "filters.pii.private_key",
    "filters.pii.span",
    "kernels",
    "pipelines.extract",
    "pipelines.sources",
    "pipelines.crawl.content_coding",
    "pipelines.crawl.links",
    "pipelines.crawl.url",
    "pipelines.licence_link",
    "pipelines.robots",
    "pipelines.takedown.guard",
    "pipelines.training_consent",
    "pipelines.steps.extract",
)
"""Modules whose source decides what is extracted."""

EXTRACTED_SCHEMA = pa.schema(
    [field.with_nullable(True) for field in DOCUMENT_SCHEMA]
    + [pa.field("verdict", pa.string()), pa.field("reason", pa.string()), pa.field("evidence", pa.string())]
)
ORDER = ("id", "verdict", "fetched_at", "reason", "evidence", "metadata", "license")
"""Records of one id in this order: which of equal ones is kept must not depend on who read them first."""


@dataclass(frozen=True)
class ReadSource:
    """Reads the records of one unit in tables of about BATCH_BYTES."""

    name: str
    source: Source | GivesTables

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield tables of RAW_SCHEMA."""
        unit: Unit = shard.payload
        if isinstance(self.source, GivesTables):
            yield from self.source.tables(unit)
            yield RAW_SCHEMA.empty_table()
            return
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


@dataclass(frozen=True)
class ExtractTexts:
    """Extracts the text of raw records; of what was taken down nothing is kept."""

    chain: Chain
    guard: Guard = NOTHING

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Take RAW_SCHEMA, give EXTRACTED_SCHEMA, a row for a row.

        Texts that are ready (those of tables) are taken by columns, unless there is something to be said about one of
        them.
        """
        return self.guard.refuse(self._extracted(batch))

    def _extracted(self, batch: pa.Table) -> pa.Table:
        ready = pc.and_(pc.equal(batch["verdict"], KEPT), pc.fill_null(pc.equal(batch["content_type"], READY), False))
        if not pc.any(ready).as_py():
            return self._each(batch)
        ready = ready.combine_chunks()
        given = batch.filter(ready)
        text, good = plain_texts(given["body"].combine_chunks())
        done = _taken(given.filter(good), text.filter(good))
        if done.num_rows == batch.num_rows:
            return done
        # The others one by one; then all in the order in which they came.
        number = pa.array(np.arange(batch.num_rows))
        taken = number.filter(ready).filter(good)
        rest = number.filter(pc.invert(pc.is_in(number, taken)))
        both = pa.concat_tables([done, self._each(batch.take(rest))])
        return both.take(pc.sort_indices(pa.concat_arrays([taken, rest])))

    def _each(self, batch: pa.Table) -> pa.Table:
        rows: list[dict[str, Any]] = []
        for raw in batch.to_pylist():
            row = {name: raw.get(name) for name in EXTRACTED_SCHEMA.names}
            if raw["verdict"] == KEPT:
                try:
                    found = extract_body(raw["body"], raw["content_type"], raw["uri"], self.chain)
                except ExtractionError as error:
                    row |= {
                        "verdict": FAILED,
                        "reason": error.reason,
                        "evidence": canonical_json({"detail": str(error), "bytes": len(raw["body"])}),
                    }
                else:
                    row |= {"text": found.text, "metadata": canonical_json(_metadata(raw["metadata"], found))}
                    if row["rights"] is not None:
                        row["rights"]["meta_robots"] = row["rights"]["meta_robots"] or found.meta_robots
                        # TDMRep, "Processing priority": what the page says stands above its header and the site's file.
                        row["rights"]["reservation"] = found.reservation or row["rights"]["reservation"]
                    if found.license_link:
                        row["license"] = row["license"] or spdx_of(found.license_link)
            rows.append(row)
        return pa.Table.from_pylist(rows, EXTRACTED_SCHEMA)


def _taken(batch: pa.Table, text: pa.Array) -> pa.Table:
    """Records whose text is as it shall be."""
    columns = [
        text if field.name == "text" else batch[field.name] if field.name in batch.schema.names else None
        for field in EXTRACTED_SCHEMA
    ]
    filled = [
        pa.nulls(len(text), field.type) if column is None else column
        for field, column in zip(EXTRACTED_SCHEMA, columns, strict=True)
    ]
    return pa.table(filled, schema=EXTRACTED_SCHEMA)


def _metadata(known: str, found: Extraction) -> dict[str, Any]:
    """What is known of a record, with what its extraction adds.

    The source's own word goes first, but for the licence's address: what the page says stands above its header.
    """
    said = {
        "title": found.title,
        "author": found.author,
        "date": found.date,
        "site": found.site,
        "page_language": found.language,
        "license_links": list(found.licenses) if len(found.licenses) > 1 else [],
        "formulas": found.math_count,
        "broken_engines": list(found.broken),
    }
    made = {"extractor": found.engine} | ({"license_link": found.license_link} if found.license_link else {})
    return {name: value for name, value in said.items() if value} | json.loads(known) | made


@dataclass(frozen=True)
class Refuse:
    """Drops what was taken down of rows that were extracted earlier."""

    guard: Guard

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Take EXTRACTED_SCHEMA, give EXTRACTED_SCHEMA."""
        return self.guard.refuse(rows)


@dataclass(frozen=True)
class Settle:
    """Splits extracted records into documents and ledger rows; the second of two equal kept records is dropped."""

    step: str

    def __call__(self, table: pa.Table) -> Tables:
        """Take whole groups of equal ids, sorted by id."""
        ids = table["id"].combine_chunks()
        count = table.num_rows
        given = table["verdict"].combine_chunks()
        same = pc.and_(pc.equal(ids[1:], ids[:-1]), pc.equal(given[1:], given[:-1])) if count else None
        repeated = pa.concat_arrays([pa.array([False]), same]) if count else pa.array([], pa.bool_())
        first = pc.and_(pc.equal(table["verdict"], KEPT), pc.invert(repeated))
        again = pc.and_(pc.equal(table["verdict"], KEPT), repeated)
        verdict = pc.if_else(again, DROPPED, table["verdict"])
        reason = pc.if_else(again, "repeated-record", table["reason"])
        ledger = verdicts(table, self.step, verdict=verdict, reason=reason, evidence=table["evidence"])
        kept = table.filter(first).select(DOCUMENT_SCHEMA.names).cast(DOCUMENT_SCHEMA)
        return {"documents": kept, "ledger": ledger.cast(LEDGER_SCHEMA)}


@dataclass(frozen=True)
class Faults:
    """Answers for records whose extraction raised, or killed its worker: failed, with what happened."""

    def __call__(self, batch: pa.Table, errors: list[str]) -> pa.Table:
        """Return rows of EXTRACTED_SCHEMA."""
        rows: list[dict[str, Any]] = []
        for raw, error in zip(batch.to_pylist(), errors, strict=True):
            row = {name: raw.get(name) for name in EXTRACTED_SCHEMA.names}
            evidence = canonical_json({"error": error, "bytes": len(raw["body"] or b"")})
            rows.append(row | {"verdict": FAILED, "reason": "step-error", "evidence": evidence})
        return pa.Table.from_pylist(rows, EXTRACTED_SCHEMA)


def chain_of(asked: Extract, block: BlockUse | None = None) -> Chain:
    """The engines that a recipe asks for, each once, and their limits; before them a block, where there is one."""
    engines = tuple(dict.fromkeys((asked.engine, *asked.fallback)))
    limits = Limits(asked.seconds, int(asked.memory_gb * (1 << 30)))
    return Chain(engines, limits, asked.tables == "markdown", "" if block is None else block.model_dump_json())


def run(
    steps: Steps,
    name: str,
    source: Source | GivesTables,
    parameters: dict[str, Any],
    partitions: int,
    asked: Extract | None = None,
    block: BlockUse | None = None,
    guard: Guard | None = None,
) -> Finished:
    """Run the step for one source: its units are extracted one by one, then brought together by id.

    What a unit gave is kept beside the documents (`rows`), so that a later run with more units, or other ones, extracts
    only those that are new. `guard` refuses what was taken down: as an input it gives the step another digest, and what
    was extracted before serves again, but for what it refuses.
    """
    guard = guard or NOTHING
    step = f"01-extract-{name}"
    asked = asked or Extract()
    units = source.units()
    about = {"units": [f"{unit.name}:{unit.digest}" for unit in units], "bytes": [unit.bytes for unit in units]}

    def body(folder: Path, lineage: str) -> Body:
        read = Plan(
            name=step,
            shards=[Shard(index, unit.name, unit, unit.bytes) for index, unit in enumerate(units)],
            read=ReadSource(name, source),
            map=ExtractTexts(chain_of(asked, block), guard),
            map_fault=Faults(),
            emit=As("rows"),
            outputs={"rows": Output(EXTRACTED_SCHEMA, ORDER)},
            conserve=("rows",),
        )
        reused = reuse(steps, read, lineage, folder, guard)
        made = steps.run(read, folder)
        gather = Plan(
            name=f"{step} by id",
            shards=[
                Shard(index, unit.name, (str(folder / entry.path),), entry.bytes)
                for index, (unit, entry) in enumerate(zip(units, made.files["rows"], strict=True))
            ],
            read=ReadParts(),
            map=Refuse(guard) if guard else None,
            group=GroupBy(EXTRACTED_SCHEMA, partitions, by_id, ("id",), ORDER),
            emit=Settle(step),
            outputs={"documents": Output(DOCUMENT_SCHEMA), "ledger": LEDGER_OUTPUT},
            conserve=("ledger",),
        )
        done = steps.run_plan(gather, folder)
        if done.account.received != made.received:
            raise PlanError(f"{step}: {made.received} records were read and {done.account.received} brought together")
        done.outputs["rows"] = made.files["rows"]
        done.facts = {**about, "units_reused": reused, **({"refuses": guard.said} if guard else {})}
        return done

    return steps.perform(
        step,
        code=CODE if block is None else (*CODE, "pipelines.datatrove_blocks"),
        parameters={
            "source": parameters,
            "partitions": partitions,
            "extract": asked.model_dump(mode="json"),
            "models": digest(),
            **({} if block is None else {"block": identity(block)}),
        },
        inputs=[*map(str, about["units"]), *([f"takedowns:{guard.digest}"] if guard else [])],
        body=body,
        expected=about,
    )


def reuse(steps: Steps, plan: Plan, lineage: str, folder: Path, guard: Guard | None = None) -> int:
    """Put what earlier runs extracted from the same units into this step's folder; return the number of units.

    A unit's rows are a function of its name, its content and the step's lineage, so that they count as a finished task.
    What a step refused is not in its rows: those of one that refused more than `guard` does are left alone.
    """
    refused = set((guard or NOTHING).said)
    notes = Notes(folder)
    wanted = {
        f"{shard.payload.name}:{shard.payload.digest}": shard
        for shard in plan.shards
        if notes.get(part_key(plan, shard.index)) is None
    }
    found = 0
    for done in steps.earlier(plan.name, lineage):
        if not set(done.facts.get("refuses", ())) <= refused:
            continue
        for unit, entry in zip(done.facts["units"], done.outputs["rows"], strict=True):
            shard = wanted.pop(unit, None)
            if shard is None:
                continue
            path = f"rows/part-{shard.index:05d}.parquet"
            publish(done.folder / entry.path, folder / path)
            mine = entry.model_copy(update={"path": path})
            notes.put(part_key(plan, shard.index), TaskResult(received=entry.rows, files={"rows": [mine]}))
            found += 1
        if not wanted:
            break
    return found
