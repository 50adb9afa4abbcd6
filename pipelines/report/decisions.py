"""Measured rows joined with what is known of them elsewhere: kind, source, language, and the verdict of the rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.report.folder import Rule, RunFolder, parse_evidence, read_batches
from pipelines.storage import read_table


@dataclass(frozen=True)
class Decided:
    """A batch of measured rows.

    `kept` is the rules' verdict; `failed` maps a rule to the rows that it dropped, `alone` to those of them that no
    other rule would have dropped.
    """

    rows: pa.RecordBatch
    kinds: pa.Array[Any]
    sources: pa.Array[Any]
    languages: pa.Array[Any]
    kept: NDArray[np.bool_]
    failed: Mapping[str, NDArray[np.bool_]]
    alone: Mapping[str, NDArray[np.bool_]]

    def asked(self, rule: Rule) -> NDArray[np.bool_]:
        """Which rows a rule is asked of."""
        mask = np.ones(self.rows.num_rows, np.bool_)
        for scope, column in ((rule.kinds, self.kinds), (rule.sources, self.sources), (rule.languages, self.languages)):
            if scope:
                inside = pc.is_in(column, value_set=pa.array(list(scope), pa.string()))
                mask &= inside.to_numpy(zero_copy_only=False)
        return mask

    def values(self, signal: str) -> NDArray[np.float64]:
        """A signal's values, NaN where it was not measured."""
        return self.rows[signal].cast(pa.float64()).to_numpy(zero_copy_only=False)


def batches(run: RunFolder) -> Iterator[Decided]:
    """Stream the measured rows of a run; memory is the ids, kinds and dropped rows of one partition."""
    measured, decided = run.step("measure"), run.step("decide")
    documents = _by_part(run.documents_until("measure"))
    tags = {rule.name for rule in run.rules if rule.action != "drop"}
    ledgers = _by_part(decided.outputs.get("ledger", ())) if decided else {}
    for path in measured.outputs.get("signals", ()) if measured else ():
        known = _known(documents.get(path.name, ()))
        failed = _failed(ledgers.get(path.name, ()), tags)
        for batch in read_batches(path):
            yield _join(batch, known, failed)


def _by_part(files: Sequence[Path]) -> dict[str, tuple[Path, ...]]:
    """Group files by partition: every step names the part of a partition alike."""
    grouped: dict[str, tuple[Path, ...]] = {}
    for path in files:
        grouped[path.name] = (*grouped.get(path.name, ()), path)
    return grouped


def _known(files: Sequence[Path]) -> pa.Table:
    columns = ["id", "kind", "source", "language"]
    if not files:
        return pa.table({name: pa.array([], pa.string()) for name in columns})
    return pa.concat_tables(read_table(path, columns) for path in files)


def _failed(files: Sequence[Path], tags: set[str]) -> dict[str, list[str]]:
    """Read which rules dropped which record: id -> rules, all of them where the evidence tells, else the first.

    A rule that only tags is among a record's failed rules too, and drops nothing.
    """
    found: dict[str, list[str]] = {}
    for path in files:
        for batch in read_batches(path, ("id", "verdict", "reason", "evidence")):
            for row in batch.filter(pc.equal(batch["verdict"], pa.scalar("dropped"))).to_pylist():
                evidence = parse_evidence(row["evidence"])
                rules = [str(rule["rule"]) for rule in evidence.get("failed", ())] or [row["reason"]]
                found[row["id"]] = [rule for rule in rules if rule not in tags]
    return found


def _join(batch: pa.RecordBatch, known: pa.Table, failed: Mapping[str, list[str]]) -> Decided:
    at = pc.index_in(batch["id"], value_set=known["id"].combine_chunks())
    kind, source, language = (known[name].combine_chunks().take(at) for name in ("kind", "source", "language"))
    rows = batch.num_rows
    if "language.language" in batch.schema.names:  # extraction may not know it yet; the measured one then decides
        language = pc.coalesce(language, batch["language.language"].cast(pa.string()))
    kept = np.ones(rows, np.bool_)
    by_rule: dict[str, NDArray[np.bool_]] = {}
    alone: dict[str, NDArray[np.bool_]] = {}
    if failed:
        dropped = pc.is_in(batch["id"], value_set=pa.array(list(failed), pa.string())).to_numpy(zero_copy_only=False)
        kept = ~dropped
        for row in np.flatnonzero(dropped).tolist():
            rules = failed[batch["id"][row].as_py()]
            for rule in rules:
                by_rule.setdefault(rule, np.zeros(rows, np.bool_))[row] = True
            if len(rules) == 1:
                alone.setdefault(rules[0], np.zeros(rows, np.bool_))[row] = True
    return Decided(batch, kind.fill_null("?"), source, language, kept, by_rule, alone)
