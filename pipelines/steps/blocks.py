"""Documents → documents: a recipe's blocks of datatrove, in order, each with its verdict in the ledger.

They come after the rules, which are a hundred times faster: a block sees only what these keep. Extractors are no part
of this step, but of extraction.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines import datatrove_blocks
from pipelines.document import DOCUMENT_SCHEMA, canonical_json
from pipelines.engines.plan import Output, Plan, Tables
from pipelines.ledger import DROPPED, KEPT, LEDGER_SCHEMA, verdicts
from pipelines.recipe import BlockUse
from pipelines.steps.step import LEDGER_OUTPUT, Body, Finished, ReadParts, StepErrors, Steps, partition_shards

STEP = "03-blocks"

ABOUT = ("uri", "source", "kind", "language", "license")
"""What a block is told of a document beside its metadata; `url` and `date` are named as datatrove's readers do."""


@dataclass(frozen=True)
class RunBlocks:
    """Runs blocks over a table of documents."""

    uses: tuple[BlockUse, ...]

    def __call__(self, table: pa.Table) -> Tables:
        """Return what the blocks keep, as they leave it, and a ledger row each."""
        run = datatrove_blocks.running(self.uses)
        rows: list[dict[str, Any]] = table.to_pylist()
        kept: list[bool] = []
        reasons: list[str] = []
        evidence: list[str | None] = []
        for row in rows:
            metadata: dict[str, Any] = json.loads(row["metadata"] or "{}")
            told = {name: row[name] for name in ABOUT if row[name] is not None}
            told["url"] = row["uri"]
            if row["fetched_at"] is not None:
                told["date"] = row["fetched_at"].isoformat()
            found = run(row["id"], row["text"], metadata | told)
            kept.append(not found.dropped_by)
            reasons.append(found.verdict)
            evidence.append(_evidence(found))
            row["text"] = found.text
            if found.metadata:
                # What was told is no part of the record's own metadata, unless a block says otherwise of it.
                row["metadata"] = canonical_json(metadata | dict(found.metadata))
        ledger = verdicts(
            table,
            STEP,
            verdict=pa.array([KEPT if one else DROPPED for one in kept], pa.string()),
            reason=pa.array(reasons, pa.string()),
            evidence=pa.array(evidence, pa.string()),
        )
        left = [row for row, one in zip(rows, kept, strict=True) if one]
        return {"documents": pa.Table.from_pylist(left, DOCUMENT_SCHEMA), "ledger": ledger.cast(LEDGER_SCHEMA)}


def _evidence(found: datatrove_blocks.Outcome) -> str | None:
    told: dict[str, Any] = {}
    if found.dropped_by:
        told |= {"block": found.dropped_by, "said": found.reason}
    if found.changed:
        told["changed"] = [
            {"block": name, "characters": before, "then": after} for name, before, after in found.changed
        ]
    return canonical_json(told) if told else None


def of_documents(uses: tuple[BlockUse, ...]) -> tuple[BlockUse, ...]:
    """Return the blocks that this step runs: all but extractors."""
    return tuple(use for use in uses if datatrove_blocks.sort_of(use) != "extractor")


def run(steps: Steps, uses: tuple[BlockUse, ...], documents: Finished) -> Finished:
    """Run the step."""

    def body(folder: Path, _: str) -> Body:
        plan = Plan(
            name=STEP,
            shards=partition_shards([documents.parts("documents")]),
            read=ReadParts(rows=256),
            emit=RunBlocks(uses),
            outputs={"documents": Output(DOCUMENT_SCHEMA), "ledger": LEDGER_OUTPUT},
            emit_fault=StepErrors(STEP),
            conserve=("ledger",),
        )
        return steps.run_plan(plan, folder)

    return steps.perform(
        STEP,
        code=("pipelines.datatrove_blocks", "pipelines.steps.blocks"),
        parameters={"blocks": [datatrove_blocks.identity(use) for use in uses]},
        inputs=[documents.digest],
        body=body,
    )
