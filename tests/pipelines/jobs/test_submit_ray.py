"""A build and a training as jobs on a real Ray head."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipelines.jobs.build import submit_build
from tests.pipelines.jobs.conftest import SECRET
from tests.pipelines.jobs.test_submit import RECIPE
from trainer.jobs.ray import RayJobs
from trainer.jobs.records import Records
from trainer.jobs.submit import submit_train

pytestmark = pytest.mark.slow


def test_a_build_and_then_a_training_run_on_the_cluster(
    ray_head: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "beside.txt").write_text("not sent")
    recipe = tmp_path / "a recipe.yaml"
    recipe.write_text(RECIPE)
    run = tmp_path / "run"
    options = {"--out": run, "--engine": "local", "--address": ray_head, "--workers": 1}
    assert submit_build(recipe, options, to="ray") == 0, capfd.readouterr()
    told = capfd.readouterr()
    assert f"mixture  {run}/mixture" in told.out
    assert (run / "mixture" / "core" / "manifest.json").exists()

    assert submit_train(recipe, {"--run": run}, to="ray", address=ray_head) == 0, capfd.readouterr()
    assert (run / "train" / "summary.json").exists()

    build, train = Records().all()
    assert build.command == (
        "pomona", "build", "a recipe.yaml", "--out", str(run), "--engine", "ray", "--workers", "1", "--address", "auto",
    )  # fmt: skip
    assert train.command == ("pomona", "train", "a recipe.yaml", "--run", str(run))
    listed = [job for job in RayJobs(ray_head).list() if job.record.id in (build.id, train.id)]
    assert [job.record.command for job in listed] == [build.command, train.command]
    # What the cluster has in its environment, and what this process has, is in no log and no list.
    logs = "".join("".join(RayJobs(ray_head).logs(job.record.id)) for job in listed)
    assert SECRET not in logs + str(listed)
    assert os.environ["PATH"] not in str(listed)
