"""New mixtures of documents that are curated already: nothing is read, measured or judged again."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines import run as runs
from pipelines.document import canonical_json
from pipelines.engines.plan import Engine
from pipelines.recipe import Heldout, Name, Recipe, recipe_digest
from pipelines.recipe_errors import RecipeError, explain
from pipelines.recipe_file import RecipeFile
from pipelines.recipe_mix import StageMix
from pipelines.runs.folder import RunFolder
from pipelines.runs.folder import opened as run_opened
from pipelines.steps.step import Finished, RunFailed, Steps, opened
from pipelines.storage import (
    at,
    check_writable,
    exists,
    lock,
    publish,
    read_schema,
    read_table,
    remove,
    remove_file,
    sha256,
    write_json,
)
from pipelines.takedown import guard

INHERITED = ("tokens", "epochs", "sequence_length")
"""What a stage of the run keeps where the file says nothing of it."""


class Weights(BaseModel):
    """What `--weights` holds: stages as in a recipe, and a seed and held-out share other than the run's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name | None = None
    seed: int | None = None
    heldout: Heldout | None = None
    stages: Annotated[Mapping[Name, StageMix], Field(min_length=1)]


@dataclass(frozen=True)
class Curated:
    """A run whose documents are mixed again: its last steps."""

    folder: RunFolder
    recipe: Mapping[str, Any]
    finished: tuple[Finished, ...]
    clean: Finished
    measured: tuple[Finished, ...]
    trained: Finished
    tokenized: Finished

    @property
    def tokenizer(self) -> str:
        """SHA-256 of its tokenizer."""
        return self.trained.outputs["tokenizer"][0].sha256

    @property
    def signals(self) -> set[str]:
        """Signals that were measured of its documents."""
        return set.intersection(*(set(read_schema(one.parts("signals")[0]).names) for one in self.measured)) - {"id"}


def curated(path: Path) -> Curated:
    """Open a finished run. Raises RunFailed when it is not finished, or steps of it are gone."""
    folder = run_opened(path)
    if folder.facts is None:
        raise RunFailed(f"{path}: the run is {folder.progress}; `pomona runs resume {path}` finishes it")
    finished: list[Finished] = []
    for place in map(folder.place, (one["folder"] for one in folder.facts["steps"])):
        if not exists(place / "_manifest.json"):
            raise RunFailed(f"{place}: {path / runs.RUN} names this step and it is gone; build the run again")
        finished.append(opened(place, reused=True))

    def last(output: str) -> Finished:
        has = [one for one in finished if output in one.outputs]
        if not has:
            raise RunFailed(f"{path}: no step of the run has {output}; was it written by this version?")
        return has[-1]

    kept = tuple(one for one in finished if one.name not in ("06-select", "08-mix"))
    if "eos_id" not in last("tokenizer").facts:
        raise RunFailed(f"{path}: {last('tokenizer').folder} was written by an older version; build the run again")
    measured = tuple(one for one in finished if "signals" in one.outputs) or (last("signals"),)
    return Curated(folder, folder.facts["recipe"], kept, last("documents"), measured, last("tokenizer"), last("tokens"))


def read_weights(file: Path, base: Mapping[str, Any]) -> tuple[Weights, RecipeFile]:
    """Read a file of weights.

    A stage of the run that the file does not name stays, one that it says is null goes; others keep their budget and
    caps where the file gives none. Raises RecipeError with every mistake found.
    """
    given = RecipeFile.read(file)
    if isinstance(stages := given.value.get("stages"), dict):
        _inherit(cast("dict[str, Any]", stages), base["stages"])
    try:
        return Weights.model_validate(given.value), given
    except ValidationError as error:
        raise RecipeError(explain(error, Weights, given.value, given.path, given.lines)) from error


def _inherit(stages: dict[str, Any], base: Mapping[str, dict[str, Any]]) -> None:
    for name, own in base.items():
        if name not in stages:
            stages[name] = own
        elif stages[name] is None:
            del stages[name]
        elif isinstance(asked := stages[name], dict) and "preset" not in asked:
            kept = {field: own[field] for field in INHERITED if own.get(field) is not None and field not in asked}
            if isinstance(kept.get("epochs"), dict):  # caps by the names of other entries mean nothing here
                del kept["epochs"]
            asked |= kept


def mix(
    folders: Sequence[Path],
    weights: Path,
    out: Path,
    engine: Engine,
    *,
    tokenizer: Path | None = None,
    told: Callable[[Finished], None] = lambda finished: None,
) -> Path:
    """Mix the documents of finished runs by new weights into a run folder of their own; return it.

    The documents of several runs are put together; of a record that two have the first run's stays. A run of another
    number of partitions is brought into the first one's. All must have the same tokenizer, or `tokenizer` names the one
    among them whose tokenizer is used for all.

    Raises RecipeError where the weights are wrong or infeasible or runs do not go together, and RunFailed.
    """
    found = [curated(folder) for folder in folders]
    first = found[0]
    asked, file = read_weights(weights, first.recipe)
    recipe, described = _recipe(found, asked)
    listing = _taken_down([*folders, out])
    problems = [*_together(found, tokenizer), *_unknown(found, recipe, file), *_back_again(found, listing)]
    if out in folders or out.resolve() in [folder.resolve() for folder in folders]:
        problems.append(f"--out {out}: this is a run that is mixed again, which stays as it is; name another folder")
    if problems:
        raise RecipeError(problems)
    check_writable(out)
    with lock(out, f"pomona mix {recipe.name}"):
        return _mix(found, recipe, described, out, engine, weights, tokenizer, listing, told)


def _mix(
    found: Sequence[Curated],
    recipe: Recipe,
    described: dict[str, Any],
    out: Path,
    engine: Engine,
    weights: Path,
    tokenizer: Path | None,
    listing: guard.Listing,
    told: Callable[[Finished], None],
) -> Path:
    from pipelines import card, report
    from pipelines.report import folder as reported
    from pipelines.report import tally
    from pipelines.steps import collect, merge, mix, partition, select, tokenize

    created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    steps = Steps(out / "steps", engine, hints=recipe.hints())
    made: list[Finished] = []

    def note(done: Finished) -> Finished:
        made.append(done)
        told(done)
        return done

    remove(out / "ledger")
    remove_file(out / runs.RUN)
    main = next((one for one in found if tokenizer is not None and _same(one.folder.path, tokenizer)), found[0])
    tokenized = [
        one.tokenized
        if one.tokenizer == main.tokenizer
        else note(tokenize.run(steps, one.clean, main.trained, keep_lossy=recipe.tokenizer.lossy == "keep"))
        for one in found
    ]
    # Of runs that are tokenized again the own tokens, and the tokenizer that made them, are not this run's.
    left = {id(step) for one in found if one.tokenizer != main.tokenizer for step in (one.tokenized, one.trained)}
    kept = [[step for step in one.finished if id(step) not in left] for one in found]
    before = [step for each in kept for step in each]
    cleaned = [one.clean for one in found]
    told_in: list[Finished] = []
    for number, one in enumerate(found):
        ledgers = [*partition.told_once(kept[number]), *(step for step in made if step is tokenized[number])]
        if int(one.recipe["partitions"]) != recipe.partitions:
            moved = note(partition.run(steps, one.clean, tokenized[number], ledgers, recipe.partitions))
            cleaned[number] = tokenized[number] = moved
            ledgers = [moved]
        told_in += ledgers
    clean, tokens = cleaned[0], tokenized[0]
    if len(found) > 1:
        clean = tokens = note(merge.run(steps, cleaned, tokenized))
        told_in.append(clean)
    selected = select.run(steps, recipe.stages, clean, [each for one in found for each in one.measured])
    if selected is not None:
        note(selected)
    try:
        mixed = note(mix.run(steps, recipe, clean, main.trained, tokens, selected))
    except mix.Unmixable as error:
        raise Refused(error) from error
    ledger = collect.run(steps, [*told_in, mixed])
    certificates = [one.clean.facts.get("certificate") for one in found]
    before_tokens = runs.token_manifests(out)
    stages = mix.publish(out, recipe, mixed, main.trained, _certificate(certificates), recipe_digest(described))
    runs.set_aside_training(out, before_tokens)
    for entry in ledger.outputs["ledger"]:
        publish(ledger.folder / entry.path, out / entry.path)
    if listing.takedowns:
        write_json(out / guard.LIST, listing.model_dump(mode="json"))
    facts = [one.folder.facts or {} for one in found]
    write_json(
        out / runs.RUN,
        {
            "name": recipe.name,
            "created": created,
            "recipe": described,
            "recipe_digest": recipe_digest(described),
            "versions": runs.versions(),
            "inputs": {name: digest for one in reversed(facts) for name, digest in one["inputs"].items()},
            "steps": [runs.described(one, out) for one in [*before, *made]],
            "ledger": runs.relative(ledger.folder, out),
            "stages": stages,
            "crawl": {name: _absolute(one, place) for one in found for name, place in _crawls(one).items()},
            "store": None,
            "mixed_from": [
                {
                    "run": str(one.folder.path),
                    "recipe_digest": (one.folder.facts or {})["recipe_digest"],
                    "sha256": sha256(one.folder.path / runs.RUN),
                    "documents": one.clean.account.kept,
                    "tokenizer": one.tokenizer,
                }
                for one in found
            ],
            "weights": {"file": str(weights), "sha256": sha256(weights)},
        },
    )
    sums = tally.gather(reported.RunFolder.open(out), engine)
    card.write(out, sums)
    report.write(out, sums)
    return out


class Refused(RecipeError):
    """The weights cannot be met; `stages` has the nearest mixtures of each, as JSON-able values."""

    def __init__(self, error: Any) -> None:
        """Keep the numbers."""
        super().__init__([str(one) for one in error.problems])
        self.stages = [
            {"stage": one.stage, "problem": str(one), "budget": one.budget, "weights": one.weights}
            for one in error.problems
        ]


def _recipe(found: Sequence[Curated], asked: Weights) -> tuple[Recipe, dict[str, Any]]:
    """Return the recipe of the new run: the first run's, with the others' sources and the new stages.

    Also as run.json has it, where rules are written out as they were applied.
    """
    sources = {source["name"]: source for one in reversed(found) for source in one.recipe["sources"]}
    names = list(dict.fromkeys(source["name"] for one in found for source in one.recipe["sources"]))
    described: dict[str, Any] = {**found[0].recipe, "sources": [sources[name] for name in names]}
    described["stages"] = {name: mix.model_dump(mode="json") for name, mix in asked.stages.items()}
    for field, value in (("name", asked.name), ("seed", asked.seed), ("heldout", asked.heldout)):
        if value is not None:
            described[field] = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    plain = {**described, "filters": {**described["filters"], "rules": []}}
    try:
        return Recipe.model_validate(plain), described
    except ValidationError as error:
        one = error.errors()[0]
        where = ".".join(map(str, one["loc"]))
        raise RunFailed(
            f"{found[0].folder.path / runs.RUN}: its recipe cannot be read here ({where}: {one['msg']}); "
            "build the run again with this version"
        ) from error


def _together(found: Sequence[Curated], tokenizer: Path | None) -> list[str]:
    """Say why runs do not go together."""
    problems: list[str] = []
    first = found[0]
    if tokenizer is not None and not any(_same(one.folder.path, tokenizer) for one in found):
        listed = ", ".join(str(one.folder.path) for one in found)
        problems.append(f"--tokenizer {tokenizer}: not one of the runs that are mixed; valid here: {listed}")
    for number, one in enumerate(found[1:], 1):
        if any(_same(one.folder.path, earlier.folder.path) for earlier in found[:number]):
            problems.append(f"{one.folder.path}: given twice")
        if one.tokenizer != first.tokenizer and tokenizer is None:
            sizes = [int(run.trained.facts["vocab_size"]) for run in (first, one)]
            problems.append(
                f"{one.folder.path}: tokenizer {one.tokenizer[:12]} of {sizes[1]:,} tokens, {first.folder.path} has "
                f"{first.tokenizer[:12]} of {sizes[0]:,}; `--tokenizer {first.folder.path}` tokenizes all with that one"
            )
    return problems


def _taken_down(folders: Sequence[Path]) -> guard.Listing:
    """Join the take-downs of runs: what one of them gave up must not come back by another."""
    entries = [entry for folder in folders for entry in guard.listing_of(folder).takedowns]
    return guard.Listing(takedowns=tuple(dict.fromkeys(entries)))


def _back_again(found: Sequence[Curated], listing: guard.Listing) -> list[str]:
    """Say which runs still hold what was taken down in another of them, or where the mixture goes."""
    refuse = guard.Guard.of(listing.takedowns)
    problems: list[str] = []
    for one in found if refuse else ():
        held: Counter[str] = Counter()
        for path in one.clean.parts("documents"):
            held.update(refuse.refused(read_table(path, ["id", "uri", "license"])).drop_null().to_pylist())
        if held:
            said = ", ".join(f"{by} ({count:,} documents)" for by, count in sorted(held.items())[:5])
            problems.append(
                f"{one.folder.path}: holds what was taken down in another run of these: {said}; "
                f"`pomona takedown {one.folder.path}` takes it down here too"
            )
    return problems


def _unknown(found: Sequence[Curated], recipe: Recipe, file: RecipeFile) -> list[str]:
    """Say what the weights name that the runs do not have."""
    from pipelines.recipe_checks import stage_problems

    return stage_problems(recipe, file.place, set.intersection(*(one.signals for one in found)))


def _certificate(certificates: Sequence[Any]) -> Mapping[str, Any] | None:
    """Return the certificate of one run; of several only where all have the same."""
    if len({canonical_json(one) for one in certificates}) == 1:
        return certificates[0]
    return {
        "checked": all(one and one.get("checked") for one in certificates),
        "why": "each run was checked on its own",
        "runs": list(certificates),
    }


def _same(one: Path, two: Path) -> bool:
    return one == two or one.resolve() == two.resolve()


def _crawls(one: Curated) -> Mapping[str, str]:
    return (one.folder.facts or {}).get("crawl") or {}


def _absolute(one: Curated, place: str) -> str:
    path = one.folder.place(place)
    return str(path) if "://" in str(path) else str(path.resolve())


def destination(name: str | None, weights: Path) -> Path:
    """Return where a mixture lies that names no folder: runs/<name of the weights file>."""
    return at(name) if name is not None else Path("runs") / weights.stem
