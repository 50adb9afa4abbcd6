"""Fixtures for every folder of tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")


@pytest.fixture(scope="session")
def pomona_data() -> Path:
    """The folder of evaluation data that POMONA_DATA names; without it, tests marked `data` are skipped."""
    folder = os.environ.get("POMONA_DATA")
    if not folder:
        pytest.skip("POMONA_DATA is not set: it names the folder of evaluation data that tests marked `data` use")
    path = Path(folder)
    assert (path / "MANIFEST.md").exists(), f"POMONA_DATA={folder} holds no MANIFEST.md"
    return path


LONGEST = (
    "test_sample.py",
    "test_faults.py",
    "engines/test_ray.py",
    "pipelines/crawl/test_durable.py",
    "steps/test_parts.py",
    "engines/test_contract.py",
    "docker/test_install.py",
    "pipelines/proxies/test_compare.py",
)
"""Files of some minutes each, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the files that take long first, so that at the end no process waits for the other."""
    here = Path(__file__).parent
    ranks = {here / name: rank for rank, name in enumerate(LONGEST)}
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: ranks.get(item.path, len(ranks) if item.path in slow else len(ranks) + 1))
