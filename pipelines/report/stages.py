"""What a stage's mixture holds: documents and tokens by source, kind, language and licence, its shares and phases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.report.folder import read_batches
from pipelines.storage import read_schema

Facet = Literal["source", "kind", "language", "license"]
FACETS: tuple[Facet, ...] = ("source", "kind", "language", "license")


@dataclass(frozen=True)
class Share:
    """One entry of a stage, a source where no others were named; None where a number is not stated.

    `target` and `realised` are shares of tokens (0 to 1), `short` the tokens that are missing to the target, `worth`
    what the tokens are worth in ones that are not repeated and `cost` the share that this loses; `selects` says in
    words which documents an entry is for.
    """

    name: str
    documents: int
    tokens: int
    target: float | None
    realised: float
    epochs: float | None
    cap: float | None
    short: int | None = None
    worth: int | None = None
    cost: float | None = None
    selects: str = ""


@dataclass(frozen=True)
class Phase:
    """A stretch of a stage with shares of its own, from and to a progress between 0 and 1."""

    start: float
    stop: float
    tokens: int
    weights: Mapping[str, float]
    realised: Mapping[str, float]


@dataclass(frozen=True)
class Stage:
    """One stage; `groups` maps (source, kind, language, license) to (documents, tokens with repeats)."""

    name: str
    manifest: Mapping[str, Any]
    groups: Mapping[tuple[str, ...], tuple[int, float]]
    shares: tuple[Share, ...]

    @property
    def evaluation(self) -> bool:
        """Whether the stage is held out of training."""
        return self.manifest.get("purpose") == "evaluation" or self.name == "heldout"

    @property
    def phases(self) -> list[Phase]:
        """Its phases in order; none where its shares are the same throughout."""
        found: list[Phase] = []
        done = 0
        for told in self.manifest.get("phases") or ():
            start, done = done, done + told["tokens"]
            wished = told["weights"]
            came_out = told.get("realised_weights", wished)
            found.append(Phase(start / self.tokens, done / self.tokens, told["tokens"], wished, came_out))
        return found

    @property
    def furthest(self) -> Share | None:
        """The entry that is furthest from its target, None where no target is stated."""
        stated = [one for one in self.shares if one.short is not None]
        return max(stated, key=lambda one: abs(one.short or 0), default=None)

    @property
    def packed(self) -> int | None:
        """Tokens of a packed sequence, None where no training is planned."""
        return self.manifest.get("sequence_length")

    @property
    def exact(self) -> bool:
        """Whether every share is within one packed sequence of its target."""
        furthest = self.furthest
        return furthest is not None and self.packed is not None and abs(furthest.short or 0) <= self.packed

    @property
    def worth(self) -> int | None:
        """What its tokens are worth in tokens that are not repeated."""
        told = [one.worth for one in self.shares]
        return None if None in told else sum(one or 0 for one in told)

    @property
    def tokens(self) -> int:
        """Tokens in all, repeats counted."""
        return int(self.manifest["total_tokens"])

    @property
    def documents(self) -> int:
        """Documents, each counted once."""
        return sum(documents for documents, _ in self.groups.values())

    def by(self, facet: Facet) -> dict[str, tuple[int, float]]:
        """Documents and tokens by one facet, most tokens first; "" stands for null."""
        at = FACETS.index(facet)
        summed: dict[str, tuple[int, float]] = {}
        for key, (rows, weighed) in self.groups.items():
            documents, tokens = summed.get(key[at], (0, 0.0))
            summed[key[at]] = (documents + rows, tokens + weighed)
        return dict(sorted(summed.items(), key=lambda item: (-item[1][1], item[0])))


@dataclass
class Sums:
    """What the shards of one stage hold: documents and tokens by group, documents by entry."""

    groups: dict[tuple[str, ...], tuple[int, float]] = field(default_factory=dict[tuple[str, ...], tuple[int, float]])
    documents: Counter[str] = field(default_factory=Counter[str])

    def look(self, path: Path) -> None:
        """Add a shard, streaming only its small columns."""
        counted = "entry" if "entry" in read_schema(path).names else "source"  # older mixtures have no entries
        for batch in read_batches(path, tuple(dict.fromkeys((*FACETS, "tokens", "weight", counted)))):
            for told in pc.value_counts(batch[counted]).to_pylist():
                self.documents[told["values"]] += told["counts"]
            weighed = pc.multiply(batch["tokens"].cast(pa.float64()), batch["weight"])
            columns = {facet: batch[facet].fill_null("") for facet in FACETS}
            summed = (
                pa.table({**columns, "weighed": weighed})
                .group_by(list(FACETS))
                .aggregate([([], "count_all"), ("weighed", "sum")])
            )
            for row in summed.to_pylist():
                self._add(tuple(row[facet] for facet in FACETS), row["count_all"], row["weighed_sum"])

    def _add(self, key: tuple[str, ...], documents: int, tokens: float) -> None:
        before = self.groups.get(key, (0, 0.0))
        self.groups[key] = (before[0] + documents, before[1] + tokens)

    def state(self) -> dict[str, Any]:
        """Return what `merge` takes, as JSON-able values."""
        groups = [[list(key), *sums] for key, sums in sorted(self.groups.items())]
        return {"groups": groups, "documents": sorted(self.documents.items())}

    def merge(self, state: Mapping[str, Any]) -> None:
        """Add other shards."""
        for key, documents, tokens in state["groups"]:
            self._add(tuple(key), documents, tokens)
        for name, documents in state["documents"]:
            self.documents[name] += documents


def of(name: str, manifest: Mapping[str, Any], sums: Sums) -> Stage:
    """Return a stage from its manifest and what its shards hold."""
    return Stage(name, manifest, sums.groups, _shares(manifest, sums.documents))


def _shares(manifest: Mapping[str, Any], documents: Mapping[str, int]) -> tuple[Share, ...]:
    targets, epochs, caps = (manifest.get(name) or {} for name in ("target_weights", "epochs", "epoch_caps"))
    short, worth, cost = (manifest.get(name) or {} for name in ("short", "effective_tokens", "repetition_cost"))
    selects = {entry["name"]: told_entry(entry) for entry in manifest.get("entries") or ()}
    names = sorted({*manifest["tokens"], *targets}, key=lambda name: (-manifest["tokens"].get(name, 0), name))
    return tuple(
        Share(
            name,
            documents.get(name, 0),
            int(manifest["tokens"].get(name, 0)),
            targets.get(name),
            float(manifest["realised_weights"].get(name, 0.0)),
            epochs.get(name),
            caps.get(name),
            short.get(name),
            worth.get(name),
            cost.get(name),
            selects.get(name, ""),
        )
        for name in names
    )


def told_entry(entry: Mapping[str, Any]) -> str:
    """Say which documents an entry is for, as its manifest has it."""
    told: list[str] = []
    for name in ("sources", "kinds", "languages", "licenses", "domains"):
        if entry.get(name):
            told.append(f"{name} {', '.join(entry[name])}")
    if signal := entry.get("signal"):
        low, high = entry.get("min"), entry.get("max")
        bounds = [f"from {low:g}" if low is not None else "", f"below {high:g}" if high is not None else ""]
        if entry.get("percentiles"):
            bounds.append("percentiles {:g} to {:g}".format(*entry["percentiles"]))
        told.append(f"{signal} {' '.join(one for one in bounds if one)}")
    return "; ".join(told) or "everything that no entry before it has"
