"""A step: a folder named by what it was made from, complete when its manifest stands in it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import logging
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.document import canonical_json, partitions_of
from pipelines.engines.plan import Engine, Output, Plan, Shard
from pipelines.engines.task import read_parts
from pipelines.ledger import LEDGER_SCHEMA, Account
from pipelines.storage import MANIFEST, FileEntry, digest_of, read_json, write_json

log = logging.getLogger(__name__)

LIBRARIES = (
    "charset-normalizer",
    "fasttext-numpy2-wheel",
    "lxml",
    "numba",
    "numpy",
    "pyarrow",
    "tokenizers",
    "trafilatura",
    "xxhash",
)
"""Packages whose version can change a byte of a step's output; they enter every step's digest."""


LEDGER_OUTPUT = Output(LEDGER_SCHEMA, ("id", "verdict", "reason", "uri", "evidence"))
"""Every step's ledger: sorted so that equal records cannot change places."""


class RunFailed(Exception):
    """A run cannot go on; the message says where, why, and what to do."""


@dataclass(frozen=True)
class Finished:
    """A finished step: where it is, what it holds, and its sums."""

    name: str
    digest: str
    folder: Path
    account: Account
    outputs: Mapping[str, list[FileEntry]]
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    seconds: float = 0.0
    reused: bool = False

    def parts(self, output: str) -> list[Path]:
        """Return the files of one output, in partition order."""
        return [self.folder / entry.path for entry in self.outputs[output]]

    def table(self, output: str, columns: list[str] | None = None) -> pa.Table:
        """Read a whole output; for small columns only."""
        return pa.concat_tables([pq.read_table(path, columns=columns) for path in self.parts(output)])


@dataclass
class Body:
    """What a step's body hands back: sums, files and facts for the manifest."""

    account: Account
    outputs: dict[str, list[FileEntry]]
    facts: dict[str, Any] = field(default_factory=dict[str, Any])


@cache
def code_digest(modules: tuple[str, ...]) -> str:
    """Return a digest over the sources of modules and packages, so that changed code never reuses old output."""
    state = hashlib.sha256()
    for name in modules:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise RunFailed(f"module {name} is not installed; run `make` again to repair the environment")
        origin = Path(spec.origin)
        files = sorted(origin.parent.rglob("*.py")) if spec.submodule_search_locations else [origin]
        for file in files:
            state.update(file.relative_to(origin.parent).as_posix().encode() + b"\0" + file.read_bytes())
    return state.hexdigest()[:16]


@cache
def library_versions() -> dict[str, str]:
    """Return the installed versions of LIBRARIES."""
    return {name: importlib.metadata.version(name) for name in LIBRARIES}


def perform(
    root: Path,
    name: str,
    *,
    code: Sequence[str],
    parameters: Mapping[str, Any],
    inputs: Iterable[str],
    body: Callable[[Path], Body],
) -> Finished:
    """Run a step, or reuse it when a folder of the same digest is complete.

    `code` names the modules whose source decides the output, `parameters` are JSON-able, `inputs` are digests.
    """
    identity = {
        "step": name,
        "code": code_digest((*code, "pipelines.document", "pipelines.ledger", "pipelines.engines.task")),
        "libraries": library_versions(),
        "parameters": parameters,
        "inputs": list(inputs),
    }
    digest = digest_of(canonical_json(identity).encode())
    folder = root / f"{name}-{digest}"
    if (folder / MANIFEST).exists():
        return opened(folder, reused=True)
    started = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    done = body(folder)
    done.account.check(f"step {name}")
    for files in done.outputs.values():
        files.sort(key=lambda entry: entry.path)
    write_json(
        folder / MANIFEST,
        {
            "step": name,
            "digest": digest,
            **identity,
            **done.account.as_dict(),
            "outputs": {key: [one.model_dump() for one in files] for key, files in done.outputs.items()},
            "facts": done.facts,
            "seconds": round(time.monotonic() - started, 3),
        },
    )
    shutil.rmtree(folder / "_tasks", ignore_errors=True)
    return opened(folder, reused=False)


def opened(folder: Path, *, reused: bool) -> Finished:
    """Read a finished step; a file that is missing or has another size than its manifest says is refused."""
    manifest = read_json(folder / MANIFEST)
    outputs = {name: [FileEntry.model_validate(one) for one in files] for name, files in manifest["outputs"].items()}
    for files in outputs.values():
        for one in files:
            path = folder / one.path
            size = path.stat().st_size if path.exists() else None
            if size != one.bytes:
                found = "is missing" if size is None else f"has {size} bytes"
                raise RunFailed(f"{path}: {found}, its manifest says {one.bytes}; delete {folder} and run again")
    return Finished(
        manifest["step"],
        manifest["digest"],
        folder,
        Account.from_manifest(manifest),
        outputs,
        manifest["facts"],
        manifest["seconds"],
        reused,
    )


def run_plan(engine: Engine, plan: Plan, folder: Path, ledger: str = "ledger") -> Body:
    """Run a plan whose ledger output accounts for every row it read."""
    result = engine.run(plan, folder)
    tables = [pq.read_table(folder / entry.path, columns=["verdict", "reason"]) for entry in result.files[ledger]]
    account = Account.of(result.received, pa.concat_tables(tables))
    return Body(account, result.files)


def by_id(table: pa.Table, partitions: int) -> pa.Array:
    """Partition rows by their id."""
    return partitions_of(table["id"], partitions)


@dataclass(frozen=True)
class ReadParts:
    """Streams the Parquet parts that a shard of `partition_shards` names, `columns` of them, `rows` at a time."""

    columns: tuple[str, ...] | None = None
    rows: int = 4096

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield tables of at most `rows` rows."""
        columns = None if self.columns is None else list(self.columns)
        yield from read_parts([Path(path) for path in shard.payload], self.rows, columns)


def partition_shards(steps: Sequence[Sequence[Path]]) -> list[Shard]:
    """Make one shard of the parts with the same number of several outputs; the payload is their paths in order."""
    shards: list[Shard] = []
    for index, paths in enumerate(zip(*steps, strict=True)):
        shards.append(
            Shard(index, f"part-{index:05d}", tuple(str(path) for path in paths), sum(p.stat().st_size for p in paths))
        )
    return shards
