"""Files of a step without some records: Parquet by its `id` column, token shards by the listing beside them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from numpy.typing import NDArray

from pipelines.ledger import KEPT, LEDGER_SCHEMA
from pipelines.report.folder import BATCH_ROWS
from pipelines.storage import (
    PARQUET,
    FileEntry,
    atomic,
    local_copy,
    read_batches,
    read_schema,
    read_table,
    rows_where,
    write_part,
)
from pipelines.takedown.guard import withdrawn

QUOTES = ("text", "aligned", "excerpt", "context", "line")
"""Fields of a ledger row's evidence that may quote the record."""
LONG = 200
"""Characters from which on any other text in evidence counts as a quotation."""


@dataclass(frozen=True)
class Gone:
    """The records to take out, and what ledgers say of it."""

    ids: tuple[str, ...]
    evidence: str

    @property
    def column(self) -> pa.Array[Any]:
        """The ids as Arrow has them."""
        return pa.array(self.ids, pa.string())


def holds(path: Path, gone: Gone) -> bool:
    """Whether a Parquet file with an `id` column has any of the records; row groups of other ids are not read."""
    found = rows_where([path], ds.field("id").isin(gone.column), ["id"])
    return any(batch.num_rows for batch in found)


def rewrite(source: Path, target: Path, gone: Gone) -> FileEntry:
    """Write a Parquet file again without the records.

    Rows of a ledger stay, without what they quote; extracted rows stay as dropped ones without text, so that the sums
    of a later build close; of everything else the rows go.
    """
    schema = read_schema(source)
    return write_part(target, _without(source, schema, gone), schema, PARQUET)


def _without(source: Path, schema: pa.Schema, gone: Gone) -> Iterator[pa.Table]:
    for table in read_batches(source, BATCH_ROWS if "text" not in schema.names else 2048):
        mine = pc.is_in(table["id"], value_set=gone.column)
        if not pc.any(mine).as_py():
            yield table
        elif set(LEDGER_SCHEMA.names) <= set(schema.names):
            yield without_quotes(table, mine)
        elif {"verdict", "text"} <= set(schema.names):
            kept = pc.and_(mine, pc.equal(table["verdict"], KEPT))
            yield withdrawn(table, kept, pa.scalar(gone.evidence))
        else:
            yield table.filter(pc.invert(mine))


def without_quotes(table: pa.Table, mine: Any) -> pa.Table:
    """Take what ledger rows quote of their records out of their evidence."""
    at = np.flatnonzero(pc.fill_null(pc.and_(mine, pc.is_valid(table["evidence"])), False).to_numpy())
    if not len(at):
        return table
    evidence = table["evidence"].to_pylist()
    for row in at.tolist():
        evidence[row] = _plain(evidence[row])
    column = pa.array(evidence, table.schema.field("evidence").type)
    return table.set_column(table.schema.get_field_index("evidence"), "evidence", column)


def _plain(evidence: str) -> str:
    try:
        told = json.loads(evidence)
    except ValueError:
        return "{}"
    from pipelines.document import canonical_json

    return canonical_json(_unquoted(told))


def _unquoted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _unquoted(one) for name, one in value.items() if name not in QUOTES}
    if isinstance(value, list):
        return [_unquoted(one) for one in value]
    return "…" if isinstance(value, str) and len(value) > LONG else value


def rows_of(listing: Path, gone: Gone) -> NDArray[np.int64]:
    """Rows of a stage's documents.parquet (places in training order) that hold the records, ascending."""
    ids = read_table(listing, ["id"])["id"]
    return np.flatnonzero(pc.is_in(ids, value_set=gone.column).to_numpy())


@dataclass(frozen=True)
class Blank:
    """Stretches of one token shard that become end marks."""

    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]


def blanks(listing: Path, rows: NDArray[np.int64]) -> dict[int, Blank]:
    """Return the stretches of each shard that rows of documents.parquet cover."""
    table = read_table(listing, ["shard", "start", "length"])
    shard, start, length = (table[name].to_numpy()[rows].astype(np.int64) for name in ("shard", "start", "length"))
    return {number: Blank(start[shard == number], length[shard == number]) for number in np.unique(shard).tolist()}


def overwrite(source: Path, target: Path, blank: Blank, dtype: str, eos: int, rows: int) -> FileEntry:
    """Write a token shard again with stretches of it overwritten by the end mark: lengths and places stay."""
    kind = np.dtype("<u2" if dtype == "uint16" else "<u4")
    with local_copy(source) as file, atomic(target) as temporary:
        tokens = np.fromfile(file, kind)
        tokens[covered(blank.starts, blank.lengths)] = eos
        content = tokens.tobytes()
        temporary.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    return FileEntry(path=f"{target.parent.name}/{target.name}", rows=rows, bytes=len(content), sha256=digest)


def covered(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Every position of stretches, one stretch after the other."""
    if not len(starts):
        return np.empty(0, np.int64)
    ends = np.cumsum(lengths)
    return np.arange(int(ends[-1])) + np.repeat(starts - (ends - lengths), lengths)


def listed(paths: Sequence[Path], columns: Sequence[str], gone: Gone) -> Iterable[dict[str, Any]]:
    """Read the records' rows of some files."""
    for batch in rows_where(list(paths), ds.field("id").isin(gone.column), list(columns)):
        yield from batch.to_pylist()
