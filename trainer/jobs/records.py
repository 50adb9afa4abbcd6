"""The jobs that were submitted from this machine, one folder each under $XDG_STATE_HOME/pomona/jobs."""

from __future__ import annotations

import difflib
import json
import os
import re
import secrets
import shutil
import socket
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trainer.files import write_atomic
from trainer.jobs.job import JobsError, Record, UnknownJob

JOB = "job.json"


def state_folder() -> Path:
    """Return the folder of jobs: $XDG_STATE_HOME/pomona/jobs, by default in ~/.local/state."""
    home = os.environ.get("XDG_STATE_HOME", "")
    # The base directory specification: a relative path here is invalid and is ignored.
    base = Path(home) if home and Path(home).is_absolute() else Path.home() / ".local" / "state"
    return base / "pomona" / "jobs"


class Records:
    """Reads and writes the folders; only their owner may look into them."""

    def __init__(self, folder: Path | None = None) -> None:
        """Use a folder, by default the user's."""
        self.root = folder or state_folder()

    def folder(self, job: str) -> Path:
        """Return a job's own folder."""
        return self.root / job

    def new(
        self, place: str, name: str, command: Sequence[str], workdir: Path | str, address: str | None = None
    ) -> Record:
        """Make a job's folder and the record that belongs into it; `write` publishes it."""
        now = datetime.now(UTC)
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "job"
        id_ = f"{slug}-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder(id_).mkdir(mode=0o700)
        except OSError as error:
            raise JobsError(
                f"{error.filename}: cannot keep the job's record here ({error.strerror}); "
                "point XDG_STATE_HOME at a folder that can be written"
            ) from error
        return Record(
            id=id_,
            place=place,
            name=name,
            command=tuple(command),
            workdir=str(workdir),
            submitted=now.isoformat(timespec="seconds"),
            host=socket.gethostname(),
            address=address,
        )

    def write(self, record: Record) -> None:
        """Publish a record; before, its folder is no job."""
        write_atomic(self.folder(record.id) / JOB, (json.dumps(asdict(record), indent=1) + "\n").encode())

    def drop(self, record: Record) -> None:
        """Remove a record whose job was not taken."""
        shutil.rmtree(self.folder(record.id), ignore_errors=True)

    def all(self) -> list[Record]:
        """Return every record, oldest first."""
        found = [self._read(path) for path in self.root.glob(f"*/{JOB}")]
        return sorted(found, key=lambda record: (record.submitted, record.id))

    def find(self, job: str) -> Record:
        """Return the record of an id, or of the only id that begins so.

        Raises:
            UnknownJob: there is none, or there are several.
        """
        known = {record.id: record for record in self.all()}
        if job in known:
            return known[job]
        begun = [id_ for id_ in known if job and id_.startswith(job)]
        if len(begun) == 1:
            return known[begun[0]]
        if begun:
            raise UnknownJob(f"{job}: begins {len(begun)} jobs: {', '.join(begun[-5:])}; write more of the id")
        close = difflib.get_close_matches(job, list(known), n=1, cutoff=0.5)
        raise UnknownJob(
            f"{job}: no job of this id was submitted from here"
            + (f"; did you mean {close[0]}?" if close else "")
            + " `pomona jobs list` names them; for one that was submitted elsewhere give its cluster's --address"
        )

    def _read(self, path: Path) -> Record:
        try:
            value: dict[str, Any] = json.loads(path.read_bytes())
            value["command"] = tuple(value["command"])
            return Record(**value)
        except (ValueError, KeyError, TypeError) as error:
            raise JobsError(f"{path}: not a job's record ({error}); remove its folder") from error
