"""Rates that finished steps were measured at: what a step of the same name will take next time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.storage import MANIFEST, children, modified, read_json, size


@dataclass(frozen=True)
class Past:
    """A finished step as its manifest tells of it."""

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def received(self) -> int:
        """Records it was given; of the steps that decide on none, the rows they read."""
        if kind_of(self.manifest["step"]) == "ledger":
            return sum(one["rows"] for one in self.manifest["outputs"]["ledger"])
        return int(self.manifest["in"] or self.manifest["facts"].get("documents", 0))

    @property
    def kept_share(self) -> float:
        """Share of its records that it kept."""
        return self.manifest["kept"] / self.manifest["in"] if self.manifest["in"] else 1.0

    @property
    def bytes_read(self) -> int:
        """Bytes of its input, 0 where they are not recorded."""
        return sum(self.manifest["facts"].get("bytes", ())) if kind_of(self.manifest["step"]) == "extract" else 0

    @property
    def worker_seconds(self) -> float:
        """Seconds times workers; training a tokenizer is the work of one."""
        alone = kind_of(self.manifest["step"]) == "tokenizer"
        return float(self.manifest["seconds"]) * (1 if alone else int(self.manifest["engine"]["workers"]))

    @property
    def worked_on(self) -> float:
        """Records that its seconds went to, as far as is known."""
        facts = self.manifest["facts"]
        units = len(facts.get("units", ()))
        return self.received * (1 - facts.get("units_reused", 0) / units) if units else self.received

    @property
    def saved(self) -> bool:
        """Whether its seconds are too few for its records: some work had been done before."""
        facts = self.manifest["facts"]
        return bool(self.manifest.get("resumed") or facts.get("units_reused") or facts.get("known"))

    def sampled(self, available: int, sample_bytes: int) -> int:
        """Documents that a tokenizer would be trained on, of so many: no more than fill its sample."""
        return min(available, round(self.received * sample_bytes / max(1, self.manifest["facts"]["bytes"])))

    def written(self, records: int, new: int) -> float:
        """Bytes written for so many records; what is extracted already is linked, not written."""
        outputs: Mapping[str, list[dict[str, Any]]] = self.manifest["outputs"]
        if "tokenizer" in outputs:
            return sum(one["bytes"] for one in outputs["tokenizer"])
        total = 0.0
        for name, files in outputs.items():
            total += sum(one["bytes"] for one in files) / self.received * (new if name == "rows" else records)
        return total


def kind_of(step: str) -> str:
    """Return what a step does: "extract" of "01-extract-web"."""
    return step.split("-", 2)[1]


def history(root: Path, name: str) -> Iterator[Past]:
    """Find finished steps of a name, newest first."""
    found: list[tuple[float, Path]] = []
    for folder in children(root, f"{name}-"):
        if size(folder / MANIFEST) is not None:
            found.append((modified(folder / MANIFEST), folder))
    for _, folder in sorted(found, reverse=True):
        manifest = read_json(folder / MANIFEST)
        if manifest["step"] == name:  # not a source whose name goes on
            yield Past(folder, manifest)


def best(history: Iterator[Past], engine: str) -> Past | None:
    """Choose whose rates to take: one that did all of its work itself, on the same engine, and of these the newest."""
    usable = [one for one in history if one.received]
    return min(usable, key=lambda one: (one.saved, one.manifest["engine"]["name"] != engine), default=None)
