"""One streamed pass over the ledger: what was counted, and the few records worth naming."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.report.consent import concerns
from pipelines.report.evidence import fields
from pipelines.report.folder import parse_evidence, read_batches

EXAMPLES = 3
NAMED = 200
REFUSALS = 20
CLUSTERS = 8
MEMBERS = 5

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
        return [entry[3] for entry in sorted(self._heap, key=lambda entry: (-entry[0], entry[1]))]


@dataclass
class Cluster:
    """Records dropped for one kept record."""

    parent: str
    parent_uri: str
    size: int = 0
    members: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


@dataclass
class Verdicts:
    """What the ledger says, summed.

    counts: (step, source, verdict, reason) -> records. examples: (step, reason) -> a few rows. failures: failed rows.
    refusals: reason -> rows refused for consent or licence. copies: parent id -> records dropped for it. parent_uris:
    parent id -> its uri. similarities: twentieths -> dropped copies. leaks: rows with benchmark spans.
    leaked_documents, leaked_spans: benchmark -> documents, spans.
    """

    counts: Counter[tuple[str, str, str, str]] = field(default_factory=Counter[tuple[str, str, str, str]])
    examples: dict[tuple[str, str], Smallest] = field(default_factory=lambda: defaultdict(lambda: Smallest(EXAMPLES)))
    failures: Smallest = field(default_factory=lambda: Smallest(NAMED))
    refusals: dict[str, Smallest] = field(default_factory=lambda: defaultdict(lambda: Smallest(REFUSALS)))
    leaks: Smallest = field(default_factory=lambda: Smallest(NAMED))
    copies: Counter[str] = field(default_factory=Counter[str])
    parent_uris: dict[str, str] = field(default_factory=dict[str, str])
    similarities: Counter[int] = field(default_factory=Counter[int])
    leaked_documents: Counter[str] = field(default_factory=Counter[str])
    leaked_spans: Counter[str] = field(default_factory=Counter[str])

    def largest_clusters(self, ledger: Sequence[Path]) -> list[Cluster]:
        """Return the largest clusters with a few of their members, in one more pass over the dropped copies."""
        top = heapq.nsmallest(CLUSTERS, self.copies.items(), key=lambda item: (-item[1], item[0]))
        found = {parent: Cluster(parent, self.parent_uris[parent], size) for parent, size in top}
        members = {parent: Smallest(MEMBERS) for parent in found}
        if found:
            for rows in _not_kept(ledger):
                copies = rows.filter(_says(rows, "parent"))
                parents = fields(copies["evidence"].combine_chunks(), COPY)["parent"]
                of_top = pc.is_in(parents, value_set=pa.array(list(found), pa.string()))
                named, parents = copies.filter(of_top), parents.filter(of_top)
                for parent in pc.unique(parents).to_pylist():
                    members[parent].offer(named.filter(pc.equal(parents, parent)))
        for parent, cluster in found.items():
            cluster.members = members[parent].rows()
        return list(found.values())


def _not_kept(ledger: Sequence[Path]) -> Iterator[pa.Table]:
    """Stream the ledger's dropped and failed rows."""
    columns = ("id", "uri", "source", "step", "verdict", "reason", "evidence")
    for path in ledger:
        for batch in read_batches(path, columns):
            rows = pa.Table.from_batches([batch]).filter(pc.not_equal(batch["verdict"], pa.scalar("kept")))
            if rows.num_rows:
                yield rows


def _says(rows: pa.Table, name: str) -> pa.ChunkedArray:
    """Which rows' evidence may have a field."""
    return pc.fill_null(pc.match_substring(rows["evidence"], f'"{name}"'), False)


def read(ledger: Sequence[Path]) -> Verdicts:
    """Sum a ledger; memory grows with the number of clusters, never with the number of records."""
    found = Verdicts()
    keys = ["step", "source", "verdict", "reason"]
    for path in ledger:
        for batch in read_batches(path, keys):
            groups = pa.Table.from_batches([batch]).group_by(keys).aggregate([([], "count_all")])
            for group in groups.to_pylist():
                found.counts[(group["step"], group["source"], group["verdict"], group["reason"])] += group["count_all"]
    for rows in _not_kept(ledger):
        for group in rows.group_by(["step", "verdict", "reason"]).aggregate([]).to_pylist():
            step, verdict, reason = group["step"], group["verdict"], group["reason"]
            mine = rows.filter(
                pc.and_(
                    pc.and_(pc.equal(rows["step"], step), pc.equal(rows["verdict"], verdict)),
                    pc.equal(rows["reason"], reason),
                )
            )
            found.examples[(step, reason)].offer(mine)
            if verdict == "failed":
                found.failures.offer(mine)
            elif concerns(reason):
                found.refusals[reason].offer(mine)
        _add_copies(found, rows.filter(_says(rows, "parent")))
        _add_leaks(found, rows.filter(_says(rows, "spans")))
    return found


def _add_copies(found: Verdicts, rows: pa.Table) -> None:
    """Count the rows that name a parent."""
    told = fields(rows["evidence"].combine_chunks(), COPY)
    told = told.filter(pc.greater(pc.fill_null(pc.binary_length(told["parent"]), 0), 0))
    for group in told.group_by(["parent", "parent_uri"], use_threads=False).aggregate([([], "count_all")]).to_pylist():
        found.copies[group["parent"]] += group["count_all"]
        found.parent_uris.setdefault(group["parent"], group["parent_uri"] or "")
    similarities = told["similarity"].drop_null().to_numpy()
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
