"""Checkpoints: everything a run needs to continue bit for bit, in one folder that appears at once.

`train/<stage>/checkpoint-000123/` holds the model in transformers' layout (so that it can be opened by itself),
`optimizer.pt` (optimizer and random states) and `state.json` (place in the stage and the data, and what the run was
started with).
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from trainer.errors import CheckpointError
from trainer.files import publish_folder
from trainer.models.decoder import Decoder
from trainer.models.storage import load_hf, save_hf
from trainer.summary import StageSummary

_NAME = re.compile(r"checkpoint-(\d{6,})")


class CheckpointState(BaseModel):
    """`state.json`."""

    model_config = ConfigDict(extra="forbid")

    version: Literal[1] = 1
    stage: str
    step: int
    """Steps of the stage that are done."""
    steps: int
    """Steps that the stage has."""
    loader: dict[str, Any]
    seconds: float
    train_seconds: float
    heldout_start: float
    heldout_last: float
    completed: list[StageSummary]
    """Stages finished so far, this one included once step equals steps."""
    settings: dict[str, Any]
    """What must not change on a resume."""
    tokenizer_sha256: str
    torch: str

    @property
    def finished(self) -> bool:
        """Whether the stage is complete."""
        return self.step == self.steps


def save(
    folder: Path,
    model: Decoder,
    optimizer: torch.optim.Optimizer,
    state: CheckpointState,
    *,
    tokenizer: Path,
    keep: int,
) -> Path:
    """Write `folder/checkpoint-<step>` atomically and remove all but the latest `keep`; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    final = folder / f"checkpoint-{state.step:06d}"
    temporary = folder / f".tmp-{final.name}-{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    save_hf(model, temporary, tokenizer)
    torch.save({"optimizer": optimizer.state_dict(), "random": random_state()}, temporary / "optimizer.pt")
    (temporary / "state.json").write_text(state.model_dump_json(indent=2) + "\n", "utf-8")
    if final.exists():
        shutil.rmtree(final)
    publish_folder(temporary, final)
    for old in checkpoints(folder)[:-keep]:
        shutil.rmtree(old)
    return final


def checkpoints(folder: Path) -> list[Path]:
    """The complete checkpoints in a stage's folder, oldest first."""
    if not folder.is_dir():
        return []
    found = [(int(match[1]), path) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(found)]


def clean(folder: Path) -> None:
    """Remove what a killed run left half-written in a stage's folder."""
    for path in folder.glob(".tmp-checkpoint-*"):
        shutil.rmtree(path)


def read_state(path: Path) -> CheckpointState:
    """`state.json` of a checkpoint. CheckpointError if it is missing or of another version."""
    file = path / "state.json"
    try:
        return CheckpointState.model_validate(json.loads(file.read_text("utf-8")))
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{file}: not found; {path.name} is not a checkpoint of this trainer, or was damaged"
        ) from error
    except (ValidationError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{file}: not a valid checkpoint state: {error}") from error


def load_model(path: Path, device: torch.device) -> Decoder:
    """The model of a checkpoint (or of any folder that `load_hf` reads)."""
    return load_hf(path, device)


def load_optimizer(path: Path, optimizer: torch.optim.Optimizer, *, groups: bool = True) -> None:
    """Fill the optimizer from a checkpoint; `groups=False` takes the moments but keeps the optimizer's own settings."""
    saved = _read_tensors(path)["optimizer"]
    if not groups:
        saved["param_groups"] = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict(saved)


def load_random(path: Path) -> None:
    """Restore the random states of a checkpoint."""
    state = _read_tensors(path)["random"]
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
    kind, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), position, has_gauss, cached))
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))


def random_state() -> dict[str, Any]:
    """The random states of torch (CPU and CUDA), numpy and Python, as plain values and tensors."""
    kind, keys, position, has_gauss, cached = cast("tuple[str, Any, int, int, float]", np.random.get_state())
    version, words, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [kind, [int(key) for key in keys], position, has_gauss, cached],
        "python": [version, list(words), gauss],
    }


def _read_tensors(path: Path) -> dict[str, Any]:
    file = path / "optimizer.pt"
    if not file.is_file():
        raise CheckpointError(f"{file}: not found; the checkpoint cannot be resumed, only evaluated")
    return torch.load(file, map_location="cpu", weights_only=True)
