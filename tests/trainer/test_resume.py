"""A training that stopped, for whatever reason, goes on as if it had not."""

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

from tests.trainer.conftest import STAGES, TINY, tiny_config
from tests.trainer.runs import QUIET, StoppedError, assert_same_run, stop_after, weights
from trainer import checkpoint as ckpt
from trainer.data.tokens import sha256
from trainer.errors import CheckpointError, RequestError
from trainer.loop import Loop
from trainer.metrics import read_metrics
from trainer.models import build, load_hf
from trainer.stages.pretrain import PretrainStage
from trainer.summary import Summary
from trainer.training import train

ROOT = Path(__file__).parents[2]


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


@pytest.mark.slow
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
    stages = {name: {**stage, "packing": "best_fit"} for name, stage in STAGES.items()}
    train(token_run, tiny_config(stages=stages), out=tmp_path / "whole", console=QUIET)
    with monkeypatch.context() as patch:
        stop_after(patch, "core", 7)
        with pytest.raises(StoppedError):
            train(token_run, tiny_config(stages=stages), out=tmp_path / "parts", console=QUIET)
    train(token_run, tiny_config(stages=stages), out=tmp_path / "parts", console=QUIET)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")
    with pytest.raises(CheckpointError, match=r"packing was 'best_fit' and is 'concat' now"):
        train(token_run, tiny_config(), out=tmp_path / "whole", console=QUIET)


def test_settings_that_do_not_change_the_weights_may_change(token_run: Path, straight: Path, tmp_path: Path) -> None:
    shutil.copytree(straight, tmp_path / "train")
    changed = tiny_config(evaluate_every=2, generate={"prompt": "A class", "tokens": 3}, keep_checkpoints=1)
    found = train(token_run, changed, out=tmp_path / "train", console=QUIET)
    assert found.generated.prompt == "A class"
    assert found.generated.tokens == 3


def test_only_the_latest_checkpoints_are_kept(token_run: Path, tmp_path: Path) -> None:
    train(token_run, tiny_config(checkpoint_every=1, keep_checkpoints=3), ["core"], tmp_path, console=QUIET)
    assert [path.name for path in ckpt.checkpoints(tmp_path / "core")] == [f"checkpoint-{s:06d}" for s in (8, 9, 10)]


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
