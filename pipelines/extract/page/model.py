"""The learned models that come with Pomona, read once a process, and what they say of a page's blocks."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import IO, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.extract.page.context import in_context
from pipelines.extract.page.features import Seen
from pipelines.extract.page.forest import Forest, probabilities
from pipelines.extract.page.parse import Page
from pipelines.extract.page.tables import Tables

FILE: Final = "model.npz"
SETTLED: Final = 0.02
"""What the first stage finds less likely than this is not main text; later stages do not look at it."""


class Models(NamedTuple):
    """Tables of names and words, and the stages, each of which sees what the one before says."""

    tables: Tables
    stages: tuple[Forest, ...]


@cache
def digest() -> str:
    """SHA-256 of the models, hex: what extracts a page depends on them as on code."""
    return hashlib.sha256(files("pipelines.extract.page").joinpath(FILE).read_bytes()).hexdigest()


@cache
def models() -> Models:
    """The models that come with Pomona (read in a few milliseconds)."""
    with files("pipelines.extract.page").joinpath(FILE).open("rb") as stream:
        return read(stream)


def read(stream: IO[bytes]) -> Models:
    """Read models as `numpy.savez` writes `arrays`."""
    with np.load(stream) as stored:
        count = len({name.partition(".")[0] for name in stored.files} - {"tables"})
        return Models(
            Tables(*(stored[f"tables.{field}"] for field in Tables._fields)),
            tuple(
                Forest(*(stored[f"stage{k}.{field}"] for field in Forest._fields))  # type: ignore[arg-type]
                for k in range(count)
            ),
        )


def arrays(learned: Models) -> dict[str, NDArray[Any]]:
    """Models by the names that they are stored under."""
    found = {f"tables.{field}": value for field, value in learned.tables._asdict().items()}
    for k, stage in enumerate(learned.stages):
        found |= {f"stage{k}.{field}": value for field, value in stage._asdict().items()}
    return found


def likely(learned: Models, page: Page, view: Seen) -> NDArray[np.float32]:
    """How likely each block is main text."""
    p = probabilities(learned.stages[0], view.features)
    unsettled = np.flatnonzero(p >= SETTLED)
    if not len(unsettled):
        return p
    for stage in learned.stages[1:]:
        better = p.copy()
        better[unsettled] = probabilities(stage, in_context(view, page, p, unsettled))
        p = better
    return p
