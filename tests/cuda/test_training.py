"""Whole runs on CUDA: bits that repeat, checkpoints that change the device, steps that wait once."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainer.conftest import tiny_config
from tests.trainer.runs import QUIET, StoppedError, assert_same_run, stop_after
from trainer.metrics import read_metrics
from trainer.training import train

pytestmark = pytest.mark.cuda


def config(**changes: Any) -> Any:
    return tiny_config(**{"device": "cuda", **changes})


def losses(out: Path, stage: str = "core") -> list[float]:
    return [row["loss"] for row in read_metrics(out / "metrics.jsonl") if "loss" in row and row["stage"] == stage]


def test_a_run_follows_the_cpus(token_run: Path, tmp_path: Path) -> None:
    """In bf16: a step's loss stays within 1 % of the float32 run on the CPU, and the held-out loss falls as far."""
    on_cpu = train(token_run, tiny_config(), out=tmp_path / "cpu", console=QUIET)
    on_gpu = train(token_run, config(), out=tmp_path / "gpu", console=QUIET)
    assert losses(tmp_path / "gpu") == pytest.approx(losses(tmp_path / "cpu"), rel=0.01)
    assert on_gpu.stages[-1].heldout_end == pytest.approx(on_cpu.stages[-1].heldout_end, rel=0.01)
    assert "cuda" in on_gpu.device


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_resumed_run_is_the_straight_run_bit_for_bit(
    token_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled: bool
) -> None:
    wanted = config(compile=compiled)
    train(token_run, wanted, out=tmp_path / "straight", console=QUIET)
    for stage, step in (("core", 7), ("continued", 2)):
        out = tmp_path / f"{stage}-{step}"
        with monkeypatch.context() as patch:
            stop_after(patch, stage, step)
            with pytest.raises(StoppedError):
                train(token_run, wanted, out=out, console=QUIET)
        torch.manual_seed(999)
        train(token_run, wanted, out=out, console=QUIET)
        assert_same_run(tmp_path / "straight", out)


@pytest.mark.parametrize(("first", "then"), [("cpu", "cuda"), ("cuda", "cpu")])
def test_a_checkpoint_goes_on_on_the_other_device(
    token_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str, then: str
) -> None:
    train(token_run, tiny_config(), out=tmp_path / "whole", console=QUIET)
    with monkeypatch.context() as patch:
        stop_after(patch, "core", 7)  # checkpoints are at 5 and 10
        with pytest.raises(StoppedError):
            train(token_run, config(device=first), out=tmp_path / "moved", console=QUIET)
    train(token_run, config(device=then), out=tmp_path / "moved", console=QUIET)
    assert losses(tmp_path / "moved") == pytest.approx(losses(tmp_path / "whole"), rel=0.01)


def test_a_step_waits_for_the_device_once(token_run: Path, tmp_path: Path) -> None:
    """Two runs that differ by ten steps differ by ten waits, with two micro-batches a step."""

    def waits(steps: int) -> int:
        stage = {
            "steps": steps, "warmup_steps": 2, "sequence_length": 32, "batch_size": 4, "micro_batch_size": 2,
        }  # fmt: skip
        wanted = config(stages={"core": stage}, evaluate_every=1000, checkpoint_every=1000)
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                train(token_run, wanted, out=tmp_path / str(steps), console=QUIET)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        return sum("synchronizing CUDA operation" in str(one.message) for one in told)

    waits(4)  # what torch loads the first time
    assert waits(16) - waits(6) == 10
