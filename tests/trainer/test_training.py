from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from tests.trainer.conftest import TINY, tiny_config
from trainer import checkpoint as ckpt
from trainer.data.tokens import sha256
from trainer.errors import CheckpointError, DataError, NonFiniteLossError, RequestError
from trainer.loop import Loop
from trainer.metrics import Metrics, read_metrics
from trainer.models import build, load_hf
from trainer.recipe import TrainConfig
from trainer.stages.pretrain import PretrainStage
from trainer.summary import Summary
from trainer.timeline import waited
from trainer.training import plan, train

QUIET = Console(quiet=True)
ROOT = Path(__file__).parents[2]


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


@pytest.fixture(scope="module")
def straight(token_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run: 10 + 4 steps."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("straight") / "train"
    train(token_run, tiny_config(), out=out, console=QUIET)
    return out


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


def test_the_same_recipe_twice_gives_the_same_bits(token_run: Path, straight: Path, tmp_path: Path) -> None:
    train(token_run, tiny_config(), out=tmp_path, console=QUIET)
    assert_same_run(straight, tmp_path)


@pytest.mark.parametrize(("stage", "step"), [("core", 5), ("core", 8), ("continued", 2), ("core", 2)])
def test_a_resumed_run_is_the_straight_run(
    token_run: Path, straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, step: int
) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, stage, step)
        with pytest.raises(StoppedError):
            train(token_run, tiny_config(), out=tmp_path, console=QUIET)
    torch.manual_seed(999)  # whatever the new process drew before
    train(token_run, tiny_config(), out=tmp_path, console=QUIET)
    assert_same_run(straight, tmp_path)


@pytest.mark.parametrize(
    "where",
    [
        # right after step 8, between checkpoints; in the writing of step 10's checkpoint, before and after its rename
        "if row.get('step') == 8 and 'loss' in row: die()",
        "kill_in_publish = 'before'",
        "kill_in_publish = 'after'",
    ],
)
def test_kill_9_and_resume_is_the_straight_run(token_run: Path, straight: Path, tmp_path: Path, where: str) -> None:
    script = f"""
        import os, signal, sys, torch
        from pathlib import Path
        from rich.console import Console
        from tests.trainer.conftest import tiny_config
        from trainer import checkpoint, files
        from trainer.metrics import Metrics
        from trainer.training import train

        def die(): os.kill(os.getpid(), signal.SIGKILL)
        append, publish, kill_in_publish, published = Metrics.append, files.publish_folder, None, 0
        def dying(self, row):
            global kill_in_publish
            append(self, row)
            {where}
        def publishing(temporary, final):
            global published
            published += 1
            if published == 2 and kill_in_publish == 'before': die()
            publish(temporary, final)
            if published == 2 and kill_in_publish == 'after': die()
        Metrics.append, checkpoint.publish_folder = dying, publishing
        torch.set_num_threads(1)
        train({str(token_run)!r}, tiny_config(), out={str(tmp_path)!r}, console=Console(quiet=True))
    """
    found = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, capture_output=True, check=False)
    assert found.returncode == -signal.SIGKILL, found.stderr.decode()
    assert not (tmp_path / "summary.json").exists()
    if "before" in where:
        assert list((tmp_path / "core").glob(".tmp-*"))
    train(token_run, tiny_config(), out=tmp_path, console=QUIET)
    assert_same_run(straight, tmp_path)
    assert not list(tmp_path.rglob(".tmp-*"))


def test_a_metrics_line_cut_off_by_a_kill_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    file.write_text('{"stage": "core", "step": 1, "loss": 2.0}\n{"stage": "core", "st')
    assert read_metrics(file) == [{"stage": "core", "step": 1, "loss": 2.0}]


def test_a_finished_run_is_not_trained_again(
    token_run: Path, straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(straight, tmp_path / "train")
    monkeypatch.setattr(Loop, "run", lambda *_: pytest.fail("trained again"))
    again = train(token_run, tiny_config(), out=tmp_path / "train", console=QUIET)
    assert again == Summary.model_validate_json((straight / "summary.json").read_text())


def test_stages_can_be_run_one_by_one(token_run: Path, straight: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="continued starts from the end of core"):
        train(token_run, tiny_config(), ["continued"], tmp_path, console=QUIET)
    first = train(token_run, tiny_config(), ["core"], tmp_path, console=QUIET)
    assert [stage.stage for stage in first.stages] == ["core"]
    train(token_run, tiny_config(), ["continued"], tmp_path, console=QUIET)
    assert_same_run(straight, tmp_path)
    with pytest.raises(RequestError, match=r"no stage anneal in the recipe; train\.stages has core, continued"):
        train(token_run, tiny_config(), ["anneal"], tmp_path, console=QUIET)


def test_no_resume_trains_again(token_run: Path, straight: Path, tmp_path: Path) -> None:
    shutil.copytree(straight, tmp_path / "train")
    changed = tiny_config(seed=5)
    with pytest.raises(CheckpointError, match=r"train\.seed was 0 and is 5 now"):
        train(token_run, changed, out=tmp_path / "train", console=QUIET)
    train(token_run, changed, out=tmp_path / "train", resume=False, console=QUIET)
    assert not torch.equal(weights(tmp_path / "train")["model.norm.weight"], weights(straight)["model.norm.weight"])
    rows = read_metrics(tmp_path / "train" / "metrics.jsonl")
    assert len([row for row in rows if "loss" in row]) == 14


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"model": {**TINY, "layers": 1}}, r"train\.model\.layers was 2 and is 1 now"),
        ({"z_loss": 0.0}, r"train\.z_loss"),
        ({"optimizer": {"momentum": 0.9}}, r"train\.optimizer\.momentum was 0\.95 and is 0\.9 now"),
    ],
)
def test_resume_with_other_settings_is_refused(
    token_run: Path, straight: Path, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(CheckpointError, match=field):
        train(token_run, tiny_config(**changes), out=straight, console=QUIET)


def test_resume_with_another_mixture_is_refused(token_run: Path, straight: Path, tmp_path: Path) -> None:
    shutil.copytree(token_run, tmp_path / "run")
    manifest = tmp_path / "run" / "tokens" / "core" / "manifest.json"
    told = json.loads(manifest.read_text())
    phases = [{"tokens": 1000}, {"tokens": told["tokens"] - 1000}]
    manifest.write_text(json.dumps({**told, "phases": phases}))
    with pytest.raises(CheckpointError, match="stage core was trained on a mixture whose manifest"):
        train(tmp_path / "run", tiny_config(), out=straight, console=QUIET)


def test_a_training_goes_on_after_a_take_down(token_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first steps saw the document; those after the take-down see everything else where it was."""
    run, out = tmp_path / "run", tmp_path / "train"
    shutil.copytree(token_run, run)
    with monkeypatch.context() as patch:
        stop_after(patch, "continued", 2)
        with pytest.raises(StoppedError):
            train(run, tiny_config(checkpoint_every=1), out=out, console=QUIET)
    taken = run / "tokens" / "continued"
    before = PretrainStage("continued", tiny_config().stages["continued"], taken, seed=0, z_loss=0.0)
    document = int(before.loader.batch(3).document_ids[0, 0])
    pq.write_table(pa.table({"document": pa.array([document], pa.int64())}), taken / "excluded.parquet")
    told = json.loads((taken / "manifest.json").read_text())
    told["excluded"] = {"path": "excluded.parquet", "sha256": sha256(taken / "excluded.parquet"), "documents": 1}
    (taken / "manifest.json").write_text(json.dumps(told))
    summary = train(run, tiny_config(checkpoint_every=1), out=out, console=QUIET)
    assert summary.stages[1].steps == 4
    state = ckpt.read_state(ckpt.checkpoints(out / "continued")[-1])
    assert state.loader["excluded"] == 1
    after = PretrainStage("continued", tiny_config().stages["continued"], taken, seed=0, z_loss=0.0)
    assert after.loader.batch(3).valid_tokens < before.loader.batch(3).valid_tokens


def test_a_step_of_nothing_but_taken_down_documents_changes_no_weight_by_its_loss(token_run: Path) -> None:
    folder = token_run / "tokens" / "core"
    stage = PretrainStage("core", tiny_config().stages["core"], folder, seed=0, z_loss=0.0)
    stage.loader.stage.excluded[:] = True
    stage.loader._masks = True
    model = build(tiny_config().model.resolve(vocab_size=512, sequence_length=48), seed=0, device=torch.device("cpu"))
    result = stage.backward(model, 1)
    assert (result.loss, result.valid_tokens) == (0.0, 0)
    assert all(not p.grad.any() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("changes", [{"prefetch": 0}, {"prefetch": 7}])
def test_batches_made_ahead_do_not_change_a_run(
    token_run: Path, straight: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    train(token_run, tiny_config(**changes), out=tmp_path, console=QUIET)
    assert_same_run(straight, tmp_path)


def test_best_fit_trains_and_resumes(token_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = {name: {**stage, "packing": "best_fit"} for name, stage in _stages().items()}
    train(token_run, tiny_config(stages=stages), out=tmp_path / "whole", console=QUIET)
    with monkeypatch.context() as patch:
        stop_after(patch, "core", 7)
        with pytest.raises(StoppedError):
            train(token_run, tiny_config(stages=stages), out=tmp_path / "parts", console=QUIET)
    train(token_run, tiny_config(stages=stages), out=tmp_path / "parts", console=QUIET)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")
    with pytest.raises(CheckpointError, match=r"packing was 'best_fit' and is 'concat' now"):
        train(token_run, tiny_config(), out=tmp_path / "whole", console=QUIET)


def _stages() -> dict[str, dict[str, Any]]:
    return {
        "core": {"steps": 10, "warmup_steps": 2, "sequence_length": 32, "batch_size": 4},
        "continued": {"steps": 4, "warmup_steps": 1, "sequence_length": 48, "batch_size": 2},
    }


def test_every_step_says_how_long_it_waited_for_data(straight: Path) -> None:
    rows = [row for row in read_metrics(straight / "metrics.jsonl") if "loss" in row]
    assert all(row["data_seconds"] >= 0 for row in rows)
    assert waited(rows, "core") == pytest.approx(sum(row["data_seconds"] for row in rows if row["stage"] == "core"))
    assert (straight / "timeline.png").read_bytes().startswith(b"\x89PNG")


def test_settings_that_do_not_change_the_weights_may_change(token_run: Path, straight: Path, tmp_path: Path) -> None:
    shutil.copytree(straight, tmp_path / "train")
    changed = tiny_config(evaluate_every=2, generate={"prompt": "A class", "tokens": 3}, keep_checkpoints=1)
    found = train(token_run, changed, out=tmp_path / "train", console=QUIET)
    assert found.generated.prompt == "A class"
    assert found.generated.tokens == 3


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


def test_only_the_latest_checkpoints_are_kept(token_run: Path, tmp_path: Path) -> None:
    train(token_run, tiny_config(checkpoint_every=1, keep_checkpoints=3), ["core"], tmp_path, console=QUIET)
    assert [path.name for path in ckpt.checkpoints(tmp_path / "core")] == [f"checkpoint-{s:06d}" for s in (8, 9, 10)]


def test_a_non_finite_loss_stops_with_step_and_documents(
    token_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backward = PretrainStage.backward

    def poisoned(self: PretrainStage, model: Any, step: int) -> Any:
        result = backward(self, model, step)
        if step == 7:
            result.per_sequence[2] = float("nan")
            return result._replace(loss=float("nan"))
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


def test_checkpoints_open_by_themselves(straight: Path) -> None:
    last, final = load_hf(straight / "continued/checkpoint-000004"), load_hf(straight / "model")
    assert torch.equal(last.embedding.weight, final.embedding.weight)
    state = ckpt.read_state(straight / "core/checkpoint-000005")
    assert (state.stage, state.step, state.steps, state.finished) == ("core", 5, 10, False)
    assert state.loader["step"] == 5
    with pytest.raises(CheckpointError, match=r"state\.json: not found"):
        ckpt.read_state(straight / "model")


def test_random_states_are_restored(tmp_path: Path) -> None:
    import random

    torch.save({"random": ckpt.random_state()}, tmp_path / "optimizer.pt")
    drawn = (torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random())
    ckpt.load_random(tmp_path)
    assert drawn == (torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random())
