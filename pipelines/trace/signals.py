"""The signals of a stage's documents as columns of numbers, for suspects and for the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.report.folder import RunFolder
from pipelines.storage import read_schema, read_table

SAMPLE = 200_000
"""Documents that say what is usual; ids are hashes, so that the first are a fair sample."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Documents:
    """The documents of a stage, each once: id, source, tokens with repeats."""

    table: pa.Table

    @classmethod
    def of(cls, listing: Path) -> Documents:
        """Read a stage's documents.parquet."""
        rows = read_table(listing, ["id", "source", "length"])
        summed = rows.group_by(["id", "source"], use_threads=False).aggregate([("length", "sum")])
        return cls(summed.rename_columns(["id", "source", "tokens"]).sort_by("id"))

    @property
    def ids(self) -> pa.Array[Any]:
        """Ids, ascending."""
        return self.table["id"].combine_chunks()


def names(folder: RunFolder) -> list[str]:
    """Signals that are numbers, of documents; of runs mixed together those that were measured in each."""
    measured = [
        step.outputs["signals"][0] for step in folder.steps if step.idea == "measure" and step.outputs.get("signals")
    ]
    found = [_numbers(read_schema(path)) for path in measured]
    return [name for name in found[0] if all(name in other for other in found)] if found else []


def _numbers(schema: pa.Schema) -> list[str]:
    return [
        one.name
        for one in schema
        if "." in one.name and (pa.types.is_floating(one.type) or pa.types.is_integer(one.type))
    ]


def parts(
    folder: RunFolder, documents: Documents, columns: Sequence[str]
) -> Iterator[tuple[NDArray[np.int64], pa.Table]]:
    """Stream the signals of the stage's documents: their rows in `documents`, and the columns."""
    for path in folder.signals:
        table = read_table(path, ["id", *columns])
        at = pc.index_in(table["id"], value_set=documents.ids)
        known = pc.is_valid(at)
        yield at.filter(known).to_numpy().astype(np.int64), table.filter(known).select(list(columns))


def column(table: pa.Table, name: str) -> Numbers:
    """Return a column as float64, NaN where nothing was measured."""
    return pc.fill_null(table[name].cast(pa.float64(), safe=False), float("nan")).to_numpy()


@dataclass(frozen=True)
class Sides:
    """Values of every signal for the suspects, and for a sample of the others."""

    suspects: dict[str, Numbers]
    others: dict[str, Numbers]


def sides(folder: RunFolder, documents: Documents, suspects: NDArray[np.bool_], others: NDArray[np.bool_]) -> Sides:
    """Collect both; masks are over `documents`."""
    asked = names(folder)
    found = Sides({name: np.empty(0) for name in asked}, {name: np.empty(0) for name in asked})
    held: dict[bool, dict[str, list[Numbers]]] = {True: {n: [] for n in asked}, False: {n: [] for n in asked}}
    count = 0
    for rows, table in parts(folder, documents, asked):
        mine, rest = suspects[rows], others[rows] & (count < SAMPLE)
        count += int(rest.sum())
        for name in asked:
            values = column(table, name)
            held[True][name].append(values[mine])
            held[False][name].append(values[rest])
    for name in asked:
        found.suspects[name] = np.concatenate([*held[True][name], np.empty(0)])
        found.others[name] = np.concatenate([*held[False][name], np.empty(0)])
    return found
