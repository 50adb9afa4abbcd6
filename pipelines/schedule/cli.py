"""`pomona schedule`: prints the entry; nothing is installed or changed by it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import zoneinfo
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from pipelines.recipe_errors import RecipeError, nearest
from pipelines.schedule import crontab, kubernetes, systemd
from pipelines.schedule.cron import Cron, CronError
from pipelines.schedule.entry import Entry, Request
from trainer.jobs.command import program, refuse_secrets, words
from trainer.jobs.records import state_folder

EPILOG = 'Example: pomona schedule recipes/sample.yaml --to cron --every "0 3 * * *" --out runs/sample'

_SCHEDULERS: dict[str, Callable[[Request], Entry]] = {
    "cron": crontab.entry,
    "systemd": systemd.entry,
    "kubernetes": kubernetes.entry,
}


def schedule(
    recipe: Annotated[Path, typer.Argument(help="The recipe, a YAML file.", show_default=False)],
    to: Annotated[str, typer.Option(help="Which scheduler: cron, systemd or kubernetes.", show_default=False)],
    every: Annotated[str, typer.Option(help="When, as a cron expression.")] = "0 3 * * *",
    out: Annotated[str | None, typer.Option(help="Run folder or address. [default: runs/<name>]")] = None,
    engine: Annotated[str, typer.Option(help="Where to run: local, ray, beam.")] = "local",
    address: Annotated[str | None, typer.Option(help="Ray cluster to join or, on Kubernetes, to submit to.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes. [default: all cores]")] = None,
    memory: Annotated[str | None, typer.Option(help="Bytes of rows to hold in memory, such as 8GB.")] = None,
    option: Annotated[list[str] | None, typer.Option("--option", help="An option for Beam's runner.")] = None,
    store: Annotated[str | None, typer.Option(help="Folder of steps that several runs share.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Change one field: path=value.")] = None,
    time_zone: Annotated[str | None, typer.Option(help="Zone of --every, like Europe/Berlin.")] = None,
    log: Annotated[Path | None, typer.Option(help="cron: append output here. [default: in the state folder]")] = None,
    secrets: Annotated[
        str | None, typer.Option(help="Credentials: a file of NAME=value lines; on Kubernetes a Secret's name.")
    ] = None,
    image: Annotated[str | None, typer.Option(help="Kubernetes: the image. [default: pomona:<version>]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines on standard output.")] = False,
) -> None:
    """Print an entry for the scheduler you have: a build that fetches and measures only what is new, on time."""
    from pipelines.jobs.elsewhere import load_for_elsewhere
    from pipelines.recipe import load

    if to not in _SCHEDULERS:
        raise RecipeError([f"--to {to}{nearest(to, _SCHEDULERS)}"])
    try:
        cron = Cron.parse(every)
    except CronError as error:
        raise RecipeError([f"--every {error}"]) from error
    loaded = (load_for_elsewhere if to == "kubernetes" else load)(recipe, set_ or ())
    place = out or f"runs/{loaded.name}"
    options: dict[str, object] = {
        "--out": _absolute(place) if to != "kubernetes" else place,
        "--store": _absolute(store) if store and to != "kubernetes" else store,
        "--workers": workers,
        "--memory": memory,
        "--option": option or [],
        "--set": set_ or [],
        "--update": True,
    }
    # On Kubernetes the manifests choose the engine's cluster.
    if not (to == "kubernetes" and engine == "ray"):
        options |= {"--engine": engine if engine != "local" else None, "--address": address}
    _check(to, engine, address, time_zone, secrets, store)
    refuse_secrets(options | {"--address": address})
    entry = _SCHEDULERS[to](
        Request(
            name=loaded.name,
            cron=cron,
            recipe=recipe.absolute(),
            out=str(options["--out"]),
            command=(*program(), "build", str(recipe.absolute()), *words(options)),
            folder=Path.cwd(),
            path=_path(),
            log=(log or state_folder().parent / "schedule" / f"{loaded.name}.log").absolute(),
            secrets=_absolute(secrets) if secrets and to != "kubernetes" else secrets,
            time_zone=time_zone,
            image=image or f"pomona:{importlib.metadata.version('pomona')}",
            options=tuple(words(options)),
            engine=engine,
            address=address,
        )
    )
    if as_json:
        print(
            json.dumps(
                {
                    "to": to,
                    "every": cron.text(),
                    "files": dict(entry.files),
                    "logs": entry.logs,
                    "install": entry.install,
                }
            )
        )
    else:
        print(entry.text(), end="")


def _check(
    to: str, engine: str, address: str | None, time_zone: str | None, secrets: str | None, store: str | None
) -> None:
    problems: list[str] = []
    if engine not in ("local", "ray", "beam"):
        problems.append(f"--engine {engine}{nearest(engine, ('local', 'ray', 'beam'))}")
    if address and engine != "ray":
        problems.append("--address: names a Ray cluster; give --engine ray too")
    if time_zone and time_zone not in zoneinfo.available_timezones():
        problems.append(f"--time-zone {time_zone}: no such zone; expected a name like Europe/Berlin or Etc/UTC")
    if to == "kubernetes":
        if store and "://" not in store:
            problems.append(f"--store {store}: a pod's files go with it; give an address, like s3://bucket/store")
        if secrets and not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", secrets):
            problems.append(f"--secrets {secrets}: on Kubernetes this is the name of a Secret")
    elif secrets and not Path(secrets).is_file():
        problems.append(f"--secrets {secrets}: no such file; it holds lines like AWS_PROFILE=pomona")
    if problems:
        raise RecipeError(problems)


def _absolute(place: str) -> str:
    return place if "://" in place else os.path.abspath(place)  # noqa: PTH100 - as Path.resolve but keeps links


def _path() -> str:
    """The search path for programs: this installation's, then the system's."""
    return os.pathsep.join(dict.fromkeys([str(Path(program()[0]).parent), "/usr/local/bin", "/usr/bin", "/bin"]))
