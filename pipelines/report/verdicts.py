"""One streamed pass over the ledger: what was counted, and the few records worth naming."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.report.consent import concerns
from pipelines.report.folder import idea_of, parse_evidence, read_batches

EXAMPLES = 3
NAMED = 200
REFUSALS = 20
CLUSTERS = 8
MEMBERS = 5


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
            for row in not_kept(ledger):
                told = row["evidence"]
                if idea_of(row["step"])[0] == "dedup" and told and told.get("parent") in found:
                    members[told["parent"]].add(row)
        for parent, cluster in found.items():
            cluster.members = members[parent].rows()
        return list(found.values())


def not_kept(ledger: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Stream the ledger's dropped and failed rows as mappings, their evidence parsed."""
    columns = ("id", "uri", "source", "step", "verdict", "reason", "evidence")
    for path in ledger:
        for batch in read_batches(path, columns):
            for row in batch.filter(pc.not_equal(batch["verdict"], pa.scalar("kept"))).to_pylist():
                row["evidence"] = parse_evidence(row["evidence"])
                yield row


def read(ledger: Sequence[Path]) -> Verdicts:
    """Sum a ledger; memory grows with the number of clusters, never with the number of records."""
    found = Verdicts()
    keys = ["step", "source", "verdict", "reason"]
    for path in ledger:
        for batch in read_batches(path, keys):
            groups = pa.Table.from_batches([batch]).group_by(keys).aggregate([([], "count_all")])
            for group in groups.to_pylist():
                found.counts[(group["step"], group["source"], group["verdict"], group["reason"])] += group["count_all"]
    for row in not_kept(ledger):
        found.examples[(row["step"], row["reason"])].add(row)
        evidence = row["evidence"]
        if row["verdict"] == "failed":
            found.failures.add(row)
        elif concerns(row["reason"]):
            found.refusals[row["reason"]].add(row)
        if evidence.get("parent"):
            parent = str(evidence["parent"])
            found.copies[parent] += 1
            found.parent_uris.setdefault(parent, str(evidence.get("parent_uri") or ""))
            if evidence.get("similarity") is not None:
                found.similarities[min(19, int(float(evidence["similarity"]) * 20))] += 1
        spans = evidence.get("spans") or ()
        if spans:
            found.leaks.add(row)
            found.leaked_spans.update(str(span["benchmark"]) for span in spans)
            found.leaked_documents.update({str(span["benchmark"]) for span in spans})
    return found
