"""The memory that a text on one line takes is told by the benchmark, and does not grow unseen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_MOST = 20  # bytes for each byte of text: half as much again as was measured


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the highest mark of a process is read from /proc")
def test_a_long_line_takes_little_memory() -> None:
    """Of a megabyte on, texts share nothing among families, so that eight show what a hundred take."""
    command = [sys.executable, "-m", "benchmarks.text_kernels.one_line", str(8 << 20), str(1 << 20)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_NUM_THREADS": "1"}
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=True)
    found = json.loads(ran.stdout)
    assert found["bytes"] == 8 << 20
    assert 1 < found["peak_a_byte"] < _MOST
