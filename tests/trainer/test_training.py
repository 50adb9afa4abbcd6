"""A training from its first step to its summary: metrics, losses that go wrong, settings that cannot be."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.trainer.conftest import TINY, tiny_config
from tests.trainer.runs import QUIET, weights
from trainer import checkpoint as ckpt
from trainer.errors import DataError, NonFiniteLossError, RequestError
from trainer.metrics import read_metrics
from trainer.models import load_hf
from trainer.recipe import TrainConfig
from trainer.stages.pretrain import PretrainStage
from trainer.summary import Summary
from trainer.timeline import waited
from trainer.training import plan, train


def test_a_run_leaves_the_documented_folder(straight: Path) -> None:
    names = {path.relative_to(straight).as_posix() for path in straight.rglob("*") if path.is_file()}
    model = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    saved = model | {"optimizer.pt", "state.json"}
    expected = {"metrics.jsonl", "loss.png", "timeline.png", "summary.json"} | {f"model/{name}" for name in model}
    for folder in ("core/checkpoint-000005", "core/checkpoint-000010", "continued/checkpoint-000004"):
        expected |= {f"{folder}/{name}" for name in saved}
    assert names == expected
    assert (straight / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_the_summary_adds_up(straight: Path) -> None:
    summary = Summary.model_validate_json((straight / "summary.json").read_text())
    core, continued = summary.stages
    assert (core.stage, core.steps, core.tokens) == ("core", 10, 10 * 4 * 32)
    assert (continued.stage, continued.steps, continued.tokens) == ("continued", 4, 4 * 2 * 48)
    assert continued.heldout_start == core.heldout_end
    assert core.heldout_end < core.heldout_start
    assert core.seconds > 0
    assert core.tokens_per_second > 0
    assert summary.parameters == sum(value.numel() for value in weights(straight).values())
    assert summary.generated.tokens == 12
    assert summary.generated.prompt == "The"
    assert summary.generated.text


def test_metrics_have_a_row_a_step_and_held_out_at_start_regularly_and_end(straight: Path) -> None:
    rows = read_metrics(straight / "metrics.jsonl")
    steps = [(row["stage"], row["step"]) for row in rows if "loss" in row]
    assert steps == [("core", s) for s in range(1, 11)] + [("continued", s) for s in range(1, 5)]
    heldout = [(row["stage"], row["step"]) for row in rows if "heldout_loss" in row]
    assert heldout == [("core", 0), ("core", 4), ("core", 8), ("core", 10), ("continued", 0), ("continued", 4)]
    core = [row for row in rows if row["stage"] == "core" and "loss" in row]
    assert core[0]["lr"] == pytest.approx(0.01 / 2)
    assert core[1]["lr"] == pytest.approx(0.01)
    assert core[-1]["lr"] == pytest.approx(0.01 * 0.005)
    assert all(row["grad_norm"] > 0 and not row["skipped"] and row["z_loss"] > 0 for row in core)


def test_every_step_says_how_long_it_waited_for_data(straight: Path) -> None:
    rows = [row for row in read_metrics(straight / "metrics.jsonl") if "loss" in row]
    assert all(row["data_seconds"] >= 0 for row in rows)
    assert waited(rows, "core") == pytest.approx(sum(row["data_seconds"] for row in rows if row["stage"] == "core"))
    assert (straight / "timeline.png").read_bytes().startswith(b"\x89PNG")


def test_threads_are_set_for_the_run_only(token_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    backward = PretrainStage.backward

    def watched(self: PretrainStage, model: Any, step: int) -> Any:
        seen.append(torch.get_num_threads())
        return backward(self, model, step)

    monkeypatch.setattr(PretrainStage, "backward", watched)
    summary = train(token_run, tiny_config(threads=2), ["core"], tmp_path, console=QUIET)
    assert set(seen) == {2}
    assert summary.device == "cpu (2 threads)"
    assert torch.get_num_threads() == 1


def test_a_non_finite_loss_stops_with_step_and_documents(
    token_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backward = PretrainStage.backward

    def poisoned(self: PretrainStage, model: Any, step: int) -> Any:
        result = backward(self, model, step)
        if step == 7:
            result.per_sequence[2] = float("nan")
            return result._replace(sums=torch.full_like(result.sums, float("nan")))
        return result

    monkeypatch.setattr(PretrainStage, "backward", poisoned)
    with pytest.raises(NonFiniteLossError, match=r"stage core, step 7: the loss is nan.*topic:") as caught:
        train(token_run, tiny_config(), out=tmp_path, console=QUIET)
    named = [json.loads(line) for line in (tmp_path / "nonfinite-core-000007.jsonl").read_text().splitlines()]
    assert {row["slot"] for row in named} == {6 * 4 + 2}  # the third sequence of the seventh step
    assert named[0]["id"] in str(caught.value)
    assert ckpt.read_state(ckpt.checkpoints(tmp_path / "core")[-1]).step == 5
    assert len([row for row in read_metrics(tmp_path / "metrics.jsonl") if "loss" in row]) == 6


def test_a_diverging_run_stops_by_itself(token_run: Path, tmp_path: Path) -> None:
    stage = {"steps": 40, "warmup_steps": 0, "sequence_length": 32, "batch_size": 4, "peak_lr": 3e38}
    with pytest.raises(NonFiniteLossError, match="nothing was updated"):
        train(token_run, tiny_config(stages={"core": stage}), out=tmp_path, console=QUIET)


def test_steps_with_a_huge_gradient_are_skipped(token_run: Path, tmp_path: Path) -> None:
    train(token_run, tiny_config(optimizer={"drop_norm": 1e-9}), ["core"], tmp_path, console=QUIET)
    rows = [row for row in read_metrics(tmp_path / "metrics.jsonl") if "loss" in row]
    assert all(row["skipped"] for row in rows)
    first = read_metrics(tmp_path / "metrics.jsonl")[0]["heldout_loss"]
    assert read_metrics(tmp_path / "metrics.jsonl")[-1]["heldout_loss"] == first  # no update was made


def test_micro_batches_do_not_change_the_step(token_run: Path, straight: Path, tmp_path: Path) -> None:
    stages = tiny_config().model_dump()["stages"]
    stages["core"]["micro_batch_size"] = 1
    train(token_run, tiny_config(stages=stages), out=tmp_path, console=QUIET)
    for name, value in weights(straight).items():
        torch.testing.assert_close(weights(tmp_path)[name], value, rtol=0, atol=2e-4)
    losses = [[r["loss"] for r in read_metrics(out / "metrics.jsonl") if "loss" in r] for out in (straight, tmp_path)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


def test_the_optimizer_can_be_carried_into_the_next_stage(token_run: Path, straight: Path, tmp_path: Path) -> None:
    stages = tiny_config().model_dump()["stages"]
    stages["continued"]["carry_optimizer"] = True
    train(token_run, tiny_config(stages=stages), out=tmp_path, console=QUIET)

    def first_state(out: Path) -> dict[str, Any]:
        return torch.load(out / "continued/checkpoint-000004/optimizer.pt", weights_only=True)["optimizer"]

    carried, fresh = first_state(tmp_path), first_state(straight)
    assert carried["state"][0]["step"] == 14
    assert fresh["state"][0]["step"] == 4
    assert carried["param_groups"][0]["peak_lr"] == fresh["param_groups"][0]["peak_lr"] == 3e-4


def test_everything_is_checked_before_the_first_step(token_run: Path, tmp_path: Path) -> None:
    def refused(error: type[Exception], message: str, config: TrainConfig, run: Path = token_run) -> None:
        with pytest.raises(error, match=message):
            train(run, config, out=tmp_path / "out", console=QUIET)

    stages = tiny_config().model_dump()["stages"]
    refused(DataError, r"tokens/anneal/manifest\.json: not found", tiny_config(stages={"anneal": stages["core"]}))
    refused(DataError, r"tokens/dev/manifest\.json: not found", tiny_config(heldout={"stage": "dev"}))
    late = {"core": {"epochs": 0.01, "sequence_length": 32, "batch_size": 4}}
    refused(RequestError, r"train\.stages\.core\.warmup_steps is 5000, but the stage has", tiny_config(stages=late))
    refused(
        RequestError, r"vocab_size is 100, but the tokenizer has 512", tiny_config(model={**TINY, "vocab_size": 100})
    )
    refused(RequestError, "device 'gpu'", tiny_config(device="gpu"))
    refused(RequestError, "below one window", tiny_config(heldout={"max_tokens": 8}))
    shutil.copytree(token_run, tmp_path / "run")
    manifest = tmp_path / "run" / "tokens" / "continued" / "manifest.json"
    other = json.loads(manifest.read_text())
    other["tokenizer"]["sha256"] = "0" * 64
    manifest.write_text(json.dumps(other))
    refused(DataError, "need one tokenizer", tiny_config(), tmp_path / "run")
    (tmp_path / "run" / "tokenizer" / "tokenizer.json").write_text("{}")
    refused(DataError, "the tokenizer has changed", tiny_config(stages={"core": stages["core"]}), tmp_path / "run")
    (tmp_path / "run" / "tokenizer" / "tokenizer.json").unlink()
    refused(DataError, r"tokenizer\.json: not found", tiny_config(stages={"core": stages["core"]}), tmp_path / "run")
    assert not (tmp_path / "out").exists()


def test_held_out_loss_does_not_depend_on_the_batch(token_run: Path, straight: Path) -> None:
    model = load_hf(straight / "model")
    model_losses = [
        plan(token_run, tiny_config(heldout={"max_tokens": 1500, "batch_size": size})).heldout.loss(model)
        for size in (1, 3, 64)
    ]
    np.testing.assert_allclose(model_losses, model_losses[0], rtol=1e-6)
