"""`pomona takedown`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

EPILOG = "Example: pomona takedown runs/sample --domain example.org --reason 'letter of 3 March' --dry-run"


def takedown(
    run: Annotated[str, typer.Argument(help="A run folder, or URL, that `pomona build` made.", show_default=False)],
    url: Annotated[list[str] | None, typer.Option(help="An address (may be repeated, as all of these).")] = None,
    domain: Annotated[list[str] | None, typer.Option(help="A host with everything below it.")] = None,
    licence: Annotated[list[str] | None, typer.Option("--licence", "--license", help="An SPDX name.")] = None,
    id_: Annotated[list[str] | None, typer.Option("--id", help="A record's id, or its first 8 digits or more.")] = None,
    reason: Annotated[str, typer.Option(help="Told in ledger and manifests.")] = "",
    with_copies: Annotated[
        bool, typer.Option("--with-copies", help="Take copies of the records along, kept or dropped.")
    ] = False,
    checkpoints: Annotated[
        list[Path] | None, typer.Option(help="Another folder of checkpoints to look at (may be repeated).")
    ] = None,
    price: Annotated[
        float | None, typer.Option(min=0, help="Of an hour of the training's machine, for the cost of a replay.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines on standard output.")] = False,
) -> None:
    """Remove records everywhere in a run: a new version of its mixtures, and the checkpoints that saw the text."""
    from rich.console import Console

    from pipelines.recipe_errors import RecipeError
    from pipelines.storage import at
    from pipelines.takedown import takedown as work
    from pipelines.takedown.selection import Asked
    from pipelines.takedown.text import render

    for folder in checkpoints or []:
        if not folder.is_dir():
            raise RecipeError([f"--checkpoints {folder}: no such folder"])
    found = work.takedown(
        at(run),
        Asked(tuple(url or ()), tuple(domain or ()), tuple(licence or ()), tuple(id_ or ())),
        reason=reason,
        with_copies=with_copies,
        dry_run=dry_run,
        checkpoints=checkpoints or (),
        price=price,
    )
    if as_json:
        told = dataclasses.asdict(found)
        for one, exposure in zip(told["exposures"], found.exposures, strict=True):
            for row, checkpoint in zip(one["checkpoints"], exposure.checkpoints, strict=True):
                row["clean"] = checkpoint.clean
        print(json.dumps(told, ensure_ascii=False))
    else:
        render(found, Console(highlight=False))
