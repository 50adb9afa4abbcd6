"""Which entry of a stage a document belongs to: the first, as written, of which everything holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.mixture.supply import Bits, Labels
from pipelines.recipe_mix import Entry

NONE = "none"
"""Stands in `licenses` for documents without one."""
UNKNOWN = "und"
"""Stands in `languages` for documents of which it is not known."""

_HOST = r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?(?P<host>[^/?#:]+)"


def host(uri: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return the host of each address in small letters, "" where it has none."""
    column = uri.combine_chunks() if isinstance(uri, pa.ChunkedArray) else uri
    found = pc.struct_field(pc.extract_regex(column.cast(pa.string()), _HOST), "host")
    return pc.fill_null(pc.utf8_lower(found), "")


def fits(entry: Entry, about: pa.Table) -> NDArray[np.bool_]:
    """Say which documents an entry is for, its percentiles left aside.

    `about` has the columns source, kind, language, license, uri, and the signals that entries name.
    """
    holds = np.ones(about.num_rows, bool)
    for column, values, missing in (
        ("source", entry.sources, ""),
        ("kind", entry.kinds, ""),
        ("language", entry.languages, UNKNOWN),
        ("license", entry.licenses, NONE),
    ):
        if values:
            told = pc.fill_null(about[column].cast(pa.string()), missing)
            holds &= _bool(pc.is_in(told, value_set=pa.array(values, pa.string())))
    if entry.domains:
        hosts = host(about["uri"])
        inside = np.zeros(about.num_rows, bool)
        for name in (one.lower() for one in entry.domains):
            inside |= _bool(pc.equal(hosts, name)) | _bool(pc.ends_with(hosts, f".{name}"))
        holds &= inside
    if entry.signal is not None:
        value = numbers(about, entry.signal)
        holds &= ~np.isnan(value)  # what was not measured is in no bucket
        with np.errstate(invalid="ignore"):
            if entry.min is not None:
                holds &= value >= entry.min
            if entry.max is not None:
                holds &= value < entry.max
    return holds


def numbers(about: pa.Table, signal: str) -> NDArray[np.float64]:
    """Return a signal's values, NaN where it was not measured."""
    return pc.fill_null(about[signal].cast(pa.float64()), float("nan")).to_numpy()


def _bool(values: pa.Array | pa.ChunkedArray) -> NDArray[np.bool_]:
    return np.asarray(values.to_numpy(zero_copy_only=False) if isinstance(values, pa.Array) else values.to_numpy())


def bucket(value: NDArray[np.float64], bits: Bits, percentiles: tuple[float, float]) -> NDArray[np.bool_]:
    """Mark the documents between two percentiles of their values; equal values go by id.

    Buckets that meet share no document and leave none out. The highest value is in the bucket that ends at 100.
    """
    ranks = np.empty(len(value), np.int64)
    ranks[np.lexsort((bits, value))] = np.arange(len(value))
    low, high = (int(np.floor(one / 100 * len(value))) for one in percentiles)
    return (ranks >= low) & (ranks < (len(value) if percentiles[1] == 100 else high))


@dataclass
class Selection:
    """Gathers part after part what the entries of one stage are for; `done` then gives every document its entry."""

    entries: Sequence[Entry]
    _fits: list[NDArray[np.bool_]] = field(default_factory=list[NDArray[np.bool_]])
    _values: list[list[NDArray[np.float64]]] = field(default_factory=list[list[NDArray[np.float64]]])

    def add(self, about: pa.Table) -> None:
        """Look at some documents."""
        self._fits.append(np.array([fits(entry, about) for entry in self.entries]).reshape(-1, about.num_rows))
        self._values.append([numbers(about, str(entry.signal)) for entry in self._ranked()])

    def _ranked(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.percentiles is not None]

    def done(self, bits: Bits) -> tuple[Labels, list[int]]:
        """Return the entry of each document, -1 for none, and how many documents each entry is for."""
        holds = np.concatenate(self._fits, axis=1) if self._fits else np.zeros((len(self.entries), 0), bool)
        values = iter([np.concatenate([part[at] for part in self._values]) for at in range(len(self._ranked()))])
        labels = np.full(holds.shape[1], -1, np.int16)
        counts: list[int] = []
        for number, entry in enumerate(self.entries):
            if entry.percentiles is not None:
                value = next(values)
                rows = np.flatnonzero(holds[number])
                inside = bucket(value[rows], bits[rows], entry.percentiles)
                holds[number, rows[~inside]] = False
            counts.append(int(holds[number].sum()))
            labels[(labels < 0) & holds[number]] = number
        return labels, counts
