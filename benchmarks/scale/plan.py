"""What so many tokens would take: measured rates times amounts, and nothing else.

Every figure that comes out is a product of what a run measured and of what is asked for (tokens, price, cores, sizes of
shards). Costs are those of the largest run, a record at a time; growth is taken to be linear, which is what the other
runs are there to show. What the planning process does alone is told apart, for more cores do not shorten it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from benchmarks.scale.fit import line
from pipelines.steps.dedup_components import ONE_TASK

BANDS = 14
KEY = 8
"""Bytes of a band key, of a document's number and of a component's."""
MOST_PARTITIONS = 65_536
"""Most that a recipe may ask for."""


@dataclass(frozen=True)
class Asked:
    """What is asked for, and where it would run.

    Args:
        tokens: tokens of the finished mixture.
        price: dollars for an hour of one core.
        cores: cores that run at a time.
        cores_a_machine: cores of one machine.
        partition_bytes: text of one partition, as Arrow holds it.
        unit_bytes: stored bytes of WARC that one task reads.
        shard_tokens: tokens of one tokenised shard.
    """

    tokens: float = 1e12
    price: float = 0.04
    cores: int = 10_000
    cores_a_machine: int = 64
    partition_bytes: int = 1 << 30
    unit_bytes: int = 64 << 20
    shard_tokens: int = 64 << 20


@dataclass(frozen=True)
class StepPlan:
    """What one step takes: records in, hours of one core, dollars, and bytes that its shuffles move."""

    name: str
    records: float
    core_hours: float
    dollars: float
    shuffle_bytes: float


@dataclass(frozen=True)
class Plan:
    """What it all takes; see `planned`."""

    asked: Asked
    pages: float
    warc_bytes: float
    documents: float
    decided: float
    clean: float
    text_bytes: float
    units: int
    partitions: int
    token_shards: int
    steps: tuple[StepPlan, ...]
    edges: float
    driver_hours: float
    """Hours in which the planning process works alone: planning, publishing, writing the report from its sums."""
    hashing_core_hours: float
    """Core-hours that hash input which lies on disks."""
    driver_edges_bytes: float
    driver_documents_bytes: float

    @property
    def core_hours(self) -> float:
        return sum(step.core_hours for step in self.steps)

    @property
    def dollars(self) -> float:
        return sum(step.dollars for step in self.steps)

    @property
    def shuffle_bytes(self) -> float:
        return sum(step.shuffle_bytes for step in self.steps)

    @property
    def machine_hours(self) -> float:
        return self.core_hours / self.asked.cores_a_machine

    @property
    def hours(self) -> float:
        """Hours from beginning to end: all cores always busy, but for the time that the planning process is alone."""
        return self.core_hours / self.asked.cores + self.driver_hours


def planned(result: Mapping[str, Any], asked: Asked) -> Plan:
    """Scale the largest run of a result to the tokens asked for.

    Raises:
        ValueError: that run left no tokens, so that nothing can be scaled; an older version measured.
    """
    run = max(result["runs"], key=lambda one: one["sizes"]["pages"])
    size = run["sizes"]
    if not size["tokens"]:
        raise ValueError(f"the largest run ({size['pages']} pages) left no tokens: measure more pages")
    if "parted" not in result:
        raise ValueError("this result was measured by an older version: python -m benchmarks.scale run")
    factor = asked.tokens / size["tokens"]
    moved = _shuffles(size)
    steps: list[StepPlan] = []
    for name, seconds in run["steps"].items():
        if name.startswith("06"):  # trained on a sample whose size the recipe fixes
            hours, records = seconds / 3600, 0.0
        else:
            hours, records = (
                seconds * result["workers"] / 3600 * factor,
                run["accounts"].get(name, {"in": 0})["in"] * factor,
            )
        shuffle = sum(count for step, count in moved.items() if name.startswith(step)) * factor
        steps.append(StepPlan(name, records, hours, hours * asked.price, shuffle))
    text = size["text_bytes"] * factor
    # Up to so many edges are joined in one task; beyond, no task holds more than its groups.
    edges = min(run["facts"][_named(run, "04")]["candidates"] * factor, ONE_TASK)
    return Plan(
        asked=asked,
        pages=size["pages"] * factor,
        warc_bytes=size["warc_bytes"] * factor,
        documents=size["documents"] * factor,
        decided=size["decided"] * factor,
        clean=size["clean"] * factor,
        text_bytes=text,
        units=ceil(size["warc_bytes"] * factor / asked.unit_bytes),
        partitions=ceil(text / asked.partition_bytes),
        token_shards=ceil(asked.tokens / asked.shard_tokens),
        steps=tuple(steps),
        edges=edges,
        driver_hours=_alone_in_all(result, ceil(text / asked.partition_bytes)) / 3600,
        hashing_core_hours=_listing(result) * size["warc_bytes"] * factor * result["workers"] / 3600,
        driver_edges_bytes=edges * result["driver"]["bytes_an_edge"],
        driver_documents_bytes=size["clean"] * factor * result["driver"]["bytes_a_document"],
    )


def alone(run: Mapping[str, Any]) -> float:
    """Seconds of a build that belong to no step, after its input was listed: one process works, all others wait."""
    return max(0.0, run["seconds"] - sum(run["steps"].values()) - run["listing"])


def _alone_in_all(result: Mapping[str, Any], partitions: int) -> float:
    """Seconds that one process works alone: of the largest build, and for each partition what more of them added.

    What the process does grows with partitions, not with records; that the builds of other sizes differ by less than
    they vary is what the page shows.
    """
    few, many = result["parted"]["partitions"]
    less, more = (alone(one) for one in result["parted"]["runs"])
    return max(map(alone, result["runs"])) + max(0.0, more - less) / (many - few) * partitions


def _listing(result: Mapping[str, Any]) -> float:
    """Seconds for each further byte of input that go by before the first step begins."""
    runs = sorted(result["runs"], key=lambda one: one["sizes"]["pages"])
    sizes = [one["sizes"]["warc_bytes"] for one in runs]
    seconds = [max(1e-3, one["listing"]) for one in runs]
    return max(0.0, line(sizes, seconds).slope) if len(runs) > 1 else seconds[0] / sizes[0]


def _named(run: Mapping[str, Any], prefix: str) -> str:
    return next(name for name in run["facts"] if name.startswith(prefix))


def _shuffles(size: Mapping[str, float]) -> dict[str, float]:
    """Bytes that each step's shuffles moved in a run of these sizes, before compression.

    Extraction brings its rows together by id; deduplication a row for each band and each content (key, order, number,
    the next band's, a kind), then the texts of candidate pairs (here: of every member twice), then the members of
    components without their texts, and their verdicts; the mixture the tokens, four bytes each, with their place.
    """
    text = size["decided_text_bytes"] / max(1, size["decided"])
    bucket = 3 * KEY + 4 + 1
    member = 2 * (2 * KEY + 2 + text) + 32 + 6 * KEY + 32
    return {
        "01": size["row_bytes"],
        "04": size["decided"] * (1 + BANDS) * bucket + size["members"] * member + size["verdict_bytes"],
        "08": size["tokens"] * 4 + size["clean"] * (4 + KEY + KEY),
    }
