"""The licence that holds in a folder of a repository: what the nearest folder with a statement says.

A folder states a licence by the metadata of a package in it, and by files such as LICENSE or COPYING. Metadata says how
several licences go together, so it comes first; where it and the files' texts have no licence in common, both hold.
In a wheel or a source distribution the statement is in `*.dist-info` or PKG-INFO.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from pipelines.sources.code.tree import Node, Parts, Tree, UnreadableError
from pipelines.sources.licence import canonical
from pipelines.sources.licence_metadata import LARGEST, is_metadata, stated_by
from pipelines.sources.licence_text import all_of, licences_in, notices

_NAME = re.compile(
    r"(?i)(?:.*[-_.])?(?:un)?licen[cs]es?(?:[-_.].*)?$|copying(?:[-_.].*)?$|copyright(?:\.(?:txt|md|rst))?$|ofl(?:\.txt)?$"
)
_PROGRAM = re.compile(  # "license.go" checks licences, "LICENSE.GPL" is one
    r"(?i)\.(?:py|pyi|go|rs|js|mjs|ts|tsx|jsx|c|cc|cpp|h|hpp|java|kt|rb|php|cs|swift|sh|pl|json|ya?ml|toml|xml|html?|css"
    r"|svg|png|lock|cfg|ini|in|tmpl|sql|r|scala|m|mm)$"
)
_FOLDER = re.compile(r"licen[cs]es|.*\.(?:dist-info|egg-info)$", re.I)
_TAG = re.compile(r"SPDX-License-Identifier:[ \t]*([^\r\n]+)")
_LONGEST_TEXT = 400_000


@dataclass(frozen=True, slots=True)
class Stated:
    """A licence and where it is stated: an SPDX expression or None, what was read, and the path of the file."""

    licence: str | None
    stated: str
    path: str = ""


NOTHING = Stated(None, "nothing stated")


class Scopes:
    """The licences of the folders that a walk has entered, as deep as it is.

    Args:
        tree: what is walked.
        given: the licence that the recipe states; it holds where the tree's root states none that can be read.
    """

    def __init__(self, tree: Tree, given: str | None = None) -> None:
        self._tree = tree
        self._given = Stated(given, "the recipe") if given else None
        self._open: list[tuple[Parts, Stated]] = [((), self._given or NOTHING)]

    def enter(self, folder: Parts, children: list[Node]) -> Stated:
        """The licence that holds for the files of a folder; folders are entered in the order of a walk."""
        while self._open and self._open[-1][0] != folder[: len(self._open[-1][0])]:
            self._open.pop()
        found = stated_in(self._tree, folder, children)
        if found is not None and not (self._given and not folder and found.licence is None):
            self._open.append((folder, found))
        return self._open[-1][1]


def is_licence_file(name: str) -> bool:
    """Whether a file of this name holds a licence's text."""
    return _NAME.match(name) is not None and _PROGRAM.search(name) is None


def states_licence(name: str) -> bool:
    """Whether a file of this name can decide on the licence of its folder."""
    return is_metadata(name) or is_licence_file(name)


def decides(parts: Parts) -> bool:
    """Whether a file can decide on the licence of others."""
    return states_licence(parts[-1]) or any(_FOLDER.match(part) for part in parts[:-1])


def stated_in(tree: Tree, folder: Parts, children: list[Node]) -> Stated | None:
    """What a folder states; None where it states nothing."""
    metadata: list[Stated] = []
    texts: list[tuple[tuple[str, ...], str]] = []
    for path, node in _candidates(tree, folder, children):
        name = path[-1]
        try:
            content = tree.read(node, LARGEST) if node.size <= LARGEST else b""
        except UnreadableError:
            continue  # it is a failure of its own where its turn comes; it states nothing
        where = "/".join(path)
        if is_metadata(name):
            licence, stated = stated_by(name, content)
            if stated:
                metadata.append(Stated(licence, stated, where))
        else:
            texts.append((_of_licence_file(content[:_LONGEST_TEXT]), where))
    return _together(metadata, texts)


def _candidates(tree: Tree, folder: Parts, children: list[Node]) -> Iterator[tuple[Parts, Node]]:
    for node in children:
        if node.kind == "file" and states_licence(node.name):
            yield (*folder, node.name), node
        elif node.kind == "folder" and _FOLDER.match(node.name):
            try:
                inside = tree.children(node.ref)
            except UnreadableError:
                continue
            packaged = node.name.lower().endswith("-info")
            for one in inside:
                # A folder of licences holds texts of any name ("MIT.txt"), a Python package called so programs.
                if one.kind == "file" and (states_licence(one.name) if packaged else not _PROGRAM.search(one.name)):
                    yield (*folder, node.name, one.name), one
                elif one.kind == "folder" and packaged and _FOLDER.match(one.name):
                    yield from _below(tree, (*folder, node.name, one.name), one)


def _below(tree: Tree, folder: Parts, node: Node) -> Iterator[tuple[Parts, Node]]:
    try:
        inside = tree.children(node.ref)
    except UnreadableError:
        return
    yield from (((*folder, one.name), one) for one in inside if one.kind == "file")


@lru_cache(maxsize=4096)
def _of_licence_file(content: bytes) -> tuple[str, ...]:
    """SPDX expressions of a licence file: its tag, the texts in it, or what it says it is under."""
    text = content.decode("utf-8", "replace")
    tag = _TAG.search(text[:2000])
    named = canonical(tag[1].strip()) if tag else None
    return licences_in(text) or ((named,) if named else ()) or notices(text[:5000])


def _together(metadata: list[Stated], texts: list[tuple[tuple[str, ...], str]]) -> Stated | None:
    names = list(dict.fromkeys(name for found, _ in texts for name in found))
    paths = ", ".join(where for found, where in texts if found) or ", ".join(where for _, where in texts)
    readable = [stated for stated in metadata if stated.licence is not None]
    if readable:
        first = readable[0]
        if first.licence == "LicenseRef-BSD" and any(name.startswith("BSD-") for name in names):
            return Stated(
                next(name for name in names if name.startswith("BSD-")), first.stated, f"{first.path}, {paths}"
            )
        if not names or _share(first.licence or "", names):
            return first
        return Stated(all_of([first.licence or "", *names]), f"{first.stated}; text", f"{first.path}, {paths}")
    if names:
        said = f"{metadata[0].stated}; " if metadata else ""
        return Stated(all_of(names), f"{said}the licence file's text", paths)
    if metadata:
        return metadata[0]
    return Stated(None, "a licence file that is none of the known texts", paths) if texts else None


def _share(expression: str, names: list[str]) -> bool:
    """Whether an expression and the texts have a licence in common, whichever its version's suffix."""
    stated = {_family(word) for word in re.findall(r"[\w.+-]+", expression)}
    return any(_family(word) in stated for name in names for word in re.findall(r"[\w.+-]+", name))


def _family(name: str) -> str:
    return name.removesuffix("-only").removesuffix("-or-later").removesuffix("+")
