"""Jobs on a Ray cluster, through its Jobs API. Ray is imported when a cluster is spoken to, not before."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import os
import re
import shlex
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from trainer.errors import RequestError
from trainer.jobs import ray_address
from trainer.jobs.job import Job, JobsError, Record, Resources, State, Status, UnknownJob, Unreachable
from trainer.jobs.records import Records

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobSubmissionClient

PLACE = "ray"
CONNECT_SECONDS = 20.0
_CALL_SECONDS = 60.0
_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.5
_LOST_AT_MOST = 10
_API_SERVER = "RAY_API_SERVER_ADDRESS"
_STATUS = {
    "PENDING": Status.QUEUED,
    "RUNNING": Status.RUNNING,
    "SUCCEEDED": Status.SUCCEEDED,
    "FAILED": Status.FAILED,
    "STOPPED": Status.STOPPED,
}
_T = TypeVar("_T")


class RayJobs:
    """Submits to one cluster. The secrets that a job needs are the cluster's to give, never ours to send."""

    def __init__(
        self, address: str | None = None, records: Records | None = None, connect: float = CONNECT_SECONDS
    ) -> None:
        """Name a cluster by its dashboard's address; `connect` is how many seconds it may take to answer.

        Raises:
            RequestError: the address is another one of Ray's, or Ray is not installed.
        """
        self.address = ray_address.resolve(address)
        self.records = records or Records()
        self.connect = connect
        self._client: JobSubmissionClient | None = None

    def submit(
        self,
        command: Sequence[str],
        *,
        name: str,
        workdir: Path,
        env: Mapping[str, str] | None = None,
        resources: Resources | None = None,
    ) -> str:
        """Send a folder to the cluster and run a command in its copy there; see `Jobs.submit`.

        `workdir` travels whole, so it should hold only what the command reads. `env` is shown by the cluster to
        everyone who may see its jobs.
        """
        client = self._connected()
        needs = resources or Resources()
        record = self.records.new(PLACE, name, command, workdir.absolute(), self.address)
        runtime: dict[str, Any] = {
            "working_dir": str(workdir.absolute()),
            "env_vars": {"PYTHONUNBUFFERED": "1", **(env or {})},
        }
        self.records.write(record)
        try:
            _bounded(
                lambda: client.submit_job(
                    entrypoint=shlex.join(command),
                    submission_id=record.id,
                    runtime_env=runtime,
                    metadata={"pomona": name},
                    entrypoint_num_cpus=needs.cpus,
                    entrypoint_num_gpus=needs.gpus,
                    entrypoint_memory=needs.memory,
                ),
                f"{self.address}: submitting {record.id}",
            )
        except JobsError:
            # After a time-out the cluster may have it all the same: then the record has to stay.
            if not self._taken(record.id):
                self.records.drop(record)
            raise
        return record.id

    def _taken(self, job: str) -> bool:
        try:
            self.status(job)
        except UnknownJob:
            return False
        except JobsError:
            return True
        return True

    def status(self, job: str) -> State:
        """Return where a job is; see `Jobs.status`."""
        client = self._connected()
        return _state(self._ask(job, lambda: client.get_job_info(job), "its state"))

    def logs(self, job: str, follow: bool = False) -> Iterator[str]:
        """Return the output of a job's first process; see `Jobs.logs`."""
        self.status(job)
        return self._tail(job) if follow else self._log(job)

    def _log(self, job: str) -> Iterator[str]:
        client = self._connected()
        yield self._ask(job, lambda: client.get_job_logs(job), "its log")

    def _tail(self, job: str) -> Iterator[str]:
        """Follow a log; a lost connection is made anew, and what was already given is not given again."""
        client = self._connected()
        given = lost = 0
        with asyncio.Runner() as runner:
            while True:
                stream, seen = client.tail_job_logs(job), 0
                with contextlib.closing(_Pieces(runner, stream)) as pieces:
                    for piece in pieces:
                        new = piece[max(0, given - seen) :]
                        seen += len(piece)
                        if new:
                            given, lost = seen, 0
                            yield new
                if self.status(job).status.finished and pieces.lost is None:
                    return
                lost += 1
                if lost > _LOST_AT_MOST:
                    raise JobsError(
                        f"{job}: the connection for its log was lost {lost} times in a row ({pieces.lost}); "
                        "the job itself goes on"
                    )
                time.sleep(_POLL_SECONDS)

    def cancel(self, job: str) -> State:
        """Have Ray send SIGTERM to a job, and SIGKILL when that did not help; see `Jobs.cancel`."""
        state = self.status(job)
        if state.status.finished:
            return state
        client = self._connected()
        self._ask(job, lambda: client.stop_job(job), "stopping it")
        deadline = time.monotonic() + _STOP_SECONDS
        while not (state := self.status(job)).status.finished:
            if time.monotonic() > deadline:
                raise JobsError(f"{job}: asked to stop, but still {state.status} after {_STOP_SECONDS:g} s")
            time.sleep(_POLL_SECONDS)
        return state

    def list(self) -> list[Job]:
        """Return every job that the cluster knows and that was submitted, from here or elsewhere, oldest first."""
        client = self._connected()
        found = _bounded(client.list_jobs, f"{self.address}: listing jobs")
        jobs = [Job(self._record(one), _state(one)) for one in found if one.submission_id]
        return sorted(jobs, key=lambda job: (job.record.submitted, job.record.id))

    def _record(self, details: JobDetails) -> Record:
        assert details.submission_id is not None
        began = datetime.fromtimestamp((details.start_time or 0) / 1000, UTC)
        return Record(
            id=details.submission_id,
            place=PLACE,
            name=(details.metadata or {}).get("pomona", ""),
            command=tuple(shlex.split(details.entrypoint)),
            workdir="",
            submitted=began.isoformat(timespec="seconds"),
            host="",
            address=self.address,
        )

    def _ask(self, job: str, call: Callable[[], _T], what: str) -> _T:
        try:
            return _bounded(call, f"{self.address}: {job}: {what}")
        except JobsError as error:
            if re.search(r"status code 404|does not exist", str(error)):
                raise UnknownJob(f"{job}: the cluster at {self.address} knows no job of this id") from error
            raise

    def _connected(self) -> JobSubmissionClient:
        if self._client is None:
            client = _import_client()
            ray_address.wait_until_it_answers(self.address, self.connect)
            # Ray lets its environment variables override the address that it is given.
            before = os.environ.get(_API_SERVER)
            os.environ[_API_SERVER] = self.address
            try:
                self._client = _bounded(lambda: client(self.address), f"{self.address}: connecting")
            finally:
                if before is None:
                    del os.environ[_API_SERVER]
                else:
                    os.environ[_API_SERVER] = before
        return self._client


class _Pieces:
    """An asynchronous stream of text read from synchronous code. `lost` says why it broke off, None when it ended."""

    def __init__(self, runner: asyncio.Runner, stream: Any) -> None:
        self._runner = runner
        self._stream = stream
        self.lost: str | None = None

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        import aiohttp

        try:
            piece = self._runner.run(self._next())
        except (RuntimeError, aiohttp.ClientError, OSError) as error:
            self.lost = _one_line(error)
            raise StopIteration from error
        if piece is None:
            raise StopIteration
        return piece

    async def _next(self) -> str | None:
        return await anext(self._stream, None)

    def close(self) -> None:
        self._runner.run(self._stream.aclose())


def _import_client() -> type[JobSubmissionClient]:
    try:
        importlib.import_module("aiohttp")  # the Jobs client needs it, and would say so only later
        from ray.job_submission import JobSubmissionClient
    except ModuleNotFoundError as error:
        raise RequestError(
            f"Ray is not installed here ({error.name} is missing): pip install -c constraints.txt '.[ray]'"
        ) from error
    # Ray sets these to INFO on import; what they say is no news to who submits.
    for name in ("ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk", "ray.dashboard.utils"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return JobSubmissionClient


def _bounded(call: Callable[[], _T], what: str) -> _T:
    """Make a call of Ray's client, which sets no time-outs of its own, in bounded time and with one kind of error."""
    results: list[_T] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            results.append(call())
        except Exception as error:  # noqa: BLE001 - handed over to the caller's thread, all of it
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(_CALL_SECONDS)
    if errors:
        error = errors[0]
        if isinstance(error, ConnectionError):
            raise Unreachable(f"{what}: {_one_line(error)}") from error
        raise JobsError(f"{what}: {_explained(error)}") from error
    if not results:
        raise Unreachable(f"{what}: no answer in {_CALL_SECONDS:g} s")
    return results[0]


def _explained(error: Exception) -> str:
    if type(error).__name__ == "AuthenticationError":
        return (
            "the cluster asks for a token, and this one is missing or wrong; set RAY_AUTH_MODE=token and "
            "RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH, as on the cluster"
        )
    return _one_line(error)


def _one_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # Of a traceback that came over the wire, the last line says what happened.
    return (lines[-1] if lines and lines[0].endswith("Traceback (most recent call last):") else " ".join(lines))[:400]


def _state(details: JobDetails) -> State:
    status = _STATUS.get(str(getattr(details.status, "value", details.status)), Status.UNKNOWN)
    code = details.driver_exit_code
    if status is Status.SUCCEEDED:
        return State(status, exit_code=0)
    detail = (details.message or "").strip().splitlines()
    said = detail[0][:300] if detail and status in (Status.FAILED, Status.STOPPED, Status.QUEUED) else ""
    return State(status, f"exit code {code}" if status is Status.FAILED and code else said, code)
