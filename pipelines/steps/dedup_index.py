"""A `dedup.Index` in a run: what it knows is asked before duplicates are looked for, what the run keeps is added after.

An index grows between runs. So that a repeated run is the same, it is asked as it was before the same input was added.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.engines.plan import Output, Plan, Shard, Tables
from pipelines.recipe import Dedup, Recipe
from pipelines.steps.beside import Beside
from pipelines.steps.step import Finished, ReadParts, RunFailed, Steps, partition_shards
from pipelines.storage import read_batches, read_table

INDEXED_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("cluster", pa.string()),
        pa.field("parent", pa.string()),
        pa.field("similarity", pa.float64()),
    ]
)


def configured(settings: Dedup) -> Any:
    """Return the `dedup.DedupConfig` that a recipe's section means."""
    from dedup import DedupConfig

    said = settings.model_dump(exclude_none=True, include=set(DedupConfig.model_fields))
    return DedupConfig(**{**DedupConfig.preset(settings.preset).model_dump(), **said})


@dataclass(frozen=True)
class Recall:
    """Asks an index which documents it has; a document that is in it itself is none of them."""

    folder: str
    state: Any
    protect: tuple[str, ...] = ()

    def __call__(self, table: pa.Table) -> Tables:
        """Return the documents that are like an indexed one; those of protected sources are not asked about."""
        guarded = pc.is_in(table["source"].cast(pa.string()), value_set=pa.array(self.protect, pa.string()))
        asked = table.filter(pc.invert(guarded)).select(["id", "text"])
        found = _index(self.folder, self.state).matches(asked)
        return {"indexed": found.select(INDEXED_SCHEMA.names).cast(INDEXED_SCHEMA)}


@cache
def _index(folder: str, state: Any) -> Any:
    """Open an index once in each worker, as it was in a state: what is added meanwhile does not count."""
    from dedup import Index

    return Index.open(folder, state=state)


def recalled(
    steps: Steps, step: str, folder: Path, documents: list[Path], index: Path, state: Any, protect: tuple[str, ...]
) -> list[Path]:
    """Ask the index in a state about every document, part by part."""
    from dedup import Index, IndexRefusedError

    reader: Any = ReadNothing()
    if state.segments:  # else this is the first snapshot: nothing is known yet
        reader = ReadParts(("id", "source", "text"), 16_384)
        try:
            Index.open(index, state=state)
        except IndexRefusedError as error:
            raise RunFailed(f"step {step}: {error}") from error
    found = steps.run(
        Plan(
            f"{step} indexed",
            partition_shards([documents]),
            reader,
            Recall(str(index), state, protect),
            {"indexed": Output(INDEXED_SCHEMA)},
        ),
        folder,
    )
    return [folder / entry.path for entry in found.files["indexed"]]


@dataclass(frozen=True)
class ReadNothing:
    """Reads no rows."""

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield nothing."""
        yield from ()


def remember(recipe: Recipe, done: Finished, left: Finished) -> int:
    """Add what a run keeps to the recipe's index, with the texts that this step kept; returns how many are new in it.

    `left` is the last step that drops documents: what it keeps of these. Later steps may have cut the texts.
    Repeating it changes nothing. The index is made where there is none. It is written down there first which input
    this is and in which state the index was asked of it, so that a repeated run asks it in that state.
    """
    from dedup import Index
    from dedup.segments import MANIFEST, State

    settings = recipe.dedup
    if settings.index is None or not settings.index_add:
        return 0
    present = (settings.index / MANIFEST).exists()
    config = configured(settings)
    index = Index.open(settings.index, config) if present else Index.create(settings.index, config)
    before = len(index)
    index.note(done.facts["index"]["of"], State.model_validate(done.facts["index"]["state"]))
    for path, end in zip(done.parts("documents"), left.parts("documents"), strict=True):
        kept = Beside(read_table(end, ["id"]))
        for table in read_batches(path, 65_536, ["id", "text"]):
            index.add(table.filter(kept.holds(table["id"])))
    return len(index) - before
