"""Documents → documents without repositories that are mostly the files of another (`dedup.repositories`).

Contents meet by repository, repositories by band, by name and order alone; of the pairs that are chosen there the
sketches meet once to be compared. What is decided in the planning process is a row a repository that is like another:
its name, stars, commits and number of files, and the pairs that were verified.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from numpy.typing import NDArray

from dedup.repeats import KnownKeys, find
from dedup.repositories import RepositoryConfig, bands_of, content_keys, resemblances, resolve
from kernels.distinct import distinct
from pipelines.document import DOCUMENT_SCHEMA
from pipelines.engines.plan import GroupBy, Output, Plan, Shard, Tables
from pipelines.ledger import DROPPED, KEPT, LEDGER_SCHEMA, json_string, verdicts
from pipelines.recipe_parts import RepositoriesUse
from pipelines.report.evidence import fields
from pipelines.steps.beside import with_told
from pipelines.steps.dedup_candidates import CANDIDATES_SCHEMA, WANTED_SCHEMA, asking, by_left
from pipelines.steps.dedup_components import shards_of
from pipelines.steps.scope import ABOUT, ROWS, Scope
from pipelines.steps.step import LEDGER_OUTPUT, Body, Finished, ReadParts, Steps, by_key, partition_shards
from pipelines.storage import at, read_batches, read_table, write_parquet

STEP = "04-repositories"
REPRESENTATIVES = 32
"""Repositories of a band, the best first, with which the others are compared."""

STATED = pa.schema(
    [
        pa.field("repository", pa.string()),
        pa.field("archive", pa.string()),
        pa.field("stars", pa.int64()),
        pa.field("commits", pa.int64()),
    ]
)
"""What records of the source `code` say of where they are from."""
FILES_SCHEMA = pa.schema(
    [
        pa.field("key", pa.uint64()),
        pa.field("name", pa.string()),
        pa.field("stars", pa.int64()),
        pa.field("commits", pa.int64()),
        pa.field("content", pa.uint64()),
    ]
)
_ORDER = ("less_stars", "less_commits", "less_files", "name")
REPOSITORIES_SCHEMA = pa.schema(
    [
        pa.field("key", pa.uint64()),
        pa.field("less_stars", pa.int64()),
        pa.field("less_commits", pa.int64()),
        pa.field("less_files", pa.int64()),
        pa.field("name", pa.string()),
        pa.field("bands", pa.list_(pa.uint64())),
        pa.field("sketch", pa.list_(pa.uint64())),
    ]
)
"""A row a repository; numbers are negative, so that the best comes first."""
BANDED_SCHEMA = pa.schema(
    [
        pa.field("key", pa.uint64()),
        *(REPOSITORIES_SCHEMA.field(name) for name in _ORDER),
        pa.field("node", pa.uint64()),
    ]
)
"""A row a repository and band; `node` is the repository's key."""
SKETCHES_SCHEMA = pa.schema([*WANTED_SCHEMA, REPOSITORIES_SCHEMA.field("sketch")])
COPIES_SCHEMA = pa.schema(
    [pa.field("better", pa.uint64()), pa.field("worse", pa.uint64()), pa.field("similarity", pa.float64())]
)
GONE_SCHEMA = pa.schema(
    [
        pa.field("key", pa.uint64()),
        pa.field("name", pa.string()),
        pa.field("parent", pa.string()),
        pa.field("similarity", pa.float64()),
    ]
)


def names(documents: pa.Table) -> pa.Table:
    """Return what documents say of their repositories (STATED), `repository` being also the name of an archive."""
    told = fields(documents["metadata"].combine_chunks(), STATED) if documents.num_rows else STATED.empty_table()
    return told.set_column(0, STATED.field("repository"), pc.coalesce(told["repository"], told["archive"]))


@dataclass(frozen=True)
class ReadFiles:
    """Reads the contents of one part of documents."""

    scope: Scope

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield FILES_SCHEMA."""
        for table in read_batches(at(shard.payload[0]), ROWS, [*ABOUT, "metadata"]):
            some = table.filter(self.scope.covers(table)).combine_chunks()
            stated = names(some)
            content, there = content_keys(some["text"])
            named = there & pc.is_valid(stated["repository"]).to_numpy()
            stated = stated.filter(pa.array(named))
            yield pa.table(
                [
                    pa.array(numbered(stated["repository"])),
                    stated["repository"],
                    pc.fill_null(stated["stars"], 0),
                    pc.fill_null(stated["commits"], 0),
                    pa.array(content[named]),
                ],
                schema=FILES_SCHEMA,
            )


@dataclass(frozen=True)
class Gather:
    """Makes a row of each repository's files."""

    config: RepositoryConfig

    def __call__(self, table: pa.Table) -> Tables:
        """Return REPOSITORIES_SCHEMA, for whole repositories that have enough files."""
        name = table["name"].combine_chunks()
        starts = pc.indices_nonzero(pc.not_equal(name[1:], name[:-1])).to_numpy().astype(np.int64) + 1
        bounds = [0, *starts.tolist(), table.num_rows] if table.num_rows else [0]
        content, stars, commits = (table[one].to_numpy() for one in ("content", "stars", "commits"))
        first: list[int] = []
        numbers: list[tuple[int, int, int]] = []
        bands, sketch = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)]
        for start, stop in pairwise(bounds):
            contents = distinct(content[start:stop])
            if len(contents) >= self.config.min_files:
                first.append(start)
                numbers.append((-stars[start:stop].max(), -commits[start:stop].max(), -len(contents)))
                bands.append(bands_of(contents, self.config))
                sketch.append(contents[: self.config.sketch])
        rows = table.select(["key", "name"]).take(pa.array(first, pa.int64()))
        order = np.array(numbers, np.int64).reshape(-1, 3).T
        columns = [rows["key"], *map(pa.array, order), rows["name"], listed(bands[1:]), listed(sketch[1:])]
        return {"repositories": pa.table(columns, schema=REPOSITORIES_SCHEMA)}


def listed(arrays: Sequence[NDArray[np.uint64]]) -> pa.Array[Any]:
    """Return arrays as a column of lists."""
    ends = np.cumsum([0, *map(len, arrays)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(np.concatenate([np.zeros(0, np.uint64), *arrays])))


@dataclass(frozen=True)
class Band:
    """Turns each repository into a row a band."""

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return BANDED_SCHEMA."""
        bands = table["bands"].combine_chunks()
        spread = table.drop_columns(["bands"]).rename_columns({"key": "node"}).take(pc.list_parent_indices(bands))
        return spread.append_column("key", pc.list_flatten(bands)).select(BANDED_SCHEMA.names).cast(BANDED_SCHEMA)


@dataclass(frozen=True)
class Meet:
    """Chooses the pairs of each band: in a large one, those with its best repositories."""

    def __call__(self, table: pa.Table) -> Tables:
        """Return CANDIDATES_SCHEMA, the better one on the left."""
        key, node = table["key"].to_numpy(), table["node"].to_numpy()
        starts = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]])) if len(key) else np.empty(0, np.int64)
        place = np.arange(len(key)) - np.repeat(starts, np.diff(np.append(starts, len(key))))
        count = np.minimum(place, REPRESENTATIVES)  # of better ones that each meets: the first of its band
        worse = np.repeat(np.arange(len(key)), count)
        better = worse - place[worse] + np.arange(len(worse)) - np.repeat(np.cumsum(count) - count, count)
        kind = np.zeros(len(worse), np.uint8)
        return {"candidates": pa.table([node[better], node[worse], kind], schema=CANDIDATES_SCHEMA)}


@dataclass(frozen=True)
class ReadSketches:
    """Reads the sketches of one part of repositories, each as often as it is wanted."""

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield SKETCHES_SCHEMA."""
        repositories, listing = (at(path) for path in shard.payload)
        wanted = read_table(listing)
        asked = wanted["node"].to_numpy()
        for table in read_batches(repositories, 256, ["key", "sketch"]):
            node = table["key"].to_numpy()
            first = np.searchsorted(asked, node, side="left")
            count = np.searchsorted(asked, node, side="right") - first
            rows = np.repeat(first - (np.cumsum(count) - count), count) + np.arange(count.sum())
            sketch = table["sketch"].take(pa.array(np.repeat(np.arange(len(node)), count)))
            yield pa.table([*wanted.take(pa.array(rows)).columns, sketch], schema=SKETCHES_SCHEMA)


@dataclass(frozen=True)
class Compare:
    """Verifies each pair: a repository with the better one of its group."""

    config: RepositoryConfig

    def __call__(self, table: pa.Table) -> Tables:
        """Return COPIES_SCHEMA for whole groups, sorted by left, salt and node."""
        left, salt, node = (table[name].to_numpy() for name in ("left", "salt", "node"))
        begins = np.ones(len(left), np.bool_)
        begins[1:] = (left[1:] != left[:-1]) | (salt[1:] != salt[:-1])
        group = np.cumsum(begins) - 1
        own = np.full(int(group[-1]) + 1 if len(group) else 0, -1, np.int64)
        mine = np.flatnonzero(node == left)
        own[group[mine]] = mine
        others = np.flatnonzero(node != left)
        sketch = table["sketch"].combine_chunks()
        offsets = np.concatenate([[0], np.cumsum(pc.list_value_length(sketch).to_numpy(zero_copy_only=False))])
        value = resemblances(
            offsets.astype(np.int64), pc.list_flatten(sketch).to_numpy(), own[group[others]], others, self.config.sketch
        )
        chosen = others[value >= self.config.threshold]
        copies = [left[chosen], node[chosen], value[value >= self.config.threshold]]
        return {"copies": pa.table(copies, schema=COPIES_SCHEMA)}


def decided(repositories: Iterable[pa.Table], copies: pa.Table) -> pa.Table:
    """Return which repositories go: GONE_SCHEMA, sorted by key; only those that are in a pair are held."""
    better, worse = copies["better"].to_numpy(), copies["worse"].to_numpy()
    nodes = distinct(np.concatenate([better, worse]))
    held = [REPOSITORIES_SCHEMA.empty_table().select(["key", *_ORDER])]
    for table in repositories:
        held.append(table.filter(pa.array(np.isin(table["key"].to_numpy(), nodes))).select(["key", *_ORDER]))
    ordered = pa.concat_tables(held).sort_by([(column, "ascending") for column in _ORDER]).combine_chunks()
    key = ordered["key"].to_numpy()
    by_key = np.argsort(key, kind="stable")
    place = by_key[np.searchsorted(key[by_key], np.concatenate([better, worse]))]
    gone = resolve(place[: len(better)], place[len(better) :], copies["similarity"].to_numpy())
    name = ordered["name"].combine_chunks() if len(key) else pa.array([], pa.string())
    columns = [key[gone.repository], name.take(pa.array(gone.repository)), name.take(pa.array(gone.parent))]
    return pa.table([*columns, gone.similarity], schema=GONE_SCHEMA).sort_by("key")


@dataclass(frozen=True)
class ReadTold:
    """Reads the documents of one part with the repository that stays in place of theirs."""

    scope: Scope

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield documents with `told.name`, `told.parent` and `told.similarity`: null where the repository stays."""
        listing = read_table(at(shard.payload[1]))
        known = KnownKeys.of(listing["key"].to_numpy())
        for table in read_batches(at(shard.payload[0]), ROWS):
            name = names(table)["repository"]
            name = pc.if_else(self.scope.covers(table), name, pa.scalar(None, pa.string()))
            row = np.where(pc.is_valid(name).to_numpy(zero_copy_only=False), find(numbered(name), known), -1)
            told = listing.take(pa.array(row, mask=row < 0))
            # Two names that share 64 bits: the one that is not the listed one stays.
            same = pc.fill_null(pc.equal(told["name"], name), False)
            yield with_told(table, told.take(pc.if_else(same, np.arange(len(row)), pa.scalar(None, pa.int64()))))


def numbered(name: pa.Array[Any] | pa.ChunkedArray[Any]) -> NDArray[np.uint64]:
    """Return 64 bits of each name, 0 for a null."""
    encoded = (name.combine_chunks() if isinstance(name, pa.ChunkedArray) else name).dictionary_encode()
    keys = np.array([xxhash.xxh3_64_intdigest(one.encode()) for one in encoded.dictionary.to_pylist()], np.uint64)
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
    return np.append(keys, np.uint64(0))[codes]


@dataclass(frozen=True)
class Apply:
    """Drops the files of repositories that go."""

    threshold: float

    def __call__(self, table: pa.Table) -> Tables:
        """Return the others, and a ledger row each."""
        keep = pc.is_null(table["told.parent"])
        evidence = pc.binary_join_element_wise(
            '{"repository":', json_string(table["told.name"]), ',"kept_repository":',
            json_string(table["told.parent"]), ',"similarity":', pc.cast(table["told.similarity"], pa.string()),
            "}", "",
        )  # fmt: skip
        nothing = pa.scalar(None, pa.float64())
        ledger = verdicts(
            table,
            STEP,
            verdict=pc.if_else(keep, KEPT, DROPPED),
            reason=pc.if_else(keep, "", "repository-duplicate"),
            signal=pc.if_else(keep, pa.scalar(None, pa.string()), "dedup.repository_similarity"),
            value=table["told.similarity"],
            threshold=pc.if_else(keep, nothing, pa.scalar(self.threshold)),
            evidence=evidence,
        )
        documents = table.filter(keep).select(DOCUMENT_SCHEMA.names)
        return {"documents": documents.cast(DOCUMENT_SCHEMA), "ledger": ledger.cast(LEDGER_SCHEMA)}


def run(steps: Steps, use: RepositoriesUse, documents: Finished) -> Finished:
    """Run the step."""
    config = RepositoryConfig(threshold=use.threshold, min_files=use.min_files)
    scope = Scope.of(use)

    def body(folder: Path, _: str) -> Body:
        parts = documents.parts("documents")
        gathered = steps.run(
            Plan(
                f"{STEP} contents",
                partition_shards([parts]),
                ReadFiles(scope),
                Gather(config),
                {"repositories": Output(REPOSITORIES_SCHEMA, ("key", "name"))},
                group=GroupBy(
                    FILES_SCHEMA, len(parts), by_key, ("key", "name"), ("key", "name", "content", "stars", "commits")
                ),
            ),
            folder,
        )
        files = [folder / one.path for one in gathered.files["repositories"]]
        met = steps.run(
            Plan(
                f"{STEP} candidates",
                partition_shards([files]),
                ReadParts(("key", *_ORDER, "bands")),
                Meet(),
                {"candidates": Output(CANDIDATES_SCHEMA, ("left", "right", "kind"))},
                map=Band(),
                group=GroupBy(BANDED_SCHEMA, len(parts), by_key, ("key",), ("key", *_ORDER, "node")),
            ),
            folder,
        )
        wanted = steps.run(asking(STEP, shards_of(folder, met.files["candidates"]), len(parts)), folder)
        compared = steps.run(
            Plan(
                f"{STEP} copies",
                partition_shards([files, [folder / one.path for one in wanted.files["wanted"]]]),
                ReadSketches(),
                Compare(config),
                {"copies": Output(COPIES_SCHEMA, ("better", "worse"))},
                group=GroupBy(SKETCHES_SCHEMA, len(parts), by_left, ("left", "salt"), ("left", "salt", "node", "kind")),
            ),
            folder,
        )
        copies = pa.concat_tables([read_table(folder / one.path) for one in compared.files["copies"]])
        columns = ["key", *_ORDER]
        gone = decided((table for path in files for table in read_batches(path, 16_384, columns)), copies)
        listing = folder / "gone" / "repositories.parquet"
        write_parquet(listing, gone)
        outputs = {"documents": Output(DOCUMENT_SCHEMA), "ledger": LEDGER_OUTPUT}
        shards = partition_shards([parts, [listing] * len(parts)])
        done = steps.run_plan(
            Plan(STEP, shards, ReadTold(scope), Apply(config.threshold), outputs, conserve=("ledger",)), folder
        )
        done.facts = {
            "repositories": sum(one.rows for one in gathered.files["repositories"]),
            "gone": gone.num_rows,
        }
        done.scrap = ("repositories", "candidates", "wanted", "copies", "gone")
        return done

    return steps.perform(
        STEP,
        code=(
            "kernels",
            "dedup.repeats",
            "dedup.repositories",
            "dedup.substrings",
            "pipelines.recipe_parts",
            "pipelines.report.evidence",
            "pipelines.steps.beside",
            "pipelines.steps.dedup_candidates",
            "pipelines.steps.repositories",
            "pipelines.steps.scope",
        ),
        parameters=use.model_dump(mode="json"),
        inputs=[documents.digest],
        body=body,
    )
