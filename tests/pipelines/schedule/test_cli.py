"""`pomona schedule`: what it prints and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pipelines.recipe_errors import RecipeError
from pipelines.schedule.cli import schedule
from trainer.errors import RequestError

RELATIVE = "decontaminate.benchmarks=[{name: b, path: x.jsonl}]"


def printed(recipe: Path, capsys: pytest.CaptureFixture[str], **options: Any) -> str:
    defaults: dict[str, Any] = {
        "every": "0 3 * * *", "out": None, "engine": "local", "address": None, "workers": None, "memory": None,
        "option": None, "store": None, "set_": None, "time_zone": None, "log": None, "secrets": None, "image": None,
        "as_json": False,
    }  # fmt: skip
    schedule(recipe, **(defaults | options))
    return capsys.readouterr().out


def test_paths_become_absolute(
    recipe: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    made = json.loads(printed(Path("tiny.yaml"), capsys, to="cron", workers=2, set_=["seed=3"], as_json=True))
    (line,) = made["files"].values()
    assert f"cd {tmp_path} " in line
    assert f"build {recipe} --out {tmp_path}/runs/tiny --workers 2 --set seed=3 --update >> " in line
    assert made["logs"] == f"{tmp_path}/state/pomona/schedule/tiny.log"
    text = printed(Path("tiny.yaml"), capsys, to="systemd")
    assert "# ---- pomona-tiny.service ----" in text
    assert "# ---- pomona-tiny.timer ----" in text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"to": "corn"}, "did you mean 'cron'"),
        ({"to": "cron", "every": "0 25 * * *"}, "--every"),
        ({"to": "cron", "engine": "spark"}, "--engine spark"),
        ({"to": "cron", "address": "http://x"}, "--engine ray"),
        ({"to": "systemd", "time_zone": "Mars/Olympus"}, "no such zone"),
        ({"to": "cron", "secrets": "/nowhere"}, "no such file"),
        ({"to": "kubernetes", "secrets": "/a/b", "out": "s3://b/r"}, "name of a Secret"),
        ({"to": "kubernetes", "store": "store", "out": "s3://b/r"}, "--store store"),
        (
            {"to": "kubernetes", "set_": ["decontaminate.benchmarks=[{name: b, path: x.jsonl}]"], "out": "s3://b/r"},
            "relative",
        ),
    ],
)
def test_wrong_requests_are_answered(
    recipe: Path, capsys: pytest.CaptureFixture[str], options: dict[str, Any], said: str
) -> None:
    with pytest.raises(RecipeError, match=re.escape(said)):
        printed(recipe, capsys, **options)


def test_no_secret_is_printed(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RequestError, match="user name or password"):
        printed(recipe, capsys, to="cron", out="s3://key:hidden@bucket/run")
    assert "hidden" not in capsys.readouterr().out
