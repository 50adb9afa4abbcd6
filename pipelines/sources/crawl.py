"""A live site as a source: crawled politely once, then read back from what was recorded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from pipelines import storage
from pipelines.crawl.config import CrawlConfig
from pipelines.crawl.folder import FORMAT, LEDGER, MANIFEST, PAGES
from pipelines.sources.record import Outcome, Unit
from pipelines.sources.source import SourceFields
from pipelines.sources.warc import HTML_TYPES, MAX_RECORD_BYTES, ArchiveReader


class CrawlSource(CrawlConfig, SourceFields):
    """A crawl in a recipe: the fields of `CrawlConfig` beside the source's name.

    The source has records only once the crawl is recorded: `recorded(folder)` gives them.
    """

    type: Literal["crawl"] = "crawl"
    source: Annotated[str, Field(description="Always the source's own name.", exclude=True)] = ""
    max_record_bytes: Annotated[int, Field(ge=1, description="Longest page when it is read back.")] = MAX_RECORD_BYTES

    license: Annotated[str | None, Field(description="SPDX licence of the site, where one is known.")] = None

    def config(self) -> CrawlConfig:
        """The crawl to run, its ledger rows under this source's name."""
        fields = {name: getattr(self, name) for name in CrawlConfig.model_fields}
        return CrawlConfig.model_validate({**fields, "source": self.name})

    def recorded(self, folder: Path) -> RecordedCrawl:
        """The source that reads a finished crawl."""
        return RecordedCrawl(folder, self.content_types, self.max_record_bytes, self.license)


@dataclass(frozen=True, slots=True)
class RecordedCrawl:
    """The kept pages of a finished crawl. A page the crawl kept is one record here: their counts are equal.

    Args:
        folder: what `crawl` wrote.
        content_types, max_record_bytes: as in `WarcSource`.
    """

    folder: Path
    content_types: tuple[str, ...] = HTML_TYPES
    max_record_bytes: int = MAX_RECORD_BYTES
    license: str | None = None

    def manifest(self) -> dict[str, Any]:
        """crawl.json.

        Raises:
            FileNotFoundError: the folder holds no finished crawl.
            ValueError: crawl.json is damaged or of another format.
        """
        path = self.folder / MANIFEST
        if not path.is_file():
            raise FileNotFoundError(
                f"{self.folder}: no finished crawl here ({MANIFEST} is missing); "
                "run `pomona crawl RECIPE --out DIR` to its end first"
            )
        manifest = storage.read_json(path)
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            raise ValueError(
                f"{path}: format is {manifest.get('format') if isinstance(manifest, dict) else None!r}, "
                f"expected {FORMAT!r}"
            )
        return manifest

    @property
    def ledger(self) -> Path:
        """The crawl's ledger (Parquet, the ledger's schema)."""
        return self.folder / LEDGER

    def units(self) -> list[Unit]:
        """One unit a WARC file of kept pages, in the order in which they were written.

        Raises:
            FileNotFoundError, ValueError: see `manifest`; also a file that is missing or has another size than
            recorded.
        """
        units: list[Unit] = []
        for file in self.manifest()["files"]:
            if not file["path"].startswith(f"{PAGES}/"):
                continue
            path = self.folder / file["path"]
            if not path.is_file():
                raise FileNotFoundError(f"{path}: named by {MANIFEST}, but missing; crawl again or restore it")
            # A file damaged since then is read as far as it goes; its digest must not be taken for the recorded one.
            digest = file["sha256"] if path.stat().st_size == file["bytes"] else storage.sha256(path)
            units.append(Unit(path.name, digest, path.stat().st_size, str(path)))
        return units

    def read(self, unit: Unit) -> Iterator[Outcome]:
        """The pages of one WARC file, in its order."""
        reader = ArchiveReader(unit.name, self.max_record_bytes, self.content_types, self.license)
        yield from reader.read(Path(unit.payload))
