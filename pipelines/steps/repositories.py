"""Documents → documents without repositories that are mostly the files of another (`dedup.repositories`).

Contents meet by repository, repositories by band. What is decided in the planning process is a row a repository: its
name, stars, commits and number of files, and the pairs that were verified.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from dedup.repositories import Copy, RepositoryConfig, bands_of, content_keys, resemblance, resolve
from pipelines.document import DOCUMENT_SCHEMA
from pipelines.engines.plan import GroupBy, Output, Plan, Shard, Tables
from pipelines.ledger import DROPPED, KEPT, LEDGER_SCHEMA, json_string, verdicts
from pipelines.recipe_parts import RepositoriesUse
from pipelines.report.evidence import fields
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
BANDED_SCHEMA = pa.schema([field for field in REPOSITORIES_SCHEMA if field.name != "bands"])
COPIES_SCHEMA = pa.schema(
    [pa.field("better", pa.string()), pa.field("worse", pa.string()), pa.field("similarity", pa.float64())]
)
GONE_SCHEMA = pa.schema(
    [pa.field("name", pa.string()), pa.field("parent", pa.string()), pa.field("similarity", pa.float64())]
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
            name = stated["repository"].to_pylist()
            number = {one: xxhash.xxh3_64_intdigest(one.encode()) for one in set(name)}
            yield pa.table(
                [
                    pa.array([number[one] for one in name], pa.uint64()),
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
        rows: list[dict[str, Any]] = []
        name = table["name"].combine_chunks()
        starts = pc.indices_nonzero(pc.not_equal(name[1:], name[:-1])).to_numpy().astype(np.int64) + 1
        bounds = [0, *starts.tolist(), table.num_rows] if table.num_rows else [0]
        content = table["content"].to_numpy()
        for start, stop in pairwise(bounds):
            contents = np.unique(content[start:stop])
            if len(contents) < self.config.min_files:
                continue
            mine = table.slice(start, stop - start)
            rows.append(
                {
                    "key": table["key"][start].as_py(),
                    "less_stars": -pc.max(mine["stars"]).as_py(),
                    "less_commits": -pc.max(mine["commits"]).as_py(),
                    "less_files": -len(contents),
                    "name": name[start].as_py(),
                    "bands": bands_of(contents, self.config),
                    "sketch": contents[: self.config.sketch],
                }
            )
        return {"repositories": pa.Table.from_pylist(rows, REPOSITORIES_SCHEMA)}


@dataclass(frozen=True)
class Band:
    """Turns each repository into a row a band."""

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return BANDED_SCHEMA."""
        bands = table["bands"].combine_chunks()
        rows = pc.list_parent_indices(bands)
        spread = table.drop_columns(["bands"]).take(rows)
        return spread.set_column(0, BANDED_SCHEMA.field("key"), pc.list_flatten(bands)).cast(BANDED_SCHEMA)


@dataclass(frozen=True)
class Compare:
    """Verifies the pairs of each band; in a large one, those with its best repositories."""

    config: RepositoryConfig

    def __call__(self, table: pa.Table) -> Tables:
        """Return COPIES_SCHEMA."""
        key = table["key"].to_numpy()
        starts = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]])) if len(key) else np.empty(0, np.int64)
        found: list[dict[str, Any]] = []
        for start, stop in zip(starts.tolist(), [*starts[1:].tolist(), len(key)], strict=True):
            if stop - start < 2:
                continue
            mine = table.slice(start, stop - start)
            name = mine["name"].to_pylist()
            sketches = [np.asarray(one, np.uint64) for one in mine["sketch"].to_pylist()]
            for worse in range(1, len(name)):
                for better in range(min(worse, REPRESENTATIVES)):
                    similarity = resemblance(sketches[better], sketches[worse], self.config.sketch)
                    if similarity >= self.config.threshold:
                        found.append({"better": name[better], "worse": name[worse], "similarity": similarity})
        return {"copies": pa.Table.from_pylist(found, COPIES_SCHEMA)}


def decided(repositories: pa.Table, copies: pa.Table) -> pa.Table:
    """Return which repositories go: GONE_SCHEMA, sorted by name."""
    order = repositories.sort_by([(column, "ascending") for column in _ORDER])["name"].to_pylist()
    place = {name: number for number, name in enumerate(order)}
    pairs = {(place[one["better"]], place[one["worse"]]): one["similarity"] for one in copies.to_pylist()}
    gone = resolve(Copy(better, worse, similarity) for (better, worse), similarity in pairs.items())
    rows = [{"name": order[one.repository], "parent": order[one.parent], "similarity": one.similarity} for one in gone]
    return pa.Table.from_pylist(rows, GONE_SCHEMA).sort_by("name")


@dataclass(frozen=True)
class ReadTold:
    """Reads the documents of one part with the repository that stays in place of theirs."""

    scope: Scope

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield documents with `told.repository`, `told.parent` and `told.similarity`."""
        listing = read_table(at(shard.payload[1]))
        for table in read_batches(at(shard.payload[0]), ROWS):
            name = names(table)["repository"]
            name = pc.if_else(self.scope.covers(table), name, pa.scalar(None, pa.string()))
            rows = pc.index_in(name, value_set=listing["name"].combine_chunks(), skip_nulls=True)
            table = table.append_column("told.repository", name)
            for column in ("parent", "similarity"):
                table = table.append_column(f"told.{column}", listing[column].take(rows))
            yield table


@dataclass(frozen=True)
class Apply:
    """Drops the files of repositories that go."""

    threshold: float

    def __call__(self, table: pa.Table) -> Tables:
        """Return the others, and a ledger row each."""
        keep = pc.is_null(table["told.parent"])
        evidence = pc.binary_join_element_wise(
            '{"repository":', json_string(table["told.repository"]), ',"kept_repository":',
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
                {"repositories": Output(REPOSITORIES_SCHEMA, _ORDER)},
                group=GroupBy(
                    FILES_SCHEMA, len(parts), by_key, ("key", "name"), ("key", "name", "content", "stars", "commits")
                ),
            ),
            folder,
        )
        files = [folder / one.path for one in gathered.files["repositories"]]
        compared = steps.run(
            Plan(
                f"{STEP} copies",
                partition_shards([files]),
                ReadParts(rows=64),
                Compare(config),
                {"copies": Output(COPIES_SCHEMA, ("better", "worse"))},
                map=Band(),
                group=GroupBy(BANDED_SCHEMA, len(parts), by_key, ("key",), ("key", *_ORDER)),
            ),
            folder,
        )
        repositories = _together(files, list(_ORDER))
        gone = decided(repositories, _together([folder / one.path for one in compared.files["copies"]], None))
        listing = folder / "gone" / "repositories.parquet"
        write_parquet(listing, gone)
        outputs = {"documents": Output(DOCUMENT_SCHEMA), "ledger": LEDGER_OUTPUT}
        shards = partition_shards([parts, [listing] * len(parts)])
        done = steps.run_plan(
            Plan(STEP, shards, ReadTold(scope), Apply(config.threshold), outputs, conserve=("ledger",)), folder
        )
        done.facts = {"repositories": repositories.num_rows, "gone": gone.num_rows}
        done.scrap = ("repositories", "copies", "gone")
        return done

    return steps.perform(
        STEP,
        code=(
            "kernels",
            "dedup.repositories",
            "dedup.substrings",
            "pipelines.recipe_parts",
            "pipelines.report.evidence",
            "pipelines.steps.repeats",
            "pipelines.steps.repositories",
            "pipelines.steps.scope",
        ),
        parameters=use.model_dump(mode="json"),
        inputs=[documents.digest],
        body=body,
    )


def _together(files: Sequence[Path], columns: list[str] | None) -> pa.Table:
    return pa.concat_tables([read_table(path, columns) for path in files])
