"""`pomona runs list` and `show`: what runs there are, and what one is made of."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.runs.files import below, disk_bytes
from pipelines.runs.folder import STEP_FOLDER, RunFolder, opened
from pipelines.steps.step import RunFailed
from pipelines.storage import MANIFEST, read_json, size

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Row:
    """A run in a list. `bytes` are those of its folder, each once however many names it has; `steps` the finished."""

    run: str
    name: str
    created: str
    state: str
    steps: int
    bytes: int
    tokens: int | None
    store: str | None


def rows(runs: Iterable[Path]) -> list[Row]:
    """Describe runs; one that is damaged has its damage as its state, and does not hide the others."""
    found: list[Row] = []
    for path in runs:
        try:
            found.append(_row(opened(path)))
        except (RunFailed, ValueError, KeyError) as error:
            found.append(Row(str(path), "?", "", f"damaged: {error}", 0, disk_bytes(below(path)), None, None))
    return found


def _row(run: RunFolder) -> Row:
    created = run.facts["created"] if run.facts is not None else run.request.created if run.request else ""
    store = run.store
    return Row(
        str(run.path),
        run.name,
        created,
        run.state(),
        len(run.steps()),
        disk_bytes(below(run.path)),
        None if run.facts is None else sum(_tokens(run, stage) for stage in run.facts["stages"]),
        None if store is None else str(store),
    )


def _tokens(run: RunFolder, stage: str) -> int:
    """Tokens of a training stage; those set aside for evaluation do not count."""
    path = run.path / "mixture" / stage / "manifest.json"
    if size(path) is None:
        log.warning("%s is missing; `pomona runs verify %s` says what else is", path, run.path)
        return 0
    manifest = read_json(path)
    return int(manifest["total_tokens"]) if manifest.get("purpose") == "training" else 0


def describe(run: RunFolder) -> dict[str, Any]:
    """Return what a run is made of: steps with sums and what they read and are read by, mixtures with their shards.

    Raises RunFailed when a step that run.json names is gone.
    """
    reused = {} if run.facts is None else {one["folder"]: one["reused"] for one in run.facts["steps"]}
    manifests = {folder: _manifest(folder) for folder in run.steps()}
    names = {told["digest"]: told["step"] for told in manifests.values()}
    readers: dict[str, list[str]] = {digest: [] for digest in names}
    for told in manifests.values():
        for digest in told["inputs"]:
            if digest in readers:
                readers[digest].append(told["step"])
    steps: list[dict[str, Any]] = []
    for folder, told in manifests.items():
        files = [one for entries in told["outputs"].values() for one in entries]
        steps.append(
            {
                "name": told["step"],
                "folder": str(folder),
                **{key: told[key] for key in ("in", "kept", "dropped", "failed", "seconds", "engine")},
                "bytes": sum(one["bytes"] for one in files),
                "files": len(files),
                "reused": next((was for place, was in reused.items() if run.place(place) == folder), None),
                "reads": [names[digest] for digest in told["inputs"] if digest in names],
                "read_by": [*readers[told["digest"]], *_published(told)],
            }
        )
    return {
        "run": str(run.path),
        "name": run.name,
        "state": run.state(),
        "request": None if run.request is None else run.request.model_dump(exclude={"recipe"}),
        "recipe_digest": run.facts["recipe_digest"] if run.facts else run.request.recipe_digest if run.request else "",
        "root": str(run.root),
        "steps": steps,
        "mixtures": [] if run.facts is None else [_mixture(run, stage, manifests) for stage in run.facts["stages"]],
    }


def _manifest(folder: Path) -> dict[str, Any]:
    if size(folder / MANIFEST) is None:
        raise RunFailed(f"{folder}: run.json names this step and it is gone; `pomona runs resume RUN` makes it again")
    return read_json(folder / MANIFEST)


def _published(told: dict[str, Any]) -> list[str]:
    """Return the places in the run's folder where a step's files appear under a second name."""
    if told["step"] == "06-tokenizer":
        return ["tokenizer/"]
    if told["step"] == "09-ledger":
        return ["ledger/"]
    if told["step"] != "08-mix":
        return []
    stages = told["facts"]["stages"]
    return [*(f"mixture/{stage}" for stage in stages), *(f"tokens/{stage}" for stage in stages)]


def _mixture(run: RunFolder, stage: str, manifests: dict[Path, dict[str, Any]]) -> dict[str, Any]:
    """Describe a stage's shards, each with the step's file that it is."""
    path = run.path / "mixture" / stage / "manifest.json"
    if size(path) is None:
        raise RunFailed(f"{path}: missing; `pomona runs verify {run.path}` says what else is")
    manifest = read_json(path)
    of = {
        one["sha256"]: f"{folder.name}/{one['path']}"
        for folder, told in manifests.items()
        for one in told["outputs"].get(stage, [])
        if STEP_FOLDER.fullmatch(folder.name)
    }
    shards = [{**one, "from": of.get(one["sha256"])} for one in manifest["shards"]]
    return {"stage": stage, "purpose": manifest["purpose"], "tokens": manifest["total_tokens"], "shards": shards}
