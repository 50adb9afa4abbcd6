"""Everything a report and a dataset card say of all records, counted by the engine.

A task looks at one partition and hands on its sums, whose size does not grow with its records; others add the sums of
`TOGETHER` partitions; the planning process adds those. So what it does alone grows with the partitions, divided by
`TOGETHER`, and never reads a row of the ledger. Sums are whole numbers, the smallest ids and the nearest values: they
come out the same however the parts are brought together.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.engines.plan import Engine, GroupBy, Output, Plan, Shard
from pipelines.report import clusters, signals, stages
from pipelines.report.consent import Consent
from pipelines.report.folder import RunFolder
from pipelines.report.verdicts import Verdicts
from pipelines.runs.leftover import COUNTING
from pipelines.storage import at, clear_scratch, is_remote, passing_folder, read_table, remove

STEP = "10-report"
TOGETHER = 64
"""Partitions whose sums one task adds."""

SUMS_SCHEMA = pa.schema(
    [pa.field("group", pa.int32()), pa.field("part", pa.int32()), pa.field("sums", pa.large_string())]
)


@dataclass(frozen=True)
class Part:
    """The files of one partition: what a task looks at."""

    ledger: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()
    signals: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    decided: tuple[str, ...] = ()
    remaining: tuple[str, ...] = ()
    shards: tuple[tuple[str, str], ...] = ()
    """(stage, file)"""


@dataclass
class Tally:
    """The sums."""

    verdicts: Verdicts = field(default_factory=Verdicts)
    clusters: clusters.Clusters = field(default_factory=clusters.Clusters)
    signals: signals.Signals = field(default_factory=signals.Signals)
    consent: Consent = field(default_factory=Consent)
    stages: dict[str, stages.Sums] = field(default_factory=dict[str, stages.Sums])

    def look(self, part: Part, tags: frozenset[str]) -> None:
        """Add the records of one partition; `tags` names the rules that drop nothing."""
        self.verdicts.look(_paths(part.ledger))
        self.clusters.look(_paths(part.copies))
        for path in _paths(part.signals):
            self.signals.look(path, _paths(part.documents), _paths(part.decided), tags)
        self.consent.look(_paths(part.remaining))
        for stage, path in part.shards:
            self.stages[stage].look(at(path))

    def state(self) -> str:
        """Return what `merge` takes: JSON."""
        told: dict[str, Any] = {
            "verdicts": self.verdicts.state(),
            "clusters": self.clusters.state(),
            "signals": self.signals.state(),
            "consent": self.consent.state(),
            "stages": {stage: sums.state() for stage, sums in self.stages.items()},
        }
        return json.dumps(told, separators=(",", ":"))

    def merge(self, state: str) -> None:
        """Add the sums of other partitions."""
        told = json.loads(state)
        self.verdicts.merge(told["verdicts"])
        self.clusters.merge(told["clusters"])
        self.signals.merge(told["signals"])
        self.consent.merge(told["consent"])
        for stage, sums in told["stages"].items():
            self.stages[stage].merge(sums)

    def of_stages(self, run: RunFolder) -> list[stages.Stage]:
        """Return every stage of the run with its sums."""
        return [stages.of(name, run.stage_manifest(name), sums) for name, sums in self.stages.items()]


def _paths(names: Sequence[str]) -> list[Path]:
    return [at(name) for name in names]


@dataclass(frozen=True)
class Look:
    """Sums one partition; `empty`, pickled, has the axes of the signals and the names of the stages."""

    empty: bytes
    tags: frozenset[str]

    def __call__(self, shard: Shard) -> Iterator[pa.Table]:
        """Yield one row of SUMS_SCHEMA."""
        found = _like(self.empty)
        found.look(shard.payload, self.tags)
        yield _row(shard.index // TOGETHER, shard.index, found)


@dataclass(frozen=True)
class Add:
    """Adds the sums of each group of partitions; `empty` is as in `Look`."""

    empty: bytes

    def __call__(self, table: pa.Table) -> Mapping[str, pa.Table]:
        """Take whole groups, give a row each."""
        added: dict[int, Tally] = {}
        for group, sums in zip(table["group"].to_pylist(), table["sums"].to_pylist(), strict=True):
            added.setdefault(group, _like(self.empty)).merge(sums)
        return {"sums": pa.concat_tables([SUMS_SCHEMA.empty_table(), *(_row(at, 0, one) for at, one in added.items())])}


def _row(group: int, part: int, sums: Tally) -> pa.Table:
    return pa.table([[group], [part], [sums.state()]], schema=SUMS_SCHEMA)


def _like(empty: bytes) -> Tally:
    """Return sums of nothing, which is quicker than to copy one."""
    found = pickle.loads(empty)
    assert isinstance(found, Tally)
    return found


def by_group(table: pa.Table, partitions: int) -> pa.Array:
    """Partition rows by their group: partition i is group i."""
    return table["group"].combine_chunks()


def gather(run: RunFolder, engine: Engine | None = None) -> Tally:
    """Count a finished run on an engine; without one, in this process.

    Raises RunFolderError, and the engine's errors.
    """
    if engine is None:
        from pipelines.engines.local import LocalEngine

        engine = LocalEngine(1)
    found = Tally(signals=signals.opened(run), stages={name: stages.Sums() for name in run.stages})
    empty = pickle.dumps(found)
    tags = frozenset(rule.name for rule in run.rules if rule.action != "drop")
    with _place(run, engine) as place:
        together = engine.run(clusters.brought_together(run.ledger), place).files["clusters"] if run.ledger else []
        parts = _parts(run, [place / entry.path for entry in together])
        if parts:
            for entry in engine.run(_plan(parts, empty, tags), place).files["sums"]:
                for sums in read_table(place / entry.path, ["sums"])["sums"].to_pylist():
                    found.merge(sums)
    return found


@contextmanager
def _place(run: RunFolder, engine: Engine) -> Generator[Path]:
    """Yield a folder for what tasks hand on: in the run, or on this machine where the run is not and all tasks are."""
    if engine.name == "local" and is_remote(run.path):
        with passing_folder() as folder:
            yield folder
        return
    place = run.path / COUNTING
    remove(place)  # of a process that was killed
    try:
        yield place
    finally:
        clear_scratch(place)
        remove(place)


def _plan(parts: Sequence[Part], empty: bytes, tags: frozenset[str]) -> Plan:
    groups = -(-len(parts) // TOGETHER)
    return Plan(
        name=STEP,
        shards=[Shard(index, f"part-{index:05d}", part) for index, part in enumerate(parts)],
        read=Look(empty, tags),
        group=GroupBy(SUMS_SCHEMA, groups, by_group, ("group",), ("group", "part")),
        emit=Add(empty),
        outputs={"sums": Output(SUMS_SCHEMA, ("group", "part"))},
    )


def _parts(run: RunFolder, copies: Sequence[Path]) -> list[Part]:
    """Divide a run's files among tasks: what joins by id goes together, the rest by its place in the order of files."""
    measured, decided = run.judged.step("measure"), run.judged.step("decide")
    documents = _by_name(run.judged.documents_until("measure"))
    ledgers = _by_name(decided.outputs.get("ledger", ()) if decided else ())
    measures = list(measured.outputs.get("signals", ()) if measured else ())
    remaining = list(_by_name(run.documents_until()).values())
    shards = {stage: run.stage_files(stage) for stage in run.stages}
    ledger = run.ledger
    count = max(map(len, (ledger, copies, measures, remaining, *shards.values())))
    return [
        Part(
            ledger=_names(ledger[number : number + 1]),
            copies=_names(copies[number : number + 1]),
            signals=_names(measures[number : number + 1]),
            documents=_names(documents.get(measures[number].name, ()) if number < len(measures) else ()),
            decided=_names(ledgers.get(measures[number].name, ()) if number < len(measures) else ()),
            remaining=_names(remaining[number] if number < len(remaining) else ()),
            shards=tuple((stage, str(files[number])) for stage, files in shards.items() if number < len(files)),
        )
        for number in range(count)
    ]


def _names(paths: Sequence[Path]) -> tuple[str, ...]:
    return tuple(map(str, paths))


def _by_name(files: Sequence[Path]) -> dict[str, tuple[Path, ...]]:
    """Group files by partition: every step names the part of a partition alike."""
    grouped: dict[str, tuple[Path, ...]] = {}
    for path in files:
        grouped[path.name] = (*grouped.get(path.name, ()), path)
    return grouped
