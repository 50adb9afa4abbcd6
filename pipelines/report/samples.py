"""Real records on both sides of a threshold: the nearest kept, the nearest dropped, and how their texts begin."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
from numpy.typing import NDArray

from pipelines.report.figures import excerpt, visible
from pipelines.storage import rows_where

SAMPLES = 3
HEAD_CHARACTERS = 6_000
DIFFERENT_LINES = 12


@dataclass(frozen=True)
class Excerpt:
    """The beginning of a record's text, short (`text`) and longer (`head`); `characters` is the length of the whole."""

    id: str
    uri: str
    source: str
    kind: str
    text: str
    characters: int
    head: str


@dataclass
class Side:
    """The records nearest to a bound on one side of it, by distance and then by id; values are told apart first.

    Copies of one text have one value: of equal values only the smallest id is kept, so that the samples differ.
    """

    held: dict[float, tuple[float, str]] = field(default_factory=dict[float, tuple[float, str]])

    def offer(self, bound: float, values: NDArray[np.float64], ids: pa.Array[Any]) -> None:
        """Offer a batch's candidates, all on this side of the bound, in the order of their ids."""
        distances = np.abs(values - bound)
        order = np.argsort(distances, kind="stable")
        nearest = distances[order]
        first = np.flatnonzero(np.diff(nearest, prepend=-1.0) > 0)[:SAMPLES]  # of equal values the smallest id
        for at in order[first].tolist():
            key, entry = float(values[at]), (float(distances[at]), str(ids[at].as_py()))
            self.held[key] = min(entry, self.held.get(key, entry))
        self.held = dict(sorted(self.held.items(), key=lambda item: item[1])[:SAMPLES])

    def merge(self, bound: float, found: Iterable[Sequence[Any]]) -> None:
        """Add what another has found, (value, id) each."""
        for value, id_ in found:
            entry = (abs(value - bound), str(id_))
            self.held[value] = min(entry, self.held.get(value, entry))
        self.held = dict(sorted(self.held.items(), key=lambda item: item[1])[:SAMPLES])

    def found(self) -> list[tuple[float, str]]:
        """Return (value, id), nearest first."""
        return [(value, entry[1]) for value, entry in sorted(self.held.items(), key=lambda item: item[1])]


def excerpts(files: Iterable[Path], ids: Iterable[str], *, redact: bool = False) -> Mapping[str, Excerpt]:
    """Fetch the beginnings of a few texts; files whose ids lie elsewhere are not read (their statistics say so).

    `redact` replaces personal data (`filters.pii.redact`): what a recipe redacts is not shown of what it dropped.
    """
    wanted = pa.array(sorted(set(ids)), pa.string())
    if not len(wanted):
        return {}
    columns = ("id", "uri", "source", "kind", "text")
    found = rows_where(list(files), ds.field("id").isin(wanted), columns, 1024)
    rows = [row for batch in found for row in batch.to_pylist()]
    heads: list[Any] = [row["text"][:HEAD_CHARACTERS] for row in rows]
    if redact:
        from filters import pii  # compiles kernels: only where a recipe redacts

        heads = pii.redact(pa.array(heads, pa.large_string())).to_pylist()
    return {
        row["id"]: Excerpt(row["id"], row["uri"], row["source"], row["kind"], excerpt(head), len(row["text"]), head)
        for row, head in zip(rows, heads, strict=True)
    }


def difference(stayed: Excerpt, copy: Excerpt) -> list[tuple[str, str]]:
    """Return the lines that tell a copy from the record that stayed: ("-", line) is that one's, ("+", line) the copy's.

    Compares the beginnings; an empty list means that no difference lies there.
    """
    ours, theirs = stayed.head.splitlines(), copy.head.splitlines()
    if stayed.characters > HEAD_CHARACTERS or copy.characters > HEAD_CHARACTERS:  # a cut line is not a difference
        ours, theirs = ours[:-1], theirs[:-1]
    lines = difflib.unified_diff(ours, theirs, n=0, lineterm="")
    changed = [
        (line[0], visible(line[1:])) for line in lines if line[0] in "+-" and not line.startswith(("+++", "---"))
    ]
    return changed[:DIFFERENT_LINES]
