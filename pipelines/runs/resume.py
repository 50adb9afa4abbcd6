"""`pomona runs resume`: a build taken up from its folder alone, with the recipe as it was."""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from pipelines import run as runs
from pipelines.engines.plan import Engine
from pipelines.recipe import Recipe
from pipelines.recipe_checks import problems
from pipelines.recipe_errors import RecipeError
from pipelines.runs.folder import opened
from pipelines.runs.request import REQUEST, Request, address
from pipelines.steps.step import Finished, RunFailed
from pipelines.storage import at

log = logging.getLogger(__name__)


def requested(folder: Path) -> Request:
    """Return what a run was asked for. Raises RunFailed where that is not known."""
    found = opened(folder).request
    if found is None:
        raise RunFailed(
            f"{folder}: no {REQUEST} here, so that its recipe is needed: `pomona build RECIPE --out {folder}`"
        )
    return found


def recipe_of(request: Request, folder: Path) -> Recipe:
    """Read and check a request's recipe. Raises RecipeError when this version does not take it, or input is gone."""
    path = folder / REQUEST
    try:
        recipe = Recipe.model_validate(request.recipe)
    except ValidationError as error:
        version = importlib.metadata.version("pomona")
        raise RecipeError(
            [
                f"{path}: recipe.{'.'.join(map(str, one['loc']))}: {one['msg']} (asked for with pomona "
                f"{request.version}, this is {version})"
                for one in error.errors()
            ]
        ) from error
    found = problems(recipe, lambda *at: f"{path}: recipe.{'.'.join(map(str, at))}")
    if found:
        raise RecipeError(found)
    return recipe


def resume(
    folder: Path,
    request: Request,
    engine: Engine,
    *,
    told: Callable[[Finished], None] = lambda done: None,
    crawl_told: Callable[[str, int, int, str], None] | None = None,
) -> Path:
    """Go on with a run; what is finished of it is reused. Return its folder.

    Relative paths of its recipe begin where they did: the folder that the build was started in is this process's
    while it runs. Raises RecipeError and what `run.build` does.
    """
    out = at(address(folder))
    start = Path(request.folder)
    with contextlib.chdir(start) if start.is_dir() else contextlib.nullcontext():
        options = runs.Options(
            out,
            at(request.crawl) if request.crawl else None,
            at(request.store) if request.store else None,
            update=request.update,
            verify=request.verify,
            told=told,
            crawl_told=crawl_told,
        )
        return runs.build(recipe_of(request, out), options, engine)
