"""The Ray cluster an engine works on: joined where there is one, started, and ended, by the engine where not."""

from __future__ import annotations

import importlib.util
import logging
import os
import secrets
import shutil
import socket
import threading
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any

from pipelines.engines.allocation import kept_memory
from pipelines.engines.plan import EngineError, Hints
from pipelines.engines.ray_watch import Watch

log = logging.getLogger(__name__)

CONNECT_SECONDS = 25.0
"""How long a cluster is given to answer."""
STORE_SHARE = 0.5
"""Share of the memory that Ray's object store takes on a local cluster; blocks beyond it go to disk."""
SMALLEST_STORE = 80 << 20
"""Bytes: Ray refuses less than 75 MB."""
READ_CPUS = 0.5
"""CPUs of a task that reads for actors."""
LARGEST_BLOCK = None
"""Ray must never cut a block: it is a shard or a partition, whole."""


class Cluster:
    """A connection to Ray, made when it is first needed, or at once where an address is given."""

    def __init__(self, workers: int, memory: int, address: str | None) -> None:
        if importlib.util.find_spec("ray") is None:
            raise EngineError("ray is not installed: pip install 'pomona[ray]'")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        address = address or os.environ.get("RAY_ADDRESS")  # set inside a Ray job
        if address is None:
            # Ray reads this when it is imported: nothing that it starts here shall listen beyond this machine.
            os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        self._workers, self._memory, self._address = workers, memory, address
        self._watch: Any = None
        self._ours = False
        self._set: list[str] = []
        if address is not None:
            self._join(address)

    def watch(self) -> Any:
        """Return the watch, with nothing on it, having connected to the cluster or started it."""
        import ray

        if not ray.is_initialized():
            if self._address is None:
                self._start()
            else:
                self._join(self._address)
        if self._watch is None:
            self._watch = ray.remote(num_cpus=0, max_restarts=0)(Watch).remote()
        ray.get(self._watch.clear.remote())
        return self._watch

    def fitted(self, hints: Hints, name: str) -> Hints:
        """Fit hints to a local cluster, which cannot grow: no more CPUs than there are.

        Raises EngineError where they ask for GPUs or memory that it has not.
        """
        import ray

        if not self._ours:
            return hints
        there = ray.cluster_resources()
        workers = hints.actors[0] if hints.actors else 1
        for what, each in (("GPU", hints.gpus), ("memory", hints.memory)):
            if each * workers > there.get(what, 0):
                raise EngineError(
                    f"{name}: its hints ask for {workers} × {each:g} of {what}, this machine has "
                    f"{there.get(what, 0):g}; change the hints, or give a cluster that has it by --address"
                )
        most = (self._workers - READ_CPUS) / max(1, workers) if hints.actors else self._workers
        return replace(hints, cpus=min(hints.cpus, most))

    @contextmanager
    def settings(self) -> Generator[None]:
        """Set Ray Data up for a plan and leave it as it was after it."""
        from ray.data.context import DataContext, ShuffleStrategy

        with warnings.catch_warnings(action="ignore"):  # copying sets what is deprecated, too
            context = DataContext.get_current().copy()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        context.target_max_block_size = LARGEST_BLOCK
        # The newer strategies start processes of their own for each shuffle, seconds each.
        context.shuffle_strategy = ShuffleStrategy.SORT_SHUFFLE_PULL_BASED
        context.execution_options.preserve_order = False
        logger = logging.getLogger("ray.data")
        level = logger.level
        logger.setLevel(logging.ERROR)
        try:
            with DataContext.current(context):
                yield
        finally:
            logger.setLevel(level)

    def close(self) -> None:
        """Leave the cluster; end it if it was started here."""
        import ray

        if self._ours:
            ray.shutdown()
        elif self._watch is not None and ray.is_initialized():
            ray.kill(self._watch)
            if self._address is not None:
                ray.shutdown()
        self._watch, self._ours = None, False
        for name in self._set:
            os.environ.pop(name, None)
        self._set = []

    def _start(self) -> None:
        """Start a cluster on this machine, for this process alone: on loopback, with a token nobody else has."""
        import ray

        if "RAY_AUTH_MODE" not in os.environ and "RAY_AUTH_TOKEN" not in os.environ:
            os.environ["RAY_AUTH_TOKEN"] = token()
            self._set = ["RAY_AUTH_TOKEN", "RAY_AUTH_MODE"]  # Ray sets the second
        store = int(self._memory * STORE_SHARE)
        if os.path.isdir("/dev/shm"):  # noqa: PTH112 - a question about this system, not about data
            store = min(store, int(shutil.disk_usage("/dev/shm").free * 0.9))
        with kept_memory():  # Ray's workers have the environment that its own processes are started with
            ray.init(
                address="local",
                num_cpus=self._workers,
                object_store_memory=max(SMALLEST_STORE, store),
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                _node_ip_address="127.0.0.1",
            )
        self._ours = True

    def _join(self, address: str) -> None:
        """Join a running cluster; raises EngineError within CONNECT_SECONDS, twice at most, when there is none."""
        import ray

        _reachable(address)
        if ray.is_initialized():
            return
        failed: list[Exception] = []

        def connect() -> None:
            try:
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
            except Exception as error:  # noqa: BLE001 - told below, whatever Ray found
                failed.append(error)

        thread = threading.Thread(target=connect, daemon=True)
        thread.start()
        thread.join(CONNECT_SECONDS)
        if failed:
            raise EngineError(f"cannot join the Ray cluster at {address}: {_short(failed[0])}") from failed[0]
        if thread.is_alive():
            raise EngineError(
                f"cannot join the Ray cluster at {address}: it did not answer within {CONNECT_SECONDS:.0f} seconds; "
                "check `ray status --address` there, and that RAY_AUTH_MODE is the same on both sides"
            )


@cache
def token() -> str:
    """Return this process's secret; the same for every cluster it starts, because Ray reads it once."""
    return secrets.token_hex(32)


def _short(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines)[:400]}"


def _reachable(address: str) -> None:
    """Try a plain connection first: Ray itself asks for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not port.isdigit():
        return  # "auto", "local" or a name that Ray knows
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except OSError as error:
        raise EngineError(
            f"cannot reach the Ray cluster at {address}: tried to connect to {host}, port {port}: {error}; check the "
            "address, and that the head is running (`ray start --head`)"
        ) from None
