"""A run: plan the steps of a recipe, reuse what is finished, resume what is not, publish the mixture."""

from __future__ import annotations

import datetime
import importlib.metadata
import itertools
import logging
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipelines.document import canonical_json
from pipelines.engines.plan import Engine
from pipelines.recipe import Recipe
from pipelines.report.folder import RunFolder
from pipelines.sources.crawl import CrawlSource
from pipelines.sources.raw import GivesTables
from pipelines.sources.record import Source
from pipelines.steps.step import Finished, RunFailed, Steps, library_versions
from pipelines.storage import (
    Hold,
    check_writable,
    children,
    digest_of,
    exists,
    is_remote,
    lock,
    publish,
    read_json,
    remove,
    remove_file,
    sha256,
    write_json,
)
from pipelines.takedown.guard import NOTHING, Guard, guard_of

if TYPE_CHECKING:
    from filters import Rule

log = logging.getLogger(__name__)

RUN = "run.json"


@dataclass(frozen=True)
class Options:
    """How to run, as opposed to what: nothing here changes a byte of the mixture.

    Args:
        out: the run folder.
        crawl: a recorded crawl to read instead of crawling.
        store: a folder of steps that runs share, instead of the run's own.
        update: crawl again what was crawled before, conditionally.
        verify: share of the tasks that is run twice and compared.
        crawl_told: told of a crawl's progress.
        told: told of each step that is finished.
        begun: told of each step that begins.
    """

    out: Path
    crawl: Path | None = None
    store: Path | None = None
    update: bool = False
    verify: float = 0.0
    crawl_told: Callable[[str, int, int, str], None] | None = None
    told: Callable[[Finished], None] = lambda finished: None
    begun: Callable[[str], None] = lambda name: None


@dataclass
class Run:
    """The state of one build while it goes on."""

    recipe: Recipe
    options: Options
    steps: Steps
    finished: list[Finished] = field(default_factory=list[Finished])
    crawls: dict[str, Path] = field(default_factory=dict[str, Path])
    inputs: dict[str, str] = field(default_factory=dict[str, str])
    rules: tuple[Rule, ...] = ()
    """The recipe's rules with the numbers that they decide by, once measuring is done."""
    hold: Hold | None = None
    """The lock on the run folder, which a store can take away."""
    guard: Guard = NOTHING
    """What was taken down: in this run's folder before, or by a list that the recipe names."""

    def note(self, done: Finished) -> Finished:
        """Record a finished step; stop the run when too much failed in it, or the run folder is another's by now."""
        if self.hold is not None:
            self.hold.check()
        self.finished.append(done)
        self.options.told(done)
        account = done.account
        failed = account.failed.total()
        if account.received and failed > self.recipe.failure_budget * account.received:
            reasons = ", ".join(f"{reason} {count}" for reason, count in account.failed.most_common())
            raise RunFailed(
                f"step {done.name}: {failed} of {account.received} records failed ({reasons}); the recipe's "
                f"failure_budget is {self.recipe.failure_budget:g}. Look at the ledger in {done.folder}, "
                "or raise failure_budget"
            )
        return done


def prepare(recipe: Recipe, options: Options, engine: Engine, *, dry: bool = False) -> Run:
    """Set a run up; nothing is started."""
    root = options.store or options.out / "steps"
    steps = Steps(root, engine, dry, options.verify, recipe.hints(), options.begun)
    return Run(recipe, options, steps, guard=guard_of(options.out, recipe.takedowns))


def build(recipe: Recipe, options: Options, engine: Engine) -> Path:
    """Run a recipe from its sources to its mixtures; return the run folder.

    Raises RunFailed, RunLocked, AccountingError when a step's sums do not close, and the engine's errors.
    """
    check_writable(options.out)
    if options.store is not None:
        check_writable(options.store)
    from pipelines.takedown import takedown

    with lock(options.out, f"pomona build {recipe.name}") as hold:
        takedown.finish(options.out)  # one that was stopped half-way
        run = prepare(recipe, options, engine)
        run.hold = hold
        return _build(run)


def flow(run: Run) -> Made:
    """Run, or in a dry run plan, all steps from the sources to the mixture."""
    from pipelines import datatrove_blocks, rules
    from pipelines.steps import (
        blocks,
        collect,
        decide,
        decontaminate,
        dedup,
        extract,
        measure,
        mix,
        parts,
        select,
        tokenize,
    )
    from pipelines.thresholds import References

    recipe, steps = run.recipe, run.steps
    extracted: list[Finished] = []
    extractor = next((use for use in recipe.blocks if datatrove_blocks.sort_of(use) == "extractor"), None)
    for source in map(recipe.with_tokens, recipe.sources):
        reader: Source | GivesTables = _recorded(run, source) if isinstance(source, CrawlSource) else source
        parameters = source.model_dump(mode="json")
        done = extract.run(
            steps, source.name, reader, parameters, recipe.partitions, recipe.extract, extractor, run.guard
        )
        run.inputs[source.name] = done.digest
        extracted.append(run.note(done))
    measured = run.note(measure.run(steps, recipe.filters, extracted))
    run.rules = tuple(rules.resolved(recipe.filters.rules, References(extracted, measured)))
    decided = run.note(decide.run(steps, recipe, run.rules, extracted, measured))
    if uses := blocks.of_documents(recipe.blocks):
        decided = run.note(blocks.run(steps, uses, decided))
    for use in parts.before(recipe.dedup_parts):
        decided = run.note(parts.run(steps, use, decided, measured))
    near = deduplicated = run.note(dedup.run(steps, recipe, decided, measured))
    for use in parts.after(recipe.dedup_parts):
        deduplicated = run.note(parts.run(steps, use, deduplicated, measured))
    clean = run.note(decontaminate.run(steps, recipe.decontaminate, deduplicated, recipe.partitions))
    if (selected := select.run(steps, recipe.stages, clean, [measured])) is not None:
        run.note(selected)
    name, first = next(iter(recipe.stages.items()))
    weights = select.weights_by_source(first, name, selected)
    settings = recipe.tokenizer
    trained = run.note(tokenize.train(steps, clean, weights, settings, recipe.seed))
    tokenized = run.note(tokenize.run(steps, clean, trained, keep_lossy=settings.lossy == "keep"))
    mixed = run.note(mix.run(steps, recipe, clean, trained, tokenized, selected))
    return Made(trained, mixed, collect.run(steps, run.finished), near, clean)


def _recorded(run: Run, source: CrawlSource) -> Source:
    from pipelines.steps import crawl

    options = run.options
    if run.steps.dry:
        recorded = crawl.planned(source, options.crawl, options.out / "crawl")
        if recorded is None:
            return crawl.NotCrawled()
    else:
        recorded = crawl.record(
            source,
            options.crawl,
            options.out / "crawl",
            options.crawl_told,
            update=options.update,
            engine=run.steps.engine,
        )
    run.crawls[source.name] = recorded.folder
    run.note(crawl.run(run.steps, source.name, recorded, run.recipe.partitions))
    return recorded


class Made(NamedTuple):
    """The last steps of a flow."""

    trained: Finished
    mixed: Finished
    ledger: Finished
    near: Finished
    clean: Finished


def _build(run: Run) -> Path:
    from pipelines.runs import request
    from pipelines.steps import dedup_index, mix

    recipe, options = run.recipe, run.options
    run.steps.told = request.begin(run)
    created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    remove(options.out / "ledger")
    remove_file(options.out / RUN)
    made = flow(run)
    before = token_manifests(options.out)
    stages = mix.publish(options.out, recipe, made.mixed, made.trained, made.clean.facts.get("certificate"))
    set_aside_training(options.out, before)
    for entry in made.ledger.outputs["ledger"]:
        publish(made.ledger.folder / entry.path, options.out / entry.path)
    write_json(
        options.out / RUN,
        {
            "name": recipe.name,
            "created": created,
            "recipe": _with_rules(run),
            "recipe_digest": recipe.digest,
            "versions": versions(),
            "inputs": run.inputs,
            "steps": [described(one, options.out) for one in run.finished],
            "ledger": relative(made.ledger.folder, options.out),
            "stages": stages,
            "crawl": {name: relative(folder, options.out) for name, folder in run.crawls.items()},
            "store": None if options.store is None else str(options.store),
        },
    )
    _describe(run)
    if (fresh := dedup_index.remember(recipe, made.near, made.clean)) and recipe.dedup.index is not None:
        log.info("%s: %d documents added", recipe.dedup.index, fresh)
    return options.out


def token_manifests(out: Path) -> dict[str, str]:
    """Return the SHA-256 of each stage's token manifest."""
    manifests = [stage / "manifest.json" for stage in children(out / "tokens")]
    return {path.parent.name: sha256(path) for path in manifests if exists(path)}


def set_aside_training(out: Path, before: Mapping[str, str]) -> Path | None:
    """Move `train/` out of the way when it saw other tokens than the run holds now; nothing of it is lost.

    A training cannot go on with another mixture, so a rebuilt run starts a new one. Returns the new place, None where
    nothing had to move.
    """
    if is_remote(out) or not before or token_manifests(out) == before or not (out / "train").is_dir():
        return None
    name = digest_of(canonical_json(dict(before)).encode())
    place = next(
        path for n in itertools.count(1) if not (path := out / f"train-{name}{'' if n == 1 else f'-{n}'}").exists()
    )
    (out / "train").rename(place)
    log.warning("the mixture has changed: what was trained on the one before is kept in %s", place)
    return place


def _with_rules(run: Run) -> dict[str, Any]:
    """The resolved recipe, its presets and adaptive bounds written out as the rules that were applied."""
    resolved = run.recipe.resolved()
    resolved["filters"]["rules"] = [rule.model_dump(mode="json") for rule in run.rules]
    return resolved


def described(done: Finished, out: Path) -> dict[str, Any]:
    """Return what run.json says of a step."""
    return {
        "name": done.name,
        "digest": done.digest,
        "folder": relative(done.folder, out),
        **done.account.as_dict(),
        "seconds": done.seconds,
        "reused": done.reused,
    }


def relative(path: Path, base: Path) -> str:
    """Return a path below a folder as it is from there; any other as it is from anywhere."""
    path, base = path.resolve(), base.resolve()
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else str(path)


def versions() -> dict[str, str]:
    """Return the versions that run.json names."""
    return {
        "pomona": importlib.metadata.version("pomona"),
        "python": platform.python_version(),
        **library_versions(),
    }


def _describe(run: Run) -> None:
    """Write what people read: dataset cards, Croissant files and the report; the engine counts what they say."""
    from pipelines import card, report
    from pipelines.report import tally

    out = run.options.out
    run.steps.told(tally.STEP)
    sums = tally.gather(RunFolder.open(out), run.steps.engine)
    run.steps.told("11-describe")
    card.write(out, sums)
    report.write(out, sums)


def read(folder: Path) -> dict[str, Any]:
    """Read a finished run's `run.json`. Raises RunFailed when there is none."""
    if not exists(folder / RUN):
        raise RunFailed(
            f"{folder}: no finished run here (no {RUN}); `pomona build RECIPE --out {folder}` makes or resumes one"
        )
    return read_json(folder / RUN)
