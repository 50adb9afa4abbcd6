"""Documents → signals: every number the rules may ask for, measured once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.engines.plan import Engine, Output, Plan, Tables
from pipelines.ledger import verdicts
from pipelines.recipe import Filters
from pipelines.steps.step import LEDGER_OUTPUT, Finished, ReadParts, partition_shards, perform, run_plan

STEP = "02-measure"


def signals(text: pa.Array | pa.ChunkedArray, families: tuple[str, ...]) -> pa.Table:
    """Measure texts: the columns of the families, then language, its score and the script; a row a text."""
    import filters
    from filters import language

    measured = filters.measure(text, families)
    found = language.identify(text)
    for name in ("language", "script"):
        measured = measured.append_column(f"language.{name}", found[name])
    return measured.append_column("language.score", found["score"].cast(pa.float64()))


@dataclass(frozen=True)
class Measure:
    """Measures a table of documents."""

    families: tuple[str, ...]

    def __call__(self, table: pa.Table) -> Tables:
        """Return signals keyed by id, and a kept row each."""
        measured = signals(table["text"], self.families)
        return {
            "signals": measured.add_column(0, "id", table["id"].cast(pa.string())),
            "ledger": verdicts(table, STEP),
        }


def run(engine: Engine, root: Path, filters: Filters, extracted: list[Finished]) -> Finished:
    """Run the step over the documents of all sources."""
    nothing = pa.table({"id": pa.array([], pa.string()), "text": pa.array([], pa.large_string())})
    schema = pa.schema([pa.field("id", pa.string()), *signals(nothing["text"], filters.families).schema])
    plan = Plan(
        name=STEP,
        shards=partition_shards([done.parts("documents") for done in extracted]),
        read=ReadParts(("id", "uri", "source", "text")),
        emit=Measure(filters.families),
        outputs={"signals": Output(schema), "ledger": LEDGER_OUTPUT},
    )
    parameters: dict[str, Any] = {"families": list(filters.families)}
    return perform(
        root,
        STEP,
        code=("kernels", "filters", "pipelines.steps.measure"),
        parameters=parameters,
        inputs=[done.digest for done in extracted],
        body=lambda folder: run_plan(engine, plan, folder),
    )
