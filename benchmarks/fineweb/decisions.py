"""What became of each page: datatrove's outputs and Pomona's ledger, told in the same words."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

NO_TEXT, CONSENT, LANGUAGE, GOPHER, C4, FINEWEB, DUPLICATE, KEPT = (
    "no text",
    "consent",
    "language",
    "gopher",
    "c4",
    "fineweb",
    "duplicate",
    "kept",
)
STAGES = (NO_TEXT, CONSENT, LANGUAGE, GOPHER, C4, FINEWEB, DUPLICATE, KEPT)

_REMOVED = {
    "language": LANGUAGE,
    "gopher-repetition": GOPHER,
    "gopher-quality": GOPHER,
    "c4": C4,
    "fineweb": FINEWEB,
    "duplicate": DUPLICATE,
}


@dataclass(frozen=True)
class Decision:
    """Where a page ended, what is said of it there, and the text that was decided on ("" where it is not known)."""

    stage: str
    reason: str = ""
    text: str = ""


def of_datatrove(out: Path) -> dict[str, Decision]:
    """Decisions by address. Pages that gave no text, or took too long, are in no output and not here."""
    found: dict[str, Decision] = {}
    for folder, stage in _REMOVED.items():
        for line in _lines(out / "removed" / folder):
            metadata = line["metadata"]
            reason = str(metadata.get("filter_reason", folder))
            found[_address(metadata)] = Decision(stage, reason, line["text"])
    for line in _lines(out / "kept"):
        found[_address(line["metadata"])] = Decision(KEPT, "", line["text"])
    return found


def _address(metadata: Mapping[str, Any]) -> str:
    return _quoted(metadata["uri"] if "uri" in metadata else metadata["url"])


def _quoted(uri: str) -> str:
    """An address as datatrove's reader of archives writes it."""
    return uri.replace(" ", "%20")


def _lines(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for path in sorted(folder.rglob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            found += [json.loads(line) for line in file]
    return found


@dataclass(frozen=True)
class Run:
    """What Pomona's run tells: decisions, and the cluster of every document that reached the deduplication."""

    decisions: Mapping[str, Decision]
    clusters: Mapping[str, str]


def of_pomona(run: Path, texts: Mapping[str, str]) -> Run:
    """Decisions by address, from the ledger of a run; `texts` are the extracted documents by address."""
    ledger = _table(run / "ledger", ["id", "uri", "step", "verdict", "reason"])
    found: dict[str, Decision] = {}
    address: dict[str, str] = {}
    for row in ledger.to_pylist():
        uri, step = _quoted(row["uri"]), row["step"][:2]
        address[row["id"]] = uri
        if row["verdict"] != "kept" and step <= "04":
            found[uri] = Decision(_stage(step, row["reason"]), row["reason"], texts.get(uri, ""))
    for uri, text in texts.items():
        found.setdefault(uri, Decision(KEPT, "", text))
    (dedup,) = (path for path in (_steps(run)).glob("04-dedup-*") if (path / "_manifest.json").exists())
    clusters = {address[row["id"]]: row["cluster"] for row in _table(dedup / "verdicts", ["id", "cluster"]).to_pylist()}
    return Run(found, clusters)


def _steps(run: Path) -> Path:
    store = json.loads((run / "run.json").read_text(encoding="utf-8"))["store"]
    return Path(store) if store else run / "steps"


def _stage(step: str, reason: str) -> str:
    if step == "01":
        return NO_TEXT
    if step == "04":
        return DUPLICATE
    if reason == "consent-refused":
        return CONSENT
    family = reason.partition("-")[0].partition(".")[0]
    return family if family in (LANGUAGE, GOPHER, C4, FINEWEB) else reason


def _table(folder: Path, columns: list[str]) -> pa.Table:
    return pa.concat_tables([pq.read_table(path, columns=columns) for path in sorted(folder.glob("*.parquet"))])


def texts_of(parts: list[Path]) -> dict[str, str]:
    """Extracted documents by address."""
    found: dict[str, str] = {}
    for path in parts:
        table = pq.read_table(path, columns=["uri", "text"])
        found |= dict(zip(map(_quoted, table["uri"].to_pylist()), table["text"].to_pylist(), strict=True))
    return found
