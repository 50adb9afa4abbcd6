"""YAML that remembers on which line each value stands, so that a mistake can be answered with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

Path_ = tuple[str | int, ...]


class YamlError(Exception):
    """The text is not YAML, or names one key twice; the message starts with `file:line:column`."""


def load(path: Path) -> tuple[Any, dict[Path_, int]]:
    """Read one YAML document; return its value and the line (from 1) of every path of keys and indices.

    Raises YamlError, and OSError when the file cannot be read.
    """
    text = path.read_text(encoding="utf-8")
    try:
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
        value = yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise YamlError(f"{place}: not valid YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise YamlError(f"{path}: not valid YAML: {error}") from error
    lines: dict[Path_, int] = {}
    if node is not None:
        _walk(node, (), lines, path)
    return value, lines


def _walk(node: yaml.Node, at: Path_, lines: dict[Path_, int], file: Path) -> None:
    lines.setdefault(at, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, child in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in seen:
                raise YamlError(f"{file}:{line}: {name!r} is given twice; the first is on line {seen[name]}")
            seen[name] = line
            lines[(*at, name)] = line
            _walk(child, (*at, name), lines, file)
    elif isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            _walk(child, (*at, index), lines, file)


def line_of(lines: dict[Path_, int], at: Path_) -> int:
    """Return the line of a path, or of its nearest ancestor that stands in the file."""
    while at and at not in lines:
        at = at[:-1]
    return lines.get(at, 1)
