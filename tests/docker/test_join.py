"""The image's entry point joins a cluster first where one is named."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.docker.conftest import DOCKER


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with a `ray` and a `pomona` that write down how they were called."""
    for name in ("ray", "pomona"):
        file = tmp_path / name
        file.write_text(f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/calls\nexit "${{{name.upper()}_EXIT:-0}}"\n')
        file.chmod(0o755)
    return tmp_path


def run(programs: Path, *arguments: str, **variables: str) -> tuple[int, list[str]]:
    surroundings = {"PATH": f"{programs}:{os.environ['PATH']}", **variables}
    done = subprocess.run([DOCKER / "join.sh", *arguments], env=surroundings, capture_output=True)
    return done.returncode, (programs / "calls").read_text().splitlines()


def test_without_a_cluster_pomona_runs_alone(programs: Path) -> None:
    assert run(programs, "build", "a recipe.yaml") == (0, ["pomona build a recipe.yaml"])


def test_a_named_cluster_is_joined_first_with_no_processors(programs: Path) -> None:
    code, calls = run(programs, "build", "recipe.yaml", POMONA_RAY_HEAD="head:6379")
    assert code == 0
    assert calls == ["ray start --address=head:6379 --num-cpus=0 --disable-usage-stats", "pomona build recipe.yaml"]


def test_where_the_cluster_is_not_reached_nothing_runs(programs: Path) -> None:
    code, calls = run(programs, "build", "recipe.yaml", POMONA_RAY_HEAD="head:6379", RAY_EXIT="1")
    assert code == 1
    assert [call.split()[0] for call in calls] == ["ray"]


def test_the_exit_code_is_pomonas(programs: Path) -> None:
    assert run(programs, "build", "recipe.yaml", POMONA_EXIT="2")[0] == 2
