"""`pomona runs`: list, show, resume, verify, clean."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from pipelines.runs.clean import Found
    from pipelines.runs.verify import Verified
    from pipelines.steps.step import Finished

app = typer.Typer(
    no_args_is_help=True,
    help="List runs, look into one, take one up again, check its files, remove what nothing refers to.",
    epilog="Example: pomona runs list",
)
console = Console(stderr=True, highlight=False)

Run = Annotated[str, typer.Argument(help="A run's folder or URL.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines on standard output.")]


@app.command("list", epilog="Example: pomona runs list runs s3://bucket/runs")
def list_(
    folders: Annotated[
        list[str] | None, typer.Argument(help="Folders of runs, or runs. [default: runs]", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """List runs: state, finished steps, bytes on disk, training tokens."""
    from pipelines.runs.amounts import bytes_text
    from pipelines.runs.folder import found
    from pipelines.runs.listing import rows

    listed = rows(found(_places(folders or ["runs"])))
    if as_json:
        print(json.dumps([dataclasses.asdict(row) for row in listed]))
        return
    table = _table("run", "recipe", "created", "state", ">steps", ">on disk", ">tokens", "store")
    for row in listed:
        tokens = "" if row.tokens is None else f"{row.tokens:,}"
        table.add_row(
            row.run, row.name, row.created, row.state, f"{row.steps}", bytes_text(row.bytes), tokens, row.store or ""
        )
    _out().print(table if listed else f"no runs in {', '.join(folders or ['runs'])}", soft_wrap=True)


@app.command(epilog="Example: pomona runs show runs/sample")
def show(run: Run, as_json: Json = False) -> None:
    """Show what a run is made of: steps with sums, bytes and what they read; mixtures with their shards."""
    from pipelines.runs.amounts import bytes_text
    from pipelines.runs.folder import opened
    from pipelines.runs.listing import describe

    found = describe(opened(_place(run)))
    if as_json:
        print(json.dumps(found))
        return
    out = _out()
    out.print(f"{found['run']}  {found['name']}  {found['state']}\nsteps in {found['root']}", soft_wrap=True)
    table = _table("step", ">in", ">kept", ">dropped", ">failed", ">seconds", ">written", "engine", "", "read by")
    for step in found["steps"]:
        table.add_row(
            step["name"],
            *(f"{step[key]:,}" for key in ("in", "kept")),
            *(f"{sum(step[key].values()):,}" for key in ("dropped", "failed")),
            f"{step['seconds']:.1f}",
            bytes_text(step["bytes"]),
            f"{step['engine']['name']} × {step['engine']['workers']}",
            "reused" if step["reused"] else "",
            ", ".join(step["read_by"]),
        )
    out.print(table, soft_wrap=True)
    shards = _table("mixture", "shard", ">rows", ">tokens", ">bytes", "is")
    for mixture in found["mixtures"]:
        for shard in mixture["shards"]:
            figures = [f"{shard[key]:,}" for key in ("rows", "tokens", "bytes")]
            shards.add_row(mixture["stage"], shard["path"], *figures, shard["from"] or "")
    if found["mixtures"]:
        out.print(shards, soft_wrap=True)


@app.command(epilog="Example: pomona runs resume runs/sample --workers 2")
def resume(
    run: Run,
    engine: Annotated[str | None, typer.Option(help="local, ray or beam. [default: as it was started]")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes. [default: as it was started]")] = None,
    memory: Annotated[str | None, typer.Option(help="Bytes of rows to hold in memory, such as 8GB.")] = None,
    address: Annotated[str | None, typer.Option(help="A running cluster to join (ray).")] = None,
    option: Annotated[list[str] | None, typer.Option("--option", help="An option for Beam's runner.")] = None,
    as_json: Json = False,
) -> None:
    """Go on with a build that was stopped or killed, from its folder alone: the recipe is as it was."""
    from pipelines import run as runs
    from pipelines.engines import settings
    from pipelines.progress import Bars
    from pipelines.runs import resume as resuming

    folder = _place(run)
    request = resuming.requested(folder)
    asked = settings.Settings(
        engine or request.engine, workers or request.workers, memory, address, tuple(option or ())
    )
    with Bars(console) as bars, settings.opened(asked, bars.tasks) as made:
        resuming.resume(
            folder, request, made, told=lambda done: bars.say(_step_line(done)), crawl_told=bars.crawl
        )  # fmt: skip
    if as_json:
        print(json.dumps({"run": str(folder), **runs.read(folder)}))
    else:
        print(f"finished  {folder}")


@app.command(epilog="Example: pomona runs verify runs/sample")
def verify(
    run: Annotated[list[str], typer.Argument(help="Folders or URLs of runs.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Compare every file with the SHA-256 in its manifest; exit 1 when one is missing, changed or unlisted."""
    from pipelines.progress import Bars
    from pipelines.runs.folder import opened
    from pipelines.runs.verify import verify as compare

    wrong = False
    for place in _places(run):
        with Bars(console) as bars:
            found = compare(opened(place), lambda done, total: bars.tasks("verify", done, total))
        wrong = wrong or bool(found.faults)
        _tell_verified(place, found, as_json)
    if wrong:
        raise typer.Exit(1)


def _tell_verified(run: Path, found: Verified, as_json: bool) -> None:
    from pipelines.runs.amounts import bytes_text

    rate = found.bytes / found.seconds if found.seconds else 0.0
    if as_json:
        faults = [{"kind": one.kind, "path": str(one.path), "detail": one.detail} for one in found.faults]
        sums = {
            "files": found.files,
            "bytes": found.bytes,
            "seconds": round(found.seconds, 3),
            "bytes_per_second": rate,
        }
        print(json.dumps({"run": str(run), "ok": not faults, **sums, "leftovers": found.leftovers, "faults": faults}))
        return
    for fault in found.faults:
        print(fault.text())
    left = f", {found.leftovers} leftover files (`pomona runs clean {run}`)" if found.leftovers else ""
    print(
        f"{run}: {found.files:,} files, {bytes_text(found.bytes)} read at {bytes_text(rate)}/s, "
        f"{len(found.faults) or 'nothing'} wrong{left}"
    )


@app.command(epilog="Example: pomona runs clean runs/sample --yes")
def clean(
    run: Annotated[
        list[str] | None,
        typer.Argument(help="Runs. [default: all in runs, unless --store is given]", show_default=False),
    ] = None,
    store: Annotated[list[str] | None, typer.Option(help="A store of steps to look in (may be repeated).")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it. Without, it is only listed.")] = False,
    as_json: Json = False,
) -> None:
    """List steps that no run refers to and what killed processes left behind; remove them with --yes."""
    from pipelines.runs import clean as cleaning
    from pipelines.runs.folder import found as found_in

    stores = _places(store or [])
    places = _places(run) if run else [] if stores else found_in([Path("runs")])
    found = cleaning.clean(places, stores) if yes else cleaning.find(places, stores)
    _tell_cleaned(found, yes, as_json)


def _tell_cleaned(found: Found, done: bool, as_json: bool) -> None:
    from pipelines.runs.amounts import bytes_text

    if as_json:
        scraps = [{"path": str(one.path), "why": one.why, "bytes": one.bytes} for one in found.scraps]
        print(json.dumps({"removed": done, "scraps": scraps, "freed_bytes": found.freed, "left": found.left}))
        return
    for one in found.scraps:
        print(f"{bytes_text(one.bytes):>10}  {one.path}  {one.why}")
    for text in found.left:
        print(f"left alone  {text}")
    if not found.scraps:
        print("nothing to remove")
    elif done:
        print(f"removed {len(found.scraps)}, {bytes_text(found.freed)} freed")
    else:
        print(f"{len(found.scraps)} to remove, {bytes_text(found.freed)} to be freed; nothing was touched: add --yes")


def _step_line(done: Finished) -> str:
    account = done.account
    sums = {"in": account.received, "kept": account.kept}
    sums |= {"dropped": account.dropped.total(), "failed": account.failed.total()}
    told = "  ".join(f"{name} {count:,}" for name, count in sums.items() if count or name in ("in", "kept"))
    return f"[bold]{done.name}[/]  {told}  " + ("[dim]reused[/]" if done.reused else f"{done.seconds:.1f} s")


def _place(text: str) -> Path:
    from pipelines.storage import at

    return at(text)


def _places(texts: list[str]) -> list[Path]:
    return [_place(text) for text in texts]


def _out() -> Console:
    """Return a console that breaks no line where nobody looks at it."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 500)


def _table(*columns: str) -> Any:
    """Return a table; the columns that begin with ">" are numbers."""
    from rich.table import Table

    table = Table(box=None)
    for column in columns:
        table.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left", overflow="fold")
    return table
