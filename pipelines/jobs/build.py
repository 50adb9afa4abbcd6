"""`pomona build --submit`: a build as a job on this machine or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from pipelines.recipe_errors import RecipeError
from trainer.jobs.command import refuse_relative
from trainer.jobs.submit import submit


def submit_build(
    recipe: Path,
    options: Mapping[str, object],
    *,
    to: str,
    follow: bool = True,
    as_json: bool = False,
    console: Console | None = None,
) -> int:
    """Run `pomona build RECIPE` with options as a job and follow it; return the exit code of the command line.

    `options` are those of `pomona build`, `--engine` and `--address` among them. On a Ray cluster the job's first
    process drives the Ray engine on that same cluster, so `--address` is where the job is submitted to.

    Raises:
        RecipeError: the recipe or an option is wrong; nothing was submitted.
        JobsError: it could not be submitted.
    """
    from pipelines.jobs.elsewhere import load_for_elsewhere
    from pipelines.recipe import load

    overrides = [str(one) for one in _list(options.get("--set"))]
    given = dict(options)
    address = None
    if to == "ray":
        engine = given.get("--engine") or "ray"
        if engine not in ("ray", "local"):
            raise RecipeError(
                [f"--engine {engine} with --submit ray: the job runs on the ray engine; leave --engine out"]
            )
        address = given.pop("--address", None)
        load_for_elsewhere(recipe, overrides)
        if not given.get("--out"):
            raise RecipeError(
                ["--submit ray needs --out: an address such as s3://bucket/run that the cluster writes to"]
            )
        refuse_relative(given, "a job on a cluster does not run in this folder")
        given |= {"--engine": "ray", "--address": "auto"}
    else:
        load(recipe, overrides)
    return submit(
        "build", recipe, given, to=to, address=None if address is None else str(address), follow=follow,
        as_json=as_json, console=console,
    )  # fmt: skip


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []
