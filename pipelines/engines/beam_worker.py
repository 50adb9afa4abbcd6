"""A worker process for Beam's own portable runner that serves one pipeline after the other."""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
import threading
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from pipelines.engines.allocation import kept_memory
from pipelines.engines.beam_quiet import NotBeams
from pipelines.engines.pool import end_with


class Worker:
    """One process, which serves one pipeline after the other."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self._pipe: Any = ours
        self.process: BaseProcess = context.Process(target=_serve, args=(theirs, os.getpid()), daemon=True)
        with kept_memory():
            self.process.start()
        theirs.close()

    def call(self, address: str, worker_id: str) -> bool:
        """Have the worker serve the pipeline whose control service is at `address`; False where it is dead."""
        try:
            self._pipe.send((address, worker_id))
        except OSError:
            return False
        return self.process.is_alive()

    def kill(self) -> None:
        """End the process at once, whatever it is at."""
        self.process.kill()
        self.process.join()
        self._pipe.close()

    def dismiss(self) -> None:
        """End the process when it has nothing to do; soon, by force, where it has."""
        self._pipe.close()
        self.process.join(5)
        if self.process.exitcode is None:
            self.kill()


def _serve(pipe: Connection, parent: int) -> None:
    """What a worker does: it serves pipelines, one at a time, until the other end is closed."""
    threading.Thread(target=end_with, args=(parent,), daemon=True).start()
    # Beam prints the traceback of an error that also goes to the driver, which says it once and as it should.
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    logging.getLogger().addFilter(NotBeams())
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL + 1)
    sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - for the life of the process
    import grpc
    from apache_beam.runners.portability.fn_api_runner.worker_handlers import FNAPI_RUNNER_CAPABILITIES
    from apache_beam.runners.worker.sdk_worker import SdkHarness

    while True:
        try:
            address, worker_id = pipe.recv()
        except EOFError:
            return
        try:
            SdkHarness(address, worker_id=worker_id, runner_capabilities=FNAPI_RUNNER_CAPABILITIES).run()
        except grpc.RpcError:
            continue  # the runner is gone, as after an error elsewhere; there may be another
