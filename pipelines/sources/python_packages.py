"""Python source files of the packages installed in this environment, each with the licence its metadata states."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import Field

from pipelines.sources.code.generated import MARK, MARK_LINES
from pipelines.sources.code.traits import ALPHANUMERIC, LEAST_ALPHANUMERIC, LONGEST_LINE, MEAN_LINE
from pipelines.sources.distribution import Installed, installed, installed_one
from pipelines.sources.licence import PERMISSIVE, is_permissive
from pipelines.sources.record import Failure, Outcome, Record, Refusal, Unit
from pipelines.sources.source import SourceFields


class PythonPackages(SourceFields):
    """Installed distributions, one unit each.

    `max_bytes` bounds what one package gives, so that the largest does not drown the rest; the files beyond are
    chosen by the digest of their path, so the choice has no bias to a folder, and are dropped with that reason.
    """

    type: Literal["python_packages"] = "python_packages"
    packages: Annotated[tuple[str, ...], Field(description="Only these distributions; empty: all installed.")] = ()
    exclude: Annotated[tuple[str, ...], Field(description="Not these distributions.")] = ("pomona",)
    permissive: Annotated[tuple[str, ...], Field(description="SPDX licences that are taken.")] = PERMISSIVE
    max_bytes: Annotated[int | None, Field(ge=1, description="Bytes taken of one package; null: all.")] = None
    max_file_bytes: Annotated[int, Field(ge=1, description="A larger file is dropped.")] = 1_000_000

    def units(self) -> list[Unit]:
        """One unit a distribution that has Python files, by name.

        Raises:
            FileNotFoundError: one of `packages` is not installed.
        """
        found = [(package, python_files(package)) for package in installed(self.packages, self.exclude)]
        return [package.unit(files) for package, files in found if files]

    def read(self, unit: Unit) -> Iterator[Outcome]:
        """The files of one distribution, by path."""
        package = installed_one(unit.payload)
        licence, stated = package.licence
        permitted = is_permissive(licence, self.permissive)
        over_budget = self._over_budget(package) if permitted else {}
        for file in python_files(package):
            uri = f"pypi://{package.name}/{file}"
            facts: dict[str, Any] = {"package": package.name, "version": package.version}
            try:
                content = package.path(file).read_bytes()
            except OSError as error:
                yield Failure(uri, b"", "unreadable-file", {**facts, "detail": error.strerror})
                continue
            if not permitted:
                evidence = {**facts, "license": licence, "stated": stated}
                yield Refusal(uri, content, "licence-not-permissive", evidence)
                continue
            refusal = why_not_source(content, self.max_file_bytes)
            if refusal is not None:
                yield Refusal(uri, content, refusal[0], {**facts, **refusal[1]})
            elif file in over_budget:
                yield Refusal(uri, content, "package-budget", {**facts, "max_bytes": self.max_bytes})
            else:
                metadata = {**facts, "path": str(file), "license_stated": stated}
                yield Record(uri, content, content, "text/x-python", "code", licence, metadata=metadata)

    def _over_budget(self, package: Installed) -> frozenset[PurePosixPath]:
        """The files that do not fit into max_bytes, in the order of their paths' digests."""
        if self.max_bytes is None:
            return frozenset()
        left = self.max_bytes
        over: set[PurePosixPath] = set()
        for file in sorted(python_files(package), key=lambda file: hashlib.sha256(str(file).encode()).digest()):
            try:
                size = package.path(file).stat().st_size
            except OSError:
                continue  # read() names it
            if size > self.max_file_bytes:
                continue
            if size > left:
                over.add(file)
            else:
                left -= size
        return frozenset(over)


def python_files(package: Installed) -> list[PurePosixPath]:
    """The Python sources that a distribution installs, by path."""
    return [file for file in package.files if file.suffix == ".py"]


def why_not_source(content: bytes, max_bytes: int) -> tuple[str, dict[str, Any]] | None:
    """Why a file is no source that somebody wrote: a reason and its evidence; None where it is one."""
    if not content.strip():
        return "empty-file", {"bytes": len(content)}
    if len(content) > max_bytes:
        return "huge-file", {"bytes": len(content), "limit": max_bytes}
    head = b"\n".join(content.split(b"\n", MARK_LINES)[:MARK_LINES])
    mark = MARK.search(head)
    if mark is not None:
        return "generated-file", {"mark": mark.group().decode("utf-8", "replace")}
    lines = content.splitlines()
    longest = max(map(len, lines))
    mean = len(content) / len(lines)
    if longest > LONGEST_LINE or mean > MEAN_LINE:
        return "long-lines", {"longest_line": longest, "mean_line": round(mean, 1)}
    alphanumeric = len(content) - len(content.translate(None, ALPHANUMERIC))
    if alphanumeric < LEAST_ALPHANUMERIC * len(content):
        return "data-file", {"alphanumeric": round(alphanumeric / len(content), 3)}
    return None
