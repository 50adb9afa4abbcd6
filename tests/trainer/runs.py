"""Runs of the trainer that die, and whether two of them came to the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from trainer import checkpoint as ckpt
from trainer.metrics import Metrics, read_metrics

QUIET = Console(quiet=True)


class StoppedError(Exception):
    """Stands for a crash."""


def stop_after(monkeypatch: pytest.MonkeyPatch, stage: str, step: int) -> None:
    """Make the run die right after the metrics row of a step."""
    append = Metrics.append

    def dying(self: Metrics, row: Any) -> None:
        append(self, row)
        if row["stage"] == stage and row["step"] == step and "loss" in row:
            raise StoppedError

    monkeypatch.setattr(Metrics, "append", dying)


def weights(out: Path, name: str = "model") -> dict[str, torch.Tensor]:
    return load_file(out / name / "model.safetensors")


def assert_same_run(one: Path, two: Path) -> None:
    """Weights, optimizer and every loss are equal bit for bit."""
    a, b = weights(one), weights(two)
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert torch.equal(value, b[name]), name

    def rows(out: Path) -> list[dict[str, Any]]:
        timed = ("seconds", "tokens_per_second", "data_seconds")
        return [{k: v for k, v in row.items() if k not in timed} for row in read_metrics(out / "metrics.jsonl")]

    assert rows(one) == rows(two)
    for stage in ("core", "continued"):
        last = [ckpt.checkpoints(out / stage)[-1] for out in (one, two)]
        states = [torch.load(path / "optimizer.pt", weights_only=True)["optimizer"] for path in last]
        for index, state in states[0]["state"].items():
            for key, value in state.items():
                other = states[1]["state"][index][key]
                assert torch.equal(value, other) if isinstance(value, torch.Tensor) else value == other
