"""A recipe that will run on other machines: its form is checked here, what it refers to is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from pipelines.recipe import Recipe
from pipelines.recipe_errors import RecipeError, explain
from pipelines.recipe_file import RecipeFile


def load_for_elsewhere(recipe: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe but for what it refers to.

    Raises:
        RecipeError: every mistake found; a relative path is one, for the job does not run in this folder.
    """
    file = RecipeFile.read(recipe, overrides)
    try:
        loaded = Recipe.model_validate(file.value)
    except ValidationError as error:
        raise RecipeError(explain(error, Recipe, file.value, file.path, file.lines, file.overridden)) from error
    relative = [
        f"{file.place(*at)}: {path} is relative, and the job does not run in this folder; give an address or an "
        "absolute path that is there"
        for at, path in _paths(loaded.model_dump())
        if not path.is_absolute() and ":/" not in str(path)
    ]
    if relative:
        raise RecipeError(relative)
    return loaded


def _paths(value: object, at: tuple[str | int, ...] = ()) -> list[tuple[tuple[str | int, ...], Path]]:
    if isinstance(value, Path):
        return [(at, value)]
    if isinstance(value, Mapping):
        return [found for key, one in value.items() for found in _paths(one, (*at, str(key)))]
    if isinstance(value, list | tuple):
        return [found for key, one in enumerate(value) for found in _paths(one, (*at, key))]
    return []
