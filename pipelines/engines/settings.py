"""Which engine to start, as the command line asks for it."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from pipelines.engines.plan import Engine, EngineError, Progress

ENGINES = ("local", "ray", "beam")

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}


class BadSettings(EngineError):
    """Settings that no engine can follow; the message names the option."""


@dataclass(frozen=True)
class Settings:
    """Where to run, as the command line says it.

    Args:
        engine: one of ENGINES.
        workers: processes or cores; None for all.
        memory: rows held in memory, as text with a unit ("8GB", "500MiB"); None for a share of what is free.
        address: a running cluster (ray).
        options: options of Beam's runner, `name=value` or `name`.
    """

    engine: str = "local"
    workers: int | None = None
    memory: str | None = None
    address: str | None = None
    options: tuple[str, ...] = ()


@contextmanager
def opened(settings: Settings, progress: Progress | None = None) -> Generator[Engine]:
    """Start the engine that the settings ask for, and close it at the end.

    Raises BadSettings, and EngineError where the engine is not installed or its cluster out of reach.
    """
    engine = _made(settings, progress)
    try:
        yield engine
    finally:
        engine.close()


def _made(settings: Settings, progress: Progress | None) -> Engine:
    memory = parse_bytes(settings.memory)
    if settings.address is not None and settings.engine != "ray":
        raise BadSettings(f"--address {settings.address}: only --engine ray joins a cluster by its address")
    if settings.options and settings.engine != "beam":
        raise BadSettings(f"--option {settings.options[0]}: only --engine beam has options of a runner")
    if settings.engine == "local":
        from pipelines.engines.local import LocalEngine

        return LocalEngine(settings.workers, progress, memory=memory, isolate=True)
    if settings.engine == "ray":
        from pipelines.engines.ray import RayEngine

        return RayEngine(settings.workers, progress, address=settings.address, memory=memory)
    if settings.engine == "beam":
        from pipelines.engines.beam import BeamEngine

        options = [one if one.startswith("--") else f"--{one}" for one in settings.options]
        return BeamEngine(settings.workers, progress, options=options, memory=memory)
    raise BadSettings(f"--engine {settings.engine}: valid here: {', '.join(ENGINES)}")


def parse_bytes(text: str | None) -> int | None:
    """Read a number of bytes such as "8GB", "500 MiB" or "1000000"."""
    if text is None:
        return None
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]I?)?B?\s*", text, re.IGNORECASE)
    if found is None:
        raise BadSettings(f"--memory {text}: expected a number of bytes, such as 8GB or 500MiB")
    return int(float(found.group(1)) * _UNITS[(found.group(2) or "").upper()])
