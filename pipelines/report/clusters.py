"""Dropped copies brought together by the record that stayed: how large clusters are, and the largest ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.document import partitions_of
from pipelines.engines.plan import GroupBy, Output, Plan, Shard
from pipelines.report.folder import parse_evidence
from pipelines.report.verdicts import NAMES, copies, not_kept, says
from pipelines.storage import at, read_table

CLUSTERS = 8
MEMBERS = 5
STEP = "10-report clusters"

COPIES_SCHEMA = pa.schema(
    [pa.field("parent", pa.string()), pa.field("parent_uri", pa.string())]
    + [pa.field(name, pa.string()) for name in NAMES]
)
CLUSTERS_SCHEMA = pa.schema([*COPIES_SCHEMA, pa.field("size", pa.int64())])
"""The first members of each cluster by id; `size` is the number of all records dropped for the parent."""
ORDER = ("parent", "id", "step", "verdict", "reason", "uri", "evidence")


@dataclass
class Cluster:
    """Records dropped for one kept record."""

    parent: str
    parent_uri: str
    size: int = 0
    members: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


@dataclass
class Clusters:
    """All clusters: `sizes` maps records dropped for one parent to the number of such parents; the largest by name."""

    sizes: Counter[int] = field(default_factory=Counter[int])
    largest: list[Cluster] = field(default_factory=list[Cluster])

    @property
    def copies(self) -> int:
        """Records dropped as copies."""
        return sum(size * count for size, count in self.sizes.items())

    @property
    def texts(self) -> int:
        """Records that they are copies of."""
        return self.sizes.total()

    def look(self, parts: Sequence[Path]) -> None:
        """Add parts that `brought_together` wrote: each has whole clusters."""
        for path in parts:
            rows = read_table(path).combine_chunks()
            first = _borders(rows)[:-1]
            sizes = rows["size"].to_numpy()[first]
            for size, count in zip(*np.unique(sizes, return_counts=True), strict=True):
                self.sizes[int(size)] += int(count)
            # Rows are sorted by parent: a stable sort keeps that order among equal sizes.
            top = first[np.argsort(-sizes, kind="stable")[:CLUSTERS]]
            self._take([_cluster(rows, int(start)) for start in top])

    def _take(self, found: Sequence[Cluster]) -> None:
        self.largest = sorted([*self.largest, *found], key=lambda one: (-one.size, one.parent))[:CLUSTERS]

    def state(self) -> dict[str, Any]:
        """Return what `merge` takes, as JSON-able values."""
        largest = [[one.parent, one.parent_uri, one.size, one.members] for one in self.largest]
        return {"sizes": sorted(self.sizes.items()), "largest": largest}

    def merge(self, state: Mapping[str, Any]) -> None:
        """Add the clusters of other parts."""
        for size, count in state["sizes"]:
            self.sizes[size] += count
        self._take([Cluster(*one) for one in state["largest"]])


def _borders(rows: pa.Table) -> Any:
    """Return where each parent's rows begin in a table sorted by parent, and the number of rows."""
    count = rows.num_rows
    if not count:
        return np.zeros(1, np.int64)
    parent = rows["parent"].combine_chunks()
    new = pc.not_equal(parent[1:], parent[:-1]).to_numpy(zero_copy_only=False)
    return np.concatenate([[0], np.flatnonzero(new) + 1, [count]])


def _cluster(rows: pa.Table, start: int) -> Cluster:
    some = rows.slice(start, MEMBERS).to_pylist()
    told = some[0]
    members = [{name: row[name] for name in NAMES} for row in some if row["parent"] == told["parent"]]
    for member in members:
        member["evidence"] = parse_evidence(member["evidence"])
    return Cluster(told["parent"], told["parent_uri"] or "", told["size"], members)


@dataclass(frozen=True)
class ReadCopies:
    """Reads the rows of a part of the ledger that name a parent."""

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield tables of COPIES_SCHEMA."""
        for rows in not_kept([at(path) for path in shard.payload]):
            some = rows.filter(says(rows, "parent"))
            if not some.num_rows:
                continue
            told = copies(some)
            columns = [told["parent"], told["parent_uri"], *(some[name] for name in NAMES)]
            named = pa.table(columns, names=COPIES_SCHEMA.names).filter(pc.is_valid(told["parent"]))
            yield named.cast(COPIES_SCHEMA)


def by_parent(table: pa.Table, partitions: int) -> pa.Array:
    """Partition rows by the parent's id; what is no id goes to the first partition."""
    whole = pc.equal(pc.binary_length(table["parent"]), 32)
    ids = pc.if_else(whole, table["parent"], "0" * 32)
    return partitions_of(ids, partitions)


@dataclass(frozen=True)
class First:
    """Keeps the first members of each cluster, with its size."""

    def __call__(self, table: pa.Table) -> Mapping[str, pa.Table]:
        """Take whole groups of copies, sorted."""
        borders = _borders(table)
        sizes = np.diff(borders)
        rank = np.arange(table.num_rows) - np.repeat(borders[:-1], sizes)
        all_sizes = pa.array(np.repeat(sizes, sizes), pa.int64())
        kept = table.append_column("size", all_sizes).filter(pa.array(rank < MEMBERS))
        return {"clusters": kept.cast(CLUSTERS_SCHEMA)}


def brought_together(ledger: Sequence[Path]) -> Plan:
    """Return the plan that brings the copies of each record together, whatever part of the ledger they are in."""
    shards = [Shard(index, f"part-{index:05d}", (str(path),)) for index, path in enumerate(ledger)]
    return Plan(
        name=STEP,
        shards=shards,
        read=ReadCopies(),
        group=GroupBy(COPIES_SCHEMA, max(1, len(shards)), by_parent, ("parent",), ORDER),
        emit=First(),
        outputs={"clusters": Output(CLUSTERS_SCHEMA, ORDER)},
    )
