"""The licence that a package's own metadata states: Python, Rust, JavaScript, PHP and Ruby packages.

Each reader answers with an SPDX expression, or None where it cannot be read as one, and with what is stated.
"""

from __future__ import annotations

import configparser
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from email.parser import HeaderParser
from typing import Any

from pipelines.sources.licence import canonical, licence_of

LARGEST = 1_000_000
"""Bytes of a metadata file that is read."""

_GEM = re.compile(r"^\s*\w+\.licen[cs]es?\s*=\s*(.+)$", re.M)
_QUOTED = re.compile(r"[\"']([^\"']+)[\"']")


def is_metadata(name: str) -> bool:
    """Whether a file of this name states a package's licence."""
    return name in _READERS or name.endswith(".gemspec")


def stated_by(name: str, content: bytes) -> tuple[str | None, str]:
    """The licence that a metadata file states and how; (None, "") where it states none or cannot be read."""
    reader = _READERS.get(name, _gemspec if name.endswith(".gemspec") else None)
    if reader is None or len(content) > LARGEST:
        return None, ""
    try:
        licence, stated = reader(content.decode("utf-8"))
    except (ValueError, configparser.Error, RecursionError):  # damaged: it states nothing that could be read
        return None, ""
    return licence, stated[:300]


def _python(fields: Mapping[str, list[str]]) -> tuple[str | None, str]:
    licence, stated = licence_of(fields, [])
    return licence, "" if stated == "nothing stated" else stated


def _core_metadata(text: str) -> tuple[str | None, str]:
    message = HeaderParser().parsestr(text)
    fields = {name: [str(value) for value in message.get_all(name, [])] for name in _FIELDS}
    return _python(fields)


def _pyproject(text: str) -> tuple[str | None, str]:
    document = tomllib.loads(text)
    project = _table(document.get("project"))
    licence = project.get("license", _table(_table(document.get("tool")).get("poetry")).get("license"))
    fields = {"Classifier": [str(value) for value in _list(project.get("classifiers"))]}
    if isinstance(licence, str):
        expression = canonical(licence)
        return (expression, f"license: {licence}") if expression else _python({**fields, "License": [licence]})
    text_field = _table(licence).get("text")
    return _python({**fields, "License": [text_field] if isinstance(text_field, str) else []})


def _setup_cfg(text: str) -> tuple[str | None, str]:
    parser = configparser.RawConfigParser(strict=False)
    parser.read_string(text)
    if not parser.has_section("metadata"):
        return None, ""
    found = dict(parser.items("metadata"))
    classifiers = [line.strip() for line in found.get("classifiers", found.get("classifier", "")).splitlines()]
    return _python({"License": [found["license"]] if found.get("license") else [], "Classifier": classifiers})


def _cargo(text: str) -> tuple[str | None, str]:
    licence = _table(tomllib.loads(text).get("package")).get("license")
    # "MIT/Apache-2.0" is Cargo's old way of writing OR.
    return _expression(licence.replace("/", " OR ")) if isinstance(licence, str) else (None, "")


def _package_json(text: str) -> tuple[str | None, str]:
    document = _table(json.loads(text))
    return _alternatives(document.get("license", document.get("licenses")))


def _gemspec(text: str) -> tuple[str | None, str]:
    found = _GEM.search(text)
    return _alternatives(_QUOTED.findall(found[1])) if found else (None, "")


def _alternatives(value: Any) -> tuple[str | None, str]:
    """One licence, or a list of which any holds; each a name or a table with `type`."""
    names = [_table(one).get("type", one) for one in (_list(value) if isinstance(value, list) else [value])]
    names = [name for name in names if isinstance(name, str) and name.strip()]
    return _expression(" OR ".join(f"({name})" if " " in name else name for name in names)) if names else (None, "")


def _expression(stated: str) -> tuple[str | None, str]:
    return canonical(stated), f"license: {stated}"


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


_FIELDS = ("License-Expression", "License", "Classifier")
_READERS: dict[str, Callable[[str], tuple[str | None, str]]] = {
    "METADATA": _core_metadata,
    "PKG-INFO": _core_metadata,
    "pyproject.toml": _pyproject,
    "setup.cfg": _setup_cfg,
    "Cargo.toml": _cargo,
    "package.json": _package_json,
    "composer.json": _package_json,
}
