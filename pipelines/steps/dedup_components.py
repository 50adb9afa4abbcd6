"""Connected components of edges, as plans: which component each document belongs to.

A component's number is its smallest node, which no way of finding it can change. Up to `ONE_TASK` edges are joined in
one task; more of them in rounds of `large_star` and `small_star` on as many workers as there are, each holding its
groups alone, until a round changes nothing (`dedup.components` says why it ends, and where).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipelines.engines.plan import GroupBy, Output, Plan, Shard, Tables
from pipelines.steps.dedup_candidates import LINKS_SCHEMA, Once, by_node
from pipelines.steps.step import ReadParts, Steps
from pipelines.storage import FileEntry, at, read_batches

ONE_TASK = 4_000_000
"""Edges that one task joins: 64 MB of them, and as much again for the nodes."""

STAR_SCHEMA = pa.schema([pa.field("node", pa.uint64()), pa.field("other", pa.uint64())])
LABELS_SCHEMA = pa.schema([pa.field("node", pa.uint64()), pa.field("component", pa.uint64())])
WHOLE_SCHEMA = pa.schema([pa.field("key", pa.uint8()), *LINKS_SCHEMA])


def label(
    steps: Steps, name: str, folder: Path, files: Sequence[FileEntry], partitions: int, most: int = ONE_TASK
) -> tuple[list[Path], list[str]]:
    """Find the component of every node that is in an edge.

    Args:
        steps: runs the plans.
        name: the step, which begins the names of its plans.
        folder: the step's folder.
        files: of edges: columns `left` and `right`.
        partitions: of ids.
        most: edges that one task may join.

    Returns:
        For each partition of ids a file of LABELS_SCHEMA sorted by node, and the folders that are scrap afterwards.
    """
    shards = shards_of(folder, files)
    if sum(entry.rows for entry in files) <= most:
        whole = steps.run(
            Plan(
                f"{name} components",
                shards,
                ReadParts(("left", "right")),
                Join(),
                {"components": Output(LABELS_SCHEMA, ("node",))},
                map=Together(),
                group=GroupBy(WHOLE_SCHEMA, 1, one_partition, ("key",), ("key", "left", "right")),
            ),
            folder,
        )
        found, scrap = whole.files["components"], ["components"]
    else:
        found, scrap = _rounds(steps, name, folder, shards, partitions)
    told = steps.run(
        Plan(
            f"{name} labels",
            shards_of(folder, found),
            ReadLabels(),
            Once("labels"),
            {"labels": Output(LABELS_SCHEMA, ("node",))},
            group=GroupBy(LABELS_SCHEMA, partitions, by_node, ("node",), ("node", "component")),
        ),
        folder,
    )
    return [folder / entry.path for entry in told.files["labels"]], [*scrap, "labels"]


def _rounds(
    steps: Steps, name: str, folder: Path, shards: list[Shard], partitions: int
) -> tuple[list[FileEntry], list[str]]:
    scrap: list[str] = []
    before: list[str] | None = None
    number = 0
    group = GroupBy(STAR_SCHEMA, partitions, by_node, ("node",), ("node", "other"))
    while True:
        number += 1
        large, small = f"large-{number}", f"small-{number}"
        # The first round reads edges of two ends, the later ones stars.
        reader = ReadParts(("left", "right")) if before is None else ReadParts(("node", "other"))
        spread_out = steps.run(
            Plan(
                f"{name} {large}",
                shards,
                reader,
                Star(large, large=True),
                {large: Output(STAR_SCHEMA, ("node", "other"))},
                map=BothEnds(),
                group=group,
            ),
            folder,
        )
        gathered = steps.run(
            Plan(
                f"{name} {small}",
                shards_of(folder, spread_out.files[large]),
                ReadParts(("node", "other")),
                Star(small, large=False),
                {small: Output(STAR_SCHEMA, ("node", "other"))},
                group=group,
            ),
            folder,
        )
        scrap += [large, small]
        found = gathered.files[small]
        digests = [entry.sha256 for entry in found]
        if digests == before:
            return found, scrap
        before, shards = digests, shards_of(folder, found)


def shards_of(folder: Path, files: Sequence[FileEntry]) -> list[Shard]:
    """Make a shard of each file that has rows; at least one, so that there is a plan."""
    chosen = [entry for entry in files if entry.rows] or list(files[:1])
    return [
        Shard(index, f"part-{index:05d}", (str(folder / entry.path),), entry.bytes)
        for index, entry in enumerate(chosen)
    ]


@dataclass(frozen=True)
class Together:
    """Gives all edges one key, so that they meet in one task."""

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return rows of WHOLE_SCHEMA."""
        columns = [pa.array(np.zeros(table.num_rows, np.uint8)), table["left"], table["right"]]
        return pa.table(columns, schema=WHOLE_SCHEMA)


def one_partition(table: pa.Table, partitions: int) -> pa.Array:
    """Put every row into the first partition."""
    return pa.array(np.zeros(table.num_rows, np.int32))


@dataclass(frozen=True)
class Join:
    """Joins all edges at once."""

    def __call__(self, table: pa.Table) -> Tables:
        """Return the component of each node."""
        from dedup.components import components

        left, right = table["left"].to_numpy(), table["right"].to_numpy()
        nodes, places = np.unique(np.concatenate([left, right]), return_inverse=True)
        half = len(left)
        roots = components(len(nodes), places[:half].astype(np.int64), places[half:].astype(np.int64))
        return {"components": pa.table([nodes, nodes[roots]], schema=LABELS_SCHEMA)}


@dataclass(frozen=True)
class BothEnds:
    """Gives every edge from either end."""

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return rows of STAR_SCHEMA."""
        a, b = (column.to_numpy() for column in table.columns)
        return pa.table([np.concatenate([a, b]), np.concatenate([b, a])], schema=STAR_SCHEMA)


@dataclass(frozen=True)
class Star:
    """One half of a round on whole nodes."""

    output: str
    large: bool

    def __call__(self, table: pa.Table) -> Tables:
        """Return the new edges, the larger end first."""
        from dedup.components import large_star, small_star

        distinct = Once("rows")(table)["rows"]
        node, other = distinct["node"].to_numpy(), distinct["other"].to_numpy()
        found = (large_star if self.large else small_star)(node, other)
        return {self.output: pa.table(list(found), schema=STAR_SCHEMA)}


@dataclass(frozen=True)
class ReadLabels:
    """Reads labels, or stars as labels: a star's middle belongs to itself."""

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield tables of LABELS_SCHEMA."""
        for path in shard.payload:
            for table in read_batches(at(path), 65_536):
                node, other = (column.to_numpy() for column in table.columns)
                if table.column_names == LABELS_SCHEMA.names:
                    yield table
                else:
                    yield pa.table([np.append(node, other), np.append(other, other)], schema=LABELS_SCHEMA)
