"""Source code as a source: folders, git repositories, archives, wheels, each file with its language and licence."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from pipelines import storage
from pipelines.sources.code.archive_tree import SUFFIXES
from pipelines.sources.code.clone import fetched
from pipelines.sources.code.git_tree import commit_of, is_repository, origin_of, web_address
from pipelines.sources.code.linguist import linguist
from pipelines.sources.code.place import Limits, Part, Place, opened, units_of
from pipelines.sources.code.reader import Reader
from pipelines.sources.code.secrets import DETECTORS, KNOWN_FORMS, Redactor
from pipelines.sources.code.traits import USUAL, Trait
from pipelines.sources.code.tree import quoted
from pipelines.sources.distribution import normalised
from pipelines.sources.files import shown_name
from pipelines.sources.licence import PERMISSIVE, canonical
from pipelines.sources.record import Outcome, Unit
from pipelines.sources.source import Location, SourceFields
from pipelines.sources.split import SPLIT_BYTES


class GitRepository(BaseModel):
    """A repository in a recipe: an https address or a folder, and the commit that is read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Annotated[str, Field(min_length=1, description="https address, or a folder (working or bare).")]
    revision: Annotated[str, Field(min_length=1, description="Branch, tag, commit or HEAD.")] = "HEAD"
    license: Annotated[str | None, Field(description="SPDX licence of what states none itself.")] = None
    stars: Annotated[int | None, Field(ge=0, description="Kept in the metadata; never looked up.")] = None

    @field_validator("url")
    @classmethod
    def _fetchable(cls, url: str) -> str:
        scheme = url.partition("://")[0] if "://" in url else ""
        if scheme not in ("", "https") or (not scheme and "@" in url.partition("/")[0]):
            raise ValueError(f"expected an https address or a folder, found {storage.shown(url)!r}; use {_https(url)}")
        if scheme and (urlsplit(url).username or not urlsplit(url).hostname):
            raise ValueError(
                f"expected https://host/owner/name without user and password, found {storage.shown(url)!r}"
            )
        return url.rstrip("/")

    @field_validator("license")
    @classmethod
    def _listed(cls, licence: str | None) -> str | None:
        return _spdx(licence)

    @property
    def is_remote(self) -> bool:
        """Whether it has to be fetched."""
        return self.url.startswith("https://")


def _https(url: str) -> str:
    return web_address(url) or "https://host/owner/name"


def _as_table(value: Any) -> Any:
    return {"url": value} if isinstance(value, str) else value


def _spdx(licence: str | None) -> str | None:
    if licence is not None and canonical(licence) is None:
        raise ValueError(f"expected an SPDX expression such as MIT or Apache-2.0 OR MIT, found {licence!r}")
    return canonical(licence) if licence is not None else None


class CodeSource(SourceFields):
    """Trees of source code. A record is a file; its licence is what it states, else what the nearest folder does.

    A folder that is a git repository is read at its HEAD: what is not committed is not there. `git` names another
    commit, or a remote repository, of which that commit alone is fetched.
    """

    type: Literal["code"] = "code"
    paths: Annotated[
        tuple[Location, ...], Field(description="Folders, git repositories, archives (zip, tar), wheels, sdists.")
    ] = ()
    collections: Annotated[
        tuple[Location, ...], Field(description="Folders whose entries are each as in `paths`; other files are left.")
    ] = ()
    git: Annotated[
        tuple[Annotated[GitRepository, BeforeValidator(_as_table)], ...],
        Field(description="Repositories at a commit: https addresses, or tables with url, revision, license, stars."),
    ] = ()
    languages: Annotated[tuple[str, ...], Field(description="Only these, by Linguist's names; empty: all.")] = ()
    permissive: Annotated[tuple[str, ...], Field(description="SPDX licences that are taken.")] = PERMISSIVE
    license: Annotated[str | None, Field(description="SPDX licence of what states none itself.")] = None
    drop: Annotated[tuple[Trait, ...], Field(description="Traits that drop a file; others are kept as `traits`.")] = (
        USUAL
    )
    secrets: Annotated[
        tuple[str, ...], Field(description="detect-secrets' plugins that secrets are found by; empty: none are.")
    ] = KNOWN_FORMS
    max_file_bytes: Annotated[int, Field(ge=1, description="A larger file is dropped.")] = 1_000_000
    max_files: Annotated[int, Field(ge=1, description="Files of one tree; those after are one failure.")] = 1_000_000
    max_unpacked_bytes: Annotated[int, Field(ge=1, description="What a compressed tar may unpack to.")] = 8 << 30
    split_bytes: Annotated[int, Field(ge=1, description="Bytes of files that one worker reads, about.")] = SPLIT_BYTES
    clones: Annotated[
        Path | None, Field(exclude=True, description="Folder for what is fetched; null: one for this user.")
    ] = None
    clone_max_bytes: Annotated[int, Field(ge=1, description="Packed bytes of one remote commit.")] = 2 << 30
    clone_timeout: Annotated[float, Field(gt=0, description="Seconds for one remote repository.")] = 600.0
    allow_private: Annotated[bool, Field(description="Fetch from private and loopback addresses too.")] = False

    @field_validator("license")
    @classmethod
    def _listed(cls, licence: str | None) -> str | None:
        return _spdx(licence)

    @field_validator("languages")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        table = linguist()
        # "python" and "c++" are meant as Linguist's "Python" and "C++".
        found = tuple(name if name in table.types else table.aliases.get(name.lower(), name) for name in names)
        unknown = [name for name in found if name not in table.types]
        if unknown:
            raise ValueError(f"no language {unknown[0]!r}{_nearest(unknown[0], table.types)}")
        return found

    @field_validator("secrets")
    @classmethod
    def _plugins(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in names if name not in DETECTORS]
        if unknown:
            raise ValueError(f"no plugin {unknown[0]!r}{_nearest(unknown[0], DETECTORS)}")
        return names

    @model_validator(mode="after")
    def _something(self) -> CodeSource:
        if not (self.paths or self.collections or self.git):
            raise ValueError("expected at least one of paths, collections and git")
        return self

    def units(self) -> list[Unit]:
        """The parts of all trees, in the order of the recipe; remote repositories are fetched first.

        Raises:
            FileNotFoundError: something that is named does not exist, or a file is no archive.
            MissingExtra: a repository is named, and dulwich is not installed.
            RevisionError, CloneError: a repository has no such commit, or cannot be fetched.
        """
        places = [*self._local(), *self._git()]
        addresses = _unique([place.address for place in places])
        places = [replace(place, address=address) for place, address in zip(places, addresses, strict=True)]
        labels = _unique([place.name for place in places])
        limits = self._limits()
        # Threads are enough: hashing, inflating and reading let others run.
        with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
            found = threads.map(lambda place, label: units_of(place, label, limits), places, labels)
            return [unit for units in found for unit in units]

    def read(self, unit: Unit) -> Iterator[Outcome]:
        """The files of one part of a tree, in its order."""
        part = Part.of(unit.payload)
        reader = Reader(
            self.permissive,
            frozenset(self.languages),
            frozenset(self.drop),
            Redactor(self.secrets),
            self.max_file_bytes,
        )
        with opened(part.place, self._limits()) as tree:
            yield from reader.read(part, tree)

    def _limits(self) -> Limits:
        return Limits(self.max_file_bytes, self.max_unpacked_bytes, self.max_files, self.split_bytes)

    def _local(self) -> Iterator[Place]:
        for path in self.paths:
            yield self._place(path)
        for folder in self.collections:
            entries = storage.children(folder)
            if not entries and not storage.files_below(folder):
                raise FileNotFoundError(f"{folder}: no such folder, or an empty one (sources.{self.name}.collections)")
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                # What a store has no file of is a folder there.
                is_folder = not storage.exists(entry) if storage.is_remote(entry) else entry.is_dir()
                if _is_archive(entry.name) or is_folder:
                    yield self._place(entry)

    def _place(self, path: Path) -> Place:
        if storage.is_remote(path):
            if storage.exists(path):
                return self._archive(path)
            return Place("store", path, shown_name(path.name), f"code://{quoted(path.name)}", license=self.license)
        if path.is_file():
            return self._archive(path)
        if not path.is_dir():
            raise FileNotFoundError(f"{path}: no such file or folder (sources.{self.name}.paths)")
        if is_repository(path):
            return self._repository(path, GitRepository(url=str(path)))
        name = path.resolve().name
        return Place("folder", path, shown_name(name), f"code://{quoted(name)}", license=self.license)

    def _archive(self, path: Path) -> Place:
        if not _is_archive(path.name):
            raise FileNotFoundError(
                f"{path}: expected a folder, a git repository or an archive ({', '.join(SUFFIXES)}); "
                f"for a single file name its folder (sources.{self.name}.paths)"
            )
        return Place("archive", path, shown_name(path.name), _address_of_archive(path.name), license=self.license)

    def _git(self) -> Iterator[Place]:
        for repository in self.git:
            if repository.is_remote:
                clones = self.clones or _cache()
                path, commit = fetched(
                    repository.url, repository.revision, clones, self.clone_max_bytes, self.clone_timeout,
                    self.allow_private,
                )  # fmt: skip
                yield self._repository(path, repository, commit)
            else:
                path = Path(repository.url)
                if not path.is_dir():
                    raise FileNotFoundError(f"{path}: no such folder (sources.{self.name}.git)")
                yield self._repository(path, repository)

    def _repository(self, path: Path, repository: GitRepository, commit: str | None = None) -> Place:
        origin = web_address(repository.url) if repository.is_remote else origin_of(path)
        name = path.resolve().name.removesuffix(".git")
        return Place(
            kind="git",
            path=path,
            name=origin or shown_name(name),
            address=f"{origin or f'code://{quoted(name)}'}/blob/{quoted(repository.revision, '/')}",
            commit=commit or commit_of(path, repository.revision),
            revision=repository.revision,
            stars=repository.stars,
            license=repository.license or self.license,
        )


def _address_of_archive(name: str) -> str:
    """`pypi://name/version` for a wheel, whose name says both; else `code://` and the archive's name."""
    if name.endswith(".whl"):
        from packaging.utils import InvalidWheelFilename, parse_wheel_filename

        try:
            package, version, _, _ = parse_wheel_filename(name)
        except InvalidWheelFilename:
            pass
        else:
            return f"pypi://{normalised(package)}/{version}"
    return f"code://{quoted(name)}"


def _unique(names: list[str]) -> list[str]:
    """The second of one name is "name~2"."""
    seen: dict[str, int] = {}
    unique: list[str] = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        unique.append(f"{name}~{seen[name]}" if seen[name] > 1 else name)
    return unique


def _is_archive(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _cache() -> Path:
    """Where what was fetched is kept for this user (XDG base directories)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pomona" / "git"


def _nearest(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
