"""A finished run as its readers see it: `run.json`, the steps' manifests, and where the Parquet files lie."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines import storage
from pipelines.document import partitions_of

BATCH_ROWS = 65_536


class RunFolderError(Exception):
    """A folder that is not a finished run, or a manifest that does not say what it must."""


def idea_of(step: str) -> tuple[str, str]:
    """Split a step's name into idea and source: `01-extract-pydoc` is ("extract", "pydoc"), `03-mix` ("mix", "")."""
    plain = re.sub(r"^\d+-", "", step)
    idea, _, source = plain.partition("-")
    return idea, source


def read_json(path: Path) -> dict[str, Any]:
    """Read one JSON object; raises RunFolderError that names the file and what is wrong with it."""
    try:
        found = json.loads(storage.read_bytes(path))
    except FileNotFoundError:
        raise RunFolderError(
            f"{path}: not found. Expected a finished run; `pomona build` writes this file last."
        ) from None
    except ValueError as error:
        raise RunFolderError(f"{path}: not JSON ({error}). Expected one object; build the run again.") from error
    if not isinstance(found, dict):
        raise RunFolderError(f"{path}: holds a {type(found).__name__}, expected a JSON object; build the run again.")
    return found


def parse_evidence(evidence: str | None) -> dict[str, Any]:
    """Parse a ledger row's evidence: a JSON object; anything else is handed on whole, as {"note": ...}."""
    if not evidence:
        return {}
    try:
        found = json.loads(evidence)
    except ValueError:
        return {"note": evidence}
    return found if isinstance(found, dict) else {"note": found}


def read_batches(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Stream one Parquet file in batches of at most BATCH_ROWS rows, only the named columns."""
    for table in storage.read_batches(path, BATCH_ROWS, None if columns is None else list(columns)):
        yield from table.to_batches()


@dataclass(frozen=True)
class Step:
    """One step of a run: its sums and where its outputs are."""

    name: str
    idea: str
    source: str
    digest: str
    folder: Path
    received: int
    kept: int
    dropped: Mapping[str, int]
    failed: Mapping[str, int]
    seconds: float
    reused: bool
    outputs: Mapping[str, tuple[Path, ...]] = field(default_factory=dict[str, tuple[Path, ...]])

    @property
    def closes(self) -> bool:
        """Whether in = kept + dropped + failed."""
        return self.received == self.kept + sum(self.dropped.values()) + sum(self.failed.values())


@dataclass(frozen=True)
class Rule:
    """A recipe's rule as resolved in `run.json`; empty scopes mean all."""

    name: str
    signal: str
    min: float | None
    max: float | None
    action: str
    kinds: tuple[str, ...]
    sources: tuple[str, ...]
    languages: tuple[str, ...]
    except_languages: tuple[str, ...] = ()
    second_languages: tuple[str, ...] = ()

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Rule:
        """Read one resolved rule; a missing bound is open, a missing scope is everything."""
        names = ("kinds", "sources", "languages", "except_languages", "second_languages")
        scopes = [tuple(found.get(name) or ()) for name in names]
        action = str(found.get("action") or "drop")
        return cls(str(found["name"]), str(found["signal"]), found.get("min"), found.get("max"), action, *scopes)

    def covers(self, kind: str | None, source: str | None, language: str | None, second: str | None = None) -> bool:
        """Whether the rule is asked of records of this kind, source, language and second language."""
        asked = (
            (self.kinds, kind),
            (self.sources, source),
            (self.languages, language),
            (self.second_languages, second),
        )
        return all(not scope or value in scope for scope, value in asked) and language not in self.except_languages

    def holds(self, value: float | None) -> bool:
        """Whether a value lies within the bounds, both inclusive; one not measured does not (see `filters.Rule`)."""
        if value is None or value != value:
            return False
        return (self.min is None or value >= self.min) and (self.max is None or value <= self.max)


@dataclass(frozen=True)
class RunFolder:
    """A run folder opened for reading."""

    path: Path
    facts: Mapping[str, Any]
    steps: tuple[Step, ...]
    rules: tuple[Rule, ...]

    @classmethod
    def open(cls, run: Path) -> RunFolder:
        """Read `run.json` and the manifests; raises RunFolderError naming the file and field at fault."""
        path = storage.at(run)
        facts = read_json(path / "run.json")
        try:
            steps = tuple(_step(path, told) for told in facts["steps"])
            rules = tuple(Rule.of(told) for told in (facts["recipe"].get("filters") or {}).get("rules") or ())
        except KeyError as error:
            raise RunFolderError(
                f"{path / 'run.json'}: field {error} is missing; was it written by this version?"
            ) from None
        return cls(path, facts, steps, rules)

    def step(self, idea: str) -> Step | None:
        """Return the first step of an idea (`measure`, `decide`, ...), or None."""
        return next((step for step in self.steps if step.idea == idea), None)

    @property
    def redacted(self) -> tuple[str, ...]:
        """Kinds of personal data that the run replaced, in all texts or where a rule says so."""
        by_rule = [rule.signal.partition(".")[2] for rule in self.rules if rule.action == "redact"]
        everywhere = (self.facts["recipe"].get("filters") or {}).get("redact") or ()
        return tuple(dict.fromkeys((*everywhere, *by_rule)))

    @property
    def curations(self) -> tuple[tuple[Step, ...], ...]:
        """The steps of each run whose documents are here, in order: one, unless the run was mixed from several.

        A run's sources come first, so that a step of a source after one of all sources begins the next. The last has
        the steps that put the runs together as well.
        """
        found: list[list[Step]] = [[]]
        for before, step in zip((None, *self.steps), self.steps, strict=False):
            if before is not None and not before.source and step.source:
                found.append([])
            found[-1].append(step)
        return tuple(map(tuple, found))

    @property
    def judged(self) -> RunFolder:
        """The first of the runs that this one was mixed from, the only one whose rules are in the recipe; or itself."""
        return dataclasses.replace(self, steps=self.curations[0])

    @property
    def mixed_from(self) -> tuple[str, ...]:
        """The runs that this one was mixed from, as they were named then; none where it was built."""
        return tuple(str(one["run"]) for one in self.facts.get("mixed_from") or ())

    @property
    def signals(self) -> tuple[Path, ...]:
        """Files of measured signals, of all runs whose documents are here; their columns may differ between runs."""
        measured = [step for step in self.steps if step.idea == "measure"]
        return tuple(path for step in measured for path in step.outputs.get("signals", ()))

    def documents_until(self, idea: str | None = None) -> tuple[Path, ...]:
        """Files of the latest documents at or before the step of this idea (of the whole run for None).

        Where no single step holds them all, those of every source's extraction; of a run mixed from several, those of
        each, so that a record that two of them read is in two files.
        """
        if idea is None:
            return _latest(self.steps, None)
        return tuple(path for steps in self.curations for path in _latest(steps, idea))

    def documents_of(self, ids: Iterable[str], idea: str | None = None) -> tuple[Path, ...]:
        """Files among `documents_until(idea)` that may hold records of these ids; all where parts do not tell."""
        files = self.documents_until(idea)
        partitions = int(self.facts["recipe"].get("partitions", 0))
        held = Counter(path.name for path in files)
        if set(held) != {part_name(part) for part in range(partitions)} or len(set(held.values())) != 1:
            return files  # mixed of runs with other partitions
        names = {part_name(part) for part in partitions_of(pa.array(sorted(ids), pa.string()), partitions).to_pylist()}
        return tuple(path for path in files if path.name in names)

    @property
    def ledger(self) -> tuple[Path, ...]:
        """The run's ledger files, in order: one for each of the recipe's partitions, not what a listing shows."""
        parts = range(int(self.facts["recipe"].get("partitions", 0)))
        return tuple(_output(self.path, "ledger", part_name(part)) for part in parts)

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the stages whose mixture was written."""
        names = [str(name) for name in self.facts.get("stages") or ()]
        return tuple(name for name in names if storage.exists(self.path / "mixture" / name / "manifest.json"))

    def stage_manifest(self, stage: str) -> dict[str, Any]:
        """Read `mixture/<stage>/manifest.json`."""
        return read_json(self.path / "mixture" / stage / "manifest.json")

    def stage_files(self, stage: str) -> tuple[Path, ...]:
        """Parquet shards of a stage's mixture, in the manifest's order."""
        folder = self.path / "mixture" / stage
        return tuple(folder / shard["path"] for shard in self.stage_manifest(stage)["shards"])


def _latest(steps: Sequence[Step], idea: str | None) -> tuple[Path, ...]:
    held: tuple[Path, ...] = ()
    for step in steps:
        files = step.outputs.get("documents", ())
        if step.source:
            held += files
        elif files:
            held = files
        if step.idea == idea and not step.source:
            break
    return held


def _step(run: Path, told: Mapping[str, Any]) -> Step:
    folder = storage.at(told["folder"]) if "://" in told["folder"] else run / told["folder"]
    manifest_path = folder / storage.MANIFEST
    manifest = read_json(manifest_path) if storage.exists(manifest_path) else {}
    outputs = {
        name: tuple(_output(folder, name, part["path"]) for part in parts)
        for name, parts in (manifest.get("outputs") or {}).items()
    }
    idea, source = idea_of(told["name"])
    sums = (told["in"], told["kept"], told["dropped"], told["failed"])
    return Step(
        told["name"],
        idea,
        source,
        told["digest"],
        folder,
        *sums,
        told.get("seconds", 0.0),
        told.get("reused", False),
        outputs,
    )


def part_name(number: int) -> str:
    """Return the name of the file of a partition: every step's is the same."""
    return f"part-{number:05d}.parquet"


def _output(folder: Path, name: str, path: str) -> Path:
    """A manifest may name a part below the step or below its own kind's folder."""
    return folder / path if path.startswith(f"{name}/") else folder / name / path
