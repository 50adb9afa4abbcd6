"""`--submit`: the same command, run as a job, its log followed until it ends or the reader has seen enough."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from trainer.errors import RequestError
from trainer.jobs.command import Options, program, refuse_relative, refuse_secrets, words
from trainer.jobs.job import Jobs, Resources, State, Status
from trainer.jobs.local import LocalJobs
from trainer.jobs.ray import CONNECT_SECONDS, RayJobs
from trainer.jobs.records import Records

PLACES = ("local", "ray")
LEFT = 130
"""Exit code of a reader who stopped following with Ctrl-C, as shells give it; the job goes on."""


def place(name: str, address: str | None = None, connect: float | None = None) -> Jobs:
    """Return where jobs of a kind run: "local" or "ray". Raises RequestError."""
    if name == "local":
        return LocalJobs()
    if name == "ray":
        return RayJobs(address, connect=CONNECT_SECONDS if connect is None else connect)
    raise RequestError(f"--submit {name}: valid here: {', '.join(PLACES)}")


def submit_train(
    recipe: Path,
    options: Options,
    *,
    to: str,
    address: str | None = None,
    gpus: float | None = None,
    follow: bool = True,
    as_json: bool = False,
    console: Console | None = None,
) -> int:
    """Run `pomona train` as a job; see `submit`. `gpus` are reserved for it on a Ray cluster."""
    if to == "ray" and not (options.get("--run") or options.get("--mixture")):
        raise RequestError("--submit ray needs --run or --mixture: a folder that all the cluster's machines share")
    return submit(
        "train", recipe, options, to=to, address=address, resources=Resources(gpus=gpus), follow=follow,
        as_json=as_json, console=console,
    )  # fmt: skip


def submit(
    verb: str,
    recipe: Path,
    options: Options,
    *,
    to: str,
    address: str | None = None,
    resources: Resources | None = None,
    follow: bool = True,
    as_json: bool = False,
    console: Console | None = None,
) -> int:
    """Run `pomona VERB RECIPE` with options as a job and follow it; return the exit code of the command line.

    On this machine it runs in the working directory. To a cluster only the recipe travels, so folders must be
    addresses or absolute paths there. With `as_json` one object is printed and nothing followed.

    Raises:
        RequestError: the place is unknown, a folder is relative, or a secret would be readable.
        JobsError: it could not be submitted.
    """
    refuse_secrets(options)
    jobs = place(to, address)
    said = console or Console(stderr=True, highlight=False, quiet=as_json)
    name = f"{verb}-{recipe.stem}"
    if isinstance(jobs, LocalJobs):
        command = [*program(), verb, str(recipe), *words(options)]
        job = jobs.submit(command, name=name, workdir=Path.cwd())
        told = f"log {jobs.log(job)}"
    else:
        refuse_relative(options, "a job on a cluster does not run in this folder")
        with tempfile.TemporaryDirectory(prefix="pomona-submit-") as folder:
            shutil.copyfile(recipe, Path(folder) / recipe.name)
            command = ["pomona", verb, recipe.name, *words(options)]
            job = jobs.submit(command, name=name, workdir=Path(folder), resources=resources)
        told = f"on {jobs.address}" if isinstance(jobs, RayJobs) else to
    if as_json:
        print(json.dumps({**described(Records().find(job).id, jobs.status(job)), "place": to}))
        return 0
    said.print(f"[bold]submitted[/] {job}  [dim]{escape(told)}[/]", soft_wrap=True)
    if not follow:
        said.print(advice(job), soft_wrap=True)
        return 0
    return follow_job(jobs, job, said)


def follow_job(jobs: Jobs, job: str, console: Console, write: Callable[[str], Any] | None = None) -> int:
    """Copy a job's log to standard output until it ends; 0 when it succeeded, else 1, and 130 after Ctrl-C.

    Ctrl-C ends the following, never the job.
    """
    out = write or _write
    try:
        for piece in jobs.logs(job, follow=True):
            out(piece)
        state = jobs.status(job)
    except KeyboardInterrupt:
        console.print(f"\nno longer following {job}; it goes on.\n{advice(job)}", soft_wrap=True)
        return LEFT
    console.print(_ended(job, state), soft_wrap=True)
    return 0 if state.status is Status.SUCCEEDED else 1


def advice(job: str) -> str:
    """Return how to follow and cancel a job later."""
    return f"follow it: pomona jobs logs {job} --follow\nend it:    pomona jobs cancel {job}"


def described(job: str, state: State) -> dict[str, Any]:
    """Return a job's state for machines."""
    return {"job": job, "status": str(state.status), "detail": state.detail, "exit_code": state.exit_code}


def _ended(job: str, state: State) -> str:
    colour = "green" if state.status is Status.SUCCEEDED else "red"
    return f"[bold {colour}]{state.status}[/] {job}" + (f": {escape(state.detail)}" if state.detail else "")


def _write(piece: str) -> None:
    sys.stdout.write(piece)
    sys.stdout.flush()


__all__: Sequence[str] = ("advice", "described", "follow_job", "place", "submit", "submit_train")
