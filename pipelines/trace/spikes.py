"""`pomona trace --spikes`: from spikes in the loss to documents, to sources, to the rules that let them through."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.report.folder import RunFolder
from pipelines.trace import described
from pipelines.trace.proposal import FEWEST, MOST, Proposal, Separation, fails, separations
from pipelines.trace.signals import Documents, column, parts, sides
from pipelines.trace.suspects import Baseline, SourceRank, Suspect, baseline, by_source, suspicious
from trainer.errors import RequestError
from trainer.metrics import read_metrics
from trainer.spikes import THRESHOLD, Spike, highest, spikes
from trainer.trace import Replay, StepTrace

STEPS = 48
"""Steps taken again for all spikes together, the highest first."""
BEFORE = 1
"""Steps before a spike that are looked at too: a bad update shows in the loss of the next step."""
CONTROLS = 12
"""Steps that do not stand out, for what is usual."""
MOSTLY = 0.5
"""Share of a source's documents that is suspicious from which on the source says nothing of what is usual."""


@dataclass(frozen=True)
class RuleRank:
    """A rule of the run that was asked of suspects and let them pass.

    `median` is the suspects' median of its signal, `percentile` where that lies among the others; `bound` is what would
    have told them apart (None where nothing does), which drops `clean` of the others and `caught` of the suspects.
    """

    rule: str
    signal: str
    min: float | None
    max: float | None
    asked: int
    passed: int
    median: float
    percentile: float
    bound: float | None
    caught: float
    clean: float


@dataclass
class SpikeReport:
    """The whole answer."""

    checkpoint: str
    run: str
    stage: str
    weights_step: int
    steps: list[int]
    """Steps that were taken again."""
    found: bool
    """Whether there was a spike; without one the steps are those that stand out most."""
    spikes: list[Spike] = field(default_factory=list[Spike])
    usual: Baseline | None = None
    suspects: list[Suspect] = field(default_factory=list[Suspect])
    sources: list[SourceRank] = field(default_factory=list[SourceRank])
    signals: list[Separation] = field(default_factory=list[Separation])
    rules: list[RuleRank] = field(default_factory=list[RuleRank])
    proposals: list[Proposal] = field(default_factory=list[Proposal])
    together: dict[str, float] = field(default_factory=dict[str, float])
    """What all proposals together drop."""
    series: list[tuple[int, float, float]] = field(default_factory=list[tuple[int, float, float]])
    """Step, loss, gradient norm."""
    notes: list[str] = field(default_factory=list[str])

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON-able values."""
        told = dataclasses.asdict(self)
        told["proposals"] = [{**dataclasses.asdict(one), "yaml": one.yaml} for one in self.proposals]
        del told["series"]
        return told


def report(
    checkpoint: Path,
    *,
    mixture: Path | None = None,
    stage: str | None = None,
    device: str = "auto",
    threshold: float = THRESHOLD,
    most_clean: float = 0.01,
) -> SpikeReport:
    """Look for spikes in a checkpoint's training and trace them.

    Args:
        checkpoint: whose weights judge; `metrics.jsonl` is the one of its training.
        mixture: the run that it was trained on; default: the folder above it that has its tokens.
        stage: default: the checkpoint's own.
        device: where to compute.
        threshold: robust standard deviations that make a spike.
        most_clean: share of the documents that are not suspicious which a proposed rule may drop.

    Raises:
        TrainerError: no checkpoint, no metrics, another mixture.
    """
    replay = Replay(checkpoint, mixture, stage, device)
    metrics = checkpoint.resolve().parents[1] / "metrics.jsonl"
    rows = [row for row in read_metrics(metrics) if row["stage"] == replay.name and "loss" in row]
    if not rows:
        raise RequestError(
            f"{metrics}: no step of stage {replay.name}; spikes are looked for in the training's metrics"
        )
    found = spikes(rows, replay.name, threshold)
    last = int(rows[-1]["step"])
    chosen = _steps(found, last) or highest(rows, replay.name, min(8, len(rows)))
    made = SpikeReport(str(checkpoint), str(replay.run), replay.name, replay.state.step, chosen, bool(found), found)
    made.series = [(int(row["step"]), float(row["loss"]), float(row["grad_norm"])) for row in rows]
    if not found:
        made.notes.append(
            f"no step stands out by {threshold:g} robust standard deviations; shown are the steps that do most"
        )
    controls = [replay.trace(step, 0) for step in _controls(found, chosen, last)]
    if not controls:
        made.notes.append("every step stands out: there is nothing usual to compare with")
        return made
    traces = [replay.trace(step) for step in chosen]
    made.usual = baseline(controls)
    made.suspects = suspicious(traces, made.usual)
    made.sources = by_source(traces, made.suspects)
    if not made.suspects:
        made.notes.append(
            "no document of these steps costs much more than usual: look at learning rate and numbers instead"
        )
        return made
    _explain(made, replay, [*traces, *controls], most_clean)
    return made


def _steps(found: Sequence[Spike], last: int) -> list[int]:
    """Steps to take again: those of each spike and the one before, the highest spikes first."""
    wanted: dict[int, None] = {}
    for spike in found:
        for step in (spike.step, *range(max(1, spike.first - BEFORE), min(spike.last, last) + 1)):
            if len(wanted) < STEPS:
                wanted.setdefault(step)
    return sorted(wanted)


def _controls(found: Sequence[Spike], chosen: Sequence[int], last: int) -> list[int]:
    """Steps spread evenly over those that do not stand out."""
    out = set(chosen) | {step for one in found for step in range(one.first - BEFORE, one.last + 1)}
    calm = [step for step in range(1, last + 1) if step not in out]
    at = np.unique(np.linspace(0, len(calm) - 1, CONTROLS).round().astype(int)) if calm else []
    return [calm[int(one)] for one in at]


def _explain(made: SpikeReport, replay: Replay, traces: Sequence[StepTrace], most_clean: float) -> None:
    """Add addresses, the rules that let the suspects through, and rules that would not."""
    folder = described.opened(replay.run)
    if folder is None or folder.step("measure") is None:
        made.notes.append(f"{replay.run}: no finished run with signals here, so that no rule can be named or proposed")
        return
    known = described.describe(folder, made.stage, [one.id for one in made.suspects])
    for one in made.suspects:
        one.uri = known[one.id].uri if one.id in known else ""
    documents = Documents.of(replay.run / "tokens" / made.stage / "documents.parquet")
    suspects = pc.is_in(documents.ids, value_set=pa.array([one.id for one in made.suspects], pa.string()))
    mask = suspects.to_numpy(zero_copy_only=False)
    usual = ~mask & ~_mostly_bad(made, documents, traces)
    collected = sides(folder, documents, mask, usual)
    made.signals = separations(collected, most_clean)
    made.rules = _rules(folder, known, made.signals)
    if len(made.suspects) < FEWEST:
        made.notes.append("one suspicious document alone: no rule is proposed for it")
        return
    _propose(made, folder, documents, mask, usual, most_clean)


def _mostly_bad(made: SpikeReport, documents: Documents, traces: Sequence[StepTrace]) -> NDArray[np.bool_]:
    """Mark the documents of sources whose documents are mostly suspicious, if others remain."""
    seen: dict[str, set[str]] = {}
    for step in traces:
        for one in step.documents:
            seen.setdefault(one.source, set()).add(one.id)
    bad: dict[str, int] = {}
    for one in made.suspects:
        bad[one.source] = bad.get(one.source, 0) + 1
    names = [name for name, count in bad.items() if count >= MOSTLY * len(seen[name])]
    if not names or len(names) == len(pc.unique(documents.table["source"])):
        return np.zeros(documents.table.num_rows, bool)
    made.notes.append(f"what is usual is taken from the other sources than {', '.join(sorted(names))}")
    of_these = pc.is_in(documents.table["source"].combine_chunks(), value_set=pa.array(names, pa.string()))
    return of_these.to_numpy(zero_copy_only=False)


def _rules(
    folder: RunFolder, known: Mapping[str, described.Described], signals: Sequence[Separation]
) -> list[RuleRank]:
    """Rank the rules that suspects passed, by how well another bound on their signal tells the suspects apart."""
    of = {one.signal: one for one in signals}
    asked: dict[str, int] = {}
    for one in known.values():
        for name in one.rules:
            asked[name] = asked.get(name, 0) + 1
    found: list[RuleRank] = []
    for rule in folder.rules:
        if rule.name not in asked:
            continue
        values = np.array([one.rules[rule.name][1] for one in known.values() if rule.name in one.rules])
        told = of.get(rule.signal)
        passed = int((~fails(values, rule.min, rule.max)).sum())
        found.append(
            RuleRank(
                rule.name,
                rule.signal,
                rule.min,
                rule.max,
                asked[rule.name],
                passed,
                float(np.median(values)),
                told.percentile if told else float("nan"),
                told.bound if told else None,
                told.caught if told else 0.0,
                told.clean if told else 0.0,
            )
        )
    place = {one.signal: at for at, one in enumerate(signals)}
    return sorted(found, key=lambda one: (place.get(one.signal, len(place)), one.rule))


def _propose(
    made: SpikeReport,
    folder: RunFolder,
    documents: Documents,
    suspects: NDArray[np.bool_],
    usual: NDArray[np.bool_],
    most_clean: float,
) -> None:
    """Propose rules one after the other, each for the suspects that are left."""
    left = suspects.copy()
    dropped = np.zeros(len(suspects), bool)
    ranked = made.signals
    while ranked and len(made.proposals) < MOST:
        best = ranked[0]
        low, high = (best.bound, None) if best.side == "min" else (None, best.bound)
        mine = _dropped(folder, documents, best.signal, low, high)
        if not (mine & left).any():
            break
        name = f"spike-{best.signal.replace('.', '-').replace('_', '-')}"
        made.proposals.append(_told(name, best, (low, high), documents, mine, suspects))
        dropped |= mine
        left &= ~mine
        if int(left.sum()) < FEWEST:
            break
        ranked = separations(sides(folder, documents, left, usual & ~dropped), most_clean)
    others = int((dropped & ~suspects).sum())
    made.together = {
        "documents": int(dropped.sum()),
        "tokens": int(documents.table["tokens"].to_numpy()[dropped].sum()),
        "suspects": int((dropped & suspects).sum()),
        "others": others,
        "others_share": others / max(1, int((~suspects).sum())),
    }


def _dropped(
    folder: RunFolder, documents: Documents, signal: str, low: float | None, high: float | None
) -> NDArray[np.bool_]:
    """Which documents of the stage a rule drops."""
    found = np.zeros(documents.table.num_rows, bool)
    for rows, table in parts(folder, documents, [signal]):
        found[rows] = fails(column(table, signal), low, high)
    return found


def _told(
    name: str,
    best: Separation,
    bounds: tuple[float | None, float | None],
    documents: Documents,
    mine: NDArray[np.bool_],
    suspects: NDArray[np.bool_],
) -> Proposal:
    rows = documents.table.filter(pa.array(mine))
    counted = rows.group_by("source").aggregate([([], "count_all")]).to_pylist()
    others = int((mine & ~suspects).sum())
    return Proposal(
        name,
        best.signal,
        *bounds,
        documents=int(mine.sum()),
        tokens=int(pc.sum(rows["tokens"]).as_py() or 0),
        suspects=int((mine & suspects).sum()),
        others=others,
        others_share=others / max(1, int((~suspects).sum())),
        by_source={row["source"]: row["count_all"] for row in sorted(counted, key=lambda row: -row["count_all"])},
    )
