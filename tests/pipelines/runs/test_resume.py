"""A killed run is taken up from its folder alone, from anywhere, and gives the bytes it would have given."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.engines.local import LocalEngine
from pipelines.recipe import Recipe
from pipelines.recipe_errors import RecipeError
from pipelines.runs import request
from pipelines.runs.folder import opened
from pipelines.runs.resume import requested, resume
from pipelines.runs.verify import verify
from pipelines.steps.step import Finished, RunFailed
from pipelines.storage import read_json, remove, write_json
from tests.pipelines.runs import tiny
from tests.pipelines.runs.test_listing import Stopped, stop_at

ROOT = Path(__file__).parents[3]


def digests(run: Path) -> dict[str, str]:
    return {
        path.relative_to(run).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for name in ("mixture", "tokens", "ledger", "tokenizer")
        for path in sorted((run / name).rglob("*"))
        if path.is_file()
    }


def test_the_request_holds_the_recipe_as_it_was(place: Path) -> None:
    told = requested(Path("run"))
    assert Recipe.model_validate(told.recipe).digest == tiny.recipe().digest == told.recipe_digest
    assert (told.engine, told.workers, told.folder) == ("local", 1, told.folder)


def test_a_stopped_run_goes_on_from_another_folder(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Stopped):
        tiny.build("stopped", begun=stop_at("04-dedup"))
    assert not Path("stopped/run.json").exists()
    away = tmp_path / "away"
    away.mkdir()
    monkeypatch.chdir(away)
    done: list[Finished] = []
    resume(place / "stopped", requested(place / "stopped"), LocalEngine(1), told=done.append)
    assert Path.cwd() == away
    assert {one.name for one in done if one.reused} == {"01-extract-web", "01-extract-other", "02-measure", "03-decide"}
    assert digests(place / "stopped") == digests(place / "run")


def test_a_request_that_cannot_be_followed_is_refused_with_the_reason(place: Path) -> None:
    path = Path("run/request.json")
    told = read_json(path)
    recipe = json.loads(json.dumps(told["recipe"]))
    recipe["sources"][0]["paths"] = ["gone"]
    write_json(path, {**told, "recipe": recipe})
    with pytest.raises(RecipeError, match=r"recipe\.sources\.0\.paths\.0: gone"):
        resume(Path("run"), requested(Path("run")), LocalEngine(1))
    write_json(path, {**told, "recipe": {**told["recipe"], "shiny": 1}})
    with pytest.raises(RecipeError, match=r"recipe\.shiny.*asked for with pomona"):
        resume(Path("run"), requested(Path("run")), LocalEngine(1))
    path.write_text("{")
    with pytest.raises(RunFailed, match=r"request\.json: cannot be read"):
        requested(Path("run"))
    path.unlink()
    with pytest.raises(RunFailed, match="its recipe is needed"):
        requested(Path("run"))


def test_a_damaged_step_is_made_again_by_resuming(place: Path) -> None:
    before = digests(place / "run")
    shard = next(Path("run/mixture/core").glob("*.parquet"))
    with shard.open("r+b") as file:
        file.seek(shard.stat().st_size // 2)
        file.write(b"not what was there")
    named = {fault.path.parts[:3] for fault in verify(opened(Path("run"))).faults if "steps" in fault.path.parts}
    (step,) = named
    remove(Path(*step))
    resume(Path("run"), requested(Path("run")), LocalEngine(1))
    assert verify(opened(Path("run"))).faults == []
    assert digests(place / "run") == before


def test_a_store_is_told_which_runs_use_it(place: Path) -> None:
    with pytest.raises(Stopped):
        tiny.build("one", store=Path("store"), begun=stop_at("01-extract-web"))
    (user,) = request.users(Path("store")).values()
    assert request.place_of(user) == (place / "one").resolve()
    told = requested(Path("one"))
    assert told.store == str((place / "store").resolve())


@pytest.mark.slow
def test_a_run_that_was_killed_resumes_by_the_command(place: Path) -> None:
    driver = (
        "import os, signal\nfrom pathlib import Path\nfrom tests.pipelines.runs import tiny\n"
        "def begun(step):\n    if step == '05-decontaminate': os.kill(os.getpid(), signal.SIGKILL)\n"
        "tiny.build('killed', begun=begun)"
    )
    done = subprocess.run([sys.executable, "-c", driver], env={"PYTHONPATH": str(ROOT)}, check=False, cwd=place)
    assert done.returncode == -9
    listed = json.loads(CliRunner().invoke(app, ["runs", "list", "killed", "--json"], catch_exceptions=False).stdout)
    assert listed[0]["state"] == "unfinished, at 05-decontaminate"
    told = CliRunner().invoke(app, ["runs", "resume", "killed", "--workers", "2", "--json"], catch_exceptions=False)
    assert told.exit_code == 0
    assert digests(place / "killed") == digests(place / "run")
