"""Documents whose loss stands out among those of usual steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from trainer.spikes import MAD
from trainer.trace import DocumentLoss, StepTrace

LEAST_TOKENS = 16
"""Tokens of a document in a step from which on its mean loss says something."""
LIMIT = 3.5
"""Robust standard deviations from which on a document is suspicious (Iglewicz and Hoaglin 1993)."""
FLOOR = 0.05
"""Smallest deviation taken for one, as a part of the median loss."""


@dataclass
class Suspect:
    """A document that stands out: its highest loss among the steps, by how much, and where."""

    id: str
    source: str
    document: int
    loss: float
    score: float
    tokens: int
    share: float
    steps: list[int] = field(default_factory=list[int])
    text: str = ""
    uri: str = ""


@dataclass(frozen=True)
class SourceRank:
    """A source: documents looked at in the spikes, suspects among them, and how many times the usual share that is."""

    source: str
    seen: int
    suspects: int
    lift: float
    loss: float


@dataclass(frozen=True)
class Baseline:
    """What documents of usual steps cost: median loss and robust deviation, over `documents` of `steps`."""

    median: float
    deviation: float
    documents: int
    steps: tuple[int, ...]

    def score(self, loss: float) -> float:
        """Say how far a loss lies above the median, in robust standard deviations."""
        return (loss - self.median) / self.deviation


def baseline(controls: Sequence[StepTrace]) -> Baseline:
    """Measure it on steps that do not stand out."""
    losses = np.array([one.loss for step in controls for one in step.documents if one.tokens >= LEAST_TOKENS])
    if not len(losses):
        losses = np.array([one.loss for step in controls for one in step.documents] or [0.0])
    median = float(np.median(losses))
    spread = MAD * float(np.median(np.abs(losses - median)))
    deviation = max(spread, FLOOR * abs(median), 1e-9)
    return Baseline(median, deviation, len(losses), tuple(step.step for step in controls))


def suspicious(traces: Sequence[StepTrace], usual: Baseline, limit: float = LIMIT) -> list[Suspect]:
    """Return the documents that stand out, the highest score first."""
    found: dict[str, Suspect] = {}
    for step in traces:
        for one in step.documents:
            score = usual.score(one.loss)
            if one.tokens < LEAST_TOKENS or score < limit:
                continue
            held = found.get(one.id)
            if held is None or score > held.score:
                steps = [] if held is None else held.steps
                found[one.id] = held = _suspect(one, score, steps)
            if step.step not in held.steps:
                held.steps.append(step.step)
    for one in found.values():
        one.steps.sort()
    return sorted(found.values(), key=lambda one: (-one.score, one.id))


def _suspect(one: DocumentLoss, score: float, steps: list[int]) -> Suspect:
    return Suspect(one.id, one.source, one.document, one.loss, score, one.tokens, one.share, steps, one.text)


def by_source(traces: Sequence[StepTrace], suspects: Sequence[Suspect]) -> list[SourceRank]:
    """Rank the sources of the documents looked at: by how much more of theirs is suspicious than of all."""
    seen: dict[str, dict[str, float]] = {}
    for step in traces:
        for one in step.documents:
            held = seen.setdefault(one.source, {})
            held[one.id] = max(held.get(one.id, 0.0), one.loss)
    bad: dict[str, int] = {}
    for one in suspects:
        bad[one.source] = bad.get(one.source, 0) + 1
    everything = sum(len(each) for each in seen.values())
    usual = max(len(suspects) / everything, 1e-12) if everything else 1.0
    found = [
        SourceRank(
            name,
            len(each),
            bad.get(name, 0),
            bad.get(name, 0) / len(each) / usual,
            float(np.median(list(each.values()))),
        )
        for name, each in seen.items()
    ]
    return sorted(found, key=lambda one: (-one.lift, -one.loss, one.source))
