"""A build from and to a store gives the bytes of one on this machine, also when the store fails and lists nothing."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import recipe, run, storage
from pipelines.engines.local import LocalEngine
from tests import tiny
from tests.pipelines.storage.conftest import faulty as faulty
from tests.pipelines.storage.conftest import s3 as s3
from tests.pipelines.storage.conftest import s3_environment as s3_environment
from tests.pipelines.storage.conftest import s3_server as s3_server
from tests.pipelines.storage.s3_server import Proxy

pytestmark = pytest.mark.slow


def digests(out: Path) -> dict[str, str]:
    """Return the SHA-256 of what must never differ, by its name in the run; see `tiny.digests`."""
    found: dict[str, str] = {}
    for name in ("mixture", "tokens", "tokenizer", "ledger"):
        for path, below in storage.files_below(out / name):
            if not below.endswith(".md"):
                found[f"{name}/{below}"] = hashlib.sha256(storage.read_bytes(path)).hexdigest()
    return found


def upload(folder: Path, target: Path) -> None:
    for path, name in storage.files_below(folder):
        storage.publish(path, target / name)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the recipe, its input and its run on this machine."""
    folder = tmp_path_factory.mktemp("here")
    run.build(recipe.load(tiny.write(folder, topics=24)), run.Options(folder / "run"), LocalEngine(1))
    return folder


def test_a_store_that_answers_503_to_a_tenth_of_the_calls(here: Path, s3: Path, faulty: Proxy) -> None:
    upload(here / "warcs", s3 / "input")
    faulty.faults.busy = 0.1
    remote = recipe.load(here / "tiny.yaml", [f"sources.0.paths=['{s3 / 'input'}']"])
    run.build(remote, run.Options(s3 / "run"), LocalEngine(1))
    faulty.faults.busy = 0.0
    refused = sum(count for (_, status), count in faulty.faults.seen.items() if status == 503)
    assert refused > 20
    expected, found = tiny.digests(here / "run"), digests(s3 / "run")
    assert found.keys() == expected.keys()
    # The manifests name the recipe's digest, which the input's address is part of.
    assert {name for name in expected if found[name] != expected[name]} <= {
        f"mixture/{stage}/{name}" for stage in ("core", "heldout") for name in ("manifest.json", "croissant.json")
    }


@pytest.mark.parametrize("engine", ["local", "ray", "beam"])
def test_every_engine_writes_to_a_store(here: Path, s3: Path, engine: str) -> None:
    command = [sys.executable, "-m", "pipelines.cli", "build", str(here / "tiny.yaml"), "--out", str(s3 / "run")]
    command += ["--engine", engine, "--workers", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stdout + done.stderr
    assert digests(s3 / "run") == tiny.digests(here / "run")
