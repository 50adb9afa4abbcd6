"""What a stage's manifests say of its shares, epochs and supply once documents were taken down.

A document that was taken down keeps its slots in the stored order, as end marks without loss, so that nothing else
moves; but it carries no tokens any more. So there are two numbers: `slots`, positions in the order, which do not change
(the token manifest's `tokens`, and those of its phases, which tell the loader where these begin and end), and tokens
carried, which all else is about: what is left of an entry's documents in the mixture and in its supply.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from pipelines.mixture.repetition import cost, effective, told, worth
from pipelines.report.folder import RunFolder
from pipelines.storage import exists, read_json, read_schema, read_table, rows_where
from pipelines.takedown.rewriting import Gone, rows_of

HELDOUT = "heldout"
_TOLD = ("tokens", "unique", "effective_tokens")


@dataclass(frozen=True)
class Carried:
    """What a stage loses, in tokens: by entry (with repeats), by source, of the supply, and by entry in each phase."""

    tokens: Mapping[str, int]
    sources: Mapping[str, int]
    supply: Mapping[str, tuple[int, int]] | None
    """Documents and tokens of each entry; None where no step of the run has the counts any more."""
    phases: list[Counter[str]] = field(default_factory=list[Counter[str]])
    cut: int = 0
    """Documents among them of which a part had been taken."""
    together: Mapping[str, tuple[float, float, float]] = field(default_factory=dict[str, tuple[float, float, float]])
    """By source what this stage and those before it lose: tokens with repeats, tokens without, what they are worth."""


def lost(folder: RunFolder, stage: str, gone: Gone) -> Carried:
    """Add up what a stage loses; read before anything of the run changes."""
    files = folder.stage_files(stage)
    by = "entry" if files and "entry" in read_schema(files[0]).names else "source"  # older mixtures have no entries
    tokens, sources = Counter[str](), Counter[str]()
    about: dict[str, tuple[str, int]] = {}
    columns = list(dict.fromkeys(["id", "source", by, "tokens", "weight"]))
    for batch in rows_where(list(files), ds.field("id").isin(gone.column), columns):
        for row in batch.to_pylist():
            taken = round(row["tokens"] * row["weight"])
            tokens[row[by]] += taken
            sources[row["source"]] += taken
            about[row["id"]] = (row[by], row["tokens"])
    phases, cut = _places(folder, stage, gone, about)
    return Carried(tokens, sources, _supply(folder, stage, gone), phases, cut, _together(folder, stage, gone))


def _together(folder: RunFolder, stage: str, gone: Gone) -> dict[str, tuple[float, float, float]]:
    """Add up the records over a training stage and those before it."""
    names = [name for name in folder.stages if name != HELDOUT]
    if stage not in names:
        return {}
    times: Counter[str] = Counter()
    about: dict[str, tuple[str, int]] = {}
    for name in names[: names.index(stage) + 1]:
        columns = ["id", "source", "tokens", "weight"]
        for batch in rows_where(list(folder.stage_files(name)), ds.field("id").isin(gone.column), columns):
            for row in batch.to_pylist():
                times[row["id"]] += row["weight"]
                about[row["id"]] = (row["source"], row["tokens"])
    found: dict[str, tuple[float, float, float]] = {}
    for id_, (source, tokens) in about.items():
        value = float(worth(np.array([times[id_]]), np.array([tokens]))[0])
        taken, unique, worthy = found.get(source, (0.0, 0.0, 0.0))
        found[source] = (taken + times[id_] * tokens, unique + tokens, worthy + value)
    return found


def _places(
    folder: RunFolder, stage: str, gone: Gone, about: Mapping[str, tuple[str, int]]
) -> tuple[list[Counter[str]], int]:
    """Return the tokens that each phase loses by entry, and how many parts of documents go."""
    tokens = folder.path / "tokens" / stage
    if not exists(tokens / "manifest.json"):
        return [], 0
    manifest = read_json(tokens / "manifest.json")
    listing = tokens / "documents.parquet"
    rows = rows_of(listing, gone)
    table = read_table(listing, ["id", "shard", "start", "length"]).take(pa.array(rows))
    bases = np.cumsum([0, *(shard["tokens"] for shard in manifest["shards"])])
    starts = bases[table["shard"].to_numpy()] + table["start"].to_numpy()
    ends = np.cumsum([phase["tokens"] for phase in manifest.get("phases") or ()])
    found = [Counter[str]() for _ in ends]
    cut = 0
    for id_, length, phase in zip(
        table["id"].to_pylist(),
        table["length"].to_pylist(),
        np.searchsorted(ends, starts, side="right").tolist(),
        strict=True,
    ):
        if id_ not in about:  # taken down before
            continue
        entry, whole = about[id_]
        cut += length < whole
        if found:
            found[phase][entry] += length
    return found, cut


def _supply(folder: RunFolder, stage: str, gone: Gone) -> dict[str, tuple[int, int]] | None:
    """Return the documents and tokens that each entry's supply loses, taken or not."""
    counted = [step.outputs["tokens"] for step in folder.steps if "tokens" in step.outputs]
    if not counted or not all(exists(path) for path in counted[-1]):
        return None
    wanted = ds.field("id").isin(gone.column)
    rows = [row for one in rows_where(list(counted[-1]), wanted, ["id", "source", "count"]) for row in one.to_pylist()]
    apart = _heldout(folder, gone)
    labels = _labels(folder, stage, gone)
    found: dict[str, tuple[int, int]] = {}
    for row in rows:
        if (row["id"] in apart) != (stage == HELDOUT):
            continue
        entry = row["source"] if labels is None else labels.get(row["id"])
        if entry is not None:
            documents, tokens = found.get(entry, (0, 0))
            found[entry] = documents + 1, tokens + int(row["count"])
    return found


def _heldout(folder: RunFolder, gone: Gone) -> set[str]:
    if HELDOUT not in folder.stages:
        return set()
    files = list(folder.stage_files(HELDOUT))
    return {id_ for one in rows_where(files, ds.field("id").isin(gone.column), ["id"]) for id_ in one["id"].to_pylist()}


def _labels(folder: RunFolder, stage: str, gone: Gone) -> dict[str, str] | None:
    """Return the entry of each record; None where the stage's entries are its sources."""
    named = [entry["name"] for entry in folder.stage_manifest(stage).get("entries") or ()]
    step = [one for one in folder.steps if "labels" in one.outputs]
    column = f"stage.{stage}"
    if not named or not step or column not in read_schema(step[-1].outputs["labels"][0]).names:
        return None
    files = list(step[-1].outputs["labels"])
    rows = [
        row for one in rows_where(files, ds.field("id").isin(gone.column), ["id", column]) for row in one.to_pylist()
    ]
    return {row["id"]: named[row[column]] for row in rows if row[column] >= 0}


def mixture_fields(manifest: Mapping[str, Any], gone: Carried, slots: int) -> dict[str, Any]:
    """Return the fields of a stage's mixture manifest that change; `slots` are the positions of its stored order.

    What was asked for stays (`target_weights`, `budget`, `epoch_caps`), so that `short` grows by what is gone.
    """
    tokens = _without(manifest["tokens"], gone.tokens)
    total = sum(tokens.values())
    found: dict[str, Any] = {
        "tokens": tokens,
        "realised_weights": _shares(tokens),
        "total_tokens": total,
        "slots": slots,
    }
    if "sources" in manifest:
        found["sources"] = {name: count for name, count in _without(manifest["sources"], gone.sources).items() if count}
    if "short" in manifest:
        found["short"] = {name: count + gone.tokens.get(name, 0) for name, count in manifest["short"].items()}
    if "cut_documents" in manifest:
        found["cut_documents"] = manifest["cut_documents"] - gone.cut
    if "supply" in manifest and gone.supply is not None:
        supply: dict[str, dict[str, int]] = {}
        for name, had in manifest["supply"].items():
            documents, of_them = gone.supply.get(name, (0, 0))
            supply[name] = {"documents": had["documents"] - documents, "tokens": had["tokens"] - of_them}
        found |= {"supply": supply, **_repetition(tokens, supply)}
    if "together" in manifest:
        found["together"] = {
            source: told(
                *(
                    round(had[name] - away)
                    for name, away in zip(_TOLD, gone.together.get(source, (0, 0, 0)), strict=True)
                )
            )
            for source, had in manifest["together"].items()
        }
    if manifest.get("phases") and len(gone.phases) == len(manifest["phases"]):
        found["phases"] = [_phase(one, away) for one, away in zip(manifest["phases"], gone.phases, strict=True)]
    return found


def token_fields(manifest: Mapping[str, Any], gone: Carried) -> dict[str, Any]:
    """Return the fields of a stage's token manifest that change: what its slots carry, not how many they are."""
    found: dict[str, Any] = {
        "sources": {name: count for name, count in _without(manifest["sources"], gone.sources).items() if count},
        "carried": manifest.get("carried", manifest["tokens"]) - sum(gone.tokens.values()),
    }
    if manifest.get("phases") and len(gone.phases) == len(manifest["phases"]):
        phases: list[dict[str, Any]] = []
        for one, away in zip(manifest["phases"], gone.phases, strict=True):
            now = _phase({**one, "tokens": one.get("carried", one["tokens"])}, away)
            phases.append({**one, "realised_weights": now["realised_weights"], "carried": now["tokens"]})
        found["phases"] = phases
    return found


def _repetition(tokens: Mapping[str, int], supply: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """Return epochs and what repeats are worth, as `mixture.choose` tells them."""
    have = {name: supply[name]["tokens"] if name in supply else 0 for name in tokens}
    return {
        "epochs": {name: round(count / have[name], 6) if have[name] else 0.0 for name, count in tokens.items()},
        "effective_tokens": {name: round(effective(count, have[name])) for name, count in tokens.items()},
        "repetition_cost": {name: round(cost(count, have[name]), 6) for name, count in tokens.items()},
    }


def _phase(told: Mapping[str, Any], away: Mapping[str, int]) -> dict[str, Any]:
    taken = {name: round(share * told["tokens"]) for name, share in told["realised_weights"].items()}
    left = _without(taken, away)
    return {**told, "tokens": sum(left.values()), "realised_weights": _shares(left)}


def _without(tokens: Mapping[str, int], away: Mapping[str, int]) -> dict[str, int]:
    return {name: count - away.get(name, 0) for name, count in tokens.items()}


def _shares(tokens: Mapping[str, int]) -> dict[str, float]:
    total = sum(tokens.values())
    return {name: count / total if total else 0.0 for name, count in tokens.items()}
