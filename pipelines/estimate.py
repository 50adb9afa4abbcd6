"""`pomona build --dry-run`: what would run, what is reused, and what it would take at the rates measured before.

Nothing is written, crawled, locked or started. Rates are those of the newest finished step of the same name in the same
place; time is taken to be linear in records and to fall with the number of workers.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines import run as runs
from pipelines.engines.plan import Plan, PlanError, PlanResult
from pipelines.engines.settings import ENGINES, BadSettings
from pipelines.rates import Past, best, history, kind_of
from pipelines.recipe import Recipe
from pipelines.sources.crawl import CrawlSource
from pipelines.steps.step import Finished, Steps
from pipelines.storage import MANIFEST, children, read_json

REUSED, RESUMES, RUNS, CRAWL, AGAIN = "reused", "resumes", "runs", "crawl first", "crawl again"
NOTHING = "no earlier run to estimate from"

TASKS = {
    "crawl": 1, "measure": 1, "decide": 1, "blocks": 1, "dedup": 10, "lines": 5, "paragraphs": 5, "substrings": 9,
    "bloom": 3, "semantic": 7, "files": 5, "repositories": 5, "decontaminate": 2, "tokenize": 1, "ledger": 1,
}  # fmt: skip
"""Tasks of a step for each partition of the recipe; those of the other steps follow from their input."""


CHAIN = (
    *("blocks", "repositories", "dedup", "lines", "paragraphs", "substrings", "bloom", "semantic", "files"),
    "decontaminate",
)
"""Steps that read what the one before them keeps, the first of them what `decide` keeps; any may be missing."""


ALONE = ("tokenizer", "select")
"""Steps that decide on no record, and have no ledger."""


@dataclass
class Standing:
    """Stands where an engine would: a name and a number of workers, and nothing that runs."""

    name: str
    workers: int

    @classmethod
    def of(cls, engine: str, workers: int | None) -> Standing:
        """Stand for the engine that the command line asks for. Raises BadSettings for one that is unknown."""
        if engine not in ENGINES:
            raise BadSettings(f"--engine {engine}: valid here: {', '.join(ENGINES)}")
        return cls(engine, workers or len(os.sched_getaffinity(0)))

    def run(self, plan: Plan, folder: Path) -> PlanResult:
        """Refuse."""
        raise PlanError(f"{plan.name}: a dry run runs nothing")

    def close(self) -> None:
        """Have nothing to release."""


@dataclass
class Line:
    """What is to be said of one step.

    `records` come in, `new` of them have to be worked on; `exact` when they are counted, not estimated. Of a step that
    has nothing to be estimated from `seconds` and `bytes` are None. `least` marks figures that leave something out.
    """

    step: str
    state: str
    records: int | None = None
    new: int | None = None
    kept: int | None = None
    exact: bool = False
    least: bool = False
    seconds: float | None = None
    bytes: int | None = None
    tasks_done: int = 0
    tasks: int | None = None
    rates_of: str | None = None
    """The folder of the step whose rates were taken."""

    @property
    def runs(self) -> bool:
        """Whether anything is left to do."""
        return self.state != REUSED


@dataclass
class Estimate:
    """A dry run's answer; `seconds` and `bytes` are sums over what can be estimated."""

    recipe: str
    root: Path
    engine: str
    workers: int
    price: float | None
    lines: list[Line] = field(default_factory=list[Line])

    @property
    def seconds(self) -> float:
        """Seconds in all."""
        return sum(line.seconds or 0.0 for line in self.lines)

    @property
    def bytes(self) -> int:
        """Bytes written in all."""
        return sum(line.bytes or 0 for line in self.lines)

    @property
    def core_hours(self) -> float:
        """Hours for which workers are held, in all."""
        return self.seconds * self.workers / 3600

    @property
    def money(self) -> float | None:
        """What the workers cost, None without a price."""
        return None if self.price is None else self.core_hours * self.price

    @property
    def complete(self) -> bool:
        """Whether every step that runs is in the sums with all it has to do."""
        return all(line.seconds is not None and not line.least for line in self.lines if line.runs)

    def as_dict(self) -> dict[str, Any]:
        """Return the estimate as JSON-able values."""
        return {
            "recipe": self.recipe,
            "root": str(self.root),
            "engine": {"name": self.engine, "workers": self.workers},
            "steps": [vars(line) for line in self.lines],
            "seconds": round(self.seconds, 3),
            "bytes": self.bytes,
            "core_hours": round(self.core_hours, 6),
            "price_per_core_hour": self.price,
            "money": None if self.money is None else round(self.money, 6),
            "complete": self.complete,
            "assumes": "time linear in records, divided by the workers; rates of the newest finished steps",
        }


def estimate(recipe: Recipe, options: runs.Options, engine: Standing, price: float | None = None) -> Estimate:
    """Plan a build and say what it would take; `price` is for one worker and hour.

    Raises what a build would before its first step: RunFailed, CrawlError, FileNotFoundError.
    """
    run = runs.prepare(recipe, options, engine, dry=True)
    made = runs.flow(run)
    found = Estimate(recipe.name, run.steps.root, engine.name, engine.workers, price)
    for source in recipe.sources:
        if isinstance(source, CrawlSource) and (options.update or source.name not in run.crawls):
            state = AGAIN if source.name in run.crawls else CRAWL
            found.lines.append(Line(f"crawl {source.name}", state))
    _Estimator(run, found).add([*run.finished, made.ledger])
    return found


class _Estimator:
    """Goes through the steps in order: each one's input is what those before it keep."""

    def __init__(self, run: runs.Run, into: Estimate) -> None:
        self._run, self._into = run, into
        self._lines: dict[str, list[Line]] = {}
        self._chain: list[Line] = []

    def add(self, steps: Sequence[Finished]) -> None:
        """Add a line for each step."""
        for done in steps:
            line = self._planned(done) if done.planned else _counted(done)
            kind = kind_of(done.name)
            self._lines.setdefault(kind, []).append(line)
            if kind in ("decide", *CHAIN):
                self._chain.append(line)
            self._into.lines.append(line)

    def _planned(self, done: Finished) -> Line:
        line = Line(done.name, RUNS)
        past = best(history(self._run.steps.root, done.name), self._into.engine)
        kind = kind_of(done.name)
        if kind == "extract":
            self._extract(line, done, past)
        elif kind == "crawl":
            line.records = line.new = _crawled(self._run.crawls[done.source])
            line.kept, line.exact = 0, True
        else:
            self._follow(line, kind, past)
        if kind == "measure" and line.records is not None:
            line.new = min(line.records, self._not_measured(done, line.records))
        self._resume(line, done)
        if past is not None and line.records is not None:
            self._rate(line, kind, past)
        return line

    def _follow(self, line: Line, kind: str, past: Past | None) -> None:
        """Take the input of a step from what the steps before it keep."""
        if kind in CHAIN:
            before = self._chain[-1:]
        elif kind == "ledger":
            before = [one for name, lines in self._lines.items() if name not in ALONE for one in lines]
        else:
            before = [one for name in _READS[kind] for one in self._lines.get(name, [])]
        known = [one for one in before if (one.records if kind == "ledger" else one.kept) is not None]
        if not known:
            return
        line.records = sum((one.records if kind == "ledger" else one.kept) or 0 for one in known)
        line.exact = all(not one.runs for one in before)
        line.least = len(known) < len(before) or any(one.least for one in before)
        if kind == "tokenizer" and past is not None:
            line.records = past.sampled(line.records, self._run.recipe.tokenizer.sample_bytes)
        line.new = line.records
        line.kept = round(line.records * past.kept_share) if past is not None else None

    def _extract(self, line: Line, done: Finished, past: Past | None) -> None:
        """Count what earlier runs extracted of the same units; estimate the rest by its bytes."""
        if _uncrawled(self._run, done):
            line.least = True
            if past is not None:
                line.records = line.new = past.received
                line.kept = round(past.received * past.kept_share)
            return
        units = dict(zip(done.facts["units"], done.facts["bytes"], strict=True))
        rows = _extracted(self._run.steps, done, units)
        line.exact = len(rows) == len(units)
        if past is not None and past.bytes_read:
            counted = _counts(self._run.steps, done, units)
            left = sum(count for unit, count in units.items() if unit not in counted)
            guessed = round(left * past.received / past.bytes_read)
            line.records = sum(counted.values()) + guessed
            line.new = line.records - sum(rows.values())
            line.kept = round(line.records * past.kept_share)
        elif line.exact:
            line.records, line.new = sum(rows.values()), 0

    def _not_measured(self, done: Finished, records: int) -> int:
        """Records that no earlier run has measured: those of new units, and of sources extracted in another way."""
        extracted = {line.step: line for line in self._lines["extract"]}
        best = records
        for before in self._run.steps.earlier(done.name, done.lineage):
            count = 0
            for step in self._run.finished:
                if kind_of(step.name) == "extract":
                    line = extracted[step.name]
                    same = before.facts["sources"].get(step.source) == step.lineage
                    count += _unseen(self._run.steps, step, before) if same and not step.planned else (
                        (line.new if same else line.kept) or 0
                    )  # fmt: skip
            best = min(best, count)
        return best

    def _resume(self, line: Line, done: Finished) -> None:
        """Say how many tasks a killed run left finished."""
        kind, partitions = kind_of(done.name), self._run.recipe.partitions
        names = [path.name for path in children(done.folder / "_tasks")]
        line.tasks_done = sum(name.endswith(".json") and not name.endswith("-done.json") for name in names)
        if not line.tasks_done:
            return
        line.state = RESUMES
        if kind in TASKS:
            line.tasks = TASKS[kind] * partitions
        elif kind == "extract":
            line.tasks = len(done.facts.get("units", ())) + partitions

    def _rate(self, line: Line, kind: str, past: Past) -> None:
        assert line.records is not None and line.new is not None  # noqa: PT018 - both are set together
        if not past.worked_on:
            return
        line.rates_of = past.folder.name
        line.least = line.least or past.saved
        left = max(0.0, 1.0 - line.tasks_done / line.tasks) if line.tasks else 1.0
        workers = 1 if kind == "tokenizer" else self._into.workers
        line.seconds = round(past.worker_seconds / past.worked_on * line.new / workers * left, 3)
        line.bytes = round(past.written(line.records, line.new) * left)


_READS = {
    "measure": ["extract"],
    "decide": ["measure"],
    "tokenizer": ["decontaminate"],
    "tokenize": ["decontaminate"],
    "select": ["decontaminate"],
    "mix": ["decontaminate"],
}
"""Which steps' kept records a kind of step reads, where it is not the one before it (CHAIN)."""


def _counted(done: Finished) -> Line:
    kind = kind_of(done.name)
    count = sum(entry.rows for entry in done.outputs["ledger"]) if kind == "ledger" else done.account.received
    if kind == "tokenizer":
        count = int(done.facts["documents"])
    return Line(done.name, REUSED, count, 0, done.account.kept, exact=True, seconds=0.0, bytes=0)


def _extracted(steps: Steps, done: Finished, units: Mapping[str, int]) -> dict[str, int]:
    """Return the rows of those units that earlier runs extracted in the same way."""
    rows: dict[str, int] = {}
    for before in steps.earlier(done.name, done.lineage):
        for unit, entry in zip(before.facts["units"], before.outputs["rows"], strict=True):
            if unit in units:
                rows.setdefault(unit, entry.rows)
        if len(rows) == len(units):
            break
    return rows


def _counts(steps: Steps, done: Finished, units: Mapping[str, int]) -> dict[str, int]:
    """Return how many records those units were found to have that any earlier run read, in whatever way."""
    rows: dict[str, int] = {}
    for before in history(steps.root, done.name):
        files = before.manifest["outputs"].get("rows", [])
        for unit, entry in zip(before.manifest["facts"].get("units", []), files, strict=False):
            if unit in units:
                rows.setdefault(unit, entry["rows"])
    return rows


def _unseen(steps: Steps, extracted: Finished, measured: Finished) -> int:
    """Count rows of a finished extraction whose units an earlier measuring had not been given."""
    inputs = set(read_json(measured.folder / MANIFEST)["inputs"])
    seen: set[str] = set()
    for before in steps.earlier(extracted.name, extracted.lineage):
        if before.digest in inputs:
            seen.update(before.facts["units"])
    pairs = zip(extracted.facts["units"], extracted.outputs["rows"], strict=True)
    return sum(entry.rows for unit, entry in pairs if unit not in seen)


def _uncrawled(run: runs.Run, done: Finished) -> bool:
    crawled = {source.name for source in run.recipe.sources if isinstance(source, CrawlSource)}
    return done.source in crawled and done.source not in run.crawls


def _crawled(folder: Path) -> int:
    from pipelines.crawl.folder import read_manifest

    return int(read_manifest(folder)["in"])
