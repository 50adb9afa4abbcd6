"""The parent of a local job: starts it, waits, and writes down how it ended.

Run as a script by `trainer.jobs.local` with a job's folder, the descriptor of its lock, and nothing but the standard
library, so that it starts at once and depends on no working directory.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# What a shell answers for a command that it cannot find.
NOT_STARTED = 127


def supervise(folder: Path, lock: int) -> None:
    """Run the job of a folder to its end.

    The job inherits the lock: should this process be killed, the job is still known to be alive.
    """
    job = json.loads((folder / "job.json").read_bytes())
    with (folder / "log").open("ab") as log:
        try:
            child = subprocess.Popen(
                job["command"],
                cwd=job["workdir"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(lock,),
            )
        except OSError as error:
            log.write(f"cannot start {job['command'][0]} in {job['workdir']}: {error.strerror}\n".encode())
            _write(folder / "exit.json", {"code": NOT_STARTED})
            return
    _write(folder / "started.json", {"pid": child.pid})
    _write(folder / "exit.json", {"code": child.wait()})


def _write(path: Path, value: dict[str, Any]) -> None:
    temporary = path.with_name(f".tmp-{path.name}")
    temporary.write_text(json.dumps({**value, "at": datetime.now(UTC).isoformat(timespec="seconds")}) + "\n")
    temporary.replace(path)


def main() -> None:
    """Leave the submitter's process group and session, then supervise."""
    folder, lock = Path(sys.argv[1]), int(sys.argv[2])
    if os.fork():
        os._exit(0)  # the submitter waits for this process only, and never for the job
    # The submitter reads the standard error of the process before the fork to its end: let go of it.
    log = os.open(folder / "log", os.O_WRONLY | os.O_APPEND)
    os.dup2(log, sys.stderr.fileno())
    os.close(log)
    for one in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        # Handlers, not SIG_IGN: what is ignored here would be ignored by the job too.
        signal.signal(one, lambda *_: None)
    supervise(folder, lock)


if __name__ == "__main__":
    main()
