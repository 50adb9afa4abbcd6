"""What a recipe's sections on duplicates refer to must exist: presets, sources, signals, indexes, encoders."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from pydantic import ValidationError

from pipelines.recipe import Recipe
from pipelines.recipe_errors import nearest
from pipelines.recipe_file import Place
from pipelines.recipe_parts import BloomUse, SemanticUse

Measured = Callable[[], set[str]]
"""Says which signals of documents the recipe measures."""


def problems(recipe: Recipe, place: Place, measured: Measured) -> list[str]:
    """Return one line for each thing that is referred to and is not there, or does not go with another."""
    return [*_copies(recipe, place, measured), *_parts(recipe, place, measured)]


def _copies(recipe: Recipe, place: Place, measured: Measured) -> list[str]:
    from dedup import Index
    from dedup.config import PRESETS
    from dedup.segments import MANIFEST, IndexRefusedError
    from pipelines.steps.dedup_index import configured

    asked = recipe.dedup
    if asked.preset not in PRESETS:
        return [f"{place('dedup', 'preset')}: no preset {asked.preset!r}{nearest(asked.preset, PRESETS)}"]
    found: list[str] = []
    names = [source.name for source in recipe.sources]
    for field, given in (("sources", asked.sources), ("protect", asked.protect)):
        for position, name in enumerate(given):
            if name not in names:
                found.append(f"{place('dedup', field, position)}: no source {name!r}{nearest(name, names)}")
    if asked.quality is not None and asked.quality not in (known := measured()):
        found.append(
            f"{place('dedup', 'quality')}: no signal {asked.quality!r} is measured{nearest(asked.quality, known)}"
        )
    try:
        config = configured(asked)
        if asked.index is not None and (asked.url is not None or asked.edit_similarity is not None):
            found.append(
                f"{place('dedup', 'index')}: an index stores neither texts nor URLs; leave out url and "
                "edit_similarity, or the index"
            )
        elif asked.index is not None and asked.within == "source":
            found.append(
                f"{place('dedup', 'index')}: an index does not know its documents' sources, so that 'within: source' "
                "would drop copies across sources; leave out within, or give each source a run and an index of its own"
            )
        elif asked.index is not None and ((asked.index / MANIFEST).exists() or not asked.index_add):
            Index.open(asked.index, config)
    except IndexRefusedError as error:
        found.append(f"{place('dedup', 'index')}: {error}")
    except ValidationError as error:  # values that do not go together
        found += [f"{place('dedup')}: {one['msg'].removeprefix('Value error, ')}" for one in error.errors()]
    return found


def _parts(recipe: Recipe, place: Place, measured: Measured) -> list[str]:
    if not recipe.dedup_parts:
        return []
    from dedup.bloom import BloomSize, FilterTooLarge

    names = [source.name for source in recipe.sources]
    types = [use.type for use in recipe.dedup_parts]
    found: list[str] = []
    for index, use in enumerate(recipe.dedup_parts):
        where = place("dedup_parts", index)
        if use.type in types[:index]:
            found.append(f"{where}.type: {use.type!r} is there already; each type of duplicates is looked for once")
        if isinstance(use, BloomUse) and use.ngrams is not None:
            try:
                BloomSize.of(use.ngrams, use.false_positive_rate).check(
                    use.ngrams, use.false_positive_rate, int(use.memory_gb * 1e9)
                )
            except FilterTooLarge as error:
                found.append(f"{where}.ngrams: {error}")
        if isinstance(use, SemanticUse):
            found += _semantic(use, where, measured())
        for field in ("sources", "prefer"):
            unknown = [name for name in getattr(use, field) if name not in names]
            found += [f"{where}.{field}: no source {name!r}{nearest(name, names)}" for name in unknown]
    return found


def _semantic(use: SemanticUse, where: str, measured: set[str]) -> list[str]:
    from pipelines.steps.semantic_vectors import ENCODERS

    found = [f"{where}.embeddings: {path}: no such file" for path in use.embeddings if not path.is_file()]
    for field in ("quality", "difficulty"):
        name = getattr(use, field)
        if name is not None and name not in measured:
            found.append(f"{where}.{field}: no signal {name!r} is measured{nearest(name, measured)}")
    if use.encoder is not None:
        try:
            importlib.import_module(ENCODERS).encoder_folder(use.encoder)
        except (ModuleNotFoundError, FileNotFoundError) as error:
            found.append(f"{where}.encoder: {error}")
    return found
