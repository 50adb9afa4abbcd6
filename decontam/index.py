"""The index of benchmark items, and the scan of texts against it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from decontam.benchmark import Benchmark
from decontam.layout import Batch, Found, Postings, Rules
from decontam.match import code_points, ngrams, prepare, scan
from decontam.method import Method
from decontam.pieces import Assembled, assemble
from decontam.storage import load, save
from decontam.tokens import PART_BYTES
from kernels.strings import TextBatch, portions, text_batch
from kernels.words import words

__all__ = ["HITS_SCHEMA", "Index"]

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

# Of one n-gram's places in one piece no more than these are kept: an item that repeats itself is found all the same.
_MOST_PLACES = 4


class Index:
    """Benchmark items by the n-grams of their questions. Make it with ``build`` or ``load``."""

    def __init__(self, method: Method, items: pa.Table, postings: Postings, owners: tuple[Any, Any]) -> None:
        """Take the parts that ``build`` makes and ``save`` stores."""
        self.method = method
        self._items = items  # benchmark, item, reason
        # Read-only, whether built or loaded: Numba compiles the scan for one type.
        self._postings = Postings(*(_read_only(array) for array in postings))
        self._owner_offsets, self._owner_items = owners  # of each piece
        self._lookup = prepare(self._postings)

    @classmethod
    def build(cls, benchmarks: Iterable[Benchmark], method: str | Method = "default") -> Self:
        """Index the items of benchmarks.

        Args:
            benchmarks: in any order; it does not change what is found.
            method: "default" (rarity-weighted coverage of the question by 5-grams of words), "ngram" (any 13-gram of
                words, as GPT-3), or parameters of your own.

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
        postings, alive = _postings(assembled, chosen)
        pairs = alive[assembled.owner_piece]
        piece, item = assembled.owner_piece[pairs], assembled.owner_item[pairs]
        order = np.lexsort((item, piece))
        counts = np.bincount(piece, minlength=len(alive))
        owner_offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        reasons = np.array(assembled.reasons, dtype=object)
        found = np.zeros(len(reasons), np.bool_)
        found[item] = True
        template = (
            f"template: nearly all its {chosen.n}-grams are those of more than {chosen.max_items} other questions"
        )
        reasons[~found & (reasons == "")] = template
        items = pa.table(
            {
                "benchmark": pa.array([one.name for one in given for _ in range(len(one))], pa.string()),
                "item": pa.array([item for one in given for item in one.items["id"].to_pylist()], pa.string()),
                "reason": pa.array(reasons.tolist(), pa.string()),
            }
        )
        return cls(chosen, items, postings, (owner_offsets, item[order].astype(np.int64)))

    def __len__(self) -> int:
        """Return the number of items, checkable or not."""
        return self._items.num_rows

    @property
    def not_checkable(self) -> pa.Table:
        """The items that no scan can find: benchmark, item, reason."""
        wanted = np.array(self._items["reason"].to_pylist(), dtype=object) != ""
        return self._items.filter(pa.array(wanted.astype(np.bool_)))

    @property
    def nbytes(self) -> int:
        """Bytes of the index in memory, tables for looking up included."""
        arrays = [*self._postings, self._lookup.bits, self._lookup.directory, self._owner_offsets, self._owner_items]
        return sum(array.nbytes for array in arrays) + self._items.nbytes

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
        batch = text_batch(text)
        columns: list[list[NDArray[Any]]] = []
        first_row = 0
        for part in portions(batch, PART_BYTES):
            columns.append(self._scan(part, first_row))
            first_row += len(part.offsets) - 1
        if not columns:
            return HITS_SCHEMA.empty_table()
        row, piece, start, end, score = (np.concatenate(column) for column in zip(*columns, strict=True))
        return self._rows(row, piece, start, end, score)

    def save(self, path: str | Path) -> None:
        """Write the index to a folder; it is whole or not there.

        Raises:
            FileExistsError: something is at ``path``.
        """
        arrays = {**self._postings._asdict(), "owner_offsets": self._owner_offsets, "owner_items": self._owner_items}
        save(Path(path), self.method, self._items, arrays)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read an index that ``save`` wrote.

        Raises:
            FileNotFoundError: there is none, or it is half-written.
            ValueError: a file is damaged, or this version splits and hashes words differently.
        """
        method, items, arrays = load(Path(path))
        owners = (arrays.pop("owner_offsets"), arrays.pop("owner_items"))
        return cls(method, items, Postings(**arrays), owners)

    def _scan(self, part: TextBatch, first_row: int) -> list[NDArray[Any]]:
        found = words(part)
        method = self.method
        rules = Rules(
            method.n,
            method.drop_labels,
            method.min_words,
            method.min_evidence,
            method.min_score,
            method.min_density,
            method.max_gap,
        )
        hits: Found = scan(Batch(part.data, *found), self._postings, self._lookup, rules)
        begins = part.offsets[hits.text]
        return [
            hits.text + first_row,
            hits.piece,
            code_points(part.data, begins, hits.start),
            code_points(part.data, begins, hits.end),
            hits.score,
        ]

    def _rows(self, row: Any, piece: Any, start: Any, end: Any, score: Any) -> pa.Table:
        """Turn hits of pieces into rows of items, overlapping ones of one item into the best."""
        owners = self._owner_offsets[piece + 1] - self._owner_offsets[piece]
        hit = np.repeat(np.arange(len(piece)), owners)
        ends = np.cumsum(owners)
        item = self._owner_items[
            np.arange(len(hit)) - np.repeat(ends - owners, owners) + self._owner_offsets[piece[hit]]
        ]
        # Best first inside a row's item: the higher score, then the longer passage, then the earlier.
        order = np.lexsort((start[hit], start[hit] - end[hit], -score[hit], item, row[hit]))
        chosen: list[int] = []
        taken: list[tuple[int, int]] = []
        current: tuple[int, int] = (-1, -1)
        for k in order.tolist():
            h = int(hit[k])
            if (int(row[h]), int(item[k])) != current:
                current, taken = (int(row[h]), int(item[k])), []
            span = (int(start[h]), int(end[h]))
            if all(span[1] <= a or b <= span[0] for a, b in taken):
                taken.append(span)
                chosen.append(k)
        picked = np.array(chosen, np.int64)
        source = hit[picked]
        named = self._items.take(pa.array(item[picked]))
        table = pa.Table.from_arrays(
            [row[source], named["benchmark"], named["item"], start[source], end[source], score[source]],
            schema=HITS_SCHEMA,
        )
        keys = [(name, "ascending") for name in ("row", "start", "benchmark", "item", "end")]
        return table.sort_by(keys).combine_chunks()


def _postings(pieces: Assembled, method: Method) -> tuple[Postings, NDArray[np.bool_]]:
    """Return the n-grams of the pieces without templates, and which pieces are left with enough of them."""
    gram, piece, position = ngrams(pieces.offsets, pieces.hashes, method.n)
    order = np.lexsort((position, piece, pieces.group[piece], gram))
    gram, piece, position = gram[order], piece[order], position[order]
    new = np.concatenate(([True], gram[1:] != gram[:-1])) if len(gram) else np.zeros(0, np.bool_)
    number = np.cumsum(new) - 1
    group = pieces.group[piece]
    other_group = new | np.concatenate(([True], group[1:] != group[:-1])) if len(gram) else new
    groups = np.bincount(number[other_group], minlength=int(new.sum()))
    other_piece = new | np.concatenate(([True], piece[1:] != piece[:-1])) if len(gram) else new
    first = np.maximum.accumulate(np.where(other_piece, np.arange(len(gram)), 0)) if len(gram) else number
    keep = (groups[number] <= method.max_items) & (np.arange(len(gram)) - first < _MOST_PLACES)

    coverable = np.zeros(len(pieces.hashes), np.bool_)
    at = pieces.offsets[piece[keep]] + position[keep]
    for step in range(method.n):
        coverable[at + step] = True
    weights = np.where(coverable, pieces.weights, 0).astype(np.float32)
    words_left = np.add.reduceat(np.append(coverable, False), pieces.offsets[:-1]) if len(pieces.lead) else np.zeros(0)
    running = np.concatenate(([0.0], np.cumsum(weights, dtype=np.float64)))
    evidence = running[pieces.offsets[1:]] - running[pieces.offsets[:-1]]
    asked = running[pieces.offsets[:-1] + pieces.question] - running[pieces.offsets[:-1]]
    alive = (words_left >= method.min_words) & (evidence >= method.min_evidence) & (asked > 0)
    keep &= alive[piece]
    gram, piece, position = gram[keep], piece[keep], position[keep]
    grams, first_posting = np.unique(gram, return_index=True)
    postings = Postings(
        grams=grams,
        offsets=np.append(first_posting, len(gram)).astype(np.int64),
        piece=piece.astype(np.int32),
        position=position.astype(np.int32),
        piece_offsets=pieces.offsets,
        words=pieces.hashes.astype(np.uint16),
        weights=weights,
        question=pieces.question,
        lead=pieces.lead,
        trail=pieces.trail,
    )
    return postings, alive


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view
