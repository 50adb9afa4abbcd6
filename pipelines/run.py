"""A run: plan the steps of a recipe, reuse what is finished, resume what is not, publish the mixture."""

from __future__ import annotations

import datetime
import importlib.metadata
import itertools
import logging
import platform
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.document import canonical_json, concat
from pipelines.engines.plan import Engine
from pipelines.engines.task import read_parts
from pipelines.ledger import LEDGER_SCHEMA, sort
from pipelines.recipe import Recipe
from pipelines.sources.crawl import CrawlSource
from pipelines.sources.record import Source
from pipelines.steps import step as steps
from pipelines.steps.step import Finished, RunFailed
from pipelines.storage import digest_of, lock, read_json, sha256, write_json, write_parquet

log = logging.getLogger(__name__)

RUN = "run.json"


@dataclass(frozen=True)
class Options:
    """How to run, as opposed to what: nothing here changes a byte of the mixture."""

    out: Path
    crawl: Path | None = None
    store: Path | None = None
    crawl_told: Callable[[str, int, int, str], None] | None = None


Told = Callable[[Finished], None]


@dataclass
class Run:
    """The state of one build while it goes on."""

    recipe: Recipe
    options: Options
    engine: Engine
    told: Told = lambda finished: None
    finished: list[Finished] = field(default_factory=list[Finished])
    crawls: dict[str, Path] = field(default_factory=dict[str, Path])

    @property
    def root(self) -> Path:
        """Where step folders live: the run's own, or the store that runs share."""
        return self.options.store or self.options.out / "steps"

    def note(self, done: Finished) -> Finished:
        """Record a finished step; stop the run when too much failed in it."""
        self.finished.append(done)
        self.told(done)
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


def build(recipe: Recipe, options: Options, engine: Engine, told: Told = lambda finished: None) -> Path:
    """Run a recipe from its sources to its mixtures; return the run folder.

    Raises RunFailed, RunLocked, and AccountingError when a step's sums do not close.
    """
    with lock(options.out, f"pomona build {recipe.name}"):
        return _build(Run(recipe, options, engine, told))


def _build(run: Run) -> Path:
    from pipelines.steps import crawl, decide, decontaminate, dedup, extract, measure, mix, tokenize

    recipe, options, engine, root = run.recipe, run.options, run.engine, run.root
    created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    shutil.rmtree(options.out / "ledger", ignore_errors=True)
    (options.out / RUN).unlink(missing_ok=True)
    extracted: list[Finished] = []
    inputs: dict[str, str] = {}
    for source in recipe.sources:
        parameters = source.model_dump(mode="json")
        if isinstance(source, CrawlSource):
            recorded = crawl.record(source, options.crawl, options.out / "crawl", options.crawl_told)
            run.crawls[source.name] = recorded.folder
            run.note(crawl.run(engine, root, source.name, recorded, recipe.partitions))
            reader: Source = recorded
        else:
            reader = source
        done = extract.run(engine, root, source.name, reader, parameters, recipe.partitions)
        inputs[source.name] = done.digest
        extracted.append(run.note(done))
    measured = run.note(measure.run(engine, root, recipe.filters, extracted))
    decided = run.note(decide.run(engine, root, recipe, extracted, measured))
    deduplicated = run.note(dedup.run(engine, root, recipe, decided))
    clean = run.note(decontaminate.run(engine, root, recipe.decontaminate, deduplicated))
    first = next(iter(recipe.stages.values()))
    trained = run.note(
        tokenize.train(
            root, clean, first.weights, recipe.tokenizer.vocab_size, recipe.tokenizer.sample_bytes, recipe.seed
        )
    )
    tokenized = run.note(tokenize.run(engine, root, clean, trained))
    mixed = run.note(mix.run(engine, root, recipe, clean, trained, tokenized))
    before = _token_manifests(options.out)
    stages = mix.publish(options.out, recipe, mixed, trained)
    set_aside_training(options.out, before)
    _collect(run)
    write_json(
        options.out / RUN,
        {
            "name": recipe.name,
            "created": created,
            "recipe": _with_rules(recipe),
            "recipe_digest": recipe.digest,
            "versions": _versions(),
            "inputs": inputs,
            "steps": [_described(one, options.out) for one in run.finished],
            "stages": stages,
            "crawl": {name: _relative(folder, options.out) for name, folder in run.crawls.items()},
        },
    )
    _describe(options.out)
    return options.out


def _token_manifests(out: Path) -> dict[str, str]:
    return {path.parent.name: sha256(path) for path in sorted((out / "tokens").glob("*/manifest.json"))}


def set_aside_training(out: Path, before: Mapping[str, str]) -> Path | None:
    """Move `train/` out of the way when it saw other tokens than the run holds now; nothing of it is lost.

    A training cannot go on with another mixture, so a rebuilt run starts a new one. Returns the new place, None where
    nothing had to move.
    """
    if not before or _token_manifests(out) == before or not (out / "train").is_dir():
        return None
    name = digest_of(canonical_json(dict(before)).encode())
    place = next(
        path for n in itertools.count(1) if not (path := out / f"train-{name}{'' if n == 1 else f'-{n}'}").exists()
    )
    (out / "train").rename(place)
    log.warning("the mixture has changed: what was trained on the one before is kept in %s", place)
    return place


def _with_rules(recipe: Recipe) -> dict[str, Any]:
    """The resolved recipe, its presets written out as rules."""
    from pipelines import rules

    resolved = recipe.resolved()
    resolved["filters"]["rules"] = [rule.model_dump(mode="json") for rule in rules.resolved(recipe.filters.rules)]
    return resolved


def _described(done: Finished, out: Path) -> dict[str, Any]:
    return {
        "name": done.name,
        "digest": done.digest,
        "folder": _relative(done.folder, out),
        **done.account.as_dict(),
        "seconds": done.seconds,
        "reused": done.reused,
    }


def _relative(path: Path, base: Path) -> str:
    path, base = path.resolve(), base.resolve()
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else str(path)


def _versions() -> dict[str, str]:
    return {
        "pomona": importlib.metadata.version("pomona"),
        "python": platform.python_version(),
        **steps.library_versions(),
    }


def _collect(run: Run) -> None:
    """Bring the ledgers of all steps together: one part per partition, sorted by uri, so that `why` reads little."""
    with_ledger = [done for done in run.finished if "ledger" in done.outputs]
    for part in range(run.recipe.partitions):
        tables = read_parts([done.parts("ledger")[part] for done in with_ledger], 65_536)
        table = sort(concat(tables, LEDGER_SCHEMA), ("uri", "id", "step", "verdict", "reason", "evidence"))
        write_parquet(run.options.out / "ledger" / f"part-{part:05d}.parquet", table)


def _describe(out: Path) -> None:
    """Write what people read: dataset cards, Croissant files and the report."""
    from pipelines import card, report

    card.write(out)
    report.write(out)


def read(folder: Path) -> dict[str, Any]:
    """Read a finished run's `run.json`. Raises RunFailed when there is none."""
    if not (folder / RUN).exists():
        raise RunFailed(
            f"{folder}: no finished run here (no {RUN}); `pomona build RECIPE --out {folder}` makes or resumes one"
        )
    return read_json(folder / RUN)
