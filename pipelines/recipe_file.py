"""A recipe as it stands in its file: values, lines, and what the command line changed.

Importing this needs neither the curation packages nor torch, so that `pomona train` works where only the trainer is
installed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from pipelines import yaml_lines
from pipelines.recipe_errors import RecipeError, explain, nearest

if TYPE_CHECKING:
    from trainer.recipe import TrainConfig

At = tuple[str | int, ...]
Place = Callable[..., str]
"""Says where a field stands in the file, given its path."""


@dataclass(frozen=True)
class RecipeFile:
    """A recipe's YAML: its value, the line of each path, and the paths that `--set` gave."""

    path: Path
    value: dict[str, Any]
    lines: Mapping[At, int]
    overridden: Mapping[At, str]

    @classmethod
    def read(cls, path: Path, overrides: Sequence[str] = ()) -> RecipeFile:
        """Read a file and apply overrides. Raises RecipeError when it cannot be read or is not a mapping."""
        try:
            value, lines = yaml_lines.load(path)
        except yaml_lines.YamlError as error:
            raise RecipeError([str(error)]) from error
        except (OSError, UnicodeDecodeError) as error:
            near = [str(one) for one in sorted(path.parent.glob("*.y*ml"))] if path.parent.is_dir() else []
            reason = error.strerror if isinstance(error, OSError) else error
            raise RecipeError(
                [f"{path}: cannot read the recipe: {reason}{nearest(str(path), near) if near else ''}"]
            ) from error
        if not isinstance(value, dict):
            raise RecipeError([f"{path}:1: a recipe is a mapping of fields; found {type(value).__name__}"])
        overridden = {_override(value, one): f"--set {one}" for one in overrides}
        return cls(path, value, lines, overridden)

    def place(self, *at: str | int) -> str:
        """Say where a path stands: `file:line: path`, or the `--set` that gave it."""
        given = next((text for path, text in self.overridden.items() if at[: len(path)] == path), None)
        where = given or f"{self.path}:{yaml_lines.line_of(dict(self.lines), at)}"
        return f"{where}: {'.'.join(str(part) for part in at)}"


def check_train(file: RecipeFile) -> tuple[TrainConfig | None, list[str]]:
    """Check the `train:` section alone; return it, or the problems found in it."""
    from trainer.recipe import TrainConfig

    section = file.value.get("train")
    if section is None:
        return None, [f"{file.path}: no 'train:' section"]
    try:
        return TrainConfig.model_validate(section), []
    except ValidationError as error:
        lines = {path[1:]: line for path, line in file.lines.items() if path[:1] == ("train",)}
        given = {path[1:]: text for path, text in file.overridden.items() if path[:1] == ("train",)}
        told = explain(error, TrainConfig, section, file.path, lines, given)
        return None, [line.replace(": ", ": train.", 1) for line in told]


def _override(value: Any, given: str) -> At:
    """Set one `path=value` in place; return the path. List items are named by index or by their `name`."""
    dotted, equals, text = given.partition("=")
    if not equals or not dotted:
        raise RecipeError([f"--set {given}: expected path=value, for example --set tokenizer.vocab_size=4096"])
    try:
        new = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError([f"--set {given}: the value is not valid YAML: {error}"]) from error
    path: list[str | int] = []
    at = value
    *outer, last = dotted.split(".")
    for part in outer:
        key = _key(at, part, path, given)
        if isinstance(at, dict) and at.get(key) is None:
            at[key] = {}
        path.append(key)
        at = at[key]
    key = _key(at, last, path, given)
    at[key] = new
    return (*path, key)


def _key(at: Any, part: str, path: list[str | int], given: str) -> str | int:
    """Return what one part of a dotted path means inside `at`."""
    if isinstance(at, dict):
        return part
    where = ".".join(map(str, path)) or "the recipe"
    if not isinstance(at, list):
        raise RecipeError([f"--set {given}: {where} holds no fields"])
    names = [one.get("name") for one in at if isinstance(one, dict)]
    if part in names:
        return next(n for n, one in enumerate(at) if isinstance(one, dict) and one.get("name") == part)
    if part.isdigit() and int(part) < len(at):
        return int(part)
    known = [str(name) for name in names if name] or [f"0 to {len(at) - 1}"]
    raise RecipeError([f"--set {given}: no item {part!r} in {where}{nearest(part, known)}"])
