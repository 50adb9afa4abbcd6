"""What a measured command cost: all of its processes count, and one that fails says why."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.watch import CommandFailed, side_by_side, watched

CHILD = """
import time
held = bytearray(120_000_000)
held[::4096] = b"x" * len(held[::4096])
end = time.process_time() + 1.5
while time.process_time() < end:
    pass
"""
PARENT = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {CHILD!r}], check=True)
print("a line before")
print('{{"answer": 42}}')
"""


def test_children_count(tmp_path: Path) -> None:
    cost = watched([sys.executable, "-c", PARENT], tmp_path / "log")
    assert cost.said == {"answer": 42}
    assert cost.peak_bytes > 120_000_000
    assert cost.cpu_seconds > 1.4
    assert cost.seconds > 1.4


def test_commands_run_side_by_side_and_keep_their_order(tmp_path: Path) -> None:
    # Each waits for the other's file: run one after the other they would never end.
    script = """
import pathlib, sys, time
mine, other = map(pathlib.Path, sys.argv[1:])
mine.touch()
while not other.exists():
    time.sleep(0.01)
print('{"name": "%s"}' % mine.name)
"""
    a, b = tmp_path / "a", tmp_path / "b"
    commands = [[sys.executable, "-c", script, one, other] for one, other in ((a, b), (b, a))]
    costs = side_by_side(commands, [tmp_path / "a.log", tmp_path / "b.log"])
    assert [cost.said["name"] for cost in costs] == ["a", "b"]


def test_a_failing_command_is_told_with_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match=r"ended with 3.*\n.*it broke"):
        watched([sys.executable, "-c", "import sys; print('it broke', file=sys.stderr); sys.exit(3)"], tmp_path / "log")
