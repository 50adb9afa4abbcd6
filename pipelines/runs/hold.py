"""Who writes into a folder now, without holding it."""

from __future__ import annotations

import fcntl
from pathlib import Path

from pydantic import ValidationError

from pipelines.storage import is_remote, read_bytes
from pipelines.storage.lock import LOCK


def holder(folder: Path) -> str | None:
    """Return who holds a folder, None where nobody does.

    On a store a holder counts as alive unless it is known to be dead: finding that out for another machine takes the
    whole lease (see `storage.remote_lock`), which only a process that wants the folder waits for.
    """
    if is_remote(folder):
        return _remote(folder)
    try:
        with (folder / LOCK).open("r", encoding="utf-8", errors="replace") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return handle.read().strip() or "another process"
    except FileNotFoundError:
        pass
    return None


def _remote(folder: Path) -> str | None:
    from pipelines.storage.remote_lock import Claim, dead

    try:
        claim = Claim.model_validate_json(read_bytes(folder / LOCK))
    except FileNotFoundError:
        return None
    except ValidationError:
        return "another process"
    return None if dead(claim) else claim.holder
