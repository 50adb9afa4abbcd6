"""The learned models that come with Pomona, read once a process."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np

from pipelines.extract.page.features import Tables
from pipelines.extract.page.forest import Forest

FILE = "model.npz"


class Models(NamedTuple):
    """Tables of names and words, and the two stages."""

    tables: Tables
    first: Forest
    second: Forest


@cache
def digest() -> str:
    """SHA-256 of the models, hex: what extracts a page depends on them as on code."""
    return hashlib.sha256(files("pipelines.extract.page").joinpath(FILE).read_bytes()).hexdigest()


@cache
def models() -> Models:
    """Read the models (a few milliseconds)."""
    with files("pipelines.extract.page").joinpath(FILE).open("rb") as stream, np.load(stream) as stored:

        def part(kind: type, name: str) -> tuple[np.ndarray, ...]:
            return kind(*(stored[f"{name}.{field}"] for field in kind._fields))  # type: ignore[attr-defined]

        return Models(part(Tables, "tables"), part(Forest, "first"), part(Forest, "second"))  # type: ignore[arg-type]
