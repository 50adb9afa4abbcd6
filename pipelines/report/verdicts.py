"""One streamed pass over ledgers: what was counted, and the few records worth naming. Sums of parts add up."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.report.consent import concerns
from pipelines.report.evidence import fields
from pipelines.report.folder import parse_evidence, read_batches

NAMES = ("id", "uri", "source", "step", "verdict", "reason", "evidence")
EXAMPLES = 3
NAMED = 200
REFUSALS = 20

COPY = pa.schema([("parent", pa.string()), ("parent_uri", pa.string()), ("similarity", pa.float64())])
LEAK = pa.schema([("spans", pa.list_(pa.struct([("benchmark", pa.string())])))])
"""Fields of the evidence of a dropped copy, and of a document that holds benchmark text."""


class Smallest:
    """Keeps the `limit` rows with the smallest ids: the same few whatever order the ledger is read in."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.seen = 0
        self._heap: list[tuple[int, str, int, dict[str, Any]]] = []

    def add(self, row: dict[str, Any]) -> None:
        """Offer one row with an `id` (32 hex digits)."""
        self.seen += 1
        entry = (-int(row["id"], 16), str(row["step"]), self.seen, row)
        if len(self._heap) < self.limit:
            heapq.heappush(self._heap, entry)
        elif entry[0] > self._heap[0][0]:
            heapq.heapreplace(self._heap, entry)

    def offer(self, rows: pa.Table) -> None:
        """Offer many rows; only those that may be kept become mappings, with their evidence parsed."""
        first = pc.sort_indices(rows, [("id", "ascending")])[: self.limit]  # stable, and hex digits sort as numbers
        for row in rows.take(first).to_pylist():
            row["evidence"] = parse_evidence(row["evidence"])
            self.add(row)
        self.seen += rows.num_rows - len(first)

    def rows(self) -> list[dict[str, Any]]:
        """Return the kept rows by id."""
        return [entry[3] for entry in sorted(self._heap, key=lambda entry: (-entry[0], entry[1], entry[2]))]

    def state(self) -> dict[str, Any]:
        """Return what `merge` takes, as JSON-able values."""
        return {"seen": self.seen, "rows": self.rows()}

    def merge(self, state: Mapping[str, Any]) -> None:
        """Add what another has seen."""
        for row in state["rows"]:
            self.add(row)
        self.seen += state["seen"] - len(state["rows"])


@dataclass
class Verdicts:
    """What the ledger says, summed.

    counts: (step, source, verdict, reason) -> records. examples: (step, reason) -> a few rows. failures: failed rows.
    refusals: reason -> rows refused for consent or licence. similarities: twentieths -> dropped copies. leaks: rows
    with benchmark spans. leaked_documents, leaked_spans: benchmark -> documents, spans.
    """

    counts: Counter[tuple[str, str, str, str]] = field(default_factory=Counter[tuple[str, str, str, str]])
    examples: dict[tuple[str, str], Smallest] = field(default_factory=dict[tuple[str, str], Smallest])
    failures: Smallest = field(default_factory=lambda: Smallest(NAMED))
    refusals: dict[str, Smallest] = field(default_factory=dict[str, Smallest])
    leaks: Smallest = field(default_factory=lambda: Smallest(NAMED))
    similarities: Counter[int] = field(default_factory=Counter[int])
    leaked_documents: Counter[str] = field(default_factory=Counter[str])
    leaked_spans: Counter[str] = field(default_factory=Counter[str])

    def examples_of(self, step: str, reason: str) -> Smallest:
        """Return where examples of a step's reason are kept."""
        return self.examples.setdefault((step, reason), Smallest(EXAMPLES))

    def refusals_for(self, reason: str) -> Smallest:
        """Return where rows refused for a reason are kept."""
        return self.refusals.setdefault(reason, Smallest(REFUSALS))

    def look(self, ledger: Sequence[Path]) -> None:
        """Add a ledger, in two streams: all rows by four columns, then what was not kept."""
        keys = ["step", "source", "verdict", "reason"]
        for path in ledger:
            for batch in read_batches(path, keys):
                groups = pa.Table.from_batches([batch]).group_by(keys).aggregate([([], "count_all")])
                for group in groups.to_pylist():
                    key = (group["step"], group["source"], group["verdict"], group["reason"])
                    self.counts[key] += group["count_all"]
        for rows in not_kept(ledger):
            for group in rows.group_by(["step", "verdict", "reason"]).aggregate([]).to_pylist():
                step, verdict, reason = group["step"], group["verdict"], group["reason"]
                mine = rows.filter(
                    pc.and_(
                        pc.and_(pc.equal(rows["step"], step), pc.equal(rows["verdict"], verdict)),
                        pc.equal(rows["reason"], reason),
                    )
                )
                self.examples_of(step, reason).offer(mine)
                if verdict == "failed":
                    self.failures.offer(mine)
                elif concerns(reason):
                    self.refusals_for(reason).offer(mine)
            _add_similarities(self, rows.filter(says(rows, "parent")))
            _add_leaks(self, rows.filter(says(rows, "spans")))

    def state(self) -> dict[str, Any]:
        """Return what `merge` takes, as JSON-able values."""
        return {
            "counts": [[*key, count] for key, count in sorted(self.counts.items())],
            "examples": [[*key, found.state()] for key, found in sorted(self.examples.items())],
            "failures": self.failures.state(),
            "refusals": [[reason, found.state()] for reason, found in sorted(self.refusals.items())],
            "leaks": self.leaks.state(),
            "similarities": sorted(self.similarities.items()),
            "leaked": [[name, count, self.leaked_spans[name]] for name, count in sorted(self.leaked_documents.items())],
        }

    def merge(self, state: Mapping[str, Any]) -> None:
        """Add what another part's ledger says."""
        for step, source, verdict, reason, count in state["counts"]:
            self.counts[(step, source, verdict, reason)] += count
        for step, reason, found in state["examples"]:
            self.examples_of(step, reason).merge(found)
        self.failures.merge(state["failures"])
        for reason, found in state["refusals"]:
            self.refusals_for(reason).merge(found)
        self.leaks.merge(state["leaks"])
        for twentieth, count in state["similarities"]:
            self.similarities[twentieth] += count
        for name, documents, spans in state["leaked"]:
            self.leaked_documents[name] += documents
            self.leaked_spans[name] += spans


def not_kept(ledger: Sequence[Path]) -> Iterator[pa.Table]:
    """Stream the ledger's dropped and failed rows."""
    for path in ledger:
        for batch in read_batches(path, NAMES):
            rows = pa.Table.from_batches([batch]).filter(pc.not_equal(batch["verdict"], pa.scalar("kept")))
            if rows.num_rows:
                yield rows


def says(rows: pa.Table, name: str) -> pa.ChunkedArray:
    """Which rows' evidence may have a field."""
    return pc.fill_null(pc.match_substring(rows["evidence"], f'"{name}"'), False)


def copies(rows: pa.Table) -> pa.Table:
    """Return the columns of COPY for rows whose evidence names a parent, null where it names none after all."""
    told = fields(rows["evidence"].combine_chunks(), COPY)
    named = pc.greater(pc.fill_null(pc.binary_length(told["parent"]), 0), 0)
    return told.set_column(0, "parent", pc.if_else(named, told["parent"], pa.scalar(None, pa.string())))


def _add_similarities(found: Verdicts, rows: pa.Table) -> None:
    """Count how alike the rows are that name a parent."""
    told = copies(rows)
    similarities = told["similarity"].filter(pc.is_valid(told["parent"])).drop_null().to_numpy()
    twentieths = np.minimum(19, (similarities * 20).astype(np.int64))
    for twentieth, count in zip(*np.unique(twentieths, return_counts=True), strict=True):
        found.similarities[int(twentieth)] += int(count)


def _add_leaks(found: Verdicts, rows: pa.Table) -> None:
    """Count the rows that name benchmark spans."""
    spans = fields(rows["evidence"].combine_chunks(), LEAK)["spans"]
    leaked = pc.greater(pc.fill_null(pc.list_value_length(spans), 0), 0)
    found.leaks.offer(rows.filter(leaked))
    for of_one in spans.filter(leaked).to_pylist():
        found.leaked_spans.update(span["benchmark"] for span in of_one)
        found.leaked_documents.update({span["benchmark"] for span in of_one})
