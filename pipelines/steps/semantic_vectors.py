"""Embeddings beside documents: read from files keyed by id, or made by an encoder; with what decides the order."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup.semantic import quantised
from kernels.strings import text_batch
from pipelines.document import canonical_json
from pipelines.engines.plan import GroupBy, Output, Plan, Shard, Tables
from pipelines.recipe_parts import SemanticUse
from pipelines.steps.beside import Beside
from pipelines.steps.scope import ROWS, Scope
from pipelines.steps.step import Steps, by_id
from pipelines.storage import at, read_batches, read_table, size

ENCODERS = "filters.quality.encoder"

VECTORS_SCHEMA = pa.schema(
    [
        pa.field("key", pa.int64()),
        pa.field("id", pa.string()),
        pa.field("uri", pa.string()),
        pa.field("rank", pa.int32()),
        pa.field("order", pa.float64()),
        pa.field("vector", pa.binary()),
    ]
)
"""`key` is the cluster; `order` rises as quality times difficulty falls; `vector` are 16-bit numbers."""
GIVEN_SCHEMA = pa.schema([pa.field("id", pa.string()), pa.field("vector", pa.binary())])


def packed(vectors: NDArray[np.int16]) -> pa.Array[Any]:
    """Return each vector's bytes."""
    width = vectors.shape[1] * 2
    column = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(width), len(vectors), [None, pa.py_buffer(np.ascontiguousarray(vectors, "<i2"))]
    )
    return column.cast(pa.binary())


def unpacked(column: pa.ChunkedArray[Any]) -> NDArray[np.int16]:
    """Return the vectors of a column without nulls; all are of one width, or it is told."""
    if not len(column):
        return np.zeros((0, 1), np.int16)
    widths = pc.unique(pc.binary_length(column)).to_pylist()
    if len(widths) > 1:
        found = ", ".join(str(one // 2) for one in sorted(widths))
        raise ValueError(f"embeddings have {found} components; expected one number for all")
    whole = column.cast(pa.binary(widths[0])).combine_chunks()
    whole = whole if isinstance(whole, pa.Array) else pa.concat_arrays(whole.chunks)
    data = np.frombuffer(whole.buffers()[1], "<i2", len(whole) * widths[0] // 2, whole.offset * widths[0])
    return data.reshape(len(whole), -1)


@dataclass(frozen=True)
class ReadGiven:
    """Reads a file of embeddings: `id` and `embedding`, a list of numbers."""

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield GIVEN_SCHEMA.

        Raises:
            ValueError: an id is no document's, or an embedding is null, not finite or of another width.
        """
        for table in read_batches(at(shard.payload), ROWS, ["id", "embedding"]):
            if not table.num_rows:
                continue
            ids = table["id"].cast(pa.string())
            right = pc.fill_null(pc.match_substring_regex(ids, "^[0-9a-f]{32}$"), False)
            if pc.any(pc.invert(right)).as_py():
                wrong = ids.filter(pc.invert(right))[0].as_py()
                raise ValueError(
                    f"{shard.payload}: id {wrong!r}: expected a document's id, 32 hexadecimal digits in lower case, as "
                    "the column 'id' of a step's documents has them"
                )
            lists = table["embedding"].combine_chunks()
            lists = pa.concat_arrays(lists.chunks) if isinstance(lists, pa.ChunkedArray) else lists
            lengths = pc.unique(pc.list_value_length(lists)).to_pylist()
            if len(lengths) != 1 or not lengths[0]:
                raise ValueError(f"{shard.payload}: embeddings have {lengths} components; expected one number for all")
            numbers = pc.list_flatten(lists).to_numpy(zero_copy_only=False).reshape(table.num_rows, -1)
            try:
                vectors = quantised(numbers)
            except ValueError as error:
                bad = int(np.flatnonzero(~np.isfinite(numbers.astype(np.float64)).all(axis=1))[0])
                raise ValueError(f"{shard.payload}: record {ids[bad]}: {error}") from error
            yield pa.table([ids, packed(vectors)], schema=GIVEN_SCHEMA)


@dataclass(frozen=True)
class FirstOfId:
    """Leaves one embedding for each id."""

    def __call__(self, table: pa.Table) -> Tables:
        """Return the first of each group. Raises ValueError where an id has two different embeddings."""
        ids = table["id"].combine_chunks()
        new = np.ones(len(ids), np.bool_)
        new[1:] = pc.not_equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False)
        vectors = table["vector"].combine_chunks()
        other = np.zeros(len(ids), np.bool_)
        other[1:] = pc.not_equal(vectors[1:], vectors[:-1]).to_numpy(zero_copy_only=False)
        if (other & ~new).any():
            twice = ids[int(np.argmax(other & ~new))].as_py()
            raise ValueError(f"embeddings: record {twice} has two different ones; leave one in the files")
        return {"given": table.filter(pa.array(new))}


@dataclass(frozen=True)
class ReadVectors:
    """Reads the documents of one part that have an embedding, with their order; without text."""

    scope: Scope
    encoder: str | None
    product: tuple[str, ...]

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield VECTORS_SCHEMA, all in cluster 0."""
        documents, signals, given = shard.payload
        listing = None if given is None else Beside(read_table(at(given)))
        measures = Beside(read_table(at(signals), ["id", *self.product])) if self.product else None
        columns = ["id", "uri", "source", "kind", "language", *([] if self.encoder is None else ["text"])]
        for table in read_batches(at(documents), ROWS, columns):
            some = table.filter(self.scope.covers(table))
            if listing is not None:
                found = listing.rows(some["id"])
                some, found = some.filter(pc.is_valid(found)), found.drop_null()
                vectors = listing.table["vector"].take(found)
            else:
                assert self.encoder is not None
                vectors = packed(quantised(_encoder(self.encoder).embed(text_batch(some["text"]))))
            order = np.zeros(some.num_rows)
            if measures is not None:
                told = measures.take(some["id"])
                values = np.ones(some.num_rows)
                for name in self.product:
                    values = values * pc.fill_null(told[name].cast(pa.float64()), np.nan).to_numpy()
                order = np.where(np.isnan(values), np.inf, -values)
            yield pa.table(
                [
                    pa.array(np.zeros(some.num_rows, np.int64)),
                    some["id"].cast(pa.string()),
                    some["uri"].cast(pa.string()),
                    pa.array(self.scope.rank(some)),
                    pa.array(order),
                    vectors,
                ],
                schema=VECTORS_SCHEMA,
            )


def _encoder(name: str) -> Any:
    """Load an encoder once a process."""
    if name not in _LOADED:
        module = importlib.import_module(ENCODERS)
        _LOADED[name] = module.Encoder(module.encoder_folder(name))
    return _LOADED[name]


_LOADED: dict[str, Any] = {}


def encoder_digest(use: SemanticUse) -> list[str]:
    """Return what an encoder's files are."""
    if use.encoder is None:
        return []
    module = importlib.import_module(ENCODERS)
    return [canonical_json(module.encoder_digests(module.encoder_folder(use.encoder))), version("torch")]


def given(steps: Steps, step: str, folder: Path, files: tuple[Path, ...], partitions: int) -> tuple[list[Path], int]:
    """Bring embeddings to the parts of their documents; a file for each part, and how many there are."""
    plan = Plan(
        f"{step} given",
        [Shard(n, f"file-{n:05d}", str(path), size(path) or 0) for n, path in enumerate(files)],
        ReadGiven(),
        FirstOfId(),
        {"given": Output(GIVEN_SCHEMA, ("id", "vector"))},
        group=GroupBy(GIVEN_SCHEMA, partitions, by_id, ("id",), ("id", "vector")),
    )
    made = steps.run(plan, folder).files["given"]
    return [folder / one.path for one in made], sum(one.rows for one in made)
