"""Worker processes that may die: each task's end is known, a result, an error or a death, and whose it was."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from pipelines.engines.allocation import kept_memory

Call = tuple[Callable[..., Any], tuple[Any, ...]]
"""A function that can be imported, and its arguments."""


class WorkerError(Exception):
    """An error that a worker raised and that could not be sent as it was; the message holds its traceback."""


@dataclass(frozen=True)
class Done:
    """A task that returned."""

    key: str
    value: Any


@dataclass(frozen=True)
class Raised:
    """A task that raised."""

    key: str
    error: Exception


@dataclass(frozen=True)
class Died:
    """A task whose worker process ended under it; `code` as `multiprocessing` gives it (negative: a signal)."""

    key: str
    code: int | None


Ending = Done | Raised | Died


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Any  # a Connection; typeshed's Pipe() returns another type on each system
    key: str | None = None


class Pool:
    """`workers` processes, started when there is work for them and replaced when they die."""

    def __init__(self, workers: int) -> None:
        self._size = workers
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []

    def run(self, following: Callable[[], tuple[str, Call] | None]) -> Iterator[Ending]:
        """Run keyed calls, asking for the `following` one when a worker is free; yield endings as they come.

        Ends when `following` has nothing and every worker is idle. Left before that, `close` the pool.
        """
        while True:
            while sum(worker.key is not None for worker in self._workers) < self._size:
                call = following()
                if call is None:
                    break
                self._hand_out(*call)
            if all(worker.key is None for worker in self._workers):
                return
            yield from self._endings()

    def _hand_out(self, key: str, call: Call) -> None:
        worker = next((one for one in self._workers if one.key is None), None)
        if worker is None:
            worker = self._start()
        worker.key = key
        try:
            worker.pipe.send(call)
        except OSError:  # it died while it was idle; a new one does the work
            self._forget(worker)
            self._hand_out(key, call)

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, os.getpid()), daemon=True)
        with kept_memory():
            process.start()
        theirs.close()
        worker = _Worker(process, ours)
        self._workers.append(worker)
        return worker

    def _endings(self) -> Iterator[Ending]:
        busy = {worker.pipe: worker for worker in self._workers if worker.key is not None}
        for pipe in wait(list(busy)):
            worker = busy[pipe]
            key = worker.key
            assert key is not None
            try:
                ok, value = worker.pipe.recv()
            except (EOFError, OSError):
                code = self._forget(worker)
                yield Died(key, code)
                continue
            worker.key = None
            yield Done(key, value) if ok else Raised(key, value)

    def _forget(self, worker: _Worker) -> int | None:
        self._workers.remove(worker)
        worker.pipe.close()
        worker.process.join(10)
        if worker.process.exitcode is None:
            worker.process.kill()
            worker.process.join()
        return worker.process.exitcode

    def close(self) -> None:
        """Stop the workers, also busy ones."""
        for worker in self._workers:
            worker.pipe.close()
            if worker.key is not None:
                worker.process.kill()
        for worker in self._workers:
            worker.process.join(5)
            if worker.process.exitcode is None:
                worker.process.kill()
        self._workers = []


def _serve(pipe: Connection, parent: int) -> None:
    """What a worker does: calls come in, answers go out, until the other end is closed."""
    threading.Thread(target=end_with, args=(parent,), daemon=True).start()
    while True:
        try:
            function, arguments = pipe.recv()
        except EOFError:
            return
        try:
            answer = (True, function(*arguments))
        except Exception as error:  # noqa: BLE001 - sent to the driver, which decides
            answer = (False, sendable(error))
        try:
            pipe.send(answer)
        except BrokenPipeError:
            return


def sendable(error: Exception) -> Exception:
    """Return an error, or, where it cannot be sent to another process, a WorkerError that tells it."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - an exception's own pickling may fail in any way
        return WorkerError("".join(traceback.format_exception(error)))
    return error


def end_with(parent: int) -> None:
    """Make a worker end soon after its parent, however that ended: a killed run must leave no process behind."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
