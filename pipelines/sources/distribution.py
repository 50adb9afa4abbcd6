"""Installed Python distributions as input: their files in a fixed order, their digest, their licence."""

from __future__ import annotations

import csv
import hashlib
import importlib.metadata
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from pipelines.sources.licence import licence_of
from pipelines.sources.record import Unit

_LICENCE_FILE = re.compile(r"(?i)(licen[cs]e|copying)")


@dataclass(frozen=True)
class Installed:
    """A distribution: `name` as PEP 503 normalises it, `version`, and its files' paths relative to site-packages."""

    name: str
    version: str
    distribution: importlib.metadata.Distribution

    @cached_property
    def files(self) -> tuple[PurePosixPath, ...]:
        """Recorded files inside the installation, sorted; scripts outside it and compiled caches are left out."""
        return tuple(sorted(PurePosixPath(str(path)) for path in self._recorded))

    @cached_property
    def _recorded(self) -> dict[PurePosixPath, importlib.metadata.PackagePath]:
        found = {PurePosixPath(str(path)): path for path in self.distribution.files or []}
        # From Python 3.12 on `files` leaves out what RECORD names and the disk lacks: those are failures to count.
        for row in csv.reader((self.distribution.read_text("RECORD") or "").splitlines()):
            if row and PurePosixPath(row[0]) not in found:
                found[PurePosixPath(row[0])] = _missing(row[0])
        return {
            name: path for name, path in found.items() if ".." not in name.parts and "__pycache__" not in name.parts
        }

    def path(self, file: PurePosixPath) -> Path:
        """Where a file lies on this machine."""
        return Path(str(self.distribution.locate_file(str(file))))

    @cached_property
    def licence(self) -> tuple[str | None, str]:
        """SPDX expression or None, and what was stated (see `licence_of`)."""
        metadata = self.distribution.metadata
        fields = {
            name: [str(value) for value in metadata.get_all(name) or []]
            for name in ("License-Expression", "License", "Classifier")
        }
        texts: list[str] = []
        for file in self.files:
            if any(part.endswith(".dist-info") for part in file.parts) and _LICENCE_FILE.search(file.name):
                try:
                    texts.append(self.path(file).read_text("utf-8", "replace")[:100_000])
                except OSError:
                    continue  # recorded, but gone: it states nothing
        return licence_of(fields, texts)

    def unit(self, files: Iterable[PurePosixPath]) -> Unit:
        """A unit of these files. The digest covers their paths and content (RECORD's SHA-256, else computed here)."""
        digest = hashlib.sha256(f"{self.name}=={self.version}\n{self.licence}\n".encode())
        size = 0
        for file in files:
            recorded = self._recorded[file]
            if recorded.hash is not None and recorded.size is not None:
                size += recorded.size
                content = f"{recorded.hash.mode}={recorded.hash.value}"
            else:
                try:
                    data = self.path(file).read_bytes()
                except OSError as error:
                    content = f"unreadable: {error.errno}"
                else:
                    size += len(data)
                    content = f"sha256={hashlib.sha256(data).hexdigest()}"
            digest.update(f"{file}\0{content}\n".encode("utf-8", "surrogateescape"))
        return Unit(self.name, digest.hexdigest(), size, self.name)


def _missing(name: str) -> importlib.metadata.PackagePath:
    """A recorded file that is not there: without hash and size, so that a reader looks for it."""
    path = importlib.metadata.PackagePath(name)
    path.hash, path.size = None, None  # type: ignore[assignment]
    return path


def normalised(name: str) -> str:
    """A distribution's name as PEP 503 compares names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed(packages: Iterable[str] = (), exclude: Iterable[str] = ()) -> list[Installed]:
    """The distributions of this environment, sorted by name; of several with one name the one that is imported.

    Args:
        packages: only these; empty: all.
        exclude: not these.

    Raises:
        FileNotFoundError: one of `packages` is not installed.
    """
    wanted = {normalised(name) for name in packages}
    unwanted = {normalised(name) for name in exclude}
    found: dict[str, Installed] = {}

    def take(distributions: Iterable[importlib.metadata.Distribution]) -> None:
        for distribution in distributions:
            # A broken installation (a folder left behind by an interrupted pip) has no name.
            name = normalised(str(distribution.metadata["Name"] or ""))
            if name and name not in found and name not in unwanted and (not wanted or name in wanted):
                found[name] = Installed(name, distribution.version, distribution)

    for name in sorted(wanted):  # folders are named by the distribution: no other's metadata has to be read
        take(importlib.metadata.distributions(name=name))
    if not wanted or not wanted <= unwanted | set(found):
        take(importlib.metadata.distributions())
    missing = sorted(wanted - unwanted - set(found))
    if missing:
        raise FileNotFoundError(
            f"not installed in this environment: {', '.join(missing)}; "
            f"install {'it' if len(missing) == 1 else 'them'}, or take the name out of `packages`"
        )
    return [found[name] for name in sorted(found)]


def installed_one(name: str) -> Installed:
    """One distribution by name, as a worker finds it again.

    Raises:
        FileNotFoundError: it is not installed.
    """
    return installed([name])[0]
