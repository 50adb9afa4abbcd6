"""The way from the first record to the last token, a level for each idea, a stream for each source."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.report.folder import RunFolder, Step
from pipelines.report.verdicts import Verdicts

TITLES = {
    "crawl": ("Crawl", "Pages asked for, politely"),
    "extract": ("Extract", "Bytes become text, with their rights"),
    "measure": ("Measure", "Signals, no judgement yet"),
    "decide": ("Decide", "The recipe's rules on those signals"),
    "blocks": ("Blocks", "Filters and formatters of datatrove"),
    "dedup": ("Deduplicate", "One copy of each text stays"),
    "decontaminate": ("Decontaminate", "What a benchmark owns goes"),
    "tokenizer": ("Tokenizer", "Learned from the mixture"),
    "tokenize": ("Tokenize", "Text becomes tokens"),
    "mix": ("Mix", "Weights, stage by stage"),
}
"""Step idea -> (title, what it is for); a step of another idea is shown under its own name."""

SPARE = "not-selected"
"""The mixing step's reason for documents that no stage had room for."""


@dataclass(frozen=True)
class Reason:
    """Why records left at a level."""

    name: str
    verdict: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Stream:
    """One source at one level."""

    source: str
    received: int
    kept: int


@dataclass(frozen=True)
class Level:
    """One level: the steps of one idea taken together."""

    idea: str
    title: str
    purpose: str
    steps: tuple[Step, ...]
    streams: tuple[Stream, ...]
    reasons: tuple[Reason, ...]

    @property
    def received(self) -> int:
        """Records in."""
        return sum(step.received for step in self.steps)

    @property
    def kept(self) -> int:
        """Records kept."""
        return sum(step.kept for step in self.steps)

    @property
    def dropped(self) -> int:
        """Records dropped, for every reason."""
        return sum(sum(step.dropped.values()) for step in self.steps)

    @property
    def failed(self) -> int:
        """Records failed, for every reason."""
        return sum(sum(step.failed.values()) for step in self.steps)

    @property
    def closes(self) -> bool:
        """Whether the sums of every step close."""
        return all(step.closes for step in self.steps)

    @property
    def spare(self) -> bool:
        """Whether what left here was only not needed: curated, and not taken by any stage."""
        return bool(self.reasons) and all(reason.name == SPARE for reason in self.reasons)

    @property
    def seconds(self) -> float:
        """Working time of the steps."""
        return sum(step.seconds for step in self.steps)

    @property
    def reused(self) -> bool:
        """Whether nothing at this level had to be done again."""
        return all(step.reused for step in self.steps)


@dataclass(frozen=True)
class Funnel:
    """Every level in order, and the sources in the order in which they enter."""

    levels: tuple[Level, ...]
    sources: tuple[str, ...]
    first: int
    """Records at the start: each source of each run counted where it enters."""

    @property
    def curated(self) -> int:
        """Documents that passed every judgement, whether a stage takes them or not."""
        return next((level.kept for level in reversed(self.levels) if not level.spare), 0)


def read(run: RunFolder, verdicts: Verdicts) -> Funnel:
    """Sum the steps of each idea; a step that keeps no record of its own (training the tokenizer) is not a level."""
    # Crawled sources enter one level earlier: their streams lie on the left, the others join beside them.
    sources = list(
        dict.fromkeys(step.source for idea in ("crawl", "") for step in run.steps if step.source and idea in step.idea)
    )
    sources += sorted({source for _, source, _, _ in verdicts.counts} - set(sources))
    # A take-down is no level: it takes from what had come to the end, and the part on consent tells of it.
    ideas = dict.fromkeys(step.idea for step in run.steps if step.received and step.idea != "takedown")
    levels = tuple(_level(run, verdicts, idea, sources) for idea in ideas)
    return Funnel(levels, tuple(sources), sum(map(_entered, run.curations)))


def _entered(steps: tuple[Step, ...]) -> int:
    """Count the records at the start of one run: what is crawled enters there, and is read from the crawl again."""
    crawled = {step.source: step.received for step in steps if step.idea == "crawl"}
    read = {step.source: step.received for step in steps if step.idea == "extract"}
    return sum((read | crawled).values())


def _level(run: RunFolder, verdicts: Verdicts, idea: str, sources: list[str]) -> Level:
    steps = tuple(step for step in run.steps if step.idea == idea)
    names = {step.name for step in steps} | {idea}
    received, kept = dict.fromkeys(sources, 0), dict.fromkeys(sources, 0)
    for (step, source, verdict, _), records in verdicts.counts.items():
        if step in names:
            received[source] += records
            kept[source] += records if verdict == "kept" else 0
    reasons: dict[tuple[str, str], int] = {}
    for step in steps:
        for verdict, sums in (("dropped", step.dropped), ("failed", step.failed)):
            for reason, records in sums.items():
                reasons[(verdict, reason)] = reasons.get((verdict, reason), 0) + records
    title, purpose = TITLES.get(idea, (idea.capitalize(), ""))
    told = [
        Reason(reason, verdict, records, _examples(verdicts, names, reason))
        for (verdict, reason), records in reasons.items()
    ]
    told.sort(key=lambda reason: (-reason.count, reason.name))
    streams = tuple(Stream(source, received[source], kept[source]) for source in sources if received[source])
    return Level(idea, title, purpose, steps, streams, tuple(told))


def _examples(verdicts: Verdicts, names: set[str], reason: str) -> tuple[str, ...]:
    found = (verdicts.examples[(step, reason)].rows() for step in sorted(names) if (step, reason) in verdicts.examples)
    return tuple(row["uri"] for rows in found for row in rows)[:3]
