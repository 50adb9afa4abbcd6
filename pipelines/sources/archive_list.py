"""Lists of archives, as Common Crawl publishes them (`warc.paths.gz`): a line is a file's name below a common base."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path
from typing import Annotated, Self

import xxhash
from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipelines import storage
from pipelines.sources.files import Found, SourceError
from pipelines.sources.packed import read_all

MAX_LIST_BYTES = 1 << 28
"""Longest list, unpacked: Common Crawl's longest have 12 MB."""

_LIST = re.compile(r"\.paths(\.gz)?$", re.I)


class Take(BaseModel):
    """Which files of a list are read: those that `match`, of them the `first` so many or a `sample` of so many.

    A sample depends on the names and the seed only: with a longer list most of it stays.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    match: Annotated[str | None, Field(description='Pattern of whole names, as "*/segments/1715971057216.39/*".')] = (
        None
    )
    first: Annotated[int | None, Field(ge=1, description="So many from the list's beginning.")] = None
    sample: Annotated[int | None, Field(ge=1, description="So many from anywhere in the list.")] = None
    seed: Annotated[int, Field(ge=0, description="Another seed gives another sample.")] = 0

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if self.first is not None and self.sample is not None:
            raise ValueError("give either 'first' or 'sample', not both")
        return self

    def of(self, names: list[str]) -> list[str]:
        """The chosen names, in the order in which they were given."""
        if self.match is not None:
            fits = re.compile(fnmatch.translate(self.match)).match
            names = [name for name in names if fits(name)]
        if self.sample is not None and self.sample < len(names):
            order = sorted(range(len(names)), key=lambda at: (xxhash.xxh3_64_intdigest(names[at], self.seed), at))
            names = [names[at] for at in sorted(order[: self.sample])]
        return names[: self.first]


def is_list(path: Path) -> bool:
    """Whether a file's name says that it lists others."""
    return _LIST.search(path.name) is not None


def listed(path: Path, base: Path, take: Take, where: str) -> list[Found]:
    """The files that a list names and `take` chooses, in the list's order; a file named twice counts once.

    Args:
        path: the list, compressed or not.
        base: what the names lie below.
        take: the choice.
        where: the recipe's field, for messages.

    Raises:
        FileNotFoundError: there is no such list, or nothing in it is chosen.
        SourceError: the list is damaged, too long, or names something outside of `base`.
    """
    if not storage.exists(path):
        raise FileNotFoundError(f"{path}: no such list of paths ({where})")
    data, more, damage = read_all(path, MAX_LIST_BYTES)
    if damage is not None or more:
        detail = f"longer than {MAX_LIST_BYTES} bytes" if damage is None else f"byte {damage.offset}: {damage.detail}"
        raise SourceError(f"{path}: not a whole list of paths ({detail}; {where}); fetch it again")
    names: dict[str, None] = {}
    for number, line in enumerate(data.splitlines(), 1):
        text = line.decode("utf-8", "replace").strip()
        if text and not is_name(text):
            raise SourceError(
                f"{path}, line {number}: {text[:200]!r} is no name below a base; expected a line such as "
                f"crawl-data/CC-MAIN-2024-22/segments/.../warc/....warc.gz ({where})"
            )
        if text:
            names[text] = None
    chosen = take.of(list(names))
    if not chosen:
        said = f"none of its {len(names)} names is chosen by {take.match!r}" if names else "the list is empty"
        raise FileNotFoundError(f"{path}: {said} ({where})")
    return [Found(below(base, name), name) for name in chosen]


def is_name(text: str) -> bool:
    """Whether a text is a relative name that stays below its base: lists and indexes come from elsewhere."""
    parts = text.split("/")
    return bool(text) and text[0] != "/" and ":" not in parts[0] and ".." not in parts and "\0" not in text


def below(base: Path, name: str) -> Path:
    """Where a name is: below a folder, or an address such as `s3://commoncrawl/`."""
    return storage.at(f"{str(base).rstrip('/')}/{name}") if storage.is_remote(base) else base / name
