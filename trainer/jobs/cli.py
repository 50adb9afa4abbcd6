"""`pomona jobs`: what was submitted, how it goes, what it says, and how to end it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from trainer.jobs.job import Job, Jobs, JobsError, Record, State, Status
from trainer.jobs.local import LocalJobs
from trainer.jobs.ray import RayJobs
from trainer.jobs.records import Records
from trainer.jobs.submit import described, follow_job

app = typer.Typer(
    name="jobs",
    no_args_is_help=True,
    help="Jobs submitted with `--submit`: list them, follow their logs, cancel them.",
    epilog="Example: pomona jobs list",
)

_LIST_CONNECT_SECONDS = 5.0

_Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines on standard output.")]
_Id = Annotated[str, typer.Argument(metavar="ID", help="A job's id, or how it begins.", show_default=False)]
_Address = Annotated[
    str | None,
    typer.Option(help="Dashboard of the Ray cluster, for jobs that were submitted elsewhere.", show_default=False),
]


@app.command("list", epilog="Example: pomona jobs list")
def list_command(address: _Address = None, as_json: _Json = False) -> None:
    """List the jobs submitted from this machine; with --address, all jobs of a cluster."""
    found = RayJobs(address).list() if address else _here()
    if as_json:
        print(json.dumps([_as_dict(job) for job in found]))
        return
    table = Table("job", "place", "status", "submitted", box=None)
    for job in found:
        record, state = job.record, job.state
        detail = f" ({state.detail})" if state.detail else ""
        table.add_row(record.id, record.address or record.place, f"{state.status}{detail}", record.submitted)
    Console(highlight=False, markup=False).print(table)


@app.command("status", epilog="Example: pomona jobs status build-sample-20260101-030000-1a2b")
def status_command(job: _Id, address: _Address = None, as_json: _Json = False) -> None:
    """Say where a job is: queued, running, succeeded, failed or stopped."""
    jobs, id_ = _of(job, address)
    _say(id_, jobs.status(id_), as_json)


@app.command("logs", epilog="Example: pomona jobs logs build-sample-20260101-030000-1a2b --follow")
def logs_command(
    job: _Id,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on until the job ends; Ctrl-C leaves it running.")
    ] = False,
    address: _Address = None,
) -> None:
    """Print what a job has written. With --follow the exit code is the job's: 0 done, 1 failed."""
    jobs, id_ = _of(job, address)
    if follow:
        raise typer.Exit(follow_job(jobs, id_, Console(stderr=True, highlight=False)))
    for piece in jobs.logs(id_):
        print(piece, end="")


@app.command("cancel", epilog="Example: pomona jobs cancel build-sample-20260101-030000-1a2b")
def cancel_command(job: _Id, address: _Address = None, as_json: _Json = False) -> None:
    """End a job: it is asked to, and killed when it has not ended some seconds later."""
    jobs, id_ = _of(job, address)
    _say(id_, jobs.cancel(id_), as_json)


def _say(job: str, state: State, as_json: bool) -> None:
    if as_json:
        print(json.dumps(described(job, state)))
    else:
        print(f"{job}  {state.status}" + (f"  {state.detail}" if state.detail else ""))


def _of(job: str, address: str | None) -> tuple[Jobs, str]:
    """Return where a job runs, and its whole id."""
    if address:
        return RayJobs(address), job
    record = Records().find(job)
    return (RayJobs(record.address) if record.place == "ray" else LocalJobs()), record.id


def _here() -> list[Job]:
    """Every job submitted from here; those of a cluster that does not answer are listed as unknown."""
    records = Records().all()
    clusters = {record.address for record in records if record.place == "ray"}
    found = [*LocalJobs().list(), *(job for one in clusters for job in _on(one, records))]
    return sorted(found, key=lambda job: (job.record.submitted, job.record.id))


def _on(address: str | None, records: Iterable[Record]) -> list[Job]:
    mine = [record for record in records if record.address == address]
    try:
        states = {job.record.id: job.state for job in RayJobs(address, connect=_LIST_CONNECT_SECONDS).list()}
    except JobsError as error:
        return [Job(record, State(Status.UNKNOWN, str(error).partition(":")[0])) for record in mine]
    forgotten = State(Status.UNKNOWN, "the cluster has forgotten it")
    return [Job(record, states.get(record.id, forgotten)) for record in mine]


def _as_dict(job: Job) -> dict[str, Any]:
    return {**described(job.record.id, job.state), **{k: v for k, v in asdict(job.record).items() if k != "id"}}
