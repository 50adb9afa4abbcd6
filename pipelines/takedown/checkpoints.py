"""Which checkpoints saw a text, the last that did not, and what it costs to go on from there.

The order of a training is a pure function of its settings, so that the steps a document was in are computed, not
recorded. Nothing here needs torch.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.distinct import distinct
from pipelines.storage import exists, is_remote
from pipelines.takedown.rewriting import Gone, rows_of

CHECKPOINT = re.compile(r"checkpoint-(\d{6,})")
SHOWN_STEPS = 20
FLOPS_A_PARAMETER = 6
"""Of forward and backward, a token (Kaplan et al. 2020, 2001.08361 section 2.1); attention scores are left out."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint: `step` of `steps` in its stage; `stages` are those finished before it, with their steps."""

    path: str
    stage: str
    step: int
    stages: Mapping[str, int]
    seen: tuple[str, ...] = ()
    """Ids of the records that it was trained on."""
    first: str = ""
    """Where it first was: "core step 12"."""

    @property
    def clean(self) -> bool:
        """Whether it saw none of them."""
        return not self.seen


@dataclass(frozen=True)
class Replay:
    """What training again from the last clean place would take. Seconds, FLOPs and money are None where not known."""

    start: str
    steps: int
    tokens: int
    seconds: float | None
    flops: float | None
    money: float | None


@dataclass
class Exposure:
    """The answer for one folder of checkpoints. `steps` are those of each stage that had one of the records."""

    folder: str
    checkpoints: list[Checkpoint] = field(default_factory=list[Checkpoint])
    steps: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    last_clean: str | None = None
    replay: Replay | None = None
    notes: list[str] = field(default_factory=list[str])


def exposures(run: Path, folders: Sequence[Path], gone: Gone, price: float | None = None) -> list[Exposure]:
    """Look at the checkpoints of a run (`train`, and what rebuilds set aside) and of other folders.

    `price` is that of an hour of the machine the training was measured on.
    """
    if is_remote(run):
        places = list(folders)
    else:
        places = [path for path in sorted(run.glob("train*")) if path.is_dir()] + list(folders)
    return [found for place in dict.fromkeys(places) if (found := _exposure(run, place, gone, price)) is not None]


@dataclass(frozen=True)
class _State:
    path: Path
    stage: str
    step: int
    loader: Mapping[str, Any]
    settings: Mapping[str, Any]
    completed: Mapping[str, str]
    """Stages finished before -> SHA-256 of the manifest they were trained on."""
    lengths: Mapping[str, int]
    at: int
    """Place of its stage among all."""


def _exposure(run: Path, place: Path, gone: Gone, price: float | None) -> Exposure | None:
    states = _states(place)
    if not states:
        return None
    found = Exposure(str(place))
    known: dict[str, dict[str, NDArray[np.int64]]] = {}
    reached: dict[str, int] = {}
    for state in states:
        for stage, steps in {**state.lengths, state.stage: state.step}.items():
            reached[stage] = max(reached.get(stage, 0), steps)
    for stage, steps in reached.items():
        answer = _seen(run, stage, states, steps, gone, found.notes)
        if answer is None:
            return found
        known[stage] = answer
        taken = distinct(np.concatenate([*answer.values(), np.empty(0, np.int64)])).astype(np.int64)
        found.steps[stage] = taken.tolist()
    order = sorted(states, key=lambda state: (state.at, state.step))
    for state in order:
        upto = {**state.lengths, state.stage: state.step}
        seen = sorted({id_ for stage, steps in upto.items() for id_, at in known[stage].items() if (at <= steps).any()})
        first = next(
            (f"{stage} step {found.steps[stage][0]}" for stage, steps in upto.items()
             if found.steps[stage] and found.steps[stage][0] <= steps),
            "",
        )  # fmt: skip
        told = Checkpoint(str(state.path), state.stage, state.step, dict(state.lengths), tuple(seen), first)
        found.checkpoints.append(told)
    if any(not one.clean for one in found.checkpoints):
        clean = [state for state, one in zip(order, found.checkpoints, strict=True) if one.clean]
        found.last_clean = str(clean[-1].path) if clean else None
        found.replay = _replay(place, clean[-1] if clean else None, order, reached, price, found.notes)
    return found


def _states(place: Path) -> list[_State]:
    """Read the state of every checkpoint in a folder of trainings."""
    found: list[_State] = []
    for path in sorted([*place.glob("checkpoint-*"), *place.glob("*/checkpoint-*")]):
        if not CHECKPOINT.fullmatch(path.name) or not (path / "state.json").is_file():
            continue
        told = json.loads((path / "state.json").read_text("utf-8"))
        done = {one["stage"]: one for one in told["completed"] if one["stage"] != told["stage"]}
        names = list(told["settings"]["stages"])
        lengths = {name: int(one["steps"]) for name, one in done.items()}
        digests = {name: str(one["manifest_sha256"]) for name, one in done.items()}
        stage = str(told["stage"])
        at = names.index(stage) if stage in names else len(names)
        found.append(_State(path, stage, int(told["step"]), told["loader"], told["settings"], digests, lengths, at))
    return found


def _seen(
    run: Path, stage: str, states: Sequence[_State], steps: int, gone: Gone, notes: list[str]
) -> dict[str, NDArray[np.int64]] | None:
    """Return the steps that each record was in, none of those the stage does not have; None where it cannot be told."""
    from trainer.data.seen import loader_of, steps_of

    manifest = run / "tokens" / stage / "manifest.json"
    own = next((state for state in states if state.stage == stage), None)
    trained_on = own.loader.get("manifest_sha256") if own else None
    if trained_on is None:
        trained_on = next((state.completed[stage] for state in states if stage in state.completed), None)
    if not exists(manifest) or is_remote(run) or (trained_on is not None and trained_on not in _versions(manifest)):
        notes.append(
            f"stage {stage} was trained on a mixture that this run no longer holds (manifest {trained_on}): whether it "
            "saw these records cannot be told; look there, or treat its checkpoints as having seen them"
        )
        return None
    if own is not None:
        loader = loader_of(manifest, own.loader)
    else:  # only finished before the first checkpoint that is kept: its settings are written down there
        later = next(state for state in states if stage in state.lengths)
        settings = {**later.settings["stages"][stage], "seed": later.settings["seed"]}
        loader = loader_of(manifest, settings)
    rows = rows_of(manifest.with_name("documents.parquet"), gone)
    found = steps_of(loader, rows.tolist(), steps)
    ids = loader.stage.describe(rows)["id"].to_pylist()
    told: dict[str, list[NDArray[np.int64]]] = {}
    for row, id_ in zip(rows.tolist(), ids, strict=True):
        told.setdefault(str(id_), []).append(found[row])
    return {id_: distinct(np.concatenate(each)) for id_, each in told.items()}


def _versions(manifest: Path) -> set[str]:
    """Digests of a token manifest and of those it took the place of in take-downs: all have one order."""
    from pipelines.storage import read_json, sha256

    told = read_json(manifest)
    return {sha256(manifest), *(str(one["previous"]) for one in told.get("takedowns", ()))}


def _replay(
    place: Path,
    clean: _State | None,
    order: Sequence[_State],
    reached: Mapping[str, int],
    price: float | None,
    notes: list[str],
) -> Replay:
    """Add up the steps from the last clean checkpoint to as far as the training came."""
    settings: Mapping[str, Any] = order[-1].settings["stages"]
    rates = _rates(place)
    parameters = _parameters(place, order[-1].path)
    done = {} if clean is None else {**clean.lengths, clean.stage: clean.step}
    steps, tokens, seconds = 0, 0, 0.0
    measured = True
    for stage, upto in reached.items():
        again = upto - done.get(stage, 0)
        mine = again * int(settings[stage]["batch_size"]) * int(settings[stage]["sequence_length"])
        steps, tokens = steps + again, tokens + mine
        if again and stage not in rates:
            measured = False
            notes.append(f"{place}: no measured rate of stage {stage}, so that the time of a replay is not known")
        elif again:
            seconds += mine / rates[stage]
    if parameters is None:
        notes.append(f"{place}: the number of parameters is not known, so that the FLOPs of a replay are not")
    return Replay(
        "the beginning of the training" if clean is None else str(clean.path),
        steps,
        tokens,
        seconds if measured else None,
        None if parameters is None else float(FLOPS_A_PARAMETER * parameters * tokens),
        seconds / 3600 * price if measured and price is not None else None,
    )


def _rates(place: Path) -> dict[str, float]:
    """Tokens a second of each stage as measured: the median of its steps in metrics.jsonl."""
    from trainer.metrics import read_metrics

    speeds: dict[str, list[float]] = {}
    for row in read_metrics(place / "metrics.jsonl"):
        if "tokens_per_second" in row:
            speeds.setdefault(str(row["stage"]), []).append(float(row["tokens_per_second"]))
    return {stage: float(np.median(found)) for stage, found in speeds.items()}


def _parameters(place: Path, checkpoint: Path) -> int | None:
    """Parameters of the model: as the summary says, else summed from the header of its weights."""
    summary = place / "summary.json"
    if summary.is_file():
        return int(json.loads(summary.read_text("utf-8"))["parameters"])
    weights = checkpoint / "model.safetensors"
    if not weights.is_file():
        return None
    with weights.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header: dict[str, Any] = json.loads(file.read(length))
    return sum(int(np.prod(one["shape"])) for name, one in header.items() if name != "__metadata__")
