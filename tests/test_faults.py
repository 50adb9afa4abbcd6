"""A build that is killed at any moment gives the same bytes when it is started again, and repeats nothing finished."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from pipelines.engines.local import LocalEngine
from pipelines.recipe import load
from pipelines.run import Options, build
from pipelines.storage import RunLocked, lock
from tests import tiny

KILLS = int(os.environ.get("POMONA_KILLS", "100"))
SEED = 20261122
KILLS_A_RUN = 5
"""Kills that one run survives before it is let finish."""


def start(recipe: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pipelines.cli", "build", str(recipe), "--out", str(out), "--workers", "2"]
    return subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[bytes]) -> str:
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said.decode()
    return said.decode()


def kill(process: subprocess.Popen[bytes], whom: str, chance: random.Random) -> bool:
    """Kill a worker, the driver, or everything that belongs to the run, with a signal that nobody can catch.

    Tell whether there was anything to kill.
    """
    if whom == "group":
        with suppress(ProcessLookupError):  # it was faster than the dice
            os.killpg(process.pid, signal.SIGKILL)
    elif whom == "driver":
        process.kill()
    else:
        with suppress(psutil.NoSuchProcess):
            workers = psutil.Process(process.pid).children(recursive=True)
            if workers:
                chance.choice(sorted(workers, key=lambda one: one.pid)).kill()
                return True
        return False
    process.communicate()
    return process.returncode == -signal.SIGKILL


def finished_parts(out: Path) -> dict[Path, tuple[int, int]]:
    """Return the parts that finished tasks left, told by their notes and manifests: inode and time of writing."""
    found: dict[Path, tuple[int, int]] = {}
    for step in (out / "steps").glob("*"):
        if (step / "_manifest.json").exists():
            found |= {path: identity(path) for path in listed(step)}
            continue
        for note in step.glob("_tasks/*.json"):
            with suppress(FileNotFoundError):  # the step ended meanwhile and tidied up
                for entries in json.loads(note.read_bytes())["files"].values():
                    found |= {step / one["path"]: identity(step / one["path"]) for one in entries}
    return found


def listed(step: Path) -> set[Path]:
    """Return the files that the manifest of a finished step names."""
    outputs = json.loads((step / "_manifest.json").read_bytes())["outputs"]
    return {step / one["path"] for entries in outputs.values() for one in entries}


def identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


def check_kept(out: Path, before: dict[Path, tuple[int, int]]) -> None:
    """Check that finished parts are the files they were, or what their step, when it ended, had no more use for."""
    for path, then in before.items():
        if path.exists():
            assert identity(path) == then, f"{path} was written again"
        else:
            step = out / "steps" / path.relative_to(out / "steps").parts[0]
            assert path not in listed(step), f"{path} is lost"  # without a manifest, this says so


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_killed_at_random_moments(tmp_path: Path) -> None:
    recipe = tiny.write(tmp_path, topics=60)  # as many steps and tasks as of all topics
    chance = random.Random(SEED)
    finish(start(recipe, tmp_path / "first"))  # compiles kernels, where nothing has yet
    began = time.monotonic()
    finish(start(recipe, tmp_path / "whole"))
    length = time.monotonic() - began
    expected = tiny.digests(tmp_path / "whole")
    assert len(expected) > 10
    kills = 0
    whom: dict[str, int] = {}
    out = tmp_path / "killed"
    while kills < KILLS:
        shutil.rmtree(out, ignore_errors=True)
        for _ in range(KILLS_A_RUN):
            process = start(recipe, out)
            # Moments over the whole of a run, also inside its start; later ones where earlier tries left work done.
            time.sleep(chance.uniform(0.0, length * 0.6))
            if process.poll() is not None:
                finish(process)
                break  # it had ended: what is killed then is no kill
            victim = chance.choice(["worker", "driver", "group"])
            before = finished_parts(out)
            if kill(process, victim, chance):
                whom[victim] = whom.get(victim, 0) + 1
                kills += 1
            if victim == "worker":
                said = finish(process)  # the run goes on by itself, to its end
                assert "failed" not in said
            check_kept(out, before)
            if victim == "worker":
                break
        finish(start(recipe, out))
        assert tiny.digests(out) == expected
        assert not list(out.rglob("*.tmp")), "temporary files are left"
        assert not [path for path in out.rglob("_spill") if list(path.iterdir())]
    assert set(whom) == {"worker", "driver", "group"}


@pytest.mark.slow
def test_what_a_killed_try_left_of_its_manifest_is_removed(tmp_path: Path) -> None:
    recipe = load(tiny.write(tmp_path, topics=8))
    build(recipe, Options(tmp_path / "run"), LocalEngine(1))
    step = next((tmp_path / "run" / "steps").glob("03-decide-*"))
    left = step / "._manifest.json.17-0123456789ab.tmp"
    (step / "_manifest.json").rename(left)
    build(recipe, Options(tmp_path / "run"), LocalEngine(1))
    assert (step / "_manifest.json").exists()
    assert not left.exists()


@pytest.mark.slow
def test_a_clock_that_jumps_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = load(tiny.write(tmp_path, topics=16))
    build(recipe, Options(tmp_path / "steady"), LocalEngine(1))
    chance = random.Random(SEED)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + chance.uniform(-1e8, 1e8))
    build(recipe, Options(tmp_path / "jumping"), LocalEngine(1))
    build(recipe, Options(tmp_path / "jumping"), LocalEngine(1))
    assert tiny.digests(tmp_path / "jumping") == tiny.digests(tmp_path / "steady")


def test_a_second_run_into_a_folder_is_refused_with_the_holder(tmp_path: Path) -> None:
    recipe = load(tiny.write(tmp_path, topics=8))
    with (
        lock(tmp_path / "run", "pomona build another"),
        pytest.raises(RunLocked, match=r"pomona build another, process"),
    ):
        build(recipe, Options(tmp_path / "run"), LocalEngine(1))
    assert not (tmp_path / "run" / "steps").exists()
