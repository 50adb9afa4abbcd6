"""A run's folder, finished or not: its request, its run.json, and where its steps are."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.run import RUN
from pipelines.runs import request
from pipelines.runs.hold import holder
from pipelines.runs.request import REQUEST, Request
from pipelines.steps.step import RunFailed
from pipelines.storage import MANIFEST, at, children, is_remote, read_json, size

log = logging.getLogger(__name__)

STEP_FOLDER = re.compile(r"(?P<step>\d\d-.+)-(?P<digest>[0-9a-f]{16})")


@dataclass(frozen=True)
class RunFolder:
    """A run: `facts` are its run.json, None while it is not finished; `request` what it was asked for, where known."""

    path: Path
    facts: dict[str, Any] | None
    request: Request | None

    @property
    def name(self) -> str:
        """The recipe's name."""
        return str(self.facts["name"]) if self.facts is not None else self.request.name if self.request else "?"

    @property
    def store(self) -> Path | None:
        """The store that has its steps, None where they are its own."""
        if self.request is not None:  # an absolute address, while run.json has it as it was given
            return None if self.request.store is None else at(self.request.store)
        given = None if self.facts is None else self.facts.get("store")
        return None if given is None else at(str(given))

    @property
    def root(self) -> Path:
        """Where its steps are."""
        return self.store or self.path / "steps"

    def place(self, told: str) -> Path:
        """Return the folder that run.json names: relative to the run, or an address of its own."""
        return at(told) if "://" in told or told.startswith("/") else self.path / told

    def steps(self) -> list[Path]:
        """Return the folders of its finished steps, in order.

        Of a run that is not finished these are the finished ones in its own folder; with a store nobody knows.
        """
        if self.facts is not None:
            told = [str(one["folder"]) for one in self.facts["steps"]]
            return [self.place(one) for one in (*told, *filter(None, [self.facts.get("ledger")]))]
        return [] if self.store is not None else [one for one in step_folders(self.root) if finished(one)]

    @property
    def progress(self) -> str:
        """How far it came, in words."""
        if self.facts is not None:
            return "finished"
        return (
            f"unfinished, at {self.request.at}" if self.request and self.request.at else "unfinished, before any step"
        )

    def state(self) -> str:
        """Say how far it came, and who writes into it now."""
        who = holder(self.path)
        return self.progress if who is None else f"in use by {who} ({self.progress})"


def opened(path: Path) -> RunFolder:
    """Look at a run's folder. Raises RunFailed where there is no run, ValueError where run.json is damaged."""
    facts = read_json(path / RUN) if size(path / RUN) is not None else None
    asked = request.read(path)
    if facts is None and asked is None:
        raise RunFailed(
            f"{path}: no run here (neither {RUN} nor {REQUEST}); `pomona build RECIPE --out {path}` makes one"
        )
    return RunFolder(path, facts, asked)


def is_run(path: Path) -> bool:
    """Whether a folder holds a run, finished or not."""
    return size(path / RUN) is not None or size(path / REQUEST) is not None


def found(folders: Iterable[Path]) -> list[Path]:
    """Return the runs among folders and directly below them, by name."""
    runs: list[Path] = []
    for folder in folders:
        if is_run(folder):
            runs.append(folder)
        else:
            runs += [one for one in children(folder) if (is_remote(one) or one.is_dir()) and is_run(one)]
    return runs


def step_folders(root: Path) -> list[Path]:
    """Return the folders of steps in a root, finished or not, by name."""
    return [one for one in children(root) if STEP_FOLDER.fullmatch(one.name)]


def finished(step: Path) -> bool:
    """Whether a step's folder has its manifest."""
    return size(step / MANIFEST) is not None
