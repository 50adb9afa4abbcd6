"""Plans that find what a corpus repeats and tell each part of documents what of it repeats (`dedup.repeats`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from dedup.repeats import REPEATS_SCHEMA, repeated
from pipelines.engines.plan import GroupBy, Output, Plan, Shard, Tables
from pipelines.steps.step import As, ReadParts, Steps, by_key, partition_shards


def by_group(table: pa.Table, partitions: int) -> pa.Array:
    """Send rows to the part that they are about."""
    return table["group"].cast(pa.int32()).combine_chunks()


@dataclass(frozen=True)
class Often:
    """Keeps the keys that occur more than so many times."""

    most: int

    def __call__(self, table: pa.Table) -> Tables:
        """Return them for whole groups of keys."""
        return {"repeated": repeated(table, self.most)}


def told(
    steps: Steps,
    folder: Path,
    name: str,
    shards: Sequence[Shard],
    read: Callable[[Shard], Iterator[pa.Table]],
    most: int,
) -> list[Path]:
    """Find what is repeated, and return a file for each shard with what of it that shard holds, sorted by key.

    Args:
        steps: runs the plans.
        folder: where they write, in folders of `name`.
        name: the plans' name.
        shards: parts of documents, numbered from 0.
        read: gives the occurrences of a shard, `group` being its number (REPEATS_SCHEMA).
        most: what occurs as often, or less, is not told.
    """
    sort = ("key", "rank", "id", "place", "group", "count")
    own = folder / name.replace(" ", "-")
    counted = steps.run(
        Plan(
            f"{name} counted",
            shards,
            read,
            Often(most),
            {"repeated": Output(REPEATS_SCHEMA, ("group", "key"))},
            group=GroupBy(REPEATS_SCHEMA, len(shards), by_key, ("key",), sort),
        ),
        own / "counted",
    )
    told = steps.run(
        Plan(
            f"{name} told",
            partition_shards([[own / "counted" / entry.path for entry in counted.files["repeated"]]]),
            ReadParts(rows=65_536),
            As("told"),
            {"told": Output(REPEATS_SCHEMA, ("key",))},
            group=GroupBy(REPEATS_SCHEMA, len(shards), by_group, ("group", "key"), ("group", "key")),
            conserve=("told",),
        ),
        own / "told",
    )
    return [own / "told" / entry.path for entry in told.files["told"]]
