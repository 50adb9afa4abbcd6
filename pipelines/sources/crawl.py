"""A live site as a source: crawled politely once, then read back from what was recorded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from pipelines.crawl.config import CrawlConfig
from pipelines.crawl.folder import MANIFEST, PAGES, read_manifest
from pipelines.sources.archive_outcomes import HTML_TYPES, MAX_RECORD_BYTES
from pipelines.sources.record import Outcome, Unit
from pipelines.sources.robots_snapshot import RobotsCheck
from pipelines.sources.source import SourceFields
from pipelines.sources.split import SPLIT_BYTES, ArchiveFile, Place, archive_units
from pipelines.sources.warc import checked_units, read_place
from pipelines.training_consent import NOTED, expand


class CrawlSource(CrawlConfig, SourceFields):
    """A crawl in a recipe: the fields of `CrawlConfig` beside the source's name.

    The source has records only once the crawl is recorded: `recorded(folder)` gives them.
    """

    type: Literal["crawl"] = "crawl"
    source: Annotated[str, Field(description="Always the source's own name.", exclude=True)] = ""
    max_record_bytes: Annotated[int, Field(ge=1, description="Longest page when it is read back.")] = MAX_RECORD_BYTES

    license: Annotated[str | None, Field(description="SPDX licence of the site, where one is known.")] = None
    split_bytes: Annotated[int, Field(ge=1, description="Stored bytes of a file that one worker reads, about.")] = (
        SPLIT_BYTES
    )
    training_tokens: Annotated[
        tuple[str, ...], Field(description="Tokens that robots.txt is asked about beside the common ones.")
    ] = ()

    def config(self) -> CrawlConfig:
        """The crawl to run, its ledger rows under this source's name."""
        fields = {name: getattr(self, name) for name in CrawlConfig.model_fields}
        return CrawlConfig.model_validate({**fields, "source": self.name})

    def recorded(self, folder: Path) -> RecordedCrawl:
        """The source that reads a finished crawl."""
        more = expand((*NOTED, *self.training_tokens))
        tokens = () if more == NOTED else more
        return RecordedCrawl(folder, self.content_types, self.max_record_bytes, self.license, self.split_bytes, tokens)


@dataclass(frozen=True, slots=True)
class RecordedCrawl:
    """The kept pages of a finished crawl. A page the crawl kept is one record here: their counts are equal.

    After an update these are the pages that stand as they were stored and the new ones. A file is read by the same
    units as before the update, except those from which a record was withdrawn: their digest is another.

    Args:
        folder: what `crawl` wrote.
        content_types, max_record_bytes, split_bytes: as in `WarcSource`.
        tokens: those whose refusals are looked up in the crawl's own robots.txt files; empty: those that the crawler
            noted with each page are used.
    """

    folder: Path
    content_types: tuple[str, ...] = HTML_TYPES
    max_record_bytes: int = MAX_RECORD_BYTES
    license: str | None = None
    split_bytes: int = SPLIT_BYTES
    tokens: tuple[str, ...] = ()

    def manifest(self) -> dict[str, Any]:
        """crawl.json.

        Raises:
            FileNotFoundError: the folder holds no finished crawl.
            ValueError: crawl.json is damaged or of another format.
        """
        return read_manifest(self.folder)

    @property
    def ledger(self) -> Path:
        """The crawl's ledger (Parquet, the ledger's schema).

        Raises:
            FileNotFoundError, ValueError: see `manifest`.
        """
        return self.folder / self.manifest()["ledger"]["path"]

    def units(self) -> list[Unit]:
        """The WARC files of kept pages, in the order in which they were written; a long one is several units.

        Raises:
            FileNotFoundError, ValueError: see `manifest`; also a file that is missing.
        """
        files: list[ArchiveFile] = []
        for file in self.manifest()["files"]:
            if not file["path"].startswith(f"{PAGES}/"):
                continue
            path = self.folder / file["path"]
            if not path.is_file():
                raise FileNotFoundError(f"{path}: named by {MANIFEST}, but missing; crawl again or restore it")
            # A file damaged since then is read as far as it goes; its digest must not be taken for the recorded one.
            digest = file["sha256"] if path.stat().st_size == file["bytes"] else None
            without = tuple(record["offset"] for record in file.get("withdrawn", []))
            files.append(ArchiveFile(path, path.name, digest, without))
        return checked_units(archive_units(files, self.split_bytes), self._check())

    def read(self, unit: Unit) -> Iterator[Outcome]:
        """The pages of one unit, in its file's order."""
        place = Place.of(unit.payload)
        return read_place(place, self.max_record_bytes, self.content_types, self.license, self._check())

    def _check(self) -> RobotsCheck | None:
        return RobotsCheck(self.folder, "", tokens=self.tokens, decides=False) if self.tokens else None
