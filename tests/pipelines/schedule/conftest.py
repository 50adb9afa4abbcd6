"""A recipe to schedule."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipelines.schedule.entries import RECIPE


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(RECIPE)
    return path
