"""Extraction under limits that end it: a child process works, and is ended when a page takes too much.

One child a worker, not a process a page: pages are handed to it one after the other, and only one that goes beyond its
limits costs a new child. Time is the child's processor time, so that a busy machine fails no page.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import psutil

from pipelines.extract.extraction import Extraction, ExtractionError

LOOK_SECONDS = 0.05
"""How often a page that takes long is looked at."""
WALL = 20
"""A child that neither works nor answers for so many times its limit is ended too: it waits for something."""


@dataclass(frozen=True)
class Limits:
    """What one page may cost."""

    seconds: float = 20.0  # of processor time
    bytes: int = 2 << 30  # of memory beside what an idle child has


Job = Callable[..., Extraction]


class Guard:
    """Runs functions in a child process, within limits.

    Close it, or use it as a context; a child also ends when its parent does.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._child: Any = None
        self._pipe: Connection | None = None

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, job: Job, *arguments: Any) -> Extraction:
        """Return what `job(*arguments)` returns; both must be picklable.

        Raises:
            ExtractionError: what the job raised; "too-slow", "out-of-memory" where it went beyond a limit, and
                "extraction-failed" where it raised anything else or ended its process.
        """
        pipe = self._started()
        try:
            pipe.send((job, arguments))
            kind, value = self._answer(pipe)
        except (EOFError, OSError, BrokenPipeError):
            code = self._ended()
            raise ExtractionError(
                "extraction-failed", f"the page ended the process that read it ({_told(code)})"
            ) from None
        if kind == "done":
            return value
        raise ExtractionError(*value)

    def close(self) -> None:
        """End the child."""
        if self._pipe is not None:
            with contextlib.suppress(OSError):
                self._pipe.close()
        self._ended()

    def _started(self) -> Connection:
        if self._child is not None and self._child.is_alive() and self._pipe is not None:
            return self._pipe
        self._ended()
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._child = context.Process(target=_serve, args=(theirs, self._limits.bytes), daemon=True)
        self._child.start()
        theirs.close()
        return self._pipe

    def _answer(self, pipe: Connection) -> tuple[str, Any]:
        if pipe.poll(LOOK_SECONDS):
            return pipe.recv()
        child = psutil.Process(self._child.pid)
        try:
            began, since = _processor_seconds(child), time.monotonic()
            while not pipe.poll(LOOK_SECONDS):
                used = _processor_seconds(child) - began
                waited = time.monotonic() - since
                if used > self._limits.seconds or waited > WALL * self._limits.seconds:
                    self._child.kill()
                    self._ended()
                    raise ExtractionError(
                        "too-slow",
                        f"the page took more than {self._limits.seconds:g} s of processor time; what reads it was ended",
                    )
        except psutil.NoSuchProcess:
            raise EOFError from None
        return pipe.recv()

    def _ended(self) -> int | None:
        child, self._child, self._pipe = self._child, None, None
        if child is None:
            return None
        child.join(5)
        if child.is_alive():
            child.kill()
            child.join()
        code = child.exitcode
        child.close()
        return code


def _processor_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _told(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def _serve(pipe: Connection, memory: int) -> None:
    """Answer jobs until the pipe closes."""
    limited = False
    parent = os.getppid()
    while True:
        while not pipe.poll(5):
            if os.getppid() != parent:
                return
        try:
            job, arguments = pipe.recv()
        except (EOFError, OSError):
            return
        if not limited:  # after what the job imports
            limited = True
            used = psutil.Process().memory_info().vms
            resource.setrlimit(resource.RLIMIT_AS, (used + memory, resource.RLIM_INFINITY))
        try:
            answer: tuple[str, Any] = ("done", job(*arguments))
        except ExtractionError as error:
            answer = ("failed", (error.reason, str(error)))
        except MemoryError:
            answer = ("failed", ("out-of-memory", f"the page needs more than {memory >> 20} MiB"))
        except Exception as error:  # noqa: BLE001 - whatever a page provokes is that page's failure
            answer = ("failed", ("extraction-failed", f"{type(error).__name__}: {error}"[:500]))
        pipe.send(answer)
