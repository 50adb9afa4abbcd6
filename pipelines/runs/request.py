"""What a build was asked to do, written into its folder before anything runs: a killed run can be taken up from it."""

from __future__ import annotations

import datetime
import importlib.metadata
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from pipelines.steps.step import RunFailed
from pipelines.storage import at, children, digest_of, is_remote, read_json, size, write_json

if TYPE_CHECKING:
    from pipelines.run import Run

log = logging.getLogger(__name__)

REQUEST = "request.json"
USERS = "_runs"
"""Folder of a store in which every run that uses it is named, so that `clean` knows whom to ask."""


class Request(BaseModel):
    """The build that was asked for: the resolved recipe and where it was to run.

    `crawl` and `store` are absolute paths or URLs. `folder` is where relative paths of the recipe begin. `at` is the
    step that began last, "" before the first one.
    """

    name: str
    created: str
    version: str
    recipe: dict[str, Any]
    recipe_digest: str
    crawl: str | None = None
    store: str | None = None
    update: bool = False
    verify: float = 0.0
    engine: str
    workers: int
    folder: str
    at: str = ""


class User(BaseModel):
    """A run that uses a store: its address, and the machine that the address is true for."""

    run: str
    host: str


def address(path: Path) -> str:
    """Return a path as it can be found from any folder: absolute, or its URL."""
    return str(path) if is_remote(path) else str(path.resolve())


def begin(run: Run) -> Callable[[str], None]:
    """Write a run's request, tell its store of it, and return what has to be told of each step that begins."""
    recipe, options = run.recipe, run.options
    request = Request(
        name=recipe.name,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        version=importlib.metadata.version("pomona"),
        recipe=recipe.resolved(),
        recipe_digest=recipe.digest,
        crawl=None if options.crawl is None else address(options.crawl),
        store=None if options.store is None else address(options.store),
        update=options.update,
        verify=options.verify,
        engine=run.steps.engine.name,
        workers=run.steps.engine.workers,
        folder=str(Path.cwd()),
    )
    path = options.out / REQUEST
    write_json(path, request.model_dump())
    if options.store is not None:
        user = User(run=address(options.out), host=socket.gethostname())
        write_json(options.store / USERS / f"{digest_of(user.run.encode())}.json", user.model_dump())

    def begun(step: str) -> None:
        write_json(path, request.model_copy(update={"at": step}).model_dump())
        options.begun(step)

    return begun


def read(folder: Path) -> Request | None:
    """Read a run's request, None where there is none. Raises RunFailed when it is damaged."""
    path = folder / REQUEST
    if size(path) is None:
        return None
    try:
        return Request.model_validate(read_json(path))
    except ValueError as error:
        raise RunFailed(f"{path}: cannot be read here ({_first(error)}); build with the recipe again") from error


def users(store: Path) -> dict[Path, User]:
    """Return the runs that said they use a store, by the file that says so."""
    found: dict[Path, User] = {}
    for path in children(store / USERS):
        if path.suffix == ".json":
            try:
                found[path] = User.model_validate(read_json(path))
            except ValueError as error:
                raise RunFailed(
                    f"{path}: should name a run that uses this store ({_first(error)}); delete the file if none does"
                ) from error
    return found


def place_of(user: User) -> Path | None:
    """Return the folder of a run that uses a store; None where it is gone.

    Raises RunFailed when it may still be there on another machine.
    """
    path = at(user.run)
    if is_remote(path) or path.is_dir():
        return path
    if user.host == socket.gethostname():
        return None
    raise RunFailed(f"{user.run} on {user.host}: a run of another machine, which cannot be looked at from here")


def _first(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    one = error.errors()[0]
    return f"{'.'.join(map(str, one['loc']))}: {one['msg']}"
