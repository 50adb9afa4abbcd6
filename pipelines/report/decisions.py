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

from filters.expression import SECOND_LANGUAGE
from pipelines.report.evidence import fields
from pipelines.report.folder import Rule, read_batches
from pipelines.storage import read_table

DROPPED = pa.schema([("id", pa.string()), ("rule", pa.string())])
FAILED = pa.schema([("failed", pa.list_(pa.struct([("rule", pa.string())])))])
"""The field of the evidence of a decision that lists the rules."""


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
        scopes = [(rule.kinds, self.kinds), (rule.sources, self.sources), (rule.languages, self.languages)]
        if rule.second_languages:
            scopes.append((rule.second_languages, self.rows[SECOND_LANGUAGE].cast(pa.string())))
        for scope, column in scopes:
            if scope:
                inside = pc.is_in(column, value_set=pa.array(list(scope), pa.string()))
                mask &= inside.to_numpy(zero_copy_only=False)
        if rule.except_languages:
            excepted = pc.is_in(self.languages, value_set=pa.array(list(rule.except_languages), pa.string()))
            mask &= ~excepted.to_numpy(zero_copy_only=False)
        return mask

    def values(self, signal: str) -> NDArray[np.float64]:
        """A signal's values, NaN where it was not measured."""
        return self.rows[signal].cast(pa.float64()).to_numpy(zero_copy_only=False)


def batches(
    signals: Path, documents: Sequence[Path], decided: Sequence[Path], tags: frozenset[str]
) -> Iterator[Decided]:
    """Stream the measured rows of one partition; memory is its ids, kinds and dropped rows.

    `documents` and `decided` are the parts of the documents that were measured and of the ledger of their decision;
    `tags` names the rules that drop nothing.
    """
    known = _known(documents)
    failed = _failed(decided, tags)
    for batch in read_batches(signals):
        yield _join(batch, known, failed)


def _known(files: Sequence[Path]) -> pa.Table:
    columns = ["id", "kind", "source", "language"]
    if not files:
        return pa.table({name: pa.array([], pa.string()) for name in columns})
    return pa.concat_tables(read_table(path, columns) for path in files)


def _failed(files: Sequence[Path], tags: frozenset[str]) -> pa.Table:
    """Read which rules dropped which record, a row (id, rule) each: all where the evidence tells them, else the first.

    A rule that only tags is among a record's failed rules too, and drops nothing.
    """
    found: list[pa.Table] = [DROPPED.empty_table()]
    for path in files:
        for batch in read_batches(path, ("id", "verdict", "reason", "evidence")):
            rows = batch.filter(pc.equal(batch["verdict"], pa.scalar("dropped")))
            failed = fields(rows["evidence"], FAILED)["failed"].combine_chunks()
            told = pc.greater(pc.fill_null(pc.list_value_length(failed), 0), 0)
            ids, named = rows["id"].filter(told), failed.filter(told)
            rules = pc.struct_field(pc.list_flatten(named), "rule")
            found.append(pa.table([ids.take(pc.list_parent_indices(named)), rules], schema=DROPPED))
            rest = rows.filter(pc.invert(told))
            found.append(pa.table([rest["id"], rest["reason"]], schema=DROPPED))
    together = pa.concat_tables(found)
    return together.filter(pc.invert(pc.is_in(together["rule"], value_set=pa.array(sorted(tags), pa.string()))))


def _join(batch: pa.RecordBatch, known: pa.Table, failed: pa.Table) -> Decided:
    at = pc.index_in(batch["id"], value_set=known["id"].combine_chunks())
    kind, source, language = (known[name].combine_chunks().take(at) for name in ("kind", "source", "language"))
    if "language.language" in batch.schema.names:  # extraction may not know it yet; the measured one then decides
        language = pc.coalesce(language, batch["language.language"].cast(pa.string()))
    rows = batch.num_rows
    found = pc.index_in(failed["id"].combine_chunks(), value_set=batch["id"])
    here = failed.filter(pc.is_valid(found))
    row = found.drop_null().to_numpy(zero_copy_only=False).astype(np.int64)
    rules = np.bincount(row, minlength=rows)
    by_rule: dict[str, NDArray[np.bool_]] = {}
    for rule in pc.unique(here["rule"]).to_pylist():
        mask = np.zeros(rows, np.bool_)
        mask[row[pc.equal(here["rule"], rule).to_numpy()]] = True
        by_rule[rule] = mask
    alone = {rule: mask & (rules == 1) for rule, mask in by_rule.items()}
    return Decided(batch, kind.fill_null("?"), source, language, rules == 0, by_rule, alone)
