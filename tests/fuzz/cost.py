"""What reading costs: peak memory in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_PROGRAM = """
import json
from pathlib import Path

def memory(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) << 10

{setup}
before = memory("VmRSS")
Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
{code}
print(json.dumps([result, memory("VmHWM") - before]))
"""


def measured(setup: str, code: str) -> tuple[Any, int]:
    """Run code in a new process; what it calls `result`, and the bytes it needed beyond those before."""
    program = _PROGRAM.format(setup=setup, code=code)
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    result, memory = json.loads(done.stdout.splitlines()[-1])
    return result, memory
