"""Files as input: named, in folders, or by pattern; small ones together in one unit of work, each under one name.

Which files share a unit depends on their names alone, so that a file more or less changes one unit and not all that
follow it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import xxhash

from pipelines import storage
from pipelines.document import canonical_json
from pipelines.sources.packed import without_packing
from pipelines.sources.record import Unit

UNIT_BYTES = 64 << 20
"""Stored bytes of input that one unit holds, about."""

_TOGETHER = 64
"""Small files of one unit, on average."""
_MAGIC = re.compile(r"[*\[]")


class SourceError(Exception):
    """A source cannot be read as its recipe asks; the message says what was found, what was expected, what to do."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file of a source: where it is, and what it is called in ids and reports, the same on every machine."""

    path: Path
    name: str


def find(paths: Iterable[Path], suffixes: Sequence[str], where: str) -> list[Found]:
    """The files that a source names, in the order of its paths and by name in each.

    A folder gives its files that end in one of `suffixes`, compressed or not; hidden ones are left out. A pattern
    (`*`, `**`, `?`, `[...]`) gives what it matches. Two files of one name are told apart by a number.

    Raises:
        FileNotFoundError: a path leads to no file; `where` is the recipe's field.
    """
    found: list[Found] = []
    for path in paths:
        if _is_file(path):
            found.append(Found(path, path.name))
            continue
        matched = _matches(path)
        if matched is not None:
            if not matched:
                raise FileNotFoundError(f"{path}: no file matches this pattern ({where})")
            found += matched
            continue
        below = storage.files_below(path)
        if not below and (storage.is_remote(path) or not path.exists()):
            raise FileNotFoundError(f"{path}: no such file or folder ({where})")
        inside = [Found(file, name) for file, name in below if not _hidden(name) and _ends(name, suffixes)]
        if not inside:
            raise FileNotFoundError(
                f"{path}: no file in this folder ends in {', '.join(suffixes)} (compressed or not); {where}"
            )
        found += inside
    return _uniquely_named(found)


def shown_name(name: str) -> str:
    """A file's name as text that can be written anywhere: bytes that are not UTF-8 become U+FFFD."""
    return name if name.isascii() else name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def exists(path: Path) -> bool:
    """Whether a path of a recipe leads to any file: itself, in a folder, or by its pattern."""
    return _is_file(path) or bool(_matches(path)) or bool(storage.files_below(path))


def digests(files: Sequence[Found]) -> list[tuple[str, int]]:
    """Each file's SHA-256 and its size, as many files at a time as there are processors."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        return list(threads.map(_digest, files))


def grouped(files: Sequence[Found], about: int = UNIT_BYTES) -> list[Unit]:
    """Units of whole files, in order; small neighbours share one."""
    groups: list[list[tuple[Found, str, int]]] = [[]]
    held = 0
    for file, (digest, size) in zip(files, digests(files), strict=True):
        if groups[-1] and held + size > about:
            groups.append([])
            held = 0
        groups[-1].append((file, digest, size))
        held += size
        if xxhash.xxh3_64_intdigest(file.name.encode("utf-8", "surrogateescape")) % _TOGETHER == 0:
            groups.append([])
            held = 0
    return [_unit(group) for group in groups if group]


def files_of(payload: str) -> list[Found]:
    """The files of a unit that `grouped` made."""
    return [Found(storage.at(path), name) for path, name in json.loads(payload)]


def _unit(group: list[tuple[Found, str, int]]) -> Unit:
    first = group[0][0].name
    name, digest = (first, group[0][1])
    if len(group) > 1:
        name = f"{first}+{len(group) - 1}"
        digest = hashlib.sha256(canonical_json([[file.name, sha] for file, sha, _ in group]).encode()).hexdigest()
    payload = canonical_json([[str(file.path), file.name] for file, _, _ in group])
    return Unit(name, digest, sum(size for _, _, size in group), payload)


def _digest(file: Found) -> tuple[str, int]:
    size = storage.size(file.path)
    if size is None:
        raise FileNotFoundError(f"{file.path}: it was there a moment ago")
    return storage.sha256(file.path), size


def _is_file(path: Path) -> bool:
    return storage.exists(path) if storage.is_remote(path) else path.is_file()


def _hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def _ends(name: str, suffixes: Sequence[str]) -> bool:
    return without_packing(name.lower()).endswith(tuple(suffixes)) or name.lower().endswith(tuple(suffixes))


def _matches(path: Path) -> list[Found] | None:
    """What a pattern matches, by name; None for a path that is no pattern."""
    text = str(path)
    first = _MAGIC.search(text)
    if first is None:
        return None
    border = text.rfind("/", 0, first.start())
    base, pattern = (text[:border] or "/", text[border + 1 :]) if border >= 0 else (".", text)
    fits = _pattern(pattern)
    return [Found(file, name) for file, name in storage.files_below(storage.at(base)) if fits(name)]


@functools.cache
def _pattern(pattern: str) -> Callable[[str], object]:
    """A shell pattern as a test of names: `*` and `?` stay inside one folder, `**/` goes through any number."""
    written = ""
    at = 0
    while at < len(pattern):
        if pattern.startswith("**/", at):
            written, at = written + "(?:[^/]+/)*", at + 3
        elif pattern[at] == "*":
            written, at = written + "[^/]*", at + 1
        elif pattern[at] == "?":
            written, at = written + "[^/]", at + 1
        elif pattern[at] == "[" and (end := pattern.find("]", at + 2)) > 0:
            inside = pattern[at + 1 : end].replace("\\", "\\\\")
            written += f"[^{inside[1:]}]" if inside.startswith("!") else f"[{inside}]"
            at = end + 1
        else:
            written, at = written + re.escape(pattern[at]), at + 1
    return re.compile(written).fullmatch


def _uniquely_named(files: list[Found]) -> list[Found]:
    seen: dict[str, int] = {}
    named: list[Found] = []
    for file in files:
        name = shown_name(file.name)
        seen[name] = seen.get(name, 0) + 1
        again = f"~{seen[name]}" if seen[name] > 1 else ""
        named.append(Found(file.path, name + again))
    return named
