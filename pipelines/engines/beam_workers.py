"""Worker processes for Beam's own portable runner that live from plan to plan and whose death is noticed.

The runner starts workers through handlers that it looks up by the URN of a pipeline's environment. Its own for
processes starts them anew for every pipeline, seconds each, and waits for ever when one is killed.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import Any

import grpc
from apache_beam.runners.portability.fn_api_runner import worker_handlers
from apache_beam.transforms.environments import Environment

from pipelines.engines.beam_worker import Worker
from pipelines.engines.plan import EngineError

URN = "pomona:env:workers:v1"
"""Names the environment whose workers are a crew's."""

MOST_BYTES = (2 << 30) - (1 << 20)
"""Bytes that the runner can hand a worker at a time: Beam sends them as one message, which cannot be larger."""

_crews: dict[bytes, Crew] = {}
"""Crews by name: all that reaches a handler from the engine that it belongs to is the environment's payload."""


class Crew:
    """The workers of one engine; `codes` takes the exit code of each that dies at its work."""

    def __init__(self, codes: list[int | None]) -> None:
        self.name = f"{os.getpid()}-{id(self)}".encode()
        self.codes = codes
        self._idle: list[Worker] = []
        self._busy: list[Worker] = []
        _crews[self.name] = self

    def take(self) -> Worker:
        """Return an idle worker, or a new one."""
        worker = self._idle.pop() if self._idle else Worker()
        self._busy.append(worker)
        return worker

    def back(self, worker: Worker) -> None:
        """Take a worker back; a dead one is forgotten."""
        self._busy.remove(worker)
        if worker.process.is_alive():
            self._idle.append(worker)

    def close(self) -> None:
        """End all workers."""
        for worker in self._busy:
            worker.kill()
        for worker in self._idle:
            worker.dismiss()
        self._idle, self._busy = [], []
        _crews.pop(self.name, None)


class CrewEnvironment(Environment):
    """The environment whose workers are a crew's."""

    def __init__(
        self,
        name: bytes,
        capabilities: Iterable[str] = (),
        artifacts: Iterable[Any] = (),
        resource_hints: Mapping[str, bytes] | None = None,
    ) -> None:
        super().__init__(capabilities, artifacts, resource_hints)
        self.crew = name

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other) and isinstance(other, CrewEnvironment) and self.crew == other.crew

    def __hash__(self) -> int:
        return hash((super().__hash__(), self.crew))

    def to_runner_api_parameter(self, context: Any) -> tuple[str, bytes]:
        """Return URN and payload."""
        return URN, self.crew


def _environment(payload: bytes, capabilities: Any, artifacts: Any, hints: Any, context: Any) -> CrewEnvironment:
    return CrewEnvironment(payload, capabilities, artifacts, hints)


_environments: Any = Environment  # whose annotations leave one of the five arguments out
_environments.register_urn(URN, None, _environment)


@worker_handlers.WorkerHandler.register_environment(URN, None)
class CrewHandler(worker_handlers.GrpcWorkerHandler):
    """The runner's side of one worker of a crew."""

    def __init__(self, payload: Any, state: Any, provision_info: Any, grpc_server: Any) -> None:
        super().__init__(state, provision_info, grpc_server)
        self._crew = _crews[payload]
        self._worker: Worker | None = None
        self._closed = threading.Event()
        self._given_up = False
        rows: Any = self.data_conn
        self._hand_out = rows.output_stream
        rows.output_stream = self._output_stream

    def _output_stream(self, instruction: str, transform: str) -> Any:
        """Open the stream of what a worker is given, which beyond MOST_BYTES would break where nobody sees it."""
        stream: Any = self._hand_out(instruction, transform)
        write = stream.write

        def checked(data: bytes) -> None:
            if stream.size() + len(data) > MOST_BYTES:
                raise EngineError(
                    f"more than {MOST_BYTES >> 20} MB of rows go to one worker, which Beam's embedded runner cannot "
                    "send: give more --workers, another runner in the options, or --engine local"
                )
            write(data)

        stream.write = checked
        return stream

    def start_worker(self) -> None:
        """Put a worker to this pipeline."""
        while True:
            worker = self._crew.take()
            if worker.call(self.control_address, self.worker_id):
                break
            self._crew.back(worker)
        self._worker = worker
        threading.Thread(target=self._watch, args=(worker,), daemon=True).start()

    def _watch(self, worker: Worker) -> None:
        while not self._closed.is_set():
            if wait([worker.process.sentinel], timeout=0.5) and not self._closed.is_set():
                worker.process.join()
                if not self._given_up:
                    self._crew.codes.append(worker.process.exitcode)
                self._give_up()
                self._closed.wait(0.2)  # once is not enough: more may be asked of the worker before the error is seen

    def _give_up(self) -> None:
        """Answer whoever waits for a dead worker: for what it was asked, for its rows, and for it to take more."""
        try:
            self.control_conn.abort(RuntimeError("a worker died"))
        except RuntimeError:  # another bundle was being handed out at this moment; the next round answers that too
            return
        if not self._given_up:
            self._given_up = True
            self.data_conn.set_inputs(())
            threading.Thread(target=self._take_rest, daemon=True).start()

    def _take_rest(self) -> None:
        # Senders block while the queue to a worker is full; only the stream to the dead one would have emptied it.
        for _ in self.data_conn._write_outputs():  # pyright: ignore[reportPrivateUsage]
            pass

    def close(self) -> None:
        """End this worker's part in the pipeline."""
        self._closed.set()
        # The runner closes its workers while an error passes through, and would wait for what they are still at.
        if sys.exc_info()[0] is not None and self._worker is not None:
            self._worker.process.kill()
            self._worker.process.join()
            while not self._given_up:
                self._give_up()
        super().close()

    def stop_worker(self) -> None:
        """Give the worker back."""
        if self._worker is not None:
            self._crew.back(self._worker)


class _Loopback:
    """`grpc` with servers that only this machine reaches; Beam's own listen on every interface, without a password."""

    def __getattr__(self, name: str) -> Any:
        return getattr(grpc, name)

    def server(self, *args: Any, **kwargs: Any) -> Any:
        server: Any = grpc.server(*args, **kwargs)
        listen = server.add_insecure_port
        server.add_insecure_port = lambda address: listen(address.replace("[::]", "127.0.0.1"))  # pyright: ignore
        return server


@contextmanager
def loopback() -> Generator[None]:
    """Make the runner listen on this machine alone."""
    module: Any = worker_handlers
    before, module.grpc = module.grpc, _Loopback()
    try:
        yield
    finally:
        module.grpc = before
