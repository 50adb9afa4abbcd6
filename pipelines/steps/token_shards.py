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
    ]
)
"""A row a document in training order: where its tokens begin in its shard, and how many they are with the end mark."""

PLACES_SCHEMA = pa.schema([pa.field("row", pa.int64()), pa.field("shard", pa.int32()), pa.field("start", pa.int64())])
"""Where the document of a part's row goes; a row for each time it is taken."""

PLACED_SCHEMA = pa.schema(
    [
        pa.field("shard", pa.int32()),
        pa.field("start", pa.int64()),
        pa.field("tokens", pa.large_list(pa.field("token", pa.uint32(), nullable=False))),
    ]
)


@dataclass(frozen=True)
class TokenShard(PartFormat):
    """Tokens one after the other, little-endian, each document ended by `eos`."""

    dtype: str = "uint32"
    eos: int = 0

    def write(self, path: Path, tables: Iterable[pa.Table], schema: pa.Schema) -> int:
        """Write tables of PLACED_SCHEMA, in order, and return the number of tokens."""
        count = 0
        with path.open("wb") as sink:
            for table in tables:
                for chunk in table["tokens"].chunks:
                    tokens = self._ended(chunk)
                    sink.write(tokens.tobytes())
                    count += len(tokens)
        return count

    def _ended(self, lists: pa.LargeListArray) -> NDArray[np.generic]:
        offsets = lists.offsets.to_numpy()
        values = lists.values.to_numpy()[offsets[0] : offsets[-1]]
        documents = np.arange(len(lists))
        tokens = np.empty(len(values) + len(lists), np.dtype(self.dtype).newbyteorder("<"))
        tokens[np.arange(len(values)) + np.repeat(documents, np.diff(offsets))] = values
        tokens[offsets[1:] - offsets[0] + documents] = self.eos
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
    rows: NDArray[np.int64],
    lengths: NDArray[np.int64],
    ids: pa.Array,
    sources: pa.Array,
    borders: NDArray[np.int64],
) -> Laid:
    """Fill shards in order: a document lies in the shard in which its first token falls.

    Args:
        stage: the stage's name.
        rows: row of the supply for each place in training order.
        lengths: tokens of each, with the end mark.
        ids: ids of each.
        sources: sources of each.
        borders: rows of the supply at which its parts begin, and the number of rows.
    """
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
        ],
        schema=ORDER_SCHEMA,
    )
    by_row = np.argsort(rows, kind="stable")
    cuts = np.searchsorted(rows[by_row], borders)
    places: list[pa.Table] = []
    for part, (begin, end) in enumerate(pairwise(cuts)):
        chosen = by_row[begin:end]
        columns = [rows[chosen] - borders[part], shard[chosen].astype(np.int32), inside[chosen]]
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
            taken = listing["tokens"].take(some["row"])
            yield pa.table([some["shard"], some["start"], taken], schema=PLACED_SCHEMA)


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
