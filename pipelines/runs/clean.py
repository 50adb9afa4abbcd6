"""`pomona runs clean`: what no run refers to, and what killed processes left; found first, removed when told to.

A place for steps is a run's own `steps/` or a store. Who refers to its steps: the run itself, every run that named
itself there (see `request`), and every run that is given. A run that is not finished may need anything in its place, so
there only leftovers go; a run that a process holds is left alone altogether, and so is its store.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.runs.files import Stored, below, freed_bytes, stored
from pipelines.runs.folder import RunFolder, finished, is_run, opened, step_folders
from pipelines.runs.hold import holder
from pipelines.runs.leftover import COUNTING, WORKING, is_temporary
from pipelines.runs.request import address, place_of, users
from pipelines.steps.step import RunFailed
from pipelines.storage import MANIFEST, RunLocked, at, clear_scratch, is_remote, lock, remove, remove_file, scratch
from pipelines.storage.lock import LOCK

UNFINISHED = "never finished, and no run refers to it"
UNREFERRED = "no run refers to it"
WORK = "work of a finished step"
TEMPORARY = "temporary file of a process that is no more"
SPILLED = "spills of a finished step on this machine"
GONE = "names a run that is gone"


@dataclass(frozen=True)
class Scrap:
    """A file or a folder that may go, and why. `step` is the step's folder that is held while it is removed."""

    path: Path
    why: str
    files: tuple[Stored, ...]
    step: Path | None = None

    @property
    def bytes(self) -> int:
        """Bytes of its files by name; what comes free can be less."""
        return sum(one.bytes for one in self.files)


@dataclass
class Found:
    """What may go (or went), and what is left alone and why."""

    scraps: list[Scrap] = field(default_factory=list[Scrap])
    left: list[str] = field(default_factory=list[str])

    @property
    def freed(self) -> int:
        """Bytes that come free: those of a file that another name keeps do not."""
        return freed_bytes(one for scrap in self.scraps for one in scrap.files)


def find(runs: Sequence[Path], stores: Sequence[Path] = (), held: Iterable[Path] = ()) -> Found:
    """Look for what may go in runs' folders and in stores; `held` are folders of runs that the caller holds.

    Nothing is changed. Raises RunFailed for a folder that is no run, and a store that no run is known to use.
    """
    look = _Look(frozenset(held))
    given = [opened(at(address(path))) for path in runs]
    for run in given:
        look.run(run)
    for store in stores:
        look.store(store, given)
    scraps = {scrap.path: scrap for scrap in look.found.scraps}
    return Found(list(scraps.values()), list(dict.fromkeys(look.found.left)))


def clean(runs: Sequence[Path], stores: Sequence[Path] = ()) -> Found:
    """Hold every run concerned, look, and remove what may go; return what was removed. Raises as `find`."""
    known = {store: set(users(store)) for store in stores}
    with ExitStack() as stack:
        held: set[Path] = set()
        for run in _concerned(runs, stores):
            if run not in held:
                try:
                    stack.enter_context(lock(run, "pomona runs clean"))
                except RunLocked:
                    continue  # `find` sees who holds it, and says so
                held.add(run)
        found = find(runs, stores, held)
        removed: list[Scrap] = []
        for scrap in found.scraps:
            root = None if scrap.step is None else scrap.step.parent
            # A run that began since then names itself before it looks for steps.
            if root in known and not set(users(root)) <= known[root]:
                found.left.append(f"{scrap.path}: a run began to use {root} meanwhile; clean again when it is done")
                continue
            try:
                _remove(scrap)
            except RunLocked as busy:
                found.left.append(str(busy))
                continue
            removed.append(scrap)
    return Found(removed, list(dict.fromkeys(found.left)))


class _Look:
    """Looks for what may go."""

    def __init__(self, held: frozenset[Path]) -> None:
        self._held = held
        self.found = Found()

    def run(self, run: RunFolder) -> None:
        """Look in a run's own folder."""
        if (who := self._holder(run.path)) is not None:
            self.found.left.append(f"{run.path}: in use by {who}")
            return
        for one in below(run.path):
            top = one.path.relative_to(run.path).parts[0]
            if top == COUNTING or (is_temporary(one.path) and top != "steps" and not top.startswith("train")):
                self.found.scraps.append(Scrap(one.path, TEMPORARY, (one,)))
        if run.store is not None:
            self.found.left.append(
                f"{run.path}: its steps are in {run.store}; `pomona runs clean --store {run.store}` looks there"
            )
            return
        try:
            others = _users(run.root)
        except RunFailed as unknown:
            self.found.left.append(f"{run.root}: {unknown}")
            return
        self._steps(run.root, [run, *others])

    def store(self, store: Path, given: Sequence[RunFolder]) -> None:
        """Look in a store; `given` are runs that may use it and never said so."""
        try:
            using = _users(store)
        except RunFailed as unknown:
            self.found.left.append(f"{store}: {unknown}")
            return
        using += [run for run in given if _same(run.root, store)]
        if not using and step_folders(store):
            raise RunFailed(
                f"{store}: no run is known to use this store; name the runs that do, or remove the folder if none does"
            )
        for path, user in users(store).items():
            if ((place := place_of(user)) is None or not is_run(place)) and (one := stored(path)) is not None:
                self.found.scraps.append(Scrap(path, GONE, (one,)))
        self._steps(store, using)

    def _steps(self, root: Path, using: Sequence[RunFolder]) -> None:
        """Look in a place for steps that those runs use."""
        busy = [f"{run.path} is in use by {who}" for run in using if (who := self._holder(run.path)) is not None]
        if busy:
            self.found.left += [f"{root}: {one}" for one in busy]
            return
        waiting = [run for run in using if run.facts is None]
        for run in waiting:
            self.found.left.append(
                f"{root}: {run.path} is {run.progress}, and may need any step there; `pomona runs resume {run.path}` "
                "goes on with it, deleting its folder gives it up"
            )
        needed = {step.name for run in using for step in run.steps()}
        for step in step_folders(root):
            if (who := holder(step)) is not None:
                self.found.left.append(f"{step}: in use by {who}")
            elif step.name in needed or waiting:
                self._leftovers(step)
            else:
                why = UNREFERRED if finished(step) else UNFINISHED
                self.found.scraps.append(Scrap(step, why, (*below(step), *_spilled(step)), step))

    def _leftovers(self, step: Path) -> None:
        """Look for what the work on a step left: of one that is not finished only what no later try would use."""
        done = finished(step)
        files = below(step)
        for name in WORKING if done else ():
            inside = tuple(one for one in files if one.path.relative_to(step).parts[0] == name)
            if inside or (not is_remote(step) and (step / name).is_dir()):
                self.found.scraps.append(Scrap(step / name, WORK, inside, step))
        for one in files:
            if is_temporary(one.path) and not (done and one.path.relative_to(step).parts[0] in WORKING):
                self.found.scraps.append(Scrap(one.path, TEMPORARY, (one,), step))
        if done and (spilled := _spilled(step)):
            self.found.scraps.append(Scrap(_spills(step), SPILLED, spilled, step))

    def _holder(self, path: Path) -> str | None:
        return None if path in self._held else holder(path)


def _remove(scrap: Scrap) -> None:
    """Remove something. Raises RunLocked where a process is at the step that it belongs to."""
    if scrap.step is None:
        remove_file(scrap.path)
        return
    with lock(scrap.step, "pomona runs clean"):
        if scrap.why == TEMPORARY:
            remove_file(scrap.path)
        elif scrap.path != scrap.step:
            remove(scrap.path)
        else:
            clear_scratch(scrap.step)
            remove_file(scrap.step / MANIFEST)  # no reader must see half of it
            if is_remote(scrap.step):  # the lock is a file in it, and has to be there until it is given back
                for one in below(scrap.step):
                    if one.path.name != LOCK:
                        remove_file(one.path)
            else:
                remove(scrap.step)


def _concerned(runs: Sequence[Path], stores: Sequence[Path]) -> list[Path]:
    """Return the folders of all runs that what is to be cleaned may matter to."""
    given = [opened(at(address(path))) for path in runs]
    found = [run.path for run in given]
    for root in [*stores, *(run.root for run in given if run.store is None)]:
        try:
            found += [run.path for run in _users(root)]
        except RunFailed:
            continue  # `find` says so, and leaves the place alone
    return found


def _users(root: Path) -> list[RunFolder]:
    """Return the runs that named themselves in a place for steps and are still there.

    Raises RunFailed where one cannot be looked at from here.
    """
    places = [place_of(user) for user in users(root).values()]
    return [opened(place) for place in places if place is not None and is_run(place)]


def _spills(step: Path) -> Path:
    return scratch(step, "any").parent


def _spilled(step: Path) -> tuple[Stored, ...]:
    """Return the files that work on a step of a store left on this machine."""
    return tuple(below(_spills(step))) if is_remote(step) else ()


def _same(one: Path, other: Path) -> bool:
    return str(one) == str(other) if is_remote(one) or is_remote(other) else one.resolve() == other.resolve()
