"""Sort more rows than fit in memory: sorted runs on disk, merged as a stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.document import concat
from pipelines.ledger import sort
from pipelines.storage import full_disk_named

MERGE_BYTES = 1 << 20
"""About what a merge reads ahead from each run."""


def write_ipc(path: Path, tables: Iterable[pa.Table], schema: pa.Schema) -> None:
    """Write a spill: Arrow IPC, because it is read back once, by mapping it into memory that processes share."""
    temporary = path.with_suffix(".tmp")
    with (
        full_disk_named(path),
        pa.OSFile(str(temporary), "wb") as sink,
        pa.ipc.new_file(sink, schema) as writer,
    ):
        for table in tables:
            writer.write_table(table, max_chunksize=max(1, table.num_rows * MERGE_BYTES // max(1, table.nbytes)))
    temporary.rename(path)


def read_ipc(path: Path) -> Iterator[pa.Table]:
    """Read a spill batch by batch without copying it."""
    with pa.memory_map(str(path)) as source:
        reader = pa.ipc.open_file(source)
        for number in range(reader.num_record_batches):
            yield pa.Table.from_batches([reader.get_batch(number)])


class Sorter:
    """Takes tables in any order and gives their rows back sorted, holding about `budget` bytes of them in memory.

    What exceeds the budget is written to `folder` as sorted runs, which `close` removes. The order must be total up to
    rows that are equal in every column; then the answer depends neither on the budget nor on the order of arrival.
    """

    def __init__(self, schema: pa.Schema, keys: Sequence[str], folder: Path, budget: int) -> None:
        self._schema = schema
        self._keys = tuple(keys)
        self._folder = folder
        self._budget = budget
        self._held: list[pa.Table] = []
        self._bytes = 0
        self._runs: list[Path] = []

    def add(self, table: pa.Table) -> None:
        """Take some rows."""
        if not table.num_rows:
            return
        self._held.append(table)
        self._bytes += table.nbytes
        if self._bytes > self._budget:
            self._spill()

    def sorted(self) -> Iterator[pa.Table]:
        """Give all rows back in order; once only."""
        if not self._runs:
            table = self._sorted_held()
            if table.num_rows:
                yield table
            return
        if self._held:
            self._spill()
        yield from merged([read_ipc(path) for path in self._runs], self._keys)

    def close(self) -> None:
        """Remove the runs."""
        for path in self._runs:
            path.unlink(missing_ok=True)
        self._held, self._runs = [], []

    def _sorted_held(self) -> pa.Table:
        table = sort(concat(self._held, self._schema), self._keys)
        self._held, self._bytes = [], 0
        return table

    def _spill(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"run-{len(self._runs):05d}.arrow"
        write_ipc(path, [self._sorted_held()], self._schema)
        self._runs.append(path)


def merged(runs: Sequence[Iterator[pa.Table]], keys: Sequence[str]) -> Iterator[pa.Table]:
    """Merge sorted streams into one, table by table.

    What every stream has read ahead is sorted together; rows up to the first stream's last row read are settled,
    since whatever is still unread comes after it. So any types, directions of null and number of keys are those of
    one sort.
    """
    streams = list(runs)
    ahead: list[pa.Table | None] = [next(stream, None) for stream in streams]
    while any(table is not None for table in ahead):
        alive = [number for number, table in enumerate(ahead) if table is not None]
        tables = [table for table in ahead if table is not None]
        together = pa.concat_tables(tables)
        order = pc.sort_indices(together, sort_keys=[(key, "ascending") for key in keys]).to_numpy()
        ends = np.cumsum([table.num_rows for table in tables])
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        last = rank[ends - 1]
        settled = int(last.min()) + 1
        yield together.take(pa.array(order[:settled]))
        for number, table, start in zip(alive, tables, ends - [t.num_rows for t in tables], strict=True):
            # A stream's rows keep their order in the sort, so that what is left of it is its tail.
            left = int((rank[start : start + table.num_rows] >= settled).sum())
            rest = table.slice(table.num_rows - left) if left else next(streams[number], None)
            ahead[number] = rest
    return


def whole_groups(tables: Iterable[pa.Table], key: Sequence[str], size: int) -> Iterator[pa.Table]:
    """Cut a stream that is sorted by `key` into tables of about `size` bytes that never part equal keys."""
    held: list[pa.Table] = []
    count, enough = 0, size
    for table in tables:
        if not table.num_rows:
            continue
        held.append(table)
        count += table.nbytes
        if count < enough:
            continue
        whole = pa.concat_tables(held)
        at = last_group(whole, key)
        if at:
            yield whole.slice(0, at)
        held = [whole.slice(at)]
        count = held[0].nbytes
        enough = max(size, 2 * count)  # one group larger than a table: looked through a few times, not at every piece
    if held:
        yield pa.concat_tables(held)


def last_group(table: pa.Table, key: Sequence[str]) -> int:
    """Return the row at which the last group of equal keys begins."""
    same = np.ones(table.num_rows, bool)
    for name in key:
        column = table[name]
        last = column[table.num_rows - 1]
        equal = pc.is_null(column) if not last.is_valid else pc.fill_null(pc.equal(column, last), False)
        same &= equal.to_numpy()
    return int(np.flatnonzero(~same)[-1]) + 1 if not same.all() else 0
