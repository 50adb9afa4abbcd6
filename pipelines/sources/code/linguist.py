"""Linguist's tables: what GitHub calls a language, how files of one extension are told apart, what is vendored.

`linguist.json` is made from github-linguist (MIT) by `linguist_build.py`; the names in it are the field's (The Stack,
StarCoder). Its digest stands here, so that another table is another version of the code that reads it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

DIGEST = "2b8945b1166f4d098c22b19d5180ef90c75b12da58df622dafc346200222785e"
"""SHA-256 of linguist.json."""

_FLAGS = re.MULTILINE | re.ASCII  # as Ruby reads them


@dataclass(frozen=True, slots=True)
class Rule:
    """Languages that a file has if its text passes every test: a pattern, and whether it must be found."""

    languages: tuple[str, ...]
    tests: tuple[tuple[re.Pattern[str], bool], ...]


@dataclass(frozen=True, slots=True)
class Linguist:
    """The table, ready for use.

    Attributes:
        types: language -> "programming", "markup", "data" or "prose".
        aliases: name in lower case, as an editor's mode line has it -> language.
        extensions: ".py" in lower case -> languages, likeliest first.
        filenames, interpreters: name -> languages.
        generic: extensions that say nothing by themselves.
        popular: languages that win where nothing else decides.
        rules: extension -> rules, the first that fits decides.
        vendored, documentation: patterns over a path.
    """

    types: dict[str, str]
    aliases: dict[str, str]
    extensions: dict[str, list[str]]
    filenames: dict[str, list[str]]
    interpreters: dict[str, list[str]]
    generic: frozenset[str]
    popular: frozenset[str]
    rules: dict[str, tuple[Rule, ...]]
    vendored: re.Pattern[str]
    documentation: re.Pattern[str]


@cache
def linguist() -> Linguist:
    """The table, read once a process (about 50 ms)."""
    path = Path(__file__).with_name("linguist.json")
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != DIGEST:
        raise ValueError(f"{path}: SHA-256 is {found}, expected {DIGEST}; restore the file, or set DIGEST to it")
    table = json.loads(data)
    return Linguist(
        types=table["languages"],
        aliases=table["aliases"],
        extensions=table["extensions"],
        filenames=table["filenames"],
        interpreters=table["interpreters"],
        generic=frozenset(table["generic"]),
        popular=frozenset(table["popular"]),
        rules={
            extension: tuple(map(_rule, entry["rules"]))
            for entry in table["rules"]
            for extension in entry["extensions"]
        },
        vendored=re.compile(table["vendored"]),
        documentation=re.compile(table["documentation"]),
    )


def _rule(entry: Mapping[str, Any]) -> Rule:
    tests = tuple((re.compile(pattern, _FLAGS), bool(wanted)) for pattern, wanted in entry["all"])
    return Rule(tuple(entry["languages"]), tests)
