"""One small run, built once, of which every test gets a copy."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

import pytest

from tests.pipelines.runs import tiny


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the recipe, its input and its finished run."""
    folder = tmp_path_factory.mktemp("tiny")
    tiny.lay_out(folder)
    with contextlib.chdir(folder):
        tiny.build()
    return folder


@pytest.fixture
def place(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `built` of the test's own, as the current folder; hard links stay hard links."""
    folder = tmp_path / "place"
    subprocess.run(["cp", "-a", str(built), str(folder)], check=True)
    monkeypatch.chdir(folder)
    return folder
