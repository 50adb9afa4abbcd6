"""Jobs on this machine: a process group of their own that outlives the terminal, its output in a file.

Whether a job lives is told by a lock that the job and its supervisor hold (flock), not by a process number: the kernel
gives the lock back however they end, and a number may have been given to another process since.
"""

from __future__ import annotations

import codecs
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.jobs import supervisor
from trainer.jobs.job import Job, JobsError, Resources, State, Status
from trainer.jobs.records import Records

PLACE = "local"
_POLL_SECONDS = 0.05
_LOG_SECONDS = 0.2


class LocalJobs:
    """Runs jobs on this machine. `grace` is how many seconds a cancelled job has to end before it is killed."""

    def __init__(self, records: Records | None = None, grace: float = 10.0) -> None:
        """Keep records and logs in the user's state folder unless told otherwise."""
        self.records = records or Records()
        self.grace = grace

    def submit(
        self,
        command: Sequence[str],
        *,
        name: str,
        workdir: Path,
        env: Mapping[str, str] | None = None,
        resources: Resources | None = None,
    ) -> str:
        """Start a command with this process's environment and `env`; see `Jobs.submit`."""
        record = self.records.new(PLACE, name, command, workdir.absolute())
        folder = self.records.folder(record.id)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            (folder / "log").touch(mode=0o600)
            self.records.write(record)
            started = subprocess.run(
                [sys.executable, "-I", supervisor.__file__, str(folder), str(lock.fileno())],
                env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(lock.fileno(),),
                start_new_session=True,
                check=False,
            )
        if started.returncode:
            self.records.drop(record)
            raise JobsError(f"cannot start a job's supervisor: {started.stderr.decode(errors='replace').strip()}")
        return record.id

    def status(self, job: str) -> State:
        """Return where a job is; see `Jobs.status`."""
        folder = self.records.folder(self.records.find(job).id)
        ended = _read(folder / "exit.json")
        # Looked at again after the lock: the job may have ended between the two.
        if ended is None and not _held(folder / "lock"):
            ended = _read(folder / "exit.json") or {"code": None}
        if ended is None:
            return State(Status.RUNNING if (folder / "started.json").exists() else Status.QUEUED)
        code = ended["code"]
        if code == 0:
            return State(Status.SUCCEEDED, exit_code=0)
        if (folder / "cancelled.json").exists():
            return State(Status.STOPPED, "cancelled", code)
        if code is None:
            return State(Status.FAILED, "ended unseen: its supervisor was killed or the machine restarted; see its log")
        return State(Status.FAILED, f"ended by {_signal(-code)}" if code < 0 else f"exit code {code}", code)

    def logs(self, job: str, follow: bool = False) -> Iterator[str]:
        """Return standard output and error of a job; see `Jobs.logs`."""
        id_ = self.records.find(job).id
        return self._log(id_, self.log(id_), follow)

    def log(self, job: str) -> Path:
        """Return the file that a job writes its output to."""
        return self.records.folder(job) / "log"

    def _log(self, job: str, path: Path, follow: bool) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        with path.open("rb") as handle:
            while True:
                # Asked before reading: what was written before the end is then surely read.
                last = not follow or self.status(job).status.finished
                while data := handle.read(65_536):
                    if text := decoder.decode(data):
                        yield text
                if last:
                    break
                time.sleep(_LOG_SECONDS)
            if text := decoder.decode(b"", final=True):
                yield text

    def cancel(self, job: str) -> State:
        """Send SIGTERM to a job's process group, and SIGKILL when it has not ended after the grace time."""
        record = self.records.find(job)
        state = self.status(record.id)
        if state.status.finished:
            return state
        if record.host != socket.gethostname():
            raise JobsError(f"{record.id}: runs on {record.host}; cancel it there")
        folder = self.records.folder(record.id)
        (folder / "cancelled.json").write_text("{}\n")
        self._until(record.id, lambda: (folder / "started.json").exists())
        for sent in (signal.SIGTERM, signal.SIGKILL):
            self._signal(record.id, folder, sent)
            if self._until(record.id, lambda: False):
                return self.status(record.id)
        raise JobsError(f"{record.id}: still there {self.grace:g} s after SIGKILL; look at its processes")

    def _signal(self, job: str, folder: Path, sent: signal.Signals) -> None:
        """Send a signal to a living job's group. While its lock is held, the group's number is nobody else's."""
        started = _read(folder / "started.json")
        if started is None or self.status(job).status.finished:
            return
        try:
            os.killpg(started["pid"], sent)
        except ProcessLookupError:
            return  # it has just ended by itself
        except PermissionError as error:
            raise JobsError(f"{job}: belongs to another user; it cannot be stopped from here") from error

    def _until(self, job: str, true: Callable[[], bool]) -> bool:
        """Wait, no longer than the grace time, until something is true or the job has ended; say whether it was."""
        deadline = time.monotonic() + self.grace
        while not (met := true() or self.status(job).status.finished) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        return met

    def list(self) -> list[Job]:
        """Return the jobs of this machine, oldest first."""
        return [Job(record, self.status(record.id)) for record in self.records.all() if record.place == PLACE]


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None


def _held(path: Path) -> bool:
    with path.open("r") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
