"""What reading costs: peak memory in a process of its own, and whether time grows with size or with its square."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_PROGRAM = """
import json, sys, time
from pathlib import Path

def memory(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) << 10

{setup}
before = memory("VmRSS")
Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
began = time.process_time()
{code}
print(json.dumps([result, memory("VmHWM") - before, time.process_time() - began]))
"""


def measured(setup: str, code: str) -> tuple[Any, int, float]:
    """Run code in a new process; what it calls `result`, the bytes it needed beyond those before, processor seconds."""
    program = _PROGRAM.format(setup=setup, code=code)
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    result, memory, seconds = json.loads(done.stdout.splitlines()[-1])
    return result, memory, seconds


def is_linear(job: Callable[[Any], object], make: Callable[[int], Any], size: int) -> bool:
    """Whether four times the size costs about four times as much, and not sixteen times; best of three runs each."""
    small, large = make(size), make(4 * size)
    return _seconds(job, large) < 9 * _seconds(job, small) + 0.1


def _seconds(job: Callable[[Any], object], given: Any) -> float:
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        job(given)
        best = min(best, time.process_time() - began)
    return best
