"""Distributions of the measured signals by kind, and what each rule did to them. Sums of parts add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.report import decisions, scale
from pipelines.report.folder import Rule, RunFolder, read_batches
from pipelines.report.samples import Side
from pipelines.storage import read_schema

SAMPLE_VALUES = 40_000
"""Values that axes and quantiles are taken from; ids are hashes, so a partition's first rows are a fair sample."""
SAMPLE_FILES = 256
"""Partitions that they are taken from at most, as far from one another as can be: each is a fair sample as well."""


@dataclass
class Lane:
    """One kind's histogram: values whose record no rule on this signal dropped, and values that one did."""

    kind: str
    passed: NDArray[np.int64] = field(default_factory=lambda: np.zeros(scale.BINS, np.int64))
    crossed: NDArray[np.int64] = field(default_factory=lambda: np.zeros(scale.BINS, np.int64))

    @property
    def total(self) -> int:
        """Values in the lane."""
        return int(self.passed.sum() + self.crossed.sum())


@dataclass
class Boundary:
    """One bound of a rule, with the samples nearest to it on either side."""

    word: str
    bound: float
    kept: Side = field(default_factory=Side)
    dropped: Side = field(default_factory=Side)


@dataclass
class Effect:
    """What a rule did: records it was asked of, outside its bounds, dropped by it, and dropped by it alone."""

    rule: Rule
    boundaries: tuple[Boundary, ...]
    asked: int = 0
    outside: int = 0
    dropped: int = 0
    alone: int = 0


@dataclass
class Signal:
    """A signal: its axis, quantiles (5, 50, 95 %), values not measured, lanes by kind and the rules on it."""

    name: str
    scale: scale.Scale
    quantiles: tuple[float, float, float]
    missing: int = 0
    lanes: dict[str, Lane] = field(default_factory=dict[str, Lane])
    effects: list[Effect] = field(default_factory=list[Effect])

    @property
    def dropped(self) -> int:
        """Records dropped by some rule on this signal."""
        return sum(int(lane.crossed.sum()) for lane in self.lanes.values())

    @property
    def total(self) -> int:
        """Values measured."""
        return sum(lane.total for lane in self.lanes.values())


@dataclass
class Signals:
    """Every signal: numbers as histograms, words (a language's code) as counts of (kind, word).

    Everything is counted over all `records`, but for axes and quantiles, which are those of `sampled` records.
    """

    numbers: list[Signal] = field(default_factory=list[Signal])
    words: dict[str, Counter[tuple[str, str]]] = field(default_factory=dict[str, Counter[tuple[str, str]]])
    records: int = 0
    sampled: int = 0

    def decided(self) -> list[Signal]:
        """Signals with a rule, the one that dropped most first."""
        return sorted(
            (found for found in self.numbers if found.effects), key=lambda found: (-found.dropped, found.name)
        )

    def undecided(self) -> list[Signal]:
        """Signals measured without a rule, by name."""
        return sorted((found for found in self.numbers if not found.effects), key=lambda found: found.name)

    def look(self, signals: Path, documents: Sequence[Path], decided: Sequence[Path], tags: frozenset[str]) -> None:
        """Add the signals of one partition; see `decisions.batches`."""
        for batch in decisions.batches(signals, documents, decided, tags):
            self.records += batch.rows.num_rows
            encoded = batch.kinds.dictionary_encode()
            codes = encoded.indices.to_numpy(zero_copy_only=False)
            of_kind = {kind: codes == code for code, kind in enumerate(encoded.dictionary.to_pylist())}
            for signal in self.numbers:
                _count(signal, batch, of_kind)
            for name, counts in self.words.items():
                pairs = pa.table({"kind": batch.kinds, "word": batch.rows[name].cast(pa.string())})
                for pair in pairs.group_by(["kind", "word"]).aggregate([([], "count_all")]).to_pylist():
                    counts[(pair["kind"], pair["word"] or "–")] += pair["count_all"]

    def state(self) -> dict[str, Any]:
        """Return what `merge` takes, as JSON-able values."""
        return {
            "records": self.records,
            "words": [[[*key, count] for key, count in sorted(counts.items())] for counts in self.words.values()],
            "numbers": [
                {
                    "missing": signal.missing,
                    "lanes": [
                        [kind, lane.passed.tolist(), lane.crossed.tolist()]
                        for kind, lane in sorted(signal.lanes.items())
                    ],
                    "effects": [
                        [effect.asked, effect.outside, effect.dropped, effect.alone]
                        + [side.found() for one in effect.boundaries for side in (one.kept, one.dropped)]
                        for effect in signal.effects
                    ],
                }
                for signal in self.numbers
            ],
        }

    def merge(self, state: Mapping[str, Any]) -> None:
        """Add the signals of other partitions, counted on the same axes."""
        self.records += state["records"]
        for counts, told in zip(self.words.values(), state["words"], strict=True):
            for kind, word, count in told:
                counts[(kind, word)] += count
        for signal, found in zip(self.numbers, state["numbers"], strict=True):
            signal.missing += found["missing"]
            for kind, passed, crossed in found["lanes"]:
                lane = signal.lanes.setdefault(kind, Lane(kind))
                lane.passed += np.array(passed, np.int64)
                lane.crossed += np.array(crossed, np.int64)
            for effect, (asked, outside, dropped, alone, *sides) in zip(signal.effects, found["effects"], strict=True):
                effect.asked += asked
                effect.outside += outside
                effect.dropped += dropped
                effect.alone += alone
                ours = [(one.bound, side) for one in effect.boundaries for side in (one.kept, one.dropped)]
                for (bound, side), told in zip(ours, sides, strict=True):
                    side.merge(bound, told)


def opened(run: RunFolder) -> Signals:
    """Lay the axes of a run's signals by a sample of bounded size, and hang the rules on them; nothing is counted."""
    step = run.judged.step("measure")
    files = step.outputs.get("signals", ()) if step else ()
    if not files:
        return Signals()
    schema = read_schema(files[0])
    numbers = [told.name for told in schema if pa.types.is_floating(told.type) or pa.types.is_integer(told.type)]
    words = [told.name for told in schema if pa.types.is_string(told.type) and "." in told.name]
    count = min(len(files), SAMPLE_FILES)
    some = [files[at * len(files) // count] for at in range(count)]
    columns = pa.schema([schema.field(name) for name in numbers])
    sample = pa.Table.from_batches(list(_first(some, numbers, max(64, SAMPLE_VALUES // count))), columns)
    return Signals(_open(run, sample), {name: Counter() for name in words}, sampled=sample.num_rows)


def _open(run: RunFolder, sample: pa.Table) -> list[Signal]:
    """Lay the axis of each signal by a sample, and hang the rules on it."""
    found: list[Signal] = []
    for name in sample.column_names:
        values = sample[name].cast(pa.float64()).to_numpy()
        values = values[np.isfinite(values)]
        rules = [rule for rule in run.rules if rule.signal == name]
        bounds = [bound for rule in rules for bound in (rule.min, rule.max) if bound is not None]
        low, middle, high = np.quantile(values, (0.05, 0.5, 0.95)) if len(values) else (np.nan, np.nan, np.nan)
        signal = Signal(name, scale.choose(values, bounds), (float(low), float(middle), float(high)))
        for rule in rules:
            sides = (("at least", rule.min), ("at most", rule.max))
            signal.effects.append(
                Effect(rule, tuple(Boundary(word, bound) for word, bound in sides if bound is not None))
            )
        found.append(signal)
    return found


def _first(files: Sequence[Path], names: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
    """Yield the first rows of each file."""
    for path in files:
        left = rows
        for batch in read_batches(path, names):
            yield batch.slice(0, left)
            left -= batch.num_rows
            if left <= 0:
                break


def _count(signal: Signal, batch: decisions.Decided, of_kind: Mapping[str, NDArray[np.bool_]]) -> None:
    values = batch.values(signal.name)
    finite = np.isfinite(values)
    signal.missing += int((~finite).sum())
    crossed = np.zeros(len(values), np.bool_)
    for effect in signal.effects:
        failed = batch.failed.get(effect.rule.name)
        if failed is not None:
            crossed |= failed
        _weigh(effect, batch, values, finite, failed)
    bins = signal.scale.bins(np.where(finite, values, signal.scale.low))
    for kind in sorted(of_kind):
        lane = signal.lanes.setdefault(kind, Lane(kind))
        mine = finite & of_kind[kind]
        lane.passed += np.bincount(bins[mine & ~crossed], minlength=scale.BINS)
        lane.crossed += np.bincount(bins[mine & crossed], minlength=scale.BINS)


def _weigh(
    effect: Effect,
    batch: decisions.Decided,
    values: NDArray[np.float64],
    finite: NDArray[np.bool_],
    failed: NDArray[np.bool_] | None,
) -> None:
    rule = effect.rule
    asked = batch.asked(rule)
    below = finite & (values < rule.min) if rule.min is not None else np.zeros_like(finite)
    above = finite & (values > rule.max) if rule.max is not None else np.zeros_like(finite)
    outside = asked & (below | above | ~finite)
    effect.asked += int(asked.sum())
    effect.outside += int(outside.sum())
    if failed is not None:
        effect.dropped += int(failed.sum())
        effect.alone += int(batch.alone[rule.name].sum()) if rule.name in batch.alone else 0
    out = (
        failed
        if failed is not None and rule.action == "drop"
        else outside
        if rule.action != "drop"
        else ~finite & finite
    )
    for boundary in effect.boundaries:
        beyond = below if boundary.word == "at least" else above
        inside = asked & batch.kept & finite & ~below & ~above
        for side, rows in ((boundary.kept, inside), (boundary.dropped, beyond & out)):
            at = np.flatnonzero(rows)
            side.offer(boundary.bound, values[at], batch.rows["id"].take(pa.array(at, pa.int64())))
