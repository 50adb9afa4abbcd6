"""Answers to mistakes in a recipe: file, line, path, what was found, what was expected, the nearest valid name."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pipelines import yaml_lines


class RecipeError(Exception):
    """The request was wrong. `problems` holds one line for each mistake; nothing has been started."""

    def __init__(self, problems: list[str]) -> None:
        """Keep the problems; the message is all of them."""
        super().__init__("\n".join(problems))
        self.problems = problems


def explain(
    error: ValidationError,
    model: type[BaseModel],
    value: Any,
    file: Path,
    lines: Mapping[tuple[str | int, ...], int],
    overridden: Mapping[tuple[str | int, ...], str] | None = None,
) -> list[str]:
    """Turn a pydantic error into one line a mistake.

    `lines` maps paths to lines of the file; `overridden` maps paths that came from the command line to how they were
    given, since those stand on no line.
    """
    told = [
        _one(detail, model, value, file, lines, overridden or {})
        for detail in error.errors(include_url=False, include_context=True)
    ]
    return list(dict.fromkeys(told))


def _one(
    detail: ErrorDetails,
    model: type[BaseModel],
    value: Any,
    file: Path,
    lines: Mapping[tuple[str | int, ...], int],
    overridden: Mapping[tuple[str | int, ...], str],
) -> str:
    at = _real_path(detail["loc"], value)
    kind = detail["type"]
    name = ".".join(str(part) for part in at) or "the recipe"
    place = (
        next(
            (given for path, given in overridden.items() if at[: len(path)] == path or (path[: len(at)] == at and at)),
            None,
        )
        or f"{file}:{yaml_lines.line_of(dict(lines), at)}"
    )
    if kind == "extra_forbidden":
        names = sorted(_names(model, detail["loc"][:-1]))
        return f"{place}: {name}: unknown field{_nearest(str(at[-1]), names)}"
    if kind == "missing":
        return f"{place}: {name}: required field is missing"
    found = _short(detail.get("input"))
    expected = detail["msg"]
    context: Mapping[str, Any] = detail.get("ctx", {})
    if kind == "union_tag_invalid":
        names = [one.strip(" '") for one in str(context["expected_tags"]).split(",")]
        return f"{place}: {name}.type: found {context['tag']!r}{_nearest(str(context['tag']), names)}"
    if kind == "union_tag_not_found":
        return f"{place}: {name}: required field 'type' is missing"
    if kind in ("literal_error", "enum"):
        names = [one.strip(" '") for one in str(context["expected"]).replace(" or ", ",").split(",")]
        return f"{place}: {name}: found {found}{_nearest(str(detail.get('input')), names)}"
    if kind in ("value_error", "assertion_error"):
        return f"{place}: {name}: {context.get('error', expected)!s}"
    return f"{place}: {name}: found {found}; expected: {expected[0].lower()}{expected[1:]}"


def nearest(name: str, names: typing.Iterable[str]) -> str:
    """Return `; did you mean …? valid: …` for a name that is not among `names`."""
    return _nearest(name, sorted(names))


def _nearest(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]!r}?" if close else ";"
    return f"{hint} valid here: {', '.join(names)}"


def _short(value: Any) -> str:
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"


def _real_path(loc: tuple[int | str, ...], value: Any) -> tuple[int | str, ...]:
    """Drop what pydantic puts into a location that is not in the data: union tags and validator names."""
    path: list[int | str] = []
    for index, part in enumerate(loc):
        if isinstance(value, Mapping) and part in value:
            path.append(part)
            value = typing.cast("Mapping[Any, Any]", value)[part]
        elif isinstance(value, list) and isinstance(part, int) and part < len(typing.cast("list[Any]", value)):
            path.append(part)
            value = typing.cast("list[Any]", value)[part]
        elif index == len(loc) - 1 and isinstance(value, Mapping):
            path.append(part)
    return tuple(path)


def _names(model: Any, loc: tuple[int | str, ...]) -> set[str]:
    """Return the field names that are valid at a location of a model."""
    names: set[str] = set()
    for one in _models(model):
        if not loc:
            names |= {field.alias or name for name, field in one.model_fields.items()}
            continue
        part = loc[0]
        if isinstance(part, str) and part in one.model_fields:
            names |= _names(one.model_fields[part].annotation, loc[1:])
        elif isinstance(part, str) and part in (_tag(one), one.__name__):
            names |= _names(one, loc[1:])
    if not names and loc and not (isinstance(model, type) and issubclass(model, BaseModel)):
        for inner in _inside(model):
            names |= _names(inner, loc[1:])
    return names


def _tag(model: type[BaseModel]) -> str | None:
    field = model.model_fields.get("type")
    return field.default if field is not None and isinstance(field.default, str) else None


def _inside(annotation: Any) -> Iterator[Any]:
    """Types held by a list or mapping annotation."""
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin in (list, tuple, set, frozenset):
        yield from (one for one in arguments if one is not Ellipsis)
    elif origin in (dict, Mapping) or (isinstance(origin, type) and issubclass(origin, Mapping)):
        yield arguments[1]
    elif origin in (typing.Union, types.UnionType, typing.Annotated):
        for one in arguments:
            yield from _inside(one)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Models that an annotation can hold directly (through Annotated and unions)."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif typing.get_origin(annotation) in (typing.Union, types.UnionType, typing.Annotated):
        for one in typing.get_args(annotation):
            yield from _models(one)
