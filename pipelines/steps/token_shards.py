"""Tokens in training order: every document is sent to its place in a stage's shards, on the engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.engines.plan import GroupBy, Output, Plan, Shard
from pipelines.steps.step import As, Finished, Steps, partition_shards
from pipelines.storage import FileEntry, PartFormat, at, read_table, write_parquet

SHARD_TOKENS = 64 << 20
"""Tokens in one tokenised shard."""

ORDER_SCHEMA = pa.schema(
    [
        pa.field("shard", pa.int32()),
        pa.field("start", pa.int64()),
        pa.field("length", pa.int32()),
        pa.field("id", pa.string()),
        pa.field("source", pa.string()),
        pa.field("first", pa.int32()),
    ]
)
"""A row a document in training order: where its tokens begin in its shard, and how many they are with the end mark.

`first` is the token of the document with which it begins, 0 but for the rest of one that was cut.
"""

PLACES_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64()),
        pa.field("shard", pa.int32()),
        pa.field("start", pa.int64()),
        pa.field("first", pa.int32()),
        pa.field("length", pa.int32()),
    ]
)
"""Where the document of a part's row goes, and what of it; a row for each time it is taken."""

PLACED_SCHEMA = pa.schema(
    [
        pa.field("shard", pa.int32()),
        pa.field("start", pa.int64()),
        pa.field("tokens", pa.large_list(pa.field("token", pa.uint32(), nullable=False))),
        pa.field("ended", pa.bool_()),
    ]
)
"""`ended` says whether the document ends with these tokens; the head of one that is cut has no end mark."""


@dataclass(frozen=True)
class TokenShard(PartFormat):
    """Tokens one after the other, little-endian, each document ended by `eos` where it ends."""

    dtype: str = "uint32"
    eos: int = 0

    def write(self, path: Path, tables: Iterable[pa.Table], schema: pa.Schema) -> int:
        """Write tables of PLACED_SCHEMA, in order, and return the number of tokens."""
        count = 0
        with path.open("wb") as sink:
            for table in tables:
                ended = table["ended"].to_numpy()
                done = 0
                for chunk in table["tokens"].chunks:
                    tokens = self._ended(chunk, ended[done : done + len(chunk)])
                    sink.write(tokens.tobytes())
                    count += len(tokens)
                    done += len(chunk)
        return count

    def _ended(self, lists: pa.LargeListArray, ended: NDArray[np.bool_]) -> NDArray[np.generic]:
        offsets = lists.offsets.to_numpy()
        values = lists.values.to_numpy()[offsets[0] : offsets[-1]]
        marks = np.cumsum(ended) - ended  # end marks before each
        tokens = np.empty(len(values) + int(ended.sum()), np.dtype(self.dtype).newbyteorder("<"))
        tokens[np.arange(len(values)) + np.repeat(marks, np.diff(offsets))] = values
        tokens[(offsets[1:] - offsets[0] + marks)[ended]] = self.eos
        return tokens


@dataclass(frozen=True)
class Laid:
    """A stage in training order: the listing for readers, and for each part of the documents where its rows go."""

    stage: str
    order: pa.Table
    places: list[pa.Table]
    shards: int


def lay_out(
    stage: str,
    pieces: NDArray[np.int64],
    ids: pa.Array,
    sources: pa.Array,
    borders: NDArray[np.int64],
) -> Laid:
    """Fill shards in order: a document lies in the shard in which its first token falls.

    Args:
        stage: the stage's name.
        pieces: of each place in training order the row of the supply, the first of its tokens that is taken, and how
            many are, with the end mark.
        ids: ids of each.
        sources: sources of each.
        borders: rows of the supply at which its parts begin, and the number of rows.
    """
    rows, firsts, lengths = pieces.T
    ends = np.cumsum(lengths)
    starts = ends - lengths
    shard = starts // SHARD_TOKENS
    count = int(shard[-1]) + 1 if len(shard) else 1
    # A long document may step over a whole shard, which then stays empty.
    first = np.searchsorted(shard, np.arange(count))
    bases = starts[np.minimum(first, len(starts) - 1)] if len(starts) else np.zeros(1, np.int64)
    inside = starts - bases[shard] if len(starts) else starts
    order = pa.table(
        [
            pa.array(shard.astype(np.int32)),
            pa.array(inside),
            pa.array(lengths.astype(np.int32)),
            ids.cast(pa.string()),
            sources.cast(pa.string()),
            pa.array(firsts.astype(np.int32)),
        ],
        schema=ORDER_SCHEMA,
    )
    by_row = np.argsort(rows, kind="stable")
    cuts = np.searchsorted(rows[by_row], borders)
    places: list[pa.Table] = []
    for part, (begin, end) in enumerate(pairwise(cuts)):
        chosen = by_row[begin:end]
        taken = [one[chosen].astype(np.int32) for one in (firsts, lengths)]
        columns = [rows[chosen] - borders[part], shard[chosen].astype(np.int32), inside[chosen], *taken]
        places.append(pa.table([pa.array(column) for column in columns], schema=PLACES_SCHEMA))
    return Laid(stage, order, places, count)


@dataclass(frozen=True)
class ReadPlaced:
    """Reads the tokens of one part, each document as often as it is taken, with the places they go to."""

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield tables of PLACED_SCHEMA."""
        tokens, places = (at(path) for path in shard.payload)
        wanted = read_table(places)
        listing = read_table(tokens, ["tokens"])
        for start in range(0, wanted.num_rows, 4096):
            some = wanted.slice(start, 4096)
            lists = pa.concat_arrays(listing["tokens"].take(some["row"]).chunks)
            taken, ended = parts_of(lists, *(some[name].to_numpy().astype(np.int64) for name in ("first", "length")))
            yield pa.table([some["shard"], some["start"], taken, ended], schema=PLACED_SCHEMA)


def parts_of(
    lists: pa.LargeListArray, first: NDArray[np.int64], length: NDArray[np.int64]
) -> tuple[pa.LargeListArray, pa.BooleanArray]:
    """Return what is taken of each document, its end mark left out, and whether that is one of the `length` tokens.

    Lists are handed on as they are where all are taken whole.
    """
    offsets = lists.offsets.to_numpy()
    sizes = np.diff(offsets)
    ended = first + length == sizes + 1
    counts = length - ended
    if not np.array_equal(counts, sizes):
        values = lists.values.to_numpy()
        ends = np.cumsum(counts)
        places = np.arange(int(ends[-1])) + np.repeat(offsets[:-1] + first - (ends - counts), counts)
        kind = PLACED_SCHEMA.field("tokens").type
        lists = pa.LargeListArray.from_arrays(pa.array(np.append(0, ends)), pa.array(values[places]), kind)
    return lists, pa.array(ended)


def by_shard(table: pa.Table, partitions: int) -> pa.Array:
    """Partition rows by the shard they belong to: partition i is shard i."""
    return table["shard"].combine_chunks()


def write_tokens(steps: Steps, folder: Path, laid: Laid, tokenized: Finished, form: TokenShard) -> list[FileEntry]:
    """Write a stage's token shards and the listing of its documents."""
    name = f"tokens-{laid.stage}"
    places = [folder / f"places-{laid.stage}" / f"part-{part:05d}.parquet" for part in range(len(laid.places))]
    for path, table in zip(places, laid.places, strict=True):
        write_parquet(path, table)
    plan = Plan(
        name=f"08-mix {name}",
        shards=partition_shards([tokenized.parts("tokens"), places]),
        read=ReadPlaced(),
        emit=As(name),
        outputs={name: Output(PLACED_SCHEMA, ("start",), form)},
        group=GroupBy(PLACED_SCHEMA, laid.shards, by_shard, ("shard", "start"), ("shard", "start")),
        conserve=(name,),
    )
    done = steps.run(plan, folder)
    return [*done.files[name], write_parquet(folder / name / "documents.parquet", laid.order)]
