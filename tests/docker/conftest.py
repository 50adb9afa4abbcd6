"""The files of docker/, read once, and what several tests ask of them."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import yaml
from typer.core import TyperGroup
from typer.main import get_command

from pipelines.cli import app

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
KUBERNETES = DOCKER / "kubernetes"
USER = 10001
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
IMAGE = f"pomona:{PROJECT['version']}"


def pinned(package: str) -> str:
    """Return the version of a package in constraints.txt."""
    found = re.search(rf"^{re.escape(package)}==(\S+)$", (ROOT / "constraints.txt").read_text(), re.M)
    assert found, f"{package} is not in constraints.txt"
    return found.group(1)


def compose() -> dict[str, Any]:
    """Return the Compose file as YAML gives it, variables not filled in."""
    return yaml.safe_load((DOCKER / "compose.yaml").read_text())


def objects(*names: str) -> list[dict[str, Any]]:
    """Return the Kubernetes objects of some files, by default of all but kustomization.yaml."""
    files = [KUBERNETES / name for name in names] or sorted(KUBERNETES.glob("*.yaml"))
    found = [each for file in files for each in yaml.safe_load_all(file.read_text())]
    return [each for each in found if each["kind"] != "Kustomization"]


def only(kind: str) -> dict[str, Any]:
    """Return the one object of a kind."""
    (found,) = [each for each in objects() if each["kind"] == kind]
    return found


def check_command(line: str) -> None:
    """Parse a `pomona …` command line as the program would, without running it."""
    program, name, *arguments = shlex.split(line)
    assert program == "pomona"
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    group.commands[name].make_context(name, arguments)


def recipe_of(line: str) -> Path:
    """Return the file here that a container sees at the recipe path of a build command."""
    word = shlex.split(line)[2]
    assert word.startswith("/recipes/"), word
    return DOCKER / "recipes" / word.removeprefix("/recipes/")
