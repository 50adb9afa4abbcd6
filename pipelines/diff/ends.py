"""How each record of a run ended, a range of ids at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.report.folder import RunFolder, idea_of, part_name
from pipelines.storage import read_batches, row_count

LAST = ("mix", "tokenize", "takedown")
"""Steps after the judgements: a record that reaches the first of them is curated."""
ROWS = 1 << 21
"""Rows of a ledger in a range of ids, about: where parts are larger, ranges are finer, so that memory is bounded."""
COLUMNS = ["id", "source", "step", "verdict", "reason"]
ENDS = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("source", pa.string()),
        pa.field("step", pa.string()),
        pa.field("verdict", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("tokens", pa.int64()),
        pa.field("language", pa.string()),
        pa.field("kind", pa.string()),
    ]
)
"""A row a record: the step that ended its way, or the last that kept it; tokens where it came to the tokenizer."""

Held = tuple[dict[str, Path], bool]
"""Files of one step by their names, and whether they are the run's partitions: not those of a run mixed with it."""


@dataclass(frozen=True)
class Side:
    """One run of the two, read by ranges of ids.

    A run's ledger lies in parts by id: part i of n holds the ids whose upper bits lie in the i-th n-th. So a range is
    read from the parts that meet it, and only that much is in memory.
    """

    folder: RunFolder

    @cached_property
    def partitions(self) -> int:
        """Parts of everything that is partitioned by id."""
        return int(self.folder.facts["recipe"].get("partitions", 1))

    @cached_property
    def rows(self) -> int:
        """Rows of the ledger."""
        return sum(row_count(path) for path in self.folder.ledger)

    @cached_property
    def order(self) -> dict[str, int]:
        """Place of each step."""
        return {step.name: at for at, step in enumerate(self.folder.steps)}

    def parts(self, part: int, of: int) -> list[int]:
        """Which of the run's parts meet the part-th of `of` ranges."""
        low, high = part * self.partitions // of, -(-(part + 1) * self.partitions // of)
        return list(range(low, min(high, self.partitions)))

    def ends(self, part: int, of: int) -> pa.Table:
        """Return the end of each record of a range, sorted by id: ENDS."""
        tables: list[pa.Table] = []
        for number in self.parts(part, of):
            for table in read_batches(self.folder.ledger[number], 65_536, COLUMNS):
                tables.append(self._read(table if of == self.partitions else within(table, part, of)))
        if not tables:
            return ENDS.empty_table()
        rows = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
        at = self._last(rows)
        ends = rows.take(pa.array(at))
        columns: dict[str, Any] = {
            name: ends[name].cast(pa.string()) for name in ("id", "source", "step", "verdict", "reason")
        }
        ids = ends["id"].combine_chunks().cast(pa.string())
        return pa.table({**columns, **self._about(ids, part, of)}).cast(ENDS)

    def _read(self, table: pa.Table) -> pa.Table:
        """Keep what counts: a page that a crawl kept is named again by what was read from it."""
        steps = [name for name in pc.unique(table["step"]).to_pylist() if idea_of(name)[0] == "crawl"]
        fetched = pc.and_(
            pc.is_in(table["step"], value_set=pa.array(steps, pa.string())), pc.equal(table["verdict"], "kept")
        )
        table = table.filter(pc.invert(fetched))
        for at, name in enumerate(table.column_names):
            if name != "id":
                table = table.set_column(at, name, table[name].dictionary_encode())
        return table

    def _last(self, rows: pa.Table) -> Any:
        """Rows that end each record, by id: of its last step, the kept one where it was read twice."""
        steps = rows["step"].combine_chunks()
        names = steps.dictionary.to_pylist()
        place = np.array([self.order.get(name, len(self.order)) for name in names] or [0], np.int64)
        at = place[steps.indices.to_numpy()] if len(names) else np.zeros(rows.num_rows, np.int64)
        kept = pc.equal(rows["verdict"].cast(pa.string()), "kept").to_numpy().astype(np.int64)
        keyed = pa.table({"id": rows["id"], "rank": at * 2 + kept})
        order = pc.sort_indices(keyed, [("id", "ascending"), ("rank", "ascending")]).to_numpy()
        ids = rows["id"].take(pa.array(order)).combine_chunks()
        last = np.ones(len(order), bool)
        if len(order) > 1:
            last[:-1] = pc.not_equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False)
        return order[last]

    def _about(self, ids: pa.Array[Any], part: int, of: int) -> dict[str, Any]:
        """Look tokens, language and kind up where the record came so far."""
        found: dict[str, Any] = {}
        counts = self._table(self._tokens, ["id", "count"], part, of)
        at = None if counts is None else pc.index_in(ids, value_set=counts["id"].combine_chunks())
        found["tokens"] = pa.nulls(len(ids), pa.int64()) if counts is None else counts["count"].take(at)
        told = self._table(self._documents, ["id", "language", "kind"], part, of)
        where = None if told is None else pc.index_in(ids, value_set=told["id"].combine_chunks())
        for name in ("language", "kind"):
            found[name] = pa.nulls(len(ids), pa.string()) if told is None else told[name].take(where)
        found["language"] = pc.coalesce(found["language"], self._language(ids, part, of))
        return found

    def _language(self, ids: pa.Array[Any], part: int, of: int) -> Any:
        told = self._table(self._signals, ["id", "language.language"], part, of)
        if told is None:
            return pa.nulls(len(ids), pa.string())
        return told["language.language"].cast(pa.string()).take(pc.index_in(ids, value_set=told["id"].combine_chunks()))

    @cached_property
    def _tokens(self) -> list[Held]:
        return self._held([step.outputs["tokens"] for step in self.folder.steps if "tokens" in step.outputs][-1:])

    @cached_property
    def _documents(self) -> list[Held]:
        return self._held([self.folder.documents_until("measure")])

    @cached_property
    def _signals(self) -> list[Held]:
        return self._held([self.folder.signals])

    def _held(self, outputs: Iterable[Sequence[Path]]) -> list[Held]:
        """Sort files by the step that wrote them, and tell whether it has this run's partitions."""
        by_step: dict[Path, dict[str, Path]] = {}
        for path in chain.from_iterable(outputs):
            by_step.setdefault(path.parent, {})[path.name] = path
        names = {part_name(number) for number in range(self.partitions)}
        return [(held, held.keys() == names) for held in by_step.values()]

    def _table(self, outputs: list[Held], columns: list[str], part: int, of: int) -> pa.Table | None:
        """Read columns of the rows of a range, from all files where partitions differ; None where there are none."""
        tables: list[pa.Table] = []
        for held, alike in outputs:
            paths = [held[part_name(number)] for number in self.parts(part, of)] if alike else held.values()
            whole = alike and of == self.partitions
            for table in (table for path in paths for table in read_batches(path, 65_536, columns)):
                tables.append(table if whole else within(table, part, of))
        return pa.concat_tables(tables).combine_chunks() if tables else None


def within(table: pa.Table, part: int, of: int) -> pa.Table:
    """Keep the rows whose id lies in the part-th of `of` equal ranges of ids."""
    if of == 1 or not table.num_rows:
        return table
    from pipelines.document import partitions_of

    return table.filter(pc.equal(partitions_of(table["id"], of), part))


def ranges(one: Side, other: Side) -> Iterator[tuple[int, int, pa.Table, pa.Table]]:
    """Go through the ids of two runs, in as many ranges as the finer has parts, or more where parts are large."""
    of = max(one.partitions, other.partitions)
    largest = max(one.rows, other.rows)
    of *= max(1, -(-largest // (of * ROWS)))
    for part in range(of):
        yield part, of, one.ends(part, of), other.ends(part, of)
