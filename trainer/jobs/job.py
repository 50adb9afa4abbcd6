"""What a job is, whoever runs it: the protocol of every place that runs jobs, and the states a job goes through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from trainer.errors import RequestError, TrainerError


class JobsError(TrainerError):
    """A job could not be submitted, asked about or stopped."""


class Unreachable(JobsError):
    """A cluster did not answer in the time allowed; the message says what was tried."""


class UnknownJob(RequestError):
    """No job has this id."""


class Status(StrEnum):
    """Where a job is. `UNKNOWN` is for lists only: the place that runs it does not answer."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"
    UNKNOWN = "unknown"

    @property
    def finished(self) -> bool:
        """Whether the job will not change any more."""
        return self in (Status.SUCCEEDED, Status.FAILED, Status.STOPPED)


@dataclass(frozen=True)
class State:
    """A status with what is known of it: the reason of a failure, the exit code where there was one."""

    status: Status
    detail: str = ""
    exit_code: int | None = None


@dataclass(frozen=True)
class Resources:
    """What the job's first process needs (cores, GPUs, bytes); a place that cannot reserve it leaves it out."""

    cpus: float | None = None
    gpus: float | None = None
    memory: int | None = None


@dataclass(frozen=True)
class Record:
    """What was asked for. It holds no value of an environment variable: those may be secrets."""

    id: str
    place: str
    name: str
    command: tuple[str, ...]
    workdir: str
    submitted: str
    host: str
    address: str | None = None


@dataclass(frozen=True)
class Job:
    """A job that was found: what was asked for and its state."""

    record: Record
    state: State


class Jobs(Protocol):
    """A place that runs jobs. Every call ends in bounded time, except following a log."""

    def submit(
        self,
        command: Sequence[str],
        *,
        name: str,
        workdir: Path,
        env: Mapping[str, str] | None = None,
        resources: Resources | None = None,
    ) -> str:
        """Start a command and return its id; `env` is added to the environment and recorded nowhere.

        Raises:
            JobsError: the place did not take it.
        """
        ...

    def status(self, job: str) -> State:
        """Return where the job is. Raises UnknownJob, JobsError."""
        ...

    def logs(self, job: str, follow: bool = False) -> Iterator[str]:
        """Return what the job has written, in pieces; with `follow`, until it ends. Raises UnknownJob, JobsError."""
        ...

    def cancel(self, job: str) -> State:
        """Ask the job to end, then end it; return its last state. A finished job stays as it is."""
        ...

    def list(self) -> list[Job]:
        """Return the jobs that this place knows, oldest first."""
        ...
