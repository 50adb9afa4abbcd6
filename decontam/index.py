"""The index of benchmark items, and the scan of texts against it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from decontam.benchmark import Benchmark
from decontam.build import ALIVE, COMMON, build
from decontam.folding import folded
from decontam.found import placed
from decontam.layout import ALIGN, COVER, RUN, Batch, Found, Lookup, Postings, Rules
from decontam.lookup import lookup_of
from decontam.match import scan
from decontam.method import Method
from decontam.overlaps import best_apart
from decontam.pieces import assemble, shown
from decontam.reading import texts_of
from decontam.runs import counted, scan_runs
from decontam.seeds import code_points
from decontam.storage import load, save
from kernels.blocks import at_least_a_block
from kernels.distinct import distinct
from kernels.strings import TextBatch, chosen, portions, text_batch
from kernels.tokens import tokens

__all__ = ["BENCHMARKS_SCHEMA", "HITS_SCHEMA", "SHOWN_SCHEMA", "Index"]

HITS_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("benchmark", pa.string(), nullable=False),
        pa.field("item", pa.string(), nullable=False),
        pa.field("start", pa.int64(), nullable=False),
        pa.field("end", pa.int64(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),
    ]
)
SHOWN_SCHEMA = HITS_SCHEMA.append(pa.field("number", pa.int64())).append(pa.field("beyond", pa.int64()))
BENCHMARKS_SCHEMA = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),
        pa.field("split", pa.string()),
        pa.field("license", pa.string()),
        pa.field("digest", pa.string(), nullable=False),
        pa.field("items", pa.int64(), nullable=False),
    ]
)
# Bytes of text that one call of a scan takes: its rooms are made once for them. Borders lie between texts.
_PART_BYTES = 1 << 24
_TABLES = ("slots", "pairs")
_KINDS = {"align": ALIGN, "cover": COVER, "run": RUN}
_SAME_HITS = [(name, "ascending") for name in ("row", "start", "benchmark", "item", "end")]


class Index:
    """Benchmark items by the n-grams of their questions. Make it with ``build`` or ``load``."""

    def __init__(
        self,
        method: Method,
        items: pa.Table,
        benchmarks: pa.Table,
        postings: Postings,
        lookup: Lookup,
        owners: tuple[Any, Any],
    ) -> None:
        """Take the parts that ``build`` makes and ``save`` stores."""
        self.method = method
        self.benchmarks = benchmarks
        self._items = items  # benchmark, item, reason, solved, text
        # Read-only, whether built or loaded: Numba compiles the scan for one type.
        self._postings = Postings(*(_read_only(array) for array in postings))
        self._owner_offsets, self._owner_items = owners  # of each piece
        self._lookup = lookup_of(self._postings, _read_only(lookup.slots), _read_only(lookup.pairs))

    @classmethod
    def build(
        cls,
        benchmarks: Iterable[Benchmark],
        method: str | Method = "default",
        common: Sequence[int] | NDArray[np.uint64] = (),
    ) -> Self:
        """Index the items of benchmarks.

        Args:
            benchmarks: in any order; it does not change what is found.
            method: a name in ``decontam.method.METHODS``, or parameters of your own.
            common: hashes of n-grams in common use in the corpus, as ``count`` gives them: they prove nothing.

        Raises:
            ValueError: there is no benchmark, two have the same name, or the method is unknown.
        """
        chosen = Method.named(method) if isinstance(method, str) else method
        given = sorted(benchmarks, key=lambda one: one.name)
        if not given:
            raise ValueError("benchmarks: none given; an index of nothing would call every text clean")
        names = [one.name for one in given]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f'benchmarks: name "{name}" is given {names.count(name)} times; names must be unique')
        assembled = assemble(given, chosen)
        postings, lookup, fate = build(assembled, chosen, distinct(np.asarray(common, np.uint64)))
        pairs = (fate == ALIVE)[assembled.owner_piece]
        piece, item = assembled.owner_piece[pairs], assembled.owner_item[pairs]
        order = np.lexsort((item, piece))
        owner_offsets = np.concatenate(([0], np.cumsum(np.bincount(piece, minlength=len(fate))))).astype(np.int64)
        reasons = np.array(assembled.reasons, dtype=object)
        lost = np.ones(len(reasons), np.bool_)
        lost[item] = False
        usual = np.zeros(len(reasons), np.bool_)
        usual[assembled.owner_item[fate[assembled.owner_piece] == COMMON]] = True
        found = ~lost
        alone = np.zeros(len(reasons), np.bool_)
        alone[item[assembled.question[piece] == np.diff(assembled.offsets)[piece]]] = True
        lost &= reasons == ""
        reasons[lost & usual] = f"common: nearly all its {chosen.n}-grams are in common use in the corpus"
        reasons[lost & ~usual] = (
            f"template: nearly all its {chosen.n}-grams are those of more than {chosen.max_items} other questions"
        )
        items = pa.table(
            {
                "benchmark": pa.array([one.name for one in given for _ in range(len(one))], pa.string()),
                "item": pa.array([item for one in given for item in one.items["id"].to_pylist()], pa.string()),
                "reason": pa.array(reasons.tolist(), pa.string()),
                "solved": pa.array(assembled.solved & found & ~alone),
                "text": shown(given),
            }
        )
        listed = pa.Table.from_pylist(
            [
                {"name": one.name, "split": one.split, "license": one.license, "digest": one.digest, "items": len(one)}
                for one in given
            ],
            schema=BENCHMARKS_SCHEMA,
        )
        return cls(chosen, items, listed, postings, lookup, (owner_offsets, item[order].astype(np.int64)))

    def __len__(self) -> int:
        """Return the number of items, checkable or not."""
        return self._items.num_rows

    @property
    def not_checkable(self) -> pa.Table:
        """The items that no scan can find: benchmark, item, reason."""
        wanted = np.array(self._items["reason"].to_pylist(), dtype=object) != ""
        return self._items.select(["benchmark", "item", "reason"]).filter(pa.array(wanted.astype(np.bool_)))

    @property
    def alone(self) -> set[tuple[str, str]]:
        """The items that are found by their question (with a short context) alone: (benchmark, item)."""
        known = self._postings.pieces
        pieces = np.repeat(known["question"] == known["words"], np.diff(self._owner_offsets))
        named = self._items.take(pa.array(np.unique(self._owner_items[pieces])))
        return set(zip(named["benchmark"].to_pylist(), named["item"].to_pylist(), strict=True))

    @property
    def with_solution(self) -> set[tuple[str, str]]:
        """The items that are found by their question with its solution, answer or tests alone: (benchmark, item)."""
        named = self._items.filter(self._items["solved"])
        return set(zip(named["benchmark"].to_pylist(), named["item"].to_pylist(), strict=True))

    @property
    def nbytes(self) -> int:
        """Bytes of the index in memory, tables for looking up included; not those of the items' texts."""
        arrays = [*self._postings, *(getattr(self._lookup, name) for name in _TABLES)]
        arrays += [self._owner_offsets, self._owner_items]
        return sum(array.nbytes for array in arrays) + self._items.select(["benchmark", "item", "reason"]).nbytes

    def scan(self, text: pa.Array[Any] | pa.ChunkedArray[Any]) -> pa.Table:
        """Find benchmark items in texts.

        Args:
            text: ``n`` texts, string or large_string; a null counts as an empty text.

        Returns:
            ``HITS_SCHEMA``, one row a passage and item, sorted by row, start, benchmark and item; no row for a clean
            text: ``row`` (number of the text), ``benchmark``, ``item`` (its id), ``start`` and ``end`` (code points;
            the passage is ``text[start:end]``), ``score`` (share of the question found, by weight of its words; 0 to
            1). Of overlapping passages of one item the one of the highest score is given. What a text says does not
            depend on the others in the batch.
        """
        return self.scan_shown(text).select(HITS_SCHEMA.names)

    def scan_shown(self, text: pa.Array[Any] | pa.ChunkedArray[Any]) -> pa.Table:
        """Find as ``scan`` does; two more columns tell more of each passage.

        ``number`` is the item's: ``item_texts`` shows it. ``beyond`` is how many more passages the same text has that
        are not listed: of methods of kind ``run``, where one phrase may be that of any number of items, ``MOST_HITS``
        of a text are.
        """
        columns: list[list[NDArray[Any]]] = []
        first_row = 0
        for part in portions(text_batch(text), _PART_BYTES):
            columns.append(self._scan(part, first_row))
            first_row += len(part.offsets) - 1
        found = [np.concatenate(column) for column in zip(*columns, strict=True)] if columns else []
        if not found or not len(found[0]):
            return SHOWN_SCHEMA.empty_table()
        return self._rows(*found)

    def item_texts(self, numbers: Sequence[int]) -> list[str]:
        """Return items by their number as evidence shows them: context, question and choices."""
        return self._items["text"].take(pa.array(numbers, pa.int64())).to_pylist()

    def count(self, text: pa.Array[Any] | pa.ChunkedArray[Any]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Count the n-grams of items in texts: hashes, ascending, and how many texts hold each.

        Sums over a whole corpus say which are in common use; see ``build``.
        """
        found = [
            counted(texts_of(part), self._postings, self._lookup, self._rules(), self.method.lengths[1])
            for part in portions(text_batch(text), _PART_BYTES)
        ]
        if not found:
            return np.zeros(0, np.uint64), np.zeros(0, np.int64)
        grams, counts = np.unique(np.concatenate(found), return_counts=True)
        return grams, counts.astype(np.int64)

    def save(self, path: str | Path) -> None:
        """Write the index to a folder; it is whole or not there.

        Raises:
            FileExistsError: something is at ``path``.
        """
        tables = {name: getattr(self._lookup, name) for name in _TABLES}
        owners = {"owner_offsets": self._owner_offsets, "owner_items": self._owner_items}
        arrays = {**self._postings._asdict(), **tables, **owners}
        save(Path(path), self.method, {"items": self._items, "benchmarks": self.benchmarks}, arrays)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read an index that ``save`` wrote.

        Raises:
            FileNotFoundError: there is none, or it is half-written.
            ValueError: a file is damaged, or this version splits and hashes words differently.
        """
        method, tables, arrays = load(Path(path))
        owners = (arrays.pop("owner_offsets"), arrays.pop("owner_items"))
        # Asked at every word and every candidate: in memory of its own, which the system may map in large pages.
        made = {name: np.array(arrays.pop(name)) for name in _TABLES}
        postings = Postings(**arrays)
        return cls(method, tables["items"], tables["benchmarks"], postings, lookup_of(postings, **made), owners)

    def _rules(self) -> Rules:
        method = self.method
        return Rules(
            _KINDS[method.kind],
            method.n,
            method.short,
            method.drop_labels,
            method.min_words,
            method.min_evidence,
            method.min_score,
            method.min_choices,
            method.min_density,
            method.max_gap,
            method.gap_cost,
            method.band,
        )

    def _scan(self, part: TextBatch, first_row: int) -> list[NDArray[Any]]:
        texts, rules = texts_of(part), self._rules()
        hits: Found
        beyond = np.zeros(len(part.offsets) - 1, np.int64)
        if rules.kind == RUN:
            hits, beyond = scan_runs(texts, self._postings, self._lookup, rules, self.method.lengths[1])
        else:
            hits = scan(texts, self._postings, self._lookup, rules)
        dirty, number = np.unique(hits.text, return_inverse=True)
        with_hits = folded(chosen(part, dirty))
        data, offsets = at_least_a_block(with_hits.data), with_hits.offsets
        found = tokens(with_hits)
        batch = Batch(data, found.offsets, found.starts, found.ends, found.kinds)
        starts, ends = placed(hits, number, batch, rules.drop_labels)
        begins = offsets[number]
        return [
            hits.text + first_row,
            hits.piece,
            code_points(data, begins, starts),
            code_points(data, begins, ends),
            hits.score,
            beyond[hits.text],
        ]

    def _rows(self, row: Any, piece: Any, start: Any, end: Any, score: Any, beyond: Any) -> pa.Table:
        """Turn hits of pieces into rows of items, overlapping ones of one item into the best."""
        owners = self._owner_offsets[piece + 1] - self._owner_offsets[piece]
        hit = np.repeat(np.arange(len(piece)), owners)
        ends = np.cumsum(owners)
        item = self._owner_items[
            np.arange(len(hit)) - np.repeat(ends - owners, owners) + self._owner_offsets[piece[hit]]
        ]
        # Best first inside a row's item: the higher score, then the longer passage, then the earlier.
        order = np.lexsort((start[hit], start[hit] - end[hit], -score[hit], item, row[hit]))
        picked = best_apart(order, row[hit], item, start[hit], end[hit])
        source = hit[picked]
        named = self._items.select(["benchmark", "item"]).take(pa.array(item[picked]))
        columns = [row[source], named["benchmark"], named["item"], start[source], end[source], score[source]]
        table = pa.Table.from_arrays([*columns, item[picked], beyond[source]], schema=SHOWN_SCHEMA)
        return table.sort_by(_SAME_HITS).combine_chunks()


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view
