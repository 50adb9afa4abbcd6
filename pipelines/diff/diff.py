"""`pomona diff`: what a change of a recipe did, from two finished runs; nothing is run again.

Documents are compared by id, a hash of source, address and content: the same page with another text is another record.
Compared is what came to the tokenizer, curated; which of these a stage takes depends on its budget, and is told apart.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.diff.ends import LAST, Side, ranges
from pipelines.report.folder import RunFolder, idea_of
from pipelines.report.samples import excerpts
from pipelines.tally import Moves

SAMPLES = 3
"""Documents shown of each direction and reason."""
FACETS = ("source", "language", "kind")
ABSENT = "not in this run"


@dataclass
class Tally(Moves):
    """Curated documents and tokens of both runs, and what is in one only."""

    tokens_after: int = 0


@dataclass(frozen=True)
class Moved:
    """Documents that one run curated and the other ended elsewhere: `step` and `reason` are the other's."""

    direction: str
    step: str
    reason: str
    documents: int
    tokens: int


@dataclass(frozen=True)
class Sample:
    """One of them."""

    direction: str
    step: str
    reason: str
    id: str
    uri: str
    source: str
    tokens: int
    text: str


@dataclass(frozen=True)
class StepChange:
    """A step's sums in both runs; `reasons` are drops and failures by reason, both counts."""

    step: str
    received: tuple[int, int]
    kept: tuple[int, int]
    reasons: Mapping[str, tuple[int, int]]

    @property
    def same(self) -> bool:
        """Whether nothing changed."""
        pairs = (self.received, self.kept, *self.reasons.values())
        return all(one == other for one, other in pairs)


@dataclass(frozen=True)
class StageChange:
    """A stage's mixture in both runs: tokens and realised shares by entry."""

    stage: str
    tokens: tuple[int, int]
    weights: Mapping[str, tuple[float | None, float | None]]


@dataclass
class Difference:
    """The answer. `before` is the first run, `after` the second."""

    before: str
    after: str
    recipe: list[tuple[str, Any, Any]] = field(default_factory=list[tuple[str, Any, Any]])
    """Fields that differ: path, both values; None where it is not there."""
    steps: list[StepChange] = field(default_factory=list[StepChange])
    total: Tally = field(default_factory=Tally)
    by: dict[str, dict[str, Tally]] = field(default_factory=dict[str, dict[str, Tally]])
    moved: list[Moved] = field(default_factory=list[Moved])
    samples: list[Sample] = field(default_factory=list[Sample])
    stages: list[StageChange] = field(default_factory=list[StageChange])

    @property
    def equal(self) -> bool:
        """Whether both runs curated the same documents and mixed them alike."""
        mixed = all(one.tokens[0] == one.tokens[1] for one in self.stages)
        weighed = all(one == other for stage in self.stages for one, other in stage.weights.values())
        return not (self.total.gained or self.total.lost) and mixed and weighed

    def as_dict(self) -> dict[str, Any]:
        """Return the answer as JSON-able values."""
        told = dataclasses.asdict(self)
        told["recipe"] = [{"field": path, "before": one, "after": other} for path, one, other in self.recipe]
        return {**told, "equal": self.equal}


def diff(one: Path, other: Path, samples: int = SAMPLES) -> Difference:
    """Compare two finished runs.

    Memory holds the records of one range of ids at a time: as many ranges as the finer recipe has partitions.
    Raises RunFolderError when a folder is no finished run.
    """
    before, after = RunFolder.open(one), RunFolder.open(other)
    found = Difference(str(one), str(other))
    found.recipe = fields(before.facts["recipe"], after.facts["recipe"])
    found.steps = _steps(before, after)
    found.stages = _stages(before, after)
    found.by = {name: {} for name in FACETS}
    kept = _Kept(samples)
    for _, _, mine, theirs in ranges(Side(before), Side(after)):
        _compare(found, mine, theirs, kept)
    found.by = {name: dict(sorted(tallies.items())) for name, tallies in found.by.items()}
    found.moved = sorted(kept.moved(), key=lambda moved: (moved.direction, -moved.documents, moved.step, moved.reason))
    found.samples = kept.samples(before, after)
    return found


def fields(one: Any, other: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Return where two resolved recipes differ; rules and sources are compared by their names."""
    one, other = _named(one), _named(other)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        found: list[tuple[str, Any, Any]] = []
        for name in dict.fromkeys([*one, *other]):
            below = f"{path}.{name}" if path else str(name)
            found += fields(one.get(name), other.get(name), below)
        return found
    return [] if one == other else [(path, one, other)]


def _named(value: Any) -> Any:
    """Turn a list of named things into a mapping, so that one more of them does not shift the others."""
    if isinstance(value, list | tuple) and value and all(isinstance(one, Mapping) and one.get("name") for one in value):
        names = [str(one["name"]) for one in value]
        if len(set(names)) == len(names):
            return dict(zip(names, value, strict=True))
    return value


def _steps(before: RunFolder, after: RunFolder) -> list[StepChange]:
    """Compare steps by name; of a run that was mixed from several, each has its steps of that name added together."""
    found: list[StepChange] = []
    for name in sorted({step.name for folder in (before, after) for step in folder.steps}):
        sides = [[step for step in folder.steps if step.name == name] for folder in (before, after)]
        reasons: dict[str, list[int]] = {}
        for at, steps in enumerate(sides):
            for step in steps:
                for reason, count in (*step.dropped.items(), *step.failed.items()):
                    reasons.setdefault(reason, [0, 0])[at] += count
        received, kept = (
            [sum(getattr(step, what) for step in side) for side in sides] for what in ("received", "kept")
        )
        pairs = {reason: (counts[0], counts[1]) for reason, counts in sorted(reasons.items())}
        change = StepChange(name, (received[0], received[1]), (kept[0], kept[1]), pairs)
        if not change.same:
            found.append(change)
    return found


def _stages(before: RunFolder, after: RunFolder) -> list[StageChange]:
    found: list[StageChange] = []
    for stage in dict.fromkeys((*before.stages, *after.stages)):
        told = [folder.stage_manifest(stage) if stage in folder.stages else {} for folder in (before, after)]
        names = dict.fromkeys(name for one in told for name in one.get("realised_weights", {}))
        weights = {
            name: (told[0].get("realised_weights", {}).get(name), told[1].get("realised_weights", {}).get(name))
            for name in names
        }
        totals = (int(told[0].get("total_tokens", 0)), int(told[1].get("total_tokens", 0)))
        found.append(StageChange(stage, totals, weights))
    return found


class _Kept:
    """Counts by reason, and the few records of smallest id that are shown of each."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._sums: dict[tuple[str, str, str], list[int]] = {}
        self._rows: dict[tuple[str, str, str], list[tuple[str, int]]] = {}

    def add(self, direction: str, rows: pa.Table) -> None:
        """Take rows with id, tokens, and the step and reason of the other run."""
        summed = rows.group_by(["step", "reason"]).aggregate([([], "count_all"), ("tokens", "sum")])
        for row in summed.to_pylist():
            held = self._sums.setdefault((direction, row["step"], row["reason"]), [0, 0])
            held[0] += row["count_all"]
            held[1] += row["tokens_sum"] or 0
        for _, step, reason in [key for key in self._sums if key[0] == direction]:
            mine = rows.filter(pc.and_(pc.equal(rows["step"], step), pc.equal(rows["reason"], reason)))
            some = mine.sort_by("id").slice(0, self._most).select(["id", "tokens"]).to_pylist()
            key = (direction, step, reason)
            held = [*self._rows.get(key, []), *((row["id"], row["tokens"] or 0) for row in some)]
            self._rows[key] = sorted(held)[: self._most]

    def moved(self) -> list[Moved]:
        """Return the sums."""
        return [Moved(*key, documents, tokens) for key, (documents, tokens) in self._sums.items()]

    def samples(self, before: RunFolder, after: RunFolder) -> list[Sample]:
        """Fetch the texts of what is shown: what was lost is in the first run, what was gained in the second."""
        found: list[Sample] = []
        for direction, folder in (("lost", before), ("gained", after)):
            mine = {key: rows for key, rows in self._rows.items() if key[0] == direction}
            ids = [id_ for rows in mine.values() for id_, _ in rows]
            texts = excerpts(folder.documents_until("measure"), ids, redact=bool(folder.redacted))
            for key, rows in sorted(mine.items()):
                for id_, tokens in rows:
                    if id_ in texts:
                        one = texts[id_]
                        found.append(Sample(*key, id_, one.uri, one.source, tokens, one.text))
        return found


def _compare(found: Difference, mine: pa.Table, theirs: pa.Table, kept: _Kept) -> None:
    """Compare the records of one range of ids."""
    was, now = _curated(mine), _curated(theirs)
    for table, curated, side in ((mine, was, "before"), (theirs, now, "after")):
        _count(found, table.filter(pa.array(curated)), side)
    for direction, table, curated, others, good in (
        ("lost", mine, was, theirs, now),
        ("gained", theirs, now, mine, was),
    ):
        at = pc.index_in(table["id"], value_set=others["id"].combine_chunks()).combine_chunks()
        place = pc.fill_null(at, 0).to_numpy().astype(np.int64)
        known = pc.is_valid(at).to_numpy(zero_copy_only=False)
        there = known & (good[place] if len(good) else np.zeros(len(place), bool))
        gone = pa.array(curated & ~there)
        rows = table.filter(gone)
        if not rows.num_rows:
            continue
        _count(found, rows, direction)
        taken = others.take(at.filter(gone)) if others.num_rows else None
        steps, reasons = (
            (pc.fill_null(taken[name], filler) if taken is not None else pa.repeat(filler, rows.num_rows))
            for name, filler in (("step", ABSENT), ("reason", ""))
        )
        told = {"id": rows["id"], "tokens": rows["tokens"], "step": steps, "reason": reasons}
        kept.add(direction, pa.table(told))


def _curated(ends: pa.Table) -> NDArray[np.bool_]:
    """Which records came to the tokenizer: kept there, or dropped only by what comes after."""
    steps = ends["step"].combine_chunks().dictionary_encode()
    late = np.array([idea_of(name)[0] in LAST for name in steps.dictionary.to_pylist()] or [False])
    kept = pc.equal(ends["verdict"], "kept").to_numpy().astype(bool)
    spare = pc.is_in(ends["reason"], value_set=pa.array(["not-selected"])).to_numpy().astype(bool)
    at = late[steps.indices.to_numpy().astype(np.int64)] if len(steps.dictionary) else np.zeros(ends.num_rows, bool)
    return at & (kept | spare)


def _count(found: Difference, rows: pa.Table, what: str) -> None:
    """Add documents and tokens to the tallies."""
    _add(found.total, what, rows.num_rows, int(pc.sum(rows["tokens"]).as_py() or 0))
    for facet in FACETS:
        filled = pa.table({facet: pc.fill_null(rows[facet], ""), "tokens": rows["tokens"]})
        for row in filled.group_by(facet).aggregate([([], "count_all"), ("tokens", "sum")]).to_pylist():
            tally = found.by[facet].setdefault(row[facet], Tally())
            _add(tally, what, row["count_all"], row["tokens_sum"] or 0)


def _add(tally: Tally, what: str, documents: int, tokens: int) -> None:
    setattr(tally, what, getattr(tally, what) + documents)
    setattr(tally, f"tokens_{what}", getattr(tally, f"tokens_{what}") + tokens)
