"""Many files replaced as if they were one: everything is written beside them first, then named in one file, then moved.

Until `takedowns/pending.json` stands nothing of the run has changed, and what was written is rubbish. Once it stands
the change is decided: every later step can be repeated, so that whoever comes next (`pomona takedown`, `pomona build`,
`pomona runs resume`) brings it to its end. Readers of a mixture see the old manifest with its shards, or the new one
with its own: shards get new names, and the manifest is replaced in one move.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel

from pipelines.storage import at, exists, publish, read_json, remove, remove_file, write_json

FOLDER = "takedowns"
PENDING = "pending.json"
STAGING = "staging"


class Move(BaseModel):
    """A file that was written beside the run, and the place it is for."""

    staged: str
    target: str


class Pending(BaseModel):
    """A change that is decided: moves in order, then files and folders that go."""

    version: int
    moves: list[Move]
    files: list[str] = []
    folders: list[str] = []


class Staging:
    """Collects the files of a change. `commit` decides it."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._folder = run / FOLDER / STAGING
        remove(self._folder)  # of a try that was killed before it was decided
        self.last = self._folder
        """What was written last."""
        self._moves: list[Move] = []
        self._files: list[str] = []
        self._folders: list[str] = []

    def place(self, target: Path) -> Path:
        """Return where to write the new content of a file."""
        self.last = self._folder / f"{len(self._moves):05d}" / target.name
        self._moves.append(Move(staged=str(self.last), target=str(target)))
        return self.last

    def same(self, staged: Path, target: Path) -> None:
        """Give what was written for one place a second name."""
        self.last = staged
        self._moves.append(Move(staged=str(staged), target=str(target)))

    def drop(self, path: Path) -> None:
        """Remove a file once everything is in its place."""
        self._files.append(str(path))

    def drop_folder(self, path: Path) -> None:
        """Remove a folder once everything is in its place."""
        self._folders.append(str(path))

    def commit(self, version: int) -> None:
        """Decide the change: from here on it is brought to its end, now or later."""
        told = Pending(version=version, moves=self._moves, files=self._files, folders=self._folders)
        write_json(self._run / FOLDER / PENDING, told.model_dump())

    def abandon(self) -> None:
        """Remove what was written."""
        remove(self._folder)


def pending(run: Path) -> bool:
    """Whether a change is decided and not at its end."""
    return exists(run / FOLDER / PENDING)


def finish(run: Path, describe: Callable[[Path], None]) -> bool:
    """Bring a decided change to its end; return whether there was one. May be repeated after any crash.

    `describe` writes what people read (report, cards) anew, once the files are in place.
    """
    if not pending(run):
        return False
    told = Pending.model_validate(read_json(run / FOLDER / PENDING))
    for move in told.moves:
        publish(at(move.staged), at(move.target))
    for path in told.files:
        remove_file(at(path))
    for path in told.folders:
        remove(at(path))
    describe(run)
    remove_file(run / FOLDER / PENDING)
    remove(run / FOLDER / STAGING)
    return True
