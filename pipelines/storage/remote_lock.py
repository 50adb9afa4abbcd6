"""A run folder on a store held by one process: an object whose counter the holder keeps raising.

Nobody compares clocks: a second process watches the counter, measured by its own monotonic clock. If the counter moves,
the holder lives and the second process is refused; if it stands still for the lease, the holder is dead and the second
process takes over. A dead holder of the same machine is known at once by its process number. A wall clock that jumps
changes nothing.

Where the store has conditional writes (S3, MinIO) creating, renewing and taking over are each one of them, so that only
one process can succeed. Where it has none, a process writes, waits longer than a write takes, and reads back: the last
writer holds the lock, every other one finds that out before it starts, or at its next beat.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from pipelines.storage.errors import LockLost, StorageError
from pipelines.storage.lock import refused
from pipelines.storage.remote import key_of, store_of
from pipelines.storage.retry import Policy

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Times:
    """Seconds between two beats; without one after which a holder is dead; and to wait before reading back."""

    beat: float = 5.0
    lease: float = 30.0
    settle: float = 5.0


TIMES = Times()


class Claim(BaseModel):
    """What the lock object holds. `machine`, `process` and `started` name a process of one boot of one machine."""

    holder: str
    token: str
    beat: int = 0
    machine: str = ""
    process: int = 0
    started: str = ""

    def data(self) -> bytes:
        """Return the object's bytes."""
        return (json.dumps(self.model_dump()) + "\n").encode()


class RemoteLock:
    """One try to hold the object at `path`; `holder` is what a second process is told."""

    def __init__(self, path: Path, holder: str, times: Times | None = None) -> None:
        self._path, self._store, self._key = path, store_of(path), key_of(path)
        self._times = times or TIMES
        self._claim = Claim(
            holder=holder,
            token=uuid.uuid4().hex,
            machine=this_machine(),
            process=os.getpid(),
            started=started(os.getpid()),
        )
        self._tag = ""
        self._renewed = 0.0
        self._lost = ""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self) -> None:
        """Take the lock, or raise RunLocked with the holder's name; waits for the lease at most."""
        while not self._create() and not self._take_over():
            log.debug("%s: was released or taken meanwhile, looking again", self._path)
        self._renewed = time.monotonic()
        self._thread = threading.Thread(target=self._beat, name="run-lock", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise LockLost when another process has taken the folder over, or may have."""
        silent = time.monotonic() - self._renewed
        if not self._lost and silent > self._times.lease:
            self._lost = f"it could not be renewed for {silent:.0f} seconds"
        if self._lost:
            raise LockLost(
                f"{self._path}: this run no longer holds its folder: {self._lost}. What it finished is kept; run the "
                "same command again when no other run uses the folder"
            )

    def release(self, quiet: bool = False) -> None:
        """Give the lock back, if it is still ours. Raises LockLost when it is not, unless `quiet`."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        try:
            found = self._read()
            if found is not None and found.token == self._claim.token:
                self._store.delete([self._key])
            elif not self._lost:
                self._lost = _by(found)
            if not quiet:
                self.check()
        except StorageError as error:
            if not quiet:
                raise
            log.warning("the lock stays until its lease is over: %s", error)

    def _create(self) -> bool:
        tag = self._store.create(self._key, self._claim.data())
        if tag is None:
            # It may be ours all the same: written, and the answer lost on its way.
            head, found = self._store.head(self._key), self._read()
            if head is None or found is None or found.token != self._claim.token:
                return False
            tag = head.tag
        self._tag = tag
        return self._settled()

    def _settled(self) -> bool:
        """Whether the object is ours after other writers have had their turn."""
        if self._store.conditional:
            return True
        self._stop.wait(self._times.settle)
        found = self._read()
        return found is not None and found.token == self._claim.token

    def _take_over(self) -> bool:
        """Watch the holder; take the lock when it is dead, raise RunLocked when it lives, False when it is gone."""
        seen = self._seen()
        if seen is None:
            return False
        tag, claim = seen
        until = time.monotonic() + self._times.lease
        while not (claim is not None and dead(claim)) and time.monotonic() < until:
            self._stop.wait(self._times.beat / 2)
            again = self._seen()
            if again is None:
                return False
            if again != (tag, claim):
                now = again[1]
                raise refused(self._path.parent, now.holder if now is not None else "")
        log.warning("%s: %s does not answer; its lock is taken over", self._path, claim.holder if claim else "holder")
        taken = self._store.replace(self._key, self._claim.data(), tag)
        if taken is None:
            return self._ours()
        self._tag = taken
        return self._settled()

    def _ours(self) -> bool:
        """Whether a conditional write that was refused had been done before, its answer lost."""
        seen = self._seen()
        if seen is None or seen[1] is None or seen[1].token != self._claim.token:
            return False
        self._tag = seen[0]
        return True

    def _seen(self) -> tuple[str, Claim | None] | None:
        head = self._store.head(self._key)
        if head is None:
            return None
        try:
            data = self._store.read(self._key)
        except FileNotFoundError:
            return None
        return head.tag, _claim(data)

    def _read(self) -> Claim | None:
        try:
            return _claim(self._store.read(self._key))
        except FileNotFoundError:
            return None

    def _beat(self) -> None:
        """Raise the counter until the lock is released or lost."""
        soon = Policy(tries=3, seconds=self._times.beat, first=self._times.beat / 20, most=self._times.beat / 2)
        while not self._stop.wait(self._times.beat):
            self._claim.beat += 1
            try:
                if not self._store.conditional and (other := self._other()):
                    self._lost = other
                    return
                tag = self._store.replace(self._key, self._claim.data(), self._tag, soon)
                if tag is not None:
                    self._tag = tag
                elif not self._ours():
                    self._lost = _by(self._read())
                    return
                self._renewed = time.monotonic()
            except StorageError as error:
                log.warning("%s: not renewed, trying on: %s", self._path, error)

    def _other(self) -> str:
        found = self._read()
        return "" if found is not None and found.token == self._claim.token else _by(found)


def this_machine() -> str:
    """Name this boot of this machine and this space of process numbers; "" where that cannot be known."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def started(process: int) -> str:
    """Return when a process of this machine started, in clock ticks since the boot; "" where there is none."""
    try:
        told = Path(f"/proc/{process}/stat").read_text("ascii", "replace")
    except OSError:
        return ""
    fields = told.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]


def dead(claim: Claim) -> bool:
    """Whether a holder is known to be dead: a process of this machine that is no more."""
    return bool(claim.machine) and claim.machine == this_machine() and started(claim.process) != claim.started


def _claim(data: bytes) -> Claim | None:
    try:
        return Claim.model_validate_json(data)
    except ValidationError:
        return None


def _by(found: Claim | None) -> str:
    return "its lock was removed" if found is None else f"{found.holder} took it over"
