"""The three series of WARC files that one process of a crawl writes."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from pipelines.crawl.config import CrawlConfig
from pipelines.crawl.folder import DIAGNOSTICS, FOLDERS, PAGES, ROBOTS, prefix
from pipelines.crawl.journal import Journal, Mark
from pipelines.crawl.warc_writer import WarcWriter


class Series:
    """Pages, diagnostics, and files about sites; committed together with the journal's rows.

    Args:
        out: the crawl's folder.
        config: whose user agent and file size are used.
        generation, worker: part of the files' names.
        journal: knows how far an earlier process came.

    Raises:
        CrawlError: a file is shorter than the journal says.
    """

    def __init__(self, out: Path, config: CrawlConfig, generation: int, worker: int | None, journal: Journal) -> None:
        info = [
            ("software", f"pomona/{version()}"),
            ("format", "WARC File Format 1.1"),
            ("conformsTo", "http://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/"),
            ("robots", "obey (RFC 9309)"),
            ("http-header-user-agent", config.user_agent),
        ]
        marks = journal.marks()
        self._writers = {
            name: WarcWriter(out / name, prefix(name, generation, worker), info, config.warc_max_bytes, marks)
            for name in FOLDERS
        }
        self.pages, self.diagnostics, self.sites = (self._writers[name] for name in (PAGES, DIAGNOSTICS, ROBOTS))
        journal.watch(self)

    def sync(self) -> list[Mark]:
        """See `WarcWriter.sync`."""
        return [mark for writer in self._writers.values() for mark in writer.sync()]

    def close(self) -> None:
        """Finish all files."""
        for writer in self._writers.values():
            writer.close()

    def release(self) -> None:
        """Let go of all files as they are."""
        for writer in self._writers.values():
            writer.release()


def version() -> str:
    """The version of this software."""
    try:
        return importlib.metadata.version("pomona")
    except importlib.metadata.PackageNotFoundError:
        return "source"
