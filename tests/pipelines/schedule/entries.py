"""A request for an entry, and what cron makes of its line."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

from pipelines.schedule.cron import Cron
from pipelines.schedule.entry import Request

RECIPE = """\
name: tiny
sources:
  - {name: code, type: python_packages, packages: [click]}
stages:
  core: {tokens: 1000, weights: {code: 1}}
"""


def request(folder: Path, **changes: Any) -> Request:
    made: dict[str, Any] = {
        "name": "tiny", "cron": Cron.parse("0 3 * * *"), "recipe": folder / "tiny.yaml", "out": str(folder / "run"),
        "command": ("/usr/bin/printenv", "PATH"), "folder": folder, "path": "/usr/bin:/bin", "log": folder / "log.txt",
    }  # fmt: skip
    return Request(**made | changes)


def as_cron_runs(line: str) -> list[str]:
    """What cron makes of a line: five fields, then a command for /bin/sh in which `\\%` is a percent sign."""
    command = line.rstrip("\n").split(None, 5)[5]
    assert re.search(r"(?<!\\)%", command) is None
    return ["/bin/sh", "-c", command.replace("\\%", "%")]


def run_by_cron(line: str) -> subprocess.CompletedProcess[str]:
    """Run a crontab line with the little that cron gives: a home, a shell and a short PATH."""
    return subprocess.run(
        as_cron_runs(line), cwd="/", env={"HOME": str(Path.home()), "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
