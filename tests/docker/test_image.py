"""The image's files: linted, pinned, not root, and holding what they copy."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from decontam.sources import OLMO_EVAL_TASKS
from pipelines.recipe import Recipe
from tests.docker.conftest import DOCKER, PROJECT, ROOT, USER

BIN = Path(sys.executable).parent
DOCKERFILE = (DOCKER / "Dockerfile").read_text()
LINES = re.sub(r"\\\n(\s*#.*\n)*", " ", DOCKERFILE).splitlines()


def instructions(name: str) -> list[str]:
    return [line.partition(" ")[2].strip() for line in LINES if line.startswith(f"{name} ")]


def test_hadolint_finds_nothing() -> None:
    done = subprocess.run(
        [BIN / "hadolint", "--failure-threshold", "ignore", DOCKER / "Dockerfile"], capture_output=True
    )
    assert done.returncode == 0, done.stdout.decode()


def test_hadolint_would_find_something(tmp_path: Path) -> None:
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM python\nRUN apt-get install curl\n")
    assert subprocess.run([BIN / "hadolint", bad], capture_output=True).returncode == 1


@pytest.mark.parametrize("name", ["install.sh", "join.sh"])
def test_shellcheck_finds_nothing(name: str) -> None:
    done = subprocess.run(
        [BIN / "shellcheck", "--enable", "all", "--exclude", "SC2250,SC2310,SC2312", DOCKER / name], capture_output=True
    )
    assert done.returncode == 0, done.stdout.decode()
    assert os.access(DOCKER / name, os.X_OK)


def test_every_base_is_the_pinned_one_or_an_earlier_stage() -> None:
    (base,) = [value for value in instructions("ARG") if value.startswith("BASE=")]
    assert re.fullmatch(r"BASE=python:3\.11\.\d+-slim-bookworm(@sha256:[0-9a-f]{64})?", base)
    stages: list[str] = []
    for line in instructions("FROM"):
        source, _, stage = line.partition(" AS ")
        assert source == "${BASE}" or source in stages, line
        stages.append(stage)
    assert len(stages) == 3
    assert stages[-1] == "runtime"


def test_the_last_stage_is_not_root_and_says_how_it_is() -> None:
    assert instructions("USER") == [f"{USER}:{USER}"]
    (health,) = instructions("HEALTHCHECK")
    assert health.endswith('CMD ["pomona", "doctor"]')
    assert f"--uid {USER}" in DOCKERFILE


def test_nothing_is_installed_but_by_the_tested_steps() -> None:
    commands = " ".join(instructions("RUN"))
    assert "docker/install.sh wheels" in commands
    assert "docker/install.sh venv" in commands
    assert "docker/install.sh check" in commands
    assert not re.search(r"apt|pip install|curl|wget", commands)


def test_what_is_copied_exists_and_is_let_in() -> None:
    sources = [word for line in instructions("COPY") if not line.startswith("--from") for word in line.split()[:-1]]
    rules = (DOCKER / "Dockerfile.dockerignore").read_text().split()
    let_in = {rule[1:] for rule in rules if rule.startswith("!")}
    assert set(sources) == let_in
    assert [name for name in sources if not (ROOT / name).exists()] == []
    assert "*" in rules  # and nothing else


def test_every_package_of_the_project_is_copied() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    assert {"pipelines", "trainer", "kernels"} <= packages <= {line.split()[0] for line in instructions("COPY")}


def test_the_version_is_the_projects() -> None:
    assert f"VERSION={PROJECT['version']}" in instructions("ARG")
    assert f"--tag pomona:{PROJECT['version']} " in DOCKERFILE


@pytest.mark.parametrize("file", sorted((DOCKER / "recipes").glob("*.yaml")), ids=lambda file: file.name)
def test_the_recipes_are_right(file: Path) -> None:
    recipe = Recipe.model_validate(yaml.safe_load(file.read_text()))
    assert {name for stage in recipe.stages.values() for name in stage.weights} == {one.name for one in recipe.sources}
    for benchmark in recipe.decontaminate.benchmarks:
        assert set(benchmark.tasks) <= OLMO_EVAL_TASKS.keys()
