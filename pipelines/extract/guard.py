"""Extraction under limits that end it: a child process works, and is ended when a page takes too much.

One child a worker, not a process a page: pages are handed to it one after the other, and only one that goes beyond its
limits costs a new child. Time is the child's processor time, so that a busy machine fails no page.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import resource
import select
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

import psutil

from pipelines.extract.extraction import Extraction, ExtractionError

LOOK_SECONDS = 0.1
"""How often a page that takes long is looked at."""
WALL = 20
"""A child that neither works nor answers for so many times its limit is ended too: it waits for something."""
_LENGTH = struct.Struct("<Q")
# What this process can import the child can too: an engine may have put Pomona on the path of its workers alone.
_PROGRAM = """
import sys
sys.path += [place for place in sys.argv[2:] if place not in sys.path]
from pipelines.extract.guard import serve
serve(int(sys.argv[1]))
"""

Job = Callable[..., Extraction]


@dataclass(frozen=True)
class Limits:
    """What one page may cost."""

    seconds: float = 20.0  # of processor time
    bytes: int = 2 << 30  # of memory beside what an idle child has


class Guard:
    """Runs functions in a child process, within limits.

    Close it, or use it as a context; the child also ends when its parent does.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, job: Job, *arguments: Any) -> Extraction:
        """Return what `job(*arguments)` returns; the job is a function of a module, all are picklable.

        Raises:
            ExtractionError: what the job raised; "too-slow", "out-of-memory" where it went beyond a limit, and
                "extraction-failed" where it raised anything else or ended its process.
        """
        child = self._started()
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            _send(child.stdin, (job, arguments))
            self._wait(child)
            kind, value = _received(child.stdout)
        except (EOFError, BrokenPipeError):
            code = self._ended()
            raise ExtractionError(
                "extraction-failed", f"the page ended the process that read it ({_told(code)})"
            ) from None
        if kind == "done":
            return value
        raise ExtractionError(*value)

    def close(self) -> None:
        """End the child."""
        self._ended()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            self._ended()
            command = [sys.executable, "-c", _PROGRAM, str(self._limits.bytes), *sys.path]
            self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self._child

    def _wait(self, child: subprocess.Popen[bytes]) -> None:
        """Return when the child answers; end it where it takes too long."""
        assert child.stdout is not None
        if _readable(child.stdout, LOOK_SECONDS):
            return
        try:
            process = psutil.Process(child.pid)
            began, since = _processor_seconds(process), time.monotonic()
            while not _readable(child.stdout, LOOK_SECONDS):
                used, waited = _processor_seconds(process) - began, time.monotonic() - since
                if used > self._limits.seconds or waited > WALL * self._limits.seconds:
                    child.kill()
                    self._ended()
                    raise ExtractionError(
                        "too-slow",
                        f"the page took more than {self._limits.seconds:g} s of processor time; its reader was ended",
                    )
        except psutil.NoSuchProcess:
            raise EOFError from None

    def _ended(self) -> int | None:
        child, self._child = self._child, None
        if child is None:
            return None
        for stream in (child.stdin, child.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        try:
            return child.wait(5)
        except subprocess.TimeoutExpired:
            child.kill()
            return child.wait()


def _send(stream: IO[bytes], value: Any) -> None:
    data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    stream.write(_LENGTH.pack(len(data)) + data)
    stream.flush()


def _received(stream: IO[bytes]) -> Any:
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(head)
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return pickle.loads(data)


def _readable(stream: IO[bytes], seconds: float) -> bool:
    return bool(select.select([stream], [], [], seconds)[0])


def _processor_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _told(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def serve(memory: int) -> None:
    """Answer jobs until the parent closes the pipe."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no answer
    limited = False
    while True:
        try:
            job, arguments = _received(sys.stdin.buffer)
        except EOFError:
            return
        if not limited:  # only now: what the job imports is not the page's
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
        _send(answers, answer)
