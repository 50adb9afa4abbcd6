"""A step: a folder named by what it was made from, complete when its manifest stands in it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import logging
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.document import canonical_json, partitions_of
from pipelines.engines.plan import Engine, Hints, Output, Plan, PlanResult, Shard
from pipelines.engines.verify import check_again
from pipelines.ledger import FAILED, LEDGER_SCHEMA, Account, verdicts
from pipelines.storage import (
    MANIFEST,
    FileEntry,
    RunLocked,
    at,
    children,
    clear_scratch,
    digest_of,
    exists,
    lock,
    modified,
    read_batches,
    read_json,
    read_table,
    remove,
    remove_file,
    size,
    write_json,
)

log = logging.getLogger(__name__)

LIBRARIES = (
    "charset-normalizer",
    "fasttext-numpy2-wheel",
    "lxml",
    "numba",
    "numpy",
    "phonenumberslite",
    "pyarrow",
    "tokenizers",
    "trafilatura",
    "xxhash",
)
"""Packages whose version can change a byte of a step's output; they enter every step's digest."""


LEDGER_OUTPUT = Output(LEDGER_SCHEMA, ("id", "verdict", "reason", "uri", "evidence"))
"""Every step's ledger: sorted so that equal records cannot change places."""


TASK_CODE = (
    "pipelines.engines.care",
    "pipelines.engines.plan",
    "pipelines.engines.sorting",
    "pipelines.engines.task",
    "pipelines.storage.parquet",
)
"""What of engines and storage decides bytes; the engines themselves must not."""


WAIT_SECONDS = 1.0
"""How often a run looks whether another has finished a step that both need."""


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
    planned: bool = False
    """Only planned (a dry run): nothing of it is on disk."""
    lineage: str = ""
    """Digest of how it was made: step, code, libraries and parameters, without the inputs."""

    @property
    def source(self) -> str:
        """The source that a step of one source is about: what its name ends with."""
        return self.name.split("-", 2)[2]

    def parts(self, output: str) -> list[Path]:
        """Return the files of one output, in partition order."""
        return [self.folder / entry.path for entry in self.outputs[output]]

    def table(self, output: str, columns: list[str] | None = None) -> pa.Table:
        """Read a whole output; for small columns only."""
        return pa.concat_tables([read_table(path, columns) for path in self.parts(output)])


@dataclass
class Body:
    """What a step's body hands back: sums, files and facts for the manifest."""

    account: Account
    outputs: dict[str, list[FileEntry]]
    facts: dict[str, Any] = field(default_factory=dict[str, Any])
    scrap: tuple[str, ...] = ()
    """Folders inside the step's that are of no use once its manifest stands."""


@cache
def code_digest(modules: tuple[str, ...]) -> str:
    """Return a digest over the sources of modules and packages, so that changed code never reuses old output.

    Of a package the tables and models that lie beside the sources count as well.
    """
    state = hashlib.sha256()
    for name in modules:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise RunFailed(f"module {name} is not installed; run `make` again to repair the environment")
        origin = Path(spec.origin)
        files = [origin]
        if spec.submodule_search_locations:
            files = sorted(
                file for file in origin.parent.rglob("*") if file.suffix in (".py", ".npz", ".json", ".yaml")
            )
        for file in files:
            state.update(file.relative_to(origin.parent).as_posix().encode() + b"\0" + file.read_bytes())
    return state.hexdigest()[:16]


@cache
def library_versions() -> dict[str, str]:
    """Return the installed versions of LIBRARIES."""
    return {name: importlib.metadata.version(name) for name in LIBRARIES}


@dataclass
class Steps:
    """Runs steps, or reuses them where a folder of the same digest is complete.

    Args:
        root: where step folders live.
        engine: runs their plans.
        dry: only plan; a step that is not there comes back as `planned`, and its body is not run.
        verify: share of the tasks of each plan that is run a second time and compared.
        hints: what a step needs to run, by the step's name without number and source ("measure", "extract").
        told: told of each step that begins.
    """

    root: Path
    engine: Engine
    dry: bool = False
    verify: float = 0.0
    hints: Mapping[str, Hints] = field(default_factory=dict[str, Hints])
    told: Callable[[str], None] = lambda name: None

    def perform(
        self,
        name: str,
        *,
        code: Sequence[str],
        parameters: Mapping[str, Any],
        inputs: Iterable[str],
        body: Callable[[Path, str], Body],
        expected: Mapping[str, Any] | None = None,
    ) -> Finished:
        """Run a step, or reuse it.

        `code` names the modules whose source decides the output, `parameters` are JSON-able, `inputs` are digests.
        `body` is given the step's folder and its lineage, a digest of everything but the inputs. It may read the
        outputs of other steps only when it is called: in a dry run there may be none. `expected` is what is known of
        the step before it runs, handed on as facts of a step that is only planned.
        """
        identity: dict[str, Any] = {
            "step": name,
            "code": code_digest((*code, "pipelines.document", "pipelines.ledger", *TASK_CODE)),
            "libraries": library_versions(),
            "parameters": parameters,
        }
        lineage = digest_of(canonical_json(identity).encode())
        identity["inputs"] = list(inputs)
        digest = digest_of(canonical_json(identity).encode())
        folder = self.root / f"{name}-{digest}"
        if exists(folder / MANIFEST):
            return opened(folder, reused=True)
        if self.dry:
            return Finished(name, digest, folder, Account(), {}, expected or {}, planned=True, lineage=lineage)
        with self._alone(folder, name):
            if exists(folder / MANIFEST):  # made by another run while this one waited
                return opened(folder, reused=True)
            self.told(name)
            for path in children(folder, f".{MANIFEST}."):  # a try that was killed while it wrote its last line
                remove_file(path)
            started = time.monotonic()
            resumed = bool(children(folder / "_tasks"))
            done = body(folder, lineage)
            done.account.check(f"step {name}")
            write_json(
                folder / MANIFEST,
                {
                    "step": name,
                    "digest": digest,
                    "lineage": lineage,
                    **identity,
                    **done.account.as_dict(),
                    "outputs": {key: [one.model_dump() for one in files] for key, files in done.outputs.items()},
                    "facts": done.facts,
                    "seconds": round(time.monotonic() - started, 3),
                    "resumed": resumed,
                    "engine": {"name": self.engine.name, "workers": self.engine.workers},
                },
            )
            _tidy(folder, done)
        return opened(folder, reused=False)

    @contextmanager
    def _alone(self, folder: Path, name: str) -> Generator[None]:
        """Hold a step's folder alone: runs that share a store wait for one another, and then reuse."""
        with ExitStack() as stack:
            while True:
                try:
                    stack.enter_context(lock(folder, f"step {name}"))
                    break
                except RunLocked as busy:
                    log.warning("%s; waiting for it", busy)
                    time.sleep(WAIT_SECONDS)
            yield

    def run(self, plan: Plan, folder: Path) -> PlanResult:
        """Run a plan with the step's hints; a sample of it twice, where that is asked for."""
        kind = plan.name.partition("-")[2].partition("-")[0].partition(" ")[0]
        if kind in self.hints:
            plan = replace(plan, hints=self.hints[kind])
        result = self.engine.run(plan, folder)
        if self.verify:
            check_again(plan, result, folder, self.verify)
        return result

    def run_plan(self, plan: Plan, folder: Path, ledger: str = "ledger") -> Body:
        """Run a plan whose ledger output accounts for every row it read."""
        result = self.run(plan, folder)
        return Body(Account.of_counts(result.received, result.verdicts.get(ledger, {})), result.files)

    def earlier(self, name: str, lineage: str) -> Iterator[Finished]:
        """Find finished steps that were made in the same way from other inputs, newest first.

        What they hold may be reused where it is known to be the same. That only saves work: no byte depends on it.
        """
        found: list[tuple[float, Path]] = []
        for folder in children(self.root, f"{name}-"):
            manifest = folder / MANIFEST
            if size(manifest) is not None:
                found.append((modified(manifest), folder))
        for _, folder in sorted(found, reverse=True):
            try:
                done = opened(folder, reused=True)
            except (RunFailed, ValueError, KeyError) as error:
                log.warning("%s is not reused: %s", folder, error)
                continue
            if done.lineage == lineage:
                yield done


def opened(folder: Path, *, reused: bool) -> Finished:
    """Read a finished step; a file that is missing or has another size than its manifest says is refused."""
    manifest = read_json(folder / MANIFEST)
    outputs = {name: [FileEntry.model_validate(one) for one in files] for name, files in manifest["outputs"].items()}
    for files in outputs.values():
        for one in files:
            path = folder / one.path
            there = size(path)
            if there != one.bytes:
                found = "is missing" if there is None else f"has {there} bytes"
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
        lineage=manifest["lineage"],
    )


def _tidy(folder: Path, done: Body) -> None:
    """Remove what a finished step has no use for: notes, spills, scrap, and what killed tries left half-written."""
    for name in ("_tasks", *done.scrap):
        remove(folder / name)
    clear_scratch(folder)
    for name in done.outputs:
        for path in children(folder / name, "."):
            remove_file(path)


def by_id(table: pa.Table, partitions: int) -> pa.Array:
    """Partition rows by their id."""
    return partitions_of(table["id"], partitions)


def by_key(table: pa.Table, partitions: int) -> pa.Array:
    """Partition rows by a 64-bit hash."""
    return partitions_of_hash(table["key"], partitions)


def partitions_of_hash(column: pa.ChunkedArray, partitions: int) -> pa.Array:
    """Return the partition of each 64-bit hash, by its upper half: rising with the hash."""
    top = column.to_numpy() >> np.uint64(32)
    return pa.array((top * np.uint64(partitions) >> np.uint64(32)).astype(np.int32))


@dataclass(frozen=True)
class ReadParts:
    """Streams the Parquet parts that a shard of `partition_shards` names, `columns` of them, `rows` at a time."""

    columns: tuple[str, ...] | None = None
    rows: int = 4096

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield tables of at most `rows` rows."""
        columns = None if self.columns is None else list(self.columns)
        for path in shard.payload:
            yield from read_batches(at(path), self.rows, columns)


@dataclass(frozen=True)
class As:
    """Leaves rows as they are, as the output of that name."""

    output: str

    def __call__(self, table: pa.Table) -> Mapping[str, pa.Table]:
        """Return the rows."""
        return {self.output: table}


def partition_shards(steps: Sequence[Sequence[Path]]) -> list[Shard]:
    """Make one shard of the parts with the same number of several outputs; the payload is their paths in order."""
    shards: list[Shard] = []
    for index, paths in enumerate(zip(*steps, strict=True)):
        shards.append(Shard(index, f"part-{index:05d}", tuple(map(str, paths)), sum(size(path) or 0 for path in paths)))
    return shards


@dataclass(frozen=True)
class StepErrors:
    """Ledger rows for records whose processing raised, or killed its worker, in a step."""

    step: str

    def __call__(self, rows: pa.Table, errors: list[str]) -> Mapping[str, pa.Table]:
        """Return a failed row each."""
        evidence = pa.array([canonical_json({"error": error}) for error in errors], pa.string())
        ledger = verdicts(rows, self.step, verdict=FAILED, reason="step-error", evidence=evidence)
        return {"ledger": ledger.cast(LEDGER_SCHEMA)}
