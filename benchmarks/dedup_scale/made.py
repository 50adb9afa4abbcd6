"""Documents of about 1 kB made from real text by a seeded process, streamed: no part of them is ever stored.

A document is 32 pieces of five words, each a stretch of real text, drawn by a hash of (seed, document, place). Of every
ten documents the last two are a pair: the second has `own` pieces of its own, 0 to 20, the others are the first one's.
So the Jaccard similarity of a pair is known before anything runs (it is computed exactly from the two texts), all other
pairs of documents share next to nothing, and the same number makes the same document everywhere.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.engines.plan import Shard

PIECES = 32
WORDS = 5
MOST_OWN = 20
GROUP = 10
BATCH = 8192
TEXTS = ("nltk_state_union", "nltk_inaugural", "nltk_shakespeare", "nltk_genesis", "stackexchange_redpajama_sample")


@cache
def pieces(data: str) -> Any:
    """Return stretches of five words of real text: of POMONA_DATA's speeches, plays and answers, and Python's help."""
    texts = [page for _, page in sorted(topics.items())]
    for name in TEXTS:
        with gzip.open(Path(data) / "text" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            texts += [json.loads(line)["text"] for line in lines]
    found: list[str] = []
    for text in texts:
        words = text.split()
        found += [" ".join(words[at : at + WORDS]) for at in range(0, len(words) - WORDS + 1, WORDS)]
    return pa.array(sorted(set(found)), pa.string())


def mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Mix 64-bit numbers (splitmix64)."""
    numbers = numbers + np.uint64(0x9E3779B97F4A7C15)
    numbers = (numbers ^ numbers >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ numbers >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return numbers ^ numbers >> np.uint64(31)


def texts(documents: NDArray[np.uint64], seed: int, data: str) -> Any:
    """Make the texts of documents by their numbers."""
    pool = pieces(data)
    place = np.arange(PIECES, dtype=np.uint64)
    own = mixed((documents[:, None] + np.uint64(seed << 40)) * np.uint64(64) + place)
    second = documents % np.uint64(GROUP) == GROUP - 1
    first = mixed((documents[:, None] - np.uint64(1) + np.uint64(seed << 40)) * np.uint64(64) + place)
    shared = place[None, :] < np.uint64(PIECES) - own_pieces(documents)[:, None]
    drawn = np.where(second[:, None] & shared, first, own) % np.uint64(len(pool))
    chosen = pool.take(pa.array(drawn.reshape(-1).astype(np.int64)))
    offsets = np.arange(len(documents) + 1, dtype=np.int32) * PIECES
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets), chosen), " ").cast(pa.large_string())


def own_pieces(documents: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return how many pieces of its own the second document of each one's pair has."""
    return documents // np.uint64(GROUP) % np.uint64(MOST_OWN + 1)


def ids(documents: NDArray[np.uint64], partitions: int) -> Any:
    """Return ids: document n lies in part n mod `partitions` of the id space, and its number ends its id."""
    part, of = documents % np.uint64(partitions), np.uint64(partitions)
    start, stop = (((one << np.uint64(32)) + of - np.uint64(1)) // of for one in (part, part + np.uint64(1)))
    random = mixed(documents)
    top = start + (random >> np.uint64(32)) % (stop - start)
    halves = np.stack([top << np.uint64(32) | random & np.uint64(0xFFFFFFFF), documents], axis=1).astype(">u8")
    data = np.frombuffer(halves.tobytes(), np.uint8).reshape(len(documents), 16)
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)[np.stack([data >> 4, data & 15], axis=2)]
    offsets = np.arange(len(documents) + 1, dtype=np.int32) * 32
    return pa.StringArray.from_buffers(len(documents), pa.py_buffer(offsets), pa.py_buffer(digits.tobytes()))


def numbers(found: Any) -> NDArray[np.int64]:
    """Return the numbers of documents by their ids."""
    from pipelines.document import id_bits

    return id_bits(pc.utf8_slice_codeunits(found, 16)).astype(np.int64)


@dataclass(frozen=True)
class Make:
    """Makes the documents of a part; the payload's first is a path whose name is the part's number."""

    documents: int
    partitions: int
    seed: int
    data: str

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield tables as deduplication reads documents."""
        for table in self.part(shard.payload[0]):
            n = table.num_rows
            extra = [pa.repeat(pa.scalar("made"), n), pa.repeat(pa.scalar("made"), n), pa.nulls(n, pa.float64())]
            for name, column in zip(("uri", "source", "fetched_at"), extra, strict=True):
                table = table.append_column(name, column)
            yield table

    def part(self, path: str) -> Iterator[pa.Table]:
        """Yield tables of id and text."""
        every = np.arange(int(Path(path).name), self.documents, self.partitions, dtype=np.uint64)
        for start in range(0, len(every), BATCH):
            some = every[start : start + BATCH]
            yield pa.table({"id": ids(some, self.partitions), "text": texts(some, self.seed, self.data)})
