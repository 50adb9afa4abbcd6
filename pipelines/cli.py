"""The command line: `pomona build`, `crawl`, `why`, `report`, `runs`, `train`, `jobs`, `schedule` and more.

Exit codes: 0 done, 1 the run failed, 2 the request was wrong. Everything heavy is imported inside its command.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from pipelines.certify_cli import EPILOG as CERTIFY_EPILOG
from pipelines.certify_cli import certify
from pipelines.diff.cli import EPILOG as DIFF_EPILOG
from pipelines.diff.cli import diff
from pipelines.label.cli import EPILOG as LABEL_EPILOG
from pipelines.label.cli import label
from pipelines.mix_cli import EPILOG as MIX_EPILOG
from pipelines.mix_cli import mix, print_mixtures
from pipelines.proxies.cli import COMPARE_EPILOG, OPTIMIZE_EPILOG, compare, optimize
from pipelines.quality_cli import app as quality_app
from pipelines.report.cli import EPILOG as REPORT_EPILOG
from pipelines.report.cli import report
from pipelines.runs.cli import app as runs_app
from pipelines.schedule.cli import EPILOG as SCHEDULE_EPILOG
from pipelines.schedule.cli import schedule
from pipelines.takedown.cli import EPILOG as TAKEDOWN_EPILOG
from pipelines.takedown.cli import takedown
from pipelines.tokenizer_cli import app as tokenizer_app
from pipelines.trace.cli import EPILOG as TRACE_EPILOG
from pipelines.trace.cli import trace
from pipelines.version import Version
from trainer.cli import eval_command, generate_command
from trainer.errors import RequestError
from trainer.jobs.cli import app as jobs_app

if TYPE_CHECKING:
    from pipelines.recipe import Recipe
    from pipelines.steps.step import Finished

app = typer.Typer(
    name="pomona",
    help="Turn the open web, code and mathematics into weighted mixtures, and train language models on them.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
console = Console(stderr=True, highlight=False)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines on standard output.")]
RecipeArgument = Annotated[Path, typer.Argument(help="The recipe, a YAML file.", show_default=False)]
RunFolder = Annotated[str, typer.Argument(help="A run folder, or URL, that `pomona build` made.", show_default=False)]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change one field: path=value, for example `--set heldout.fraction=0.02`."),
]


EngineName = Annotated[str, typer.Option(help="Where to run: local, ray or beam.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes. [default: all cores]")]
Memory = Annotated[
    str | None, typer.Option(help="Bytes of rows to hold in memory, such as 8GB. [default: half of what is free]")
]
Address = Annotated[
    str | None, typer.Option(help="A running cluster to join: `auto`, host:port or ray://host:port. [default: none]")
]
EngineOptions = Annotated[
    list[str] | None,
    typer.Option("--option", help="An option for Beam's runner, such as `runner=FlinkRunner` (may be repeated)."),
]

Submit = Annotated[str | None, typer.Option(help="Run as a job: local or ray.", show_default=False)]
Follow = Annotated[bool, typer.Option(help="Follow a submitted job's log; Ctrl-C leaves it running.")]


@app.callback()
def options(version: Version = False) -> None:
    """Take what stands before a command; the application's help is told in its place."""


def main() -> None:
    """Run the command line; mistakes of the user end with 2, failures of the run with 1."""
    from pipelines.engines.settings import BadSettings
    from pipelines.recipe_errors import RecipeError

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        app()
    except RecipeError as error:
        for problem in error.problems:
            console.print(f"[bold red]wrong[/] {_escaped(problem)}", soft_wrap=True)
        sys.exit(2)
    except (RequestError, BadSettings) as error:
        console.print(f"[bold red]wrong[/] {_escaped(str(error))}", soft_wrap=True)
        sys.exit(2)
    except ModuleNotFoundError as error:
        name = error.name or str(error)
        console.print(f"[bold red]not installed[/] {name}: {_escaped(_extra(name))}", soft_wrap=True)
        sys.exit(2)
    except Exception as error:  # every other failure we know is said in one line, not as a traceback
        if not _known(error):
            raise
        console.print(f"[bold red]failed[/] {_escaped(str(error))}", soft_wrap=True)
        sys.exit(1)


def _known(error: Exception) -> bool:
    """Say whether an error is one that a command raises on purpose, with a message for the user."""
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in (
        "pipelines",
        "trainer",
        "filters",
        "dedup",
        "decontam",
    )


def _extra(module: str) -> str:
    extras = {"torch": "train", "mwparserfromhell": "wiki", "py7zr": "stackexchange", "lightgbm": "learn"}
    extras |= dict.fromkeys(("dulwich", "detect_secrets"), "code")
    extras |= dict.fromkeys(("kenlm", "sentencepiece"), "perplexity")
    half = extras.get(module.partition(".")[0], "curate")
    return f"install it with  pip install -c constraints.txt '.[{half}]'"


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)


@app.command(epilog="Example: pomona build recipes/sample.yaml --workers 2")
def build(
    recipe: RecipeArgument,
    out: Annotated[str | None, typer.Option(help="Run folder, or URL. [default: runs/<name of the recipe>]")] = None,
    crawl: Annotated[str | None, typer.Option(help="Read this recorded crawl instead of crawling.")] = None,
    store: Annotated[str | None, typer.Option(help="Folder or URL of steps that several runs share.")] = None,
    engine: EngineName = "local",
    workers: Workers = None,
    memory: Memory = None,
    address: Address = None,
    option: EngineOptions = None,
    update: Annotated[
        bool, typer.Option("--update", help="Crawl again what was crawled before, fetching only what is new.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would run, and what it would cost.")] = False,
    price: Annotated[
        float | None,
        typer.Option(
            "--price-per-core-hour",
            min=0,
            envvar="POMONA_PRICE_PER_CORE_HOUR",
            help="For the cost that --dry-run says.",
        ),
    ] = None,
    verify: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the tasks to run twice and compare, such as 0.05.")
    ] = 0.0,
    submit: Submit = None,
    follow: Follow = True,
    set_: Sets = None,
    as_json: Json = False,
) -> None:
    """Build a recipe's mixtures from its sources. Finished steps are reused; a killed run goes on where it was."""
    from pipelines import run as runs
    from pipelines.engines import settings
    from pipelines.progress import Bars
    from pipelines.recipe_errors import RecipeError
    from pipelines.storage import at, exists

    if submit is not None:
        from pipelines.jobs.build import submit_build

        options = {
            "--out": out, "--crawl": crawl, "--store": store, "--engine": engine, "--workers": workers,
            "--memory": memory, "--address": address, "--option": option, "--update": update,
            "--verify": verify or None, "--set": set_,
        }  # fmt: skip
        raise typer.Exit(submit_build(recipe, options, to=submit, follow=follow, as_json=as_json))
    loaded = _load(recipe, set_)
    if crawl is not None and not exists(at(crawl)):
        raise RecipeError([f"--crawl {crawl}: no such folder; `pomona crawl {recipe} --out {crawl}` records one"])
    folder = at(out) if out else Path("runs") / loaded.name
    if dry_run:
        from pipelines import dry_run as told
        from pipelines import estimate

        planned = runs.Options(folder, at(crawl) if crawl else None, at(store) if store else None, update)
        found = estimate.estimate(loaded, planned, estimate.Standing.of(engine, workers), price)
        told.tell(found, as_json)
        return
    with Bars(console) as bars:
        options = runs.Options(
            folder,
            at(crawl) if crawl else None,
            at(store) if store else None,
            update=update,
            verify=verify,
            crawl_told=bars.crawl,
            told=lambda done: bars.say(_step_line(done)),
        )
        asked = settings.Settings(engine, workers, memory, address, tuple(option or ()))
        with settings.opened(asked, bars.tasks) as made:
            runs.build(loaded, options, made)
    described = runs.read(folder)
    if as_json:
        print(json.dumps({"run": str(folder), **described}))
        return
    print_mixtures(folder, described, Console(highlight=False))


def _load(file: Path, overrides: list[str] | None) -> Recipe:
    from pipelines.recipe import load

    return load(file, overrides or ())


def _step_line(done: Finished) -> str:
    account = done.account
    parts = [f"[bold]{done.name}[/]", f"in {account.received:,}", f"kept {account.kept:,}"]
    parts += [f"[yellow]dropped {account.dropped.total():,}[/]"] if account.dropped else []
    parts += [f"[red]failed {account.failed.total():,}[/]"] if account.failed else []
    reasons = [*account.dropped.most_common(3), *account.failed.most_common(2)]
    told = ", ".join(f"{_escaped(reason)} {count:,}" for reason, count in reasons)
    return (
        "  ".join(parts)
        + (f"  ({told})" if told else "")
        + ("  [dim]reused[/]" if done.reused else f"  {done.seconds:.1f} s")
    )


@app.command(epilog="Example: pomona crawl recipes/sample.yaml --out crawls/monday")
def crawl(
    recipe: RecipeArgument,
    out: Annotated[Path, typer.Option(help="Folder for WARC files and the ledger.")],
    set_: Sets = None,
    as_json: Json = False,
) -> None:
    """Record every web source of a recipe as WARC, politely. `pomona build --crawl OUT` reads it."""
    from pipelines.progress import Bars
    from pipelines.recipe_errors import RecipeError
    from pipelines.steps import crawl as step

    loaded = _load(recipe, set_)
    sources = [source for source in loaded.sources if source.type == "crawl"]
    if not sources:
        raise RecipeError([f"{recipe}: no source of type 'crawl'"])
    with Bars(console) as bars:
        recorded = {source.name: step.record(source, None, out, bars.crawl) for source in sources}
    for name, one in recorded.items():
        manifest = one.manifest()
        sums = {
            key: manifest[key] for key in ("in", "kept", "dropped", "failed", "bytes", "seconds") if key in manifest
        }
        if as_json:
            print(json.dumps({"source": name, "folder": str(one.folder), **sums}))
        else:
            print(f"{name}  {one.folder}  " + "  ".join(f"{key} {value}" for key, value in sums.items()))


@app.command(epilog="Example: pomona why runs/sample http://pydoc.localhost/json.html")
def why(
    run: RunFolder,
    key: Annotated[str, typer.Argument(help="A record's id or address.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Tell everything known of one record, kept or not: values, thresholds, the duplicate's parent, robots rules."""
    from pipelines import why as stories
    from pipelines.recipe_errors import RecipeError
    from pipelines.storage import at

    try:
        story = stories.why(at(run), key)
    except stories.UnknownRecord as error:
        raise RecipeError([str(error)]) from error
    if as_json:
        print(json.dumps(story.as_dict(), ensure_ascii=False))
    else:
        stories.render(story, Console(highlight=False))


@app.command(epilog="Example: pomona whatif runs/sample --set gopher-few-stop-words=1")
def whatif(
    run: RunFolder,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a rule: `RULE=bound`, `RULE.min=bound`, `RULE.action=tag`, `RULE=off`."),
    ] = None,
    samples: Annotated[int, typer.Option(min=0, help="Documents to show for each rule and direction.")] = 3,
    as_json: Json = False,
) -> None:
    """Say which documents and tokens other rules would gain and lose, from stored signals; nothing is run."""
    from pipelines import whatif as asked
    from pipelines.storage import at
    from pipelines.whatif_text import render

    found = asked.whatif(at(run), set_ or (), samples)
    if as_json:
        print(json.dumps(found.as_dict(), ensure_ascii=False))
    else:
        render(found, Console(highlight=False))


@app.command(epilog="Example: pomona train recipes/sample.yaml")
def train(
    recipe: RecipeArgument,
    run: Annotated[Path | None, typer.Option(help="Run folder with the mixture. [default: runs/<name>]")] = None,
    mixture: Annotated[
        Path | None, typer.Option(help="Folder with `tokens/` and `tokenizer/`, instead of --run.")
    ] = None,
    stage: Annotated[list[str] | None, typer.Option(help="Only this stage (may be repeated).")] = None,
    resume: Annotated[bool, typer.Option(help="Continue from the last checkpoint.")] = True,
    submit: Submit = None,
    address: Annotated[str | None, typer.Option(help="The cluster to submit to.", show_default=False)] = None,
    gpus: Annotated[float | None, typer.Option(min=0, help="GPUs that a submitted job asks for.")] = None,
    follow: Follow = True,
    set_: Sets = None,
    as_json: Json = False,
) -> None:
    """Train through a recipe's stages on the mixture that `pomona build` made. A stopped training goes on."""
    from pipelines.recipe_errors import RecipeError, nearest
    from pipelines.recipe_file import RecipeFile, check_train
    from trainer import cli as training

    file = RecipeFile.read(recipe, set_ or ())
    config, problems = check_train(file)
    if config is None:
        raise RecipeError(problems)
    if submit is not None:
        from trainer.jobs.submit import submit_train

        options = {"--run": run, "--mixture": mixture, "--stage": stage, "--no-resume": not resume, "--set": set_}
        raise typer.Exit(
            submit_train(recipe, options, to=submit, address=address, gpus=gpus, follow=follow, as_json=as_json)
        )
    folder = mixture or run or Path("runs") / str(file.value.get("name", recipe.stem))
    if not (folder / "tokens").is_dir():
        raise RecipeError([f"{folder}: no tokens/ here; `pomona build {recipe}` makes them"])
    known = list(config.stages)
    for name in stage or []:
        if name not in known:
            raise RecipeError([f"--stage {name}: not a stage of the recipe's train section{nearest(name, known)}"])
    summary = training.train(
        folder, config, stage, (run or folder) / "train", resume, console=Console(stderr=True, quiet=as_json)
    )
    if as_json:
        print(summary.model_dump_json())


app.command("certify", epilog=CERTIFY_EPILOG)(certify)
app.command("report", epilog=REPORT_EPILOG)(report)
app.command("generate")(generate_command)
app.command("eval")(eval_command)
app.add_typer(runs_app, name="runs")
app.add_typer(jobs_app, name="jobs")
app.command("schedule", epilog=SCHEDULE_EPILOG)(schedule)
app.command("label", epilog=LABEL_EPILOG)(label)
app.add_typer(quality_app, name="quality")
app.command("mix", epilog=MIX_EPILOG)(mix)
app.command("compare", epilog=COMPARE_EPILOG)(compare)
app.command("optimize", epilog=OPTIMIZE_EPILOG)(optimize)
app.command("takedown", epilog=TAKEDOWN_EPILOG)(takedown)
app.add_typer(tokenizer_app, name="tokenizer")
app.command("diff", epilog=DIFF_EPILOG)(diff)
app.command("trace", epilog=TRACE_EPILOG)(trace)


@app.command(epilog="Example: pomona doctor")
def doctor(as_json: Json = False) -> None:
    """Say what this installation can do: versions, cores, memory, devices, evaluation data."""
    from pipelines.doctor import examine

    found = examine()
    if as_json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:<16} {value}")


if __name__ == "__main__":
    main()
