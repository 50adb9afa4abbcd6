"""What a scheduler is to run, and what an entry for it consists of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.schedule.cron import Cron

NAME_LENGTH = 40


@dataclass(frozen=True)
class Request:
    """A build that runs again and again.

    `command` is the whole command line with absolute paths, `folder` the working directory, `path` the search path
    for programs, `log` the file that cron appends to. `secrets` is where credentials come from: a file of NAME=value
    lines, or for Kubernetes the name of a Secret.
    """

    name: str
    cron: Cron
    recipe: Path
    out: str
    command: tuple[str, ...]
    folder: Path
    path: str
    log: Path
    secrets: str | None = None
    time_zone: str | None = None
    image: str = ""
    options: tuple[str, ...] = ()
    engine: str = "local"
    address: str | None = None

    @property
    def unit(self) -> str:
        """The name as units and Kubernetes objects may have it: lower case, digits and hyphens."""
        slug = re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")[:NAME_LENGTH].strip("-")
        return f"pomona-{slug or 'build'}"


@dataclass(frozen=True)
class Entry:
    """Files by name, what to do with them, and where the runs' output goes. One file without a name is a bare line."""

    files: Mapping[str, str]
    install: tuple[str, ...]
    logs: str
    notes: tuple[str, ...] = field(default=())

    def text(self) -> str:
        """Write the entry for a reader: comments with `#`, which crontab, units and YAML all know."""
        lines = [f"# {line}" for line in (*self.notes, f"logs: {self.logs}", *self.install)]
        for name, content in self.files.items():
            lines += [*([f"\n# ---- {name} ----"] if len(self.files) > 1 else []), content.rstrip("\n")]
        return "\n".join(lines) + "\n"
