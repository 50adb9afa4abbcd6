"""Beam's pipeline options: passed through as they are, refused where nobody knows them or nobody answers."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pipelines.engines.beam_quiet import quiet
from pipelines.engines.plan import EngineError, Hints

WAIT_SECONDS = 20.0
"""How long an endpoint is tried before the run is given up."""
LOCAL = ("", "DirectRunner", "FnApiRunner", "BundleBasedDirectRunner")
"""Runners that are this process and its workers; DirectRunner's own choice may download another one."""
ENDPOINTS = {"job_endpoint": 8099, "artifact_endpoint": 8098, "flink_master": 8081, "spark_rest_url": 6066}
"""Options that name a server, and the port where one is not given."""


@dataclass(frozen=True)
class Options:
    """Options that were found in order: the words as given, the runner's name, and what Beam made of them."""

    flags: tuple[str, ...]
    runner: str
    values: Mapping[str, Any]

    @property
    def local(self) -> bool:
        """Whether the pipeline runs on this machine in the embedded runner."""
        return self.runner in LOCAL

    def pipeline_options(self, *more: str) -> Any:
        """Return Beam's options object; `more` are defaults that the given ones override."""
        from apache_beam.options.pipeline_options import PipelineOptions

        return PipelineOptions([*more, *self.flags])

    def hints(self, hints: Hints) -> dict[str, str]:
        """Return what a step needs as Beam's resource hints; none for this machine, where it would cost processes."""
        if self.local:
            return {}
        given = " ".join(self.values.get("resource_hints") or [])
        told = {"min_ram": f"{hints.memory}B"} if hints.memory else {}
        if hints.cpus > 1:
            told["cpu_count"] = str(math.ceil(hints.cpus))
        if hints.gpus and "accelerator" not in given:  # which kind is the operator's to say, with --resource_hints
            told["accelerator"] = f"count:{math.ceil(hints.gpus)}"
        return told


def checked(flags: Sequence[str]) -> Options:
    """Return options whose names Beam, or the job server they name, knows, and whose servers answer.

    Raises EngineError that names the option, or the server and how long it was tried.
    """
    unknown, values = _parsed(flags)
    found = Options(tuple(flags), values.get("runner") or "", values)
    for option, port in ENDPOINTS.items():
        if any(flag.split("=")[0] == f"--{option}" for flag in flags):
            _answers(option, str(values[option]), port)
    names = sorted({one.split("=")[0] for one in unknown if one.startswith("-")})
    strays = [one for one in unknown if not one.startswith("-")]
    if names:
        known = _described(str(values.get("job_endpoint") or ""))
        names = [name for name in names if name.lstrip("-") not in known]
    elif strays:
        names = strays
    if names:
        raise EngineError(
            f"beam: unknown option {', '.join(names)}; options are passed to Beam as they are, such as "
            "--runner=FlinkRunner --flink_master=host:8081 (see Beam's documentation of the runner)"
        )
    return found


def _parsed(flags: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    with quiet():
        from apache_beam.options.pipeline_options import PipelineOptions

    unknown: list[str] = []

    def look(parser: Any) -> None:
        unknown.extend(parser.parse_known_args(list(flags))[1])

    try:
        with quiet():
            return unknown, PipelineOptions(list(flags)).get_all_options(add_extra_args_fn=look)
    except SystemExit:  # argparse has printed which value it does not take
        raise EngineError(f"beam: Beam does not take these options: {' '.join(flags)}") from None


def _described(endpoint: str) -> set[str]:
    """Return the options that a job server says it knows."""
    if not endpoint or endpoint == "embed":
        return set()
    import grpc
    from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

    requests: Any = beam_job_api_pb2
    with grpc.insecure_channel(endpoint) as channel:
        stub = beam_job_api_pb2_grpc.JobServiceStub(channel)
        try:
            answer = stub.DescribePipelineOptions(requests.DescribePipelineOptionsRequest(), timeout=WAIT_SECONDS)
        except grpc.RpcError:  # a server that describes no options knows none
            return set()
    return {option.name for option in answer.options}


def _answers(option: str, value: str, port: int) -> None:
    """Try to connect to a server for a while."""
    if (value.startswith("[") and value.endswith("]")) or value in ("embed", "auto", "local"):
        return  # words like [local] and [auto], which name no server
    parts = urlsplit(value if "//" in value else f"//{value}")
    host, at = parts.hostname or "localhost", parts.port or port
    started = time.monotonic()
    while True:
        try:
            socket.create_connection((host, at), timeout=WAIT_SECONDS).close()
            return
        except OSError as error:
            if time.monotonic() - started > WAIT_SECONDS:
                raise EngineError(
                    f"beam: nothing answers at {host}:{at} (--{option}={value}), tried for {WAIT_SECONDS:.0f} s: "
                    f"{error}; start the server or correct the option"
                ) from None
        time.sleep(min(1.0, WAIT_SECONDS / 10))
