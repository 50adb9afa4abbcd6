from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner

from tests.trainer.conftest import tiny_config
from trainer.cli import app, evaluate, read_config
from trainer.errors import RequestError
from trainer.plot import plot_losses
from trainer.progress import TrainProgress


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "sample.yaml"
    path.write_text(yaml.safe_dump({"name": "sample", "train": tiny_config().model_dump(mode="json")}))
    return path


@pytest.fixture(scope="module")
def trained(recipe: Path, token_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cli")
    found = CliRunner().invoke(app, ["train", str(recipe), "--run", str(token_run), "--out", str(out)])
    assert found.exit_code == 0, found.output
    for expected in ("core: step 10/10", "continued: held-out loss", "generated 12 tokens:"):
        assert expected in found.stderr
    return out


def test_train_prints_json_for_machines(recipe: Path, token_run: Path, trained: Path) -> None:
    arguments = ["train", str(recipe), "--run", str(token_run), "--out", str(trained), "--json"]
    found = CliRunner().invoke(app, arguments)
    assert json.loads(found.stdout) == json.loads((trained / "summary.json").read_text())
    assert found.stderr == ""


def test_eval_gives_the_loss_of_the_summary(token_run: Path, trained: Path) -> None:
    tokens = str(token_run / "tokens" / "heldout")
    arguments = ["eval", str(trained / "model"), "--tokens", tokens, "--sequence-length", "32", "--max-tokens", "1024"]
    found = CliRunner().invoke(app, [*arguments, "--device", "cpu", "--json"])
    assert found.exit_code == 0, found.output
    expected = json.loads((trained / "summary.json").read_text())["stages"][-1]["heldout_end"]
    assert json.loads(found.stdout)["loss"] == pytest.approx(expected, rel=1e-6)
    assert "nats a token over 1024 tokens" in CliRunner().invoke(app, arguments).stdout


def test_generate_prints_prompt_and_text(trained: Path) -> None:
    arguments = ["generate", str(trained / "model"), "--tokens", "5", "--device", "cpu"]
    found = CliRunner().invoke(app, [*arguments, "--prompt", "The class"])
    assert found.exit_code == 0, found.output
    assert found.stdout.startswith("The class")
    piped = CliRunner().invoke(app, [*arguments, "--prompt", "-", "--json"], input="The class")
    result = json.loads(piped.stdout)
    assert result["prompt"] + result["text"] + "\n" == found.stdout


def test_wrong_requests_exit_with_2_and_failures_with_1(recipe: Path, token_run: Path, tmp_path: Path) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        found = CliRunner().invoke(app, list(arguments))
        return found.exit_code, found.stderr

    code, message = run("train", str(tmp_path / "none.yaml"), "--run", str(token_run))
    assert (code, "no such recipe" in message) == (2, True)
    code, message = run("train", str(recipe), "--run", str(token_run), "--stage", "anneal")
    assert (code, "no stage anneal" in message) == (2, True)
    code, message = run("train", str(recipe), "--run", str(tmp_path))
    assert (code, "manifest.json: not found" in message) == (1, True)
    code, message = run("generate", str(tmp_path), "--prompt", "x")
    assert (code, "tokenizer.json: not found" in message) == (1, True)


def test_a_wrong_section_lists_every_field(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("train:\n  sead: 1\n  stages:\n    core: {peak_lr: fast}\n")
    with pytest.raises(RequestError) as caught:
        read_config(path)
    assert "train.sead" in str(caught.value)
    assert "train.stages.core.peak_lr" in str(caught.value)
    assert "found 'fast'" in str(caught.value)
    for content, message in (("a: [", "not valid YAML"), ("a: 1", "has no train: section")):
        path.write_text(content)
        with pytest.raises(RequestError, match=message):
            read_config(path)


def test_eval_refuses_tokens_of_a_larger_vocabulary(token_run: Path, tmp_path: Path) -> None:
    from trainer.models import build, save_hf
    from trainer.models.config import DecoderConfig

    small = DecoderConfig(vocab_size=300, width=8, layers=1, heads=1, kv_heads=1, head_dim=8, ffn_width=8)
    save_hf(build(small), tmp_path)
    with pytest.raises(RequestError, match="vocabulary of 512, but the model has 300"):
        evaluate(tmp_path, token_run / "tokens" / "heldout", device="cpu")


def test_a_terminal_gets_a_bar_and_a_file_gets_lines() -> None:
    for terminal in (True, False):
        stream = io.StringIO()
        progress = TrainProgress(Console(file=stream, force_terminal=terminal, width=120))
        progress.start("core", 40, 0, 8.0)
        for step in range(1, 41):
            progress.step(step, 5.0, 0.01, 1234.0)
        progress.heldout(4.5)
        progress.stop()
        progress.say("[end] of document")
        shown = stream.getvalue()
        assert ("\x1b[" in shown) == terminal
        assert "[end] of document" in shown
        assert "40/40" in shown
        assert "1,234 tokens/s" in shown
        if not terminal:
            assert shown.count("core: step") == 20


def test_a_plot_needs_a_training_row(tmp_path: Path) -> None:
    plot_losses([{"stage": "core", "step": 0, "heldout_loss": 8.0}], tmp_path / "loss.png")
    assert not (tmp_path / "loss.png").exists()
    rows = [
        {"stage": "core", "step": 0, "heldout_loss": 8.0},
        {"stage": "core", "step": 1, "loss": 7.0, "tokens": 100},
        {"stage": "continued", "step": 0, "heldout_loss": 7.5},
        {"stage": "continued", "step": 1, "loss": 6.0, "tokens": 50},
    ]
    plot_losses(rows, tmp_path / "loss.png")
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["loss.png"]
