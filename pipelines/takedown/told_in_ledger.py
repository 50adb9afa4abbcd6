"""The ledger with a row for each record that was taken down, and without what its rows quoted of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.document import canonical_json, partitions_of
from pipelines.engines.sorting import Sorter
from pipelines.ledger import DROPPED, LEDGER_SCHEMA, Account, rows
from pipelines.report.folder import BATCH_ROWS, RunFolder
from pipelines.steps.step import code_digest, library_versions
from pipelines.storage import MANIFEST, PARQUET, digest_of, read_batches, read_json, read_table, write_json, write_part
from pipelines.takedown.guard import REASON, Listing
from pipelines.takedown.journal import Staging
from pipelines.takedown.rewriting import Gone, without_quotes

STEP = "10-takedown"
LEDGER = "09-ledger"
ORDER = ("uri", "id", "step", "verdict", "reason", "evidence")
"""As `pipelines.steps.collect` sorts the ledger of a run."""
STEP_ORDER = ("id", "verdict", "reason", "uri", "evidence")
MEMORY = 256 << 20


@dataclass
class Told:
    """Fields of run.json that change, and folders of steps whose place others take."""

    facts: dict[str, Any]
    dropped: list[Path] = field(default_factory=list[Path])


def write(
    run: Path, folder: RunFolder, listing: Listing, told: Sequence[dict[str, Any]], gone: Gone, staging: Staging
) -> Told:
    """Write the step of all take-downs of a run, and its ledger anew."""
    facts = folder.facts
    partitions = int(facts["recipe"]["partitions"])
    before = next((one for one in folder.steps if one.name == STEP), None)
    new = rows([{**row, "step": STEP, "verdict": DROPPED, "reason": REASON} for row in told])
    held = [read_table(path) for path in before.outputs["ledger"]] if before is not None else []
    known = pa.concat_tables(held) if held else LEDGER_SCHEMA.empty_table()
    fresh = new.filter(pc.invert(pc.is_in(new["id"], value_set=known["id"].combine_chunks())))
    everything = pa.concat_tables([known, fresh])
    old_ledger = run / facts["ledger"] if facts.get("ledger") else None
    inputs = [read_json(old_ledger / MANIFEST)["digest"]] if old_ledger is not None else []
    step = _Step(STEP, {"takedowns": listing.model_dump(mode="json")["takedowns"]}, inputs)
    mine = run / "steps" / step.name
    parts = partitions_of(everything["id"], partitions)
    entries: list[dict[str, Any]] = []
    for part in range(partitions):
        table = everything.filter(pc.equal(parts, part)).sort_by([(key, "ascending") for key in STEP_ORDER])
        target = mine / "ledger" / f"part-{part:05d}.parquet"
        entries.append(_written(staging.place(target), [table], target))
    account = Account.of(everything.num_rows, everything)
    write_json(staging.place(mine / MANIFEST), step.manifest(account, {"ledger": entries}))
    ledger = _Step(LEDGER, {}, [*inputs, step.digest])
    place = run / "steps" / ledger.name
    merged: list[dict[str, Any]] = []
    for part, path in enumerate(folder.ledger):
        target = place / "ledger" / path.name
        entry = _merged(
            path, fresh.filter(pc.equal(partitions_of(fresh["id"], partitions), part)), gone, staging, target
        )
        merged.append(entry)
        staging.same(staging.last, path)
    write_json(staging.place(place / MANIFEST), ledger.manifest(Account(), {"ledger": merged}))
    described = {
        "name": STEP,
        "digest": step.digest,
        "folder": f"steps/{step.name}",
        **account.as_dict(),
        "seconds": 0.0,
        "reused": False,
    }
    steps = [one for one in facts["steps"] if one["name"] != STEP]
    dropped = [one for one in (old_ledger, before.folder if before else None) if one is not None]
    kept = {mine, place}
    return Told(
        {"steps": [*steps, described], "ledger": f"steps/{ledger.name}"}, [one for one in dropped if one not in kept]
    )


class _Step:
    """A step made without an engine: its name is made from the same things as any other's."""

    def __init__(self, name: str, parameters: dict[str, Any], inputs: list[str]) -> None:
        self.identity: dict[str, Any] = {
            "step": name,
            "code": code_digest(("pipelines.takedown", "pipelines.document", "pipelines.ledger")),
            "libraries": library_versions(),
            "parameters": parameters,
        }
        self.lineage = digest_of(canonical_json(self.identity).encode())
        self.identity["inputs"] = inputs
        self.digest = digest_of(canonical_json(self.identity).encode())
        self.name = f"{name}-{self.digest}"

    def manifest(self, account: Account, outputs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
        return {
            "digest": self.digest,
            "lineage": self.lineage,
            **self.identity,
            **account.as_dict(),
            "outputs": outputs,
            "facts": {},
            "seconds": 0.0,
            "resumed": False,
            "engine": {"name": "takedown", "workers": 1},
        }


def _merged(path: Path, fresh: pa.Table, gone: Gone, staging: Staging, target: Path) -> dict[str, Any]:
    """Write one part of the ledger with the new rows in their places."""
    with tempfile.TemporaryDirectory() as spill:
        sorter = Sorter(LEDGER_SCHEMA, ORDER, Path(spill), MEMORY)
        try:
            for table in read_batches(path, BATCH_ROWS):
                sorter.add(without_quotes(table.cast(LEDGER_SCHEMA), pc.is_in(table["id"], value_set=gone.column)))
            sorter.add(fresh.cast(LEDGER_SCHEMA))
            return _written(staging.place(target), sorter.sorted(), target)
        finally:
            sorter.close()


def _written(staged: Path, tables: Iterable[pa.Table], target: Path) -> dict[str, Any]:
    entry = write_part(staged, tables, LEDGER_SCHEMA, PARQUET)
    return {**entry.model_dump(), "path": f"ledger/{target.name}"}
