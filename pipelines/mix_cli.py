"""`pomona mix`: new weights over curated runs; and the table of a run's mixtures that other commands print too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

EPILOG = "Example: pomona mix runs/sample --weights weights.yaml --out runs/more-code"


def mix(
    run: Annotated[list[str], typer.Argument(help="Finished run folders.", show_default=False)],
    weights: Annotated[Path, typer.Option(help="YAML with `stages:` as in a recipe.")],
    out: Annotated[
        str | None, typer.Option(help="Run folder, or URL. [default: runs/<name of the weights file>]")
    ] = None,
    tokenizer: Annotated[
        str | None, typer.Option(help="The run whose tokenizer is used for all, where they differ.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes. [default: all cores]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines on standard output.")] = False,
) -> None:
    """Mix the documents of finished runs by new weights, in a run of its own; nothing is curated again."""
    from rich.console import Console

    from pipelines import remix
    from pipelines import run as runs
    from pipelines.engines import settings
    from pipelines.progress import Bars
    from pipelines.storage import at

    folder = remix.destination(out, weights)
    with Bars(Console(stderr=True, highlight=False)) as bars:

        def told(done: Any) -> None:
            if done.account.received:
                bars.say(f"[bold]{done.name}[/]  in {done.account.received:,}  kept {done.account.kept:,}")

        with settings.opened(settings.Settings("local", workers, None, None, ()), bars.tasks) as engine:
            try:
                one = None if tokenizer is None else at(tokenizer)
                remix.mix([at(name) for name in run], weights, folder, engine, tokenizer=one, told=told)
            except remix.Refused as error:
                if as_json:
                    print(json.dumps({"refused": error.stages}, ensure_ascii=False))
                raise
    described = runs.read(folder)
    if as_json:
        print(json.dumps({"run": str(folder), **described}))
        return
    print_mixtures(folder, described, Console(highlight=False))


def print_mixtures(folder: Path, described: dict[str, Any], out: Console) -> None:
    """Print a line an entry of each stage: target and realised share, epochs and their cap, what repeats are worth."""
    from rich.table import Table

    from pipelines.storage import read_json

    table = Table("stage", "entry", "tokens", "target", "realised", "epochs", "cap", "worth", box=None)
    for stage in described["stages"]:
        manifest = read_json(folder / "mixture" / stage / "manifest.json")
        for name, tokens in manifest["tokens"].items():
            table.add_row(
                stage,
                name,
                f"{tokens:,}",
                f"{manifest['target_weights'][name]:.3f}",
                f"{manifest['realised_weights'][name]:.3f}",
                f"{manifest['epochs'][name]:.2f}",
                f"{manifest['epoch_caps'][name]:g}",
                # What repeated tokens are worth in tokens that are not (2305.16264).
                f"{manifest['effective_tokens'][name]:,}",
            )
    out.print(table)
    training = [stage for stage in described["stages"] if stage != "heldout"]
    last = read_json(folder / "mixture" / training[-1] / "manifest.json") if len(training) > 1 else {}
    for source, told in last.get("together", {}).items():
        out.print(
            f"{source} in all stages: {told['tokens']:,} tokens, {told['epochs']:.2f} epochs of what is taken, "
            f"worth {told['effective_tokens']:,}",
            soft_wrap=True,
        )
    out.print(f"mixture  {folder / 'mixture'}\nreport   {folder / 'report.html'}", soft_wrap=True)
