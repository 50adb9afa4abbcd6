"""What a run knows of the documents of a step: address, kind, signals, and how near each rule came to dropping them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from pipelines.report.folder import Rule, RunFolder
from pipelines.storage import exists, rows_where

Passed = tuple[str, float, float | None, float | None]
"""Signal, value, min and max."""
COLUMNS = ("id", "uri", "source", "kind", "language", "license")


@dataclass(frozen=True)
class Described:
    """A document. `rules` are those it was asked and passed: name -> (signal, value, min, max)."""

    uri: str = ""
    kind: str | None = None
    language: str | None = None
    license: str | None = None
    signals: Mapping[str, float] = field(default_factory=dict[str, float])
    rules: Mapping[str, Passed] = field(default_factory=dict[str, Passed])


def opened(run: Path) -> RunFolder | None:
    """Open a run, None where only its tokens are there."""
    return RunFolder.open(run) if exists(run / "run.json") else None


def describe(folder: RunFolder | None, stage: str, ids: Iterable[str]) -> dict[str, Described]:
    """Describe documents of a stage by their ids."""
    if folder is None:
        return {}
    wanted = ds.field("id").isin(pa.array(sorted(set(ids)), pa.string()))
    files = list(folder.stage_files(stage)) if stage in folder.stages else []
    rows = {row["id"]: row for batch in rows_where(files, wanted, COLUMNS) for row in batch.to_pylist()}
    signals: dict[str, dict[str, float]] = {}
    for batch in rows_where(list(folder.signals), wanted):
        for row in batch.to_pylist():
            numbers = {
                name: float(value)
                for name, value in row.items()
                if isinstance(value, int | float) and not isinstance(value, bool) and value == value
            }
            signals[row["id"]] = numbers
    found: dict[str, Described] = {}
    for id_, row in rows.items():
        mine = signals.get(id_, {})
        found[id_] = Described(
            row["uri"], row["kind"], row["language"], row["license"], mine, _passed(folder, row, mine)
        )
    return found


def _passed(folder: RunFolder, row: Mapping[str, Any], signals: Mapping[str, float]) -> dict[str, Passed]:
    return {
        rule.name: (rule.signal, signals[rule.signal], rule.min, rule.max)
        for rule in folder.rules
        if judges(rule) and rule.signal in signals and rule.covers(row["kind"], row["source"], row["language"])
    }


def judges(rule: Rule) -> bool:
    """Whether a rule drops whole documents."""
    return rule.action == "drop"
