"""Web archives as a source: the HTTP responses of WARC and ARC files, plain or gzipped, and the texts of WET files.

`response` records are records of the source, and where it asks for them `conversion` records: texts that are taken as
they are. Files are named one by one, by lists of paths (see `archive_list`), or record by record by an index (see
`archive_index`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from pipelines import storage
from pipelines.sources.archive_index import Select
from pipelines.sources.archive_list import Take, is_list, listed
from pipelines.sources.archive_outcomes import HTML_TYPES, MAX_RECORD_BYTES, ArchiveReader
from pipelines.sources.archive_ranges import index_units, read_problems, read_ranges
from pipelines.sources.files import find, shown_name
from pipelines.sources.record import Outcome, Unit
from pipelines.sources.robots_snapshot import Missing, RobotsCheck
from pipelines.sources.source import Location, SourceFields
from pipelines.sources.split import SPLIT_BYTES, ArchiveFile, Place, archive_units, listed_units, missing_file
from pipelines.training_consent import NOTED, expand

ARCHIVES = (".warc", ".warc.gz", ".arc", ".arc.gz")
WET = (".wet", ".wet.gz")
INDEX_SUFFIXES = (".cdxj", ".cdx", ".parquet")


class WarcSource(SourceFields):
    """Archive files, on this machine or at addresses."""

    type: Literal["warc"] = "warc"
    paths: Annotated[
        tuple[Location, ...], Field(description="Files, or folders of *.warc*, *.arc* and *.wet* files.")
    ] = ()
    paths_file: Annotated[Location | None, Field(description="A list of files below `base`: warc.paths.gz.")] = None
    take: Annotated[Take, Field(description="Which files of the list are read.")] = Take()
    index: Annotated[
        tuple[Location, ...], Field(description="CDXJ, CDX or Parquet indexes: only the records they name are read.")
    ] = ()
    select: Annotated[Select, Field(description="Which entries of the indexes are read.")] = Select()
    base: Annotated[
        Location | None, Field(description="What names in lists and indexes lie below: s3://commoncrawl/, a folder.")
    ] = None
    records: Annotated[
        tuple[Literal["response", "conversion"], ...],
        Field(min_length=1, description="Types of records that are read; WET files have conversions."),
    ] = ("response",)
    max_record_bytes: Annotated[int, Field(ge=1)] = MAX_RECORD_BYTES
    content_types: tuple[str, ...] = (*HTML_TYPES, "text/plain")
    license: Annotated[str | None, Field(description="SPDX licence of all pages, where one is known.")] = None
    robots: Annotated[
        Location | None, Field(description="A snapshot of robots.txt files to check the pages against once more.")
    ] = None
    robots_match: Annotated[
        str | None, Field(description="Which files are read where `robots` is a list: a pattern of their names.")
    ] = None
    robots_agent: Annotated[
        str, Field(pattern=r"^[A-Za-z_-]+$", description="Product token whose rules in the snapshot decide.")
    ] = "PomonaBot"
    robots_missing: Annotated[
        Missing, Field(description="What becomes of pages of sites that the snapshot does not have.")
    ] = "keep"
    training_tokens: Annotated[
        tuple[str, ...], Field(description="Tokens whose refusals are noted beside the common ones.")
    ] = ()

    split_bytes: Annotated[int, Field(ge=1, description="Stored bytes of a file that one worker reads, about.")] = (
        SPLIT_BYTES
    )

    @model_validator(mode="after")
    def _input(self) -> Self:
        lists = [path for path in self.paths if is_list(path)]
        if lists:
            raise ValueError(f"{lists[0]} is a list of paths: give it as 'paths_file', with 'base'")
        if not self.paths and self.paths_file is None and not self.index:
            raise ValueError("nothing to read: give 'paths', 'paths_file' or 'index'")
        if self.base is None and (
            self.paths_file is not None or self.index or (self.robots is not None and is_list(self.robots))
        ):
            raise ValueError(
                "lists and indexes name files below 'base': give it, a folder or an address such as "
                "https://data.commoncrawl.org/"
            )
        if self.take != Take() and self.paths_file is None:
            raise ValueError("'take' chooses from a list of paths: give 'paths_file'")
        if self.select != Select() and not self.index:
            raise ValueError("'select' chooses from an index: give 'index'")
        if self.robots_match is not None and (self.robots is None or not is_list(self.robots)):
            raise ValueError("'robots_match' chooses from a list: give one as 'robots', such as robotstxt.paths.gz")
        return self

    def units(self) -> list[Unit]:
        """The files in the order of `paths`, of the list, then what the indexes select, in the order of names.

        A file longer than `split_bytes` is several units, but for one of a list on a store: its units would have to be
        found by reading it whole.

        Raises:
            FileNotFoundError: a path, a list or an index does not exist, or a folder holds no archive.
            SourceError: a list or an index cannot be used.
        """
        units = archive_units(_uniquely_named(self._files()), self.split_bytes)
        if self.base is not None:
            if self.paths_file is not None:
                files = listed(self.paths_file, self.base, self.take, f"sources.{self.name}.paths_file")
                units += listed_units(files, self.split_bytes)
            if self.index:
                indexes = find(self.index, INDEX_SUFFIXES, f"sources.{self.name}.index")
                named = [(found.path, found.name) for found in indexes]
                units += index_units(named, self.base, self.select, self.split_bytes)
        return checked_units(_told_apart(units), self._check())

    def read(self, unit: Unit) -> Iterator[Outcome]:
        """The outcomes of one unit, in its file's order."""
        payload: dict[str, Any] = json.loads(unit.payload)
        if "index" in payload:
            return read_problems(payload, self.select)
        if "missing" in payload:
            return iter([missing_file(payload["missing"])])
        if "ranges" in payload:
            reader = self._reader("")
            return read_ranges(payload, self.max_record_bytes, reader.outcomes())
        place = Place.of(unit.payload)
        return self._reader(place.name).read(place.path, place.span, place.without)

    def _files(self) -> list[tuple[Path, str]]:
        files: list[tuple[Path, str]] = []
        suffixes = (*ARCHIVES, *WET) if "conversion" in self.records else ARCHIVES
        for path in self.paths:
            if storage.exists(path) if storage.is_remote(path) else path.is_file():
                files.append((path, path.name))
                continue
            below = storage.files_below(path)
            found = [(file, name) for file, name in below if name.lower().endswith(suffixes)]
            if not found and not below and not path.exists():
                raise FileNotFoundError(f"{path}: no such file or folder (sources.{self.name}.paths)")
            if not found:
                expected = ", ".join(f"*{suffix}" for suffix in suffixes)
                raise FileNotFoundError(f"{path}: no {expected} file in this folder")
            files.extend(found)
        return files

    def _reader(self, name: str) -> ArchiveReader:
        return ArchiveReader(name, self.max_record_bytes, self.content_types, self.license, self._check(), self.records)

    def _check(self) -> RobotsCheck | None:
        if self.robots is None:
            return None
        tokens = expand((*NOTED, *self.training_tokens))
        return RobotsCheck(
            self.robots, self.robots_agent, self.robots_missing, tokens, True, self.base, self.robots_match
        )


def checked_units(units: list[Unit], check: RobotsCheck | None) -> list[Unit]:
    """Units whose digests cover the robots.txt files that their pages are checked against, too."""
    if check is None:
        return units
    snapshot = check.snapshot().digest
    digests = (hashlib.sha256(f"{unit.digest} {snapshot}".encode()).hexdigest() for unit in units)
    return [replace(unit, digest=digest) for unit, digest in zip(units, digests, strict=True)]


def read_place(
    place: Place,
    max_record_bytes: int,
    content_types: tuple[str, ...],
    licence: str | None,
    check: RobotsCheck | None = None,
) -> Iterator[Outcome]:
    """The outcomes of what a unit of archives covers."""
    reader = ArchiveReader(place.name, max_record_bytes, content_types, licence, check)
    return reader.read(place.path, place.span, place.without)


def _uniquely_named(files: list[tuple[Path, str]]) -> list[ArchiveFile]:
    """Files of one name from several folders are told apart by a number."""
    seen: dict[str, int] = {}
    named: list[ArchiveFile] = []
    for path, found in files:
        name = shown_name(found)
        seen[name] = seen.get(name, 0) + 1
        again = f"~{seen[name]}" if seen[name] > 1 else ""
        named.append(ArchiveFile(path, name + again))
    return named


def _told_apart(units: list[Unit]) -> list[Unit]:
    """Units of one name, from a list and from a folder, are told apart by a number."""
    seen: dict[str, int] = {}
    named: list[Unit] = []
    for unit in units:
        seen[unit.name] = seen.get(unit.name, 0) + 1
        named.append(replace(unit, name=f"{unit.name}~{seen[unit.name]}") if seen[unit.name] > 1 else unit)
    return named
