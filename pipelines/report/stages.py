"""What a stage's mixture holds: documents and tokens by source, kind, language and licence, and its shares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.report.folder import RunFolder, read_batches

Facet = Literal["source", "kind", "language", "license"]
FACETS: tuple[Facet, ...] = ("source", "kind", "language", "license")


@dataclass(frozen=True)
class Share:
    """One source in a stage: target and realised share of tokens (0 to 1), epochs, their cap; None where not stated."""

    source: str
    documents: int
    tokens: int
    target: float | None
    realised: float
    epochs: float | None
    cap: float | None


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


def read(run: RunFolder) -> list[Stage]:
    """Read every stage of a run, its text apart."""
    return [of(name, run.stage_manifest(name), run.stage_files(name)) for name in run.stages]


def of(name: str, manifest: Mapping[str, Any], files: Sequence[Path]) -> Stage:
    """Sum the shards of one stage, streaming only its small columns."""
    groups: dict[tuple[str, ...], tuple[int, float]] = {}
    for path in files:
        for batch in read_batches(path, (*FACETS, "tokens", "weight")):
            weighed = pc.multiply(batch["tokens"].cast(pa.float64()), batch["weight"])
            columns = {facet: batch[facet].fill_null("") for facet in FACETS}
            summed = (
                pa.table({**columns, "weighed": weighed})
                .group_by(list(FACETS))
                .aggregate([([], "count_all"), ("weighed", "sum")])
            )
            for row in summed.to_pylist():
                key = tuple(row[facet] for facet in FACETS)
                documents, tokens = groups.get(key, (0, 0.0))
                groups[key] = (documents + row["count_all"], tokens + row["weighed_sum"])
    return Stage(name, manifest, groups, _shares(manifest, groups))


def _shares(manifest: Mapping[str, Any], groups: Mapping[tuple[str, ...], tuple[int, float]]) -> tuple[Share, ...]:
    targets, epochs, caps = (manifest.get(name) or {} for name in ("target_weights", "epochs", "epoch_caps"))
    documents = Counter[str]()
    for key, (rows, _) in groups.items():
        documents[key[0]] += rows
    names = sorted({*manifest["tokens"], *targets}, key=lambda name: (-manifest["tokens"].get(name, 0), name))
    return tuple(
        Share(
            name,
            documents[name],
            int(manifest["tokens"].get(name, 0)),
            targets.get(name),
            float(manifest["realised_weights"].get(name, 0.0)),
            epochs.get(name),
            caps.get(name),
        )
        for name in names
    )
