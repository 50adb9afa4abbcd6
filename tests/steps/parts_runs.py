"""Documents and runs of the steps of `dedup_parts`, for their tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.document import DOCUMENT_SCHEMA, document_id, partitions_of
from pipelines.engines.local import LocalEngine
from pipelines.engines.plan import Engine
from pipelines.ledger import Account
from pipelines.recipe_parts import PartUse
from pipelines.steps import parts
from pipelines.steps.step import Finished, Steps
from pipelines.storage import write_parquet


def row(name: str, text: str, source: str, kind: str = "web") -> dict[str, Any]:
    uri = f"http://{source}.test/{name}"
    return {
        "id": document_id(source, uri, text.encode()), "uri": uri, "source": source, "kind": kind, "text": text,
    }  # fmt: skip


def finished(table: pa.Table, folder: Path, partitions: int) -> Finished:
    """The step that made these documents."""
    numbers = partitions_of(table["id"], partitions)
    entries = [
        write_parquet(
            folder / "documents" / f"part-{part:05d}.parquet",
            table.filter(pa.compute.equal(numbers, part)).sort_by("id").cast(DOCUMENT_SCHEMA),
        )
        for part in range(partitions)
    ]
    return Finished("04-dedup", "0" * 16, folder, Account(table.num_rows, table.num_rows), {"documents": entries})


def signals_of(done: Finished, folder: Path) -> Finished:
    """A signal of every document: its characters."""
    entries = []
    for number, path in enumerate(done.parts("documents")):
        table = pq.read_table(path)
        measured = table.select(["id"]).append_column(
            "made.chars", pa.compute.utf8_length(table["text"]).cast(pa.float64())
        )
        entries.append(write_parquet(folder / "signals" / f"part-{number:05d}.parquet", measured))
    return Finished("02-measure", "1" * 16, folder, Account(), {"signals": entries})


def performed(
    table: pa.Table, uses: Sequence[PartUse], folder: Path, engine: Engine | None = None, partitions: int = 3
) -> list[Finished]:
    done = finished(table, folder / "before", partitions)
    measured = signals_of(done, folder / "signals")
    steps = Steps(folder / "steps", engine or LocalEngine(1))
    found: list[Finished] = []
    for use in uses:
        done = parts.run(steps, use, done, measured)
        found.append(done)
    return found


def texts(done: Finished) -> dict[str, str]:
    table = done.table("documents")
    return dict(zip(table["uri"].to_pylist(), table["text"].to_pylist(), strict=True))


def ledger(done: Finished) -> dict[str, dict[str, Any]]:
    return {one["uri"]: one for one in done.table("ledger").to_pylist()}


def bytes_of(steps: Sequence[Finished]) -> dict[str, bytes]:
    return {
        f"{done.name}/{name}/{path.name}": path.read_bytes()
        for done in steps
        for name in done.outputs
        for path in done.parts(name)
    }
