"""What `.gitattributes` say of the files of a repository, as Linguist reads them.

`linguist-generated`, `linguist-vendored`, `linguist-documentation` (set, unset, or "=true" and "=false") and
`linguist-language=Name` stand above what a path or text shows. Patterns are git's (gitattributes(5), gitignore(5)): one
without a slash is for names in any folder below, others are for paths from the file's folder; the last line that says
something of an attribute decides, and a deeper file before a higher one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pipelines.sources.code.tree import Node, Parts, Tree, UnreadableError

NAME: Final = ".gitattributes"
_LARGEST = 1 << 20
_MOST_LINES = 10_000
_TRAITS: Final = {
    "linguist-generated": "generated",
    "linguist-vendored": "vendored",
    "linguist-documentation": "documentation",
}
_LANGUAGE: Final = "linguist-language"
_SAYS: Final = {"true": True, "false": False, "1": True, "0": False}


@dataclass(frozen=True, slots=True)
class Attributes:
    """What is said of one file: traits that it has (True) or has not (False), and its language's name or alias."""

    traits: dict[str, bool]
    language: str | None = None


NONE: Final = Attributes({})


@dataclass(frozen=True, slots=True)
class _Rule:
    pattern: re.Pattern[str]
    whole: bool  # the pattern is for the path, not for the name
    said: tuple[tuple[str, bool | str | None], ...]  # None: nothing is said any more ("!name")


class AttributeFiles:
    """The `.gitattributes` of the folders that a walk has entered, as deep as it is."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._open: list[tuple[Parts, tuple[_Rule, ...]]] = []

    def enter(self, folder: Parts, children: list[Node]) -> None:
        """Read a folder's file, if it has one; folders are entered in the order of a walk."""
        while self._open and self._open[-1][0] != folder[: len(self._open[-1][0])]:
            self._open.pop()
        for node in children:
            if node.name == NAME and node.kind == "file" and node.size <= _LARGEST:
                try:
                    content = self._tree.read(node, _LARGEST)
                except UnreadableError:
                    continue  # it is a failure of its own where its turn comes
                rules = _rules(content)
                if rules:
                    self._open.append((folder, rules))

    def of(self, parts: Parts) -> Attributes:
        """What is said of a file of the folder entered last."""
        if not self._open:
            return NONE
        said: dict[str, bool | str | None] = {}
        for folder, rules in self._open:
            path = "/".join(parts[len(folder) :])
            for rule in rules:
                if rule.pattern.fullmatch(path if rule.whole else parts[-1]):
                    said.update(rule.said)
        language = said.get(_LANGUAGE)
        return Attributes(
            {trait: value for name, trait in _TRAITS.items() if isinstance(value := said.get(name), bool)},
            language if isinstance(language, str) else None,
        )


@lru_cache(maxsize=256)
def _rules(content: bytes) -> tuple[_Rule, ...]:
    found: list[_Rule] = []
    for line in content.decode("utf-8", "replace").removeprefix("\ufeff").splitlines()[:_MOST_LINES]:
        pattern, words = _split(line.strip())
        said = tuple(one for word in words for one in _said(word))
        if said and pattern and not pattern.startswith(("!", "[attr]")):  # git forbids the one, the other is a macro
            found.append(_Rule(_regex(pattern), "/" in pattern.rstrip("/"), said))
    return tuple(found)


def _split(line: str) -> tuple[str, list[str]]:
    if not line or line.startswith("#"):
        return "", []
    if line.startswith('"'):
        quoted = re.match(r'"((?:[^"\\]|\\.)*)"(.*)', line)
        return (re.sub(r"\\(.)", r"\1", quoted[1]), quoted[2].split()) if quoted else ("", [])
    pattern, *words = line.split()
    return pattern, words


def _said(word: str) -> list[tuple[str, bool | str | None]]:
    name, equals, value = word.partition("=")
    if name == _LANGUAGE and equals:
        return [(name, value)]
    bare = name.lstrip("-!")
    if bare not in _TRAITS and bare != _LANGUAGE:
        return []
    if equals:
        return [(name, _SAYS[value.lower()])] if value.lower() in _SAYS else []
    return [(bare, None if name.startswith("!") else not name.startswith("-"))]


def _regex(pattern: str) -> re.Pattern[str]:
    """A pattern of gitattributes as a regular expression; one that ends in a slash fits no file, as in git."""
    out: list[str] = []
    pattern = pattern.removeprefix("/") if "/" in pattern[:-1] else pattern
    at = 0
    while at < len(pattern):
        if pattern.startswith("**/", at) and (at == 0 or pattern[at - 1] == "/"):
            out.append("(?:[^/]+/)*")
            at += 3
            continue
        if pattern[at:] == "**" and (at == 0 or pattern[at - 1] == "/"):
            out.append(".+")
            break
        one = pattern[at]
        if one == "*":
            while pattern.startswith("*", at + 1):
                at += 1
            out.append("[^/]*")
        elif one == "?":
            out.append("[^/]")
        elif one == "[" and (end := pattern.find("]", at + 2)) > 0:
            inside = pattern[at + 1 : end].replace("\\", "\\\\").replace("[", "\\[")
            out.append(f"(?!/)[{'^' + inside[1:] if inside[0] in '!^' else inside}]")
            at = end
        elif one == "\\" and at + 1 < len(pattern):
            at += 1
            out.append(re.escape(pattern[at]))
        else:
            out.append(re.escape(one))
        at += 1
    try:
        return re.compile("".join(out))
    except re.error:  # a bracket with a reversed range: git takes it for one that fits nothing
        return re.compile(r"(?!)")
