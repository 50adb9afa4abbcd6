"""What a crawl knows while it runs, on disk: killed at any moment and started again, it goes on where it was.

One SQLite file in WAL mode (standard library, atomic commits, no limit set by memory; a log of our own would have to
bring an index of the addresses met, and the recovery that SQLite has been tested for). A page is two writes: its
records in a WARC file, its row here. They are made one: a commit first flushes and syncs the WARC files, then writes
their lengths together with the rows. After a kill a WARC file is cut back to the length that was committed, so that
what stands in a file and what stands here are the same pages: none lost, none twice. What came after the last commit
(at most COMMIT_SECONDS or COMMIT_ROWS) is asked for again.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pipelines.crawl.errors import CrawlError

FORMAT = "pomona-frontier/1"

COMMIT_SECONDS = 1.0
COMMIT_ROWS = 256
"""A commit comes with the first row after so many seconds, or after so many rows."""

_SCHEMA = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE targets (
    position INTEGER PRIMARY KEY, url TEXT NOT NULL UNIQUE, depth INTEGER NOT NULL, redirects INTEGER NOT NULL,
    found_on TEXT NOT NULL, lastmod TEXT NOT NULL
);
CREATE TABLE outcomes (
    url TEXT PRIMARY KEY, rank INTEGER NOT NULL, id TEXT NOT NULL, verdict TEXT NOT NULL, reason TEXT NOT NULL,
    evidence TEXT NOT NULL, how TEXT NOT NULL, chosen INTEGER NOT NULL, bytes INTEGER NOT NULL, file TEXT NOT NULL,
    offset INTEGER NOT NULL, canonical TEXT NOT NULL
);
CREATE TABLE found (rank INTEGER PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE warc (name TEXT PRIMARY KEY, length INTEGER NOT NULL, closed INTEGER NOT NULL, info TEXT NOT NULL);
CREATE TABLE site_files (
    origin TEXT NOT NULL, name TEXT NOT NULL, asked REAL NOT NULL, status INTEGER, reason TEXT NOT NULL,
    body BLOB NOT NULL, PRIMARY KEY (origin, name)
);
CREATE TABLE hosts (host TEXT PRIMARY KEY, pages INTEGER NOT NULL, bytes INTEGER NOT NULL, failures INTEGER NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a WARC file is written: `name` in the crawl's folder, bytes, whether it is closed, its warcinfo's id."""

    name: str
    length: int
    closed: bool
    info_id: str


@dataclass(frozen=True, slots=True)
class SiteFile:
    """An answer about a whole site (robots.txt, tdmrep.json, a sitemap).

    `asked` in seconds since the epoch; `status` None where there was no answer, for the `reason` given.
    """

    origin: str
    name: str
    asked: float
    status: int | None
    reason: str = ""
    body: bytes = b""


@dataclass(slots=True)
class HostSums:
    """What one host has cost so far: pages asked for, bytes of bodies, failures in a row."""

    pages: int = 0
    bytes: int = 0
    failures: int = 0


class Writer(Protocol):
    """Something that writes WARC files."""

    def sync(self) -> list[Mark]:
        """Make everything written durable; how far the files are that changed since the last call."""
        ...


class Journal:
    """The file; one process at a time.

    Args:
        path: made if it is missing.

    Raises:
        CrawlError: the file is no journal, or of another format.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writers: list[Writer] = []
        self._rows = 0
        self._started = time.monotonic()
        self._committed = self._started
        try:
            # Exclusive: no other process may look in, and SQLite needs no shared memory file.
            self._base = sqlite3.connect(path, isolation_level=None)
            for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=NORMAL", "cache_size=-32000"):
                self._base.execute(f"PRAGMA {pragma}")
            self._base.execute("BEGIN")
            if not self._base.execute("SELECT 1 FROM sqlite_master WHERE name='facts'").fetchone():
                for statement in _SCHEMA.split(";"):
                    self._base.execute(statement)
                self.put_fact("format", FORMAT)
            if self.fact("format") != FORMAT:
                raise CrawlError(
                    f"{path}: format is {self.fact('format')!r}, expected {FORMAT!r}; delete {path.parent}"
                )
        except sqlite3.Error as error:
            raise CrawlError(f"{path}: no frontier of a crawl ({error}); delete {path.parent}") from error
        self._earlier = float(self.fact("seconds") or 0.0)
        rows = self._base.execute("SELECT host, pages, bytes, failures FROM hosts")
        self._hosts = {host: HostSums(pages, count, failures) for host, pages, count, failures in rows}

    @property
    def seconds(self) -> float:
        """How long the crawl has run, with the times before it was killed."""
        return self._earlier + time.monotonic() - self._started

    def watch(self, writer: Writer) -> None:
        """Commit a writer's files together with the rows."""
        self._writers.append(writer)

    def row(self) -> None:
        """Note that a row is complete, with all that belongs to it; commits when it is time."""
        self._rows += 1
        if self._rows >= COMMIT_ROWS or time.monotonic() - self._committed >= COMMIT_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Make everything written so far durable, here and in the WARC files, all or nothing.

        Raises:
            CrawlError: the disk is full, or broken.
        """
        marks = [mark for writer in self._writers for mark in writer.sync()]
        try:
            self._base.executemany(
                "INSERT OR REPLACE INTO warc VALUES (?, ?, ?, ?)",
                [(mark.name, mark.length, mark.closed, mark.info_id) for mark in marks],
            )
            self.put_fact("seconds", str(self.seconds))
            self._base.execute("COMMIT")
            self._base.execute("BEGIN")
        except sqlite3.Error as error:
            raise CrawlError(
                f"{self.path}: cannot be written ({error}); make room, and start the crawl again"
            ) from error
        self._rows = 0
        self._committed = time.monotonic()

    def close(self) -> None:
        """Close the file; what was not committed is forgotten."""
        self._base.close()

    def fact(self, name: str) -> str | None:
        """A fact by its name."""
        found = self._base.execute("SELECT value FROM facts WHERE name=?", (name,)).fetchone()
        return None if found is None else str(found[0])

    def count(self, name: str) -> int:
        """A fact that is a number; 0 where it was never put."""
        return int(self.fact(name) or 0)

    def put_fact(self, name: str, value: str | int) -> None:
        """Put a fact in place of the one before it."""
        self._base.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, str(value)))

    def marks(self) -> list[Mark]:
        """The WARC files, as far as they are committed, by name."""
        rows = self._base.execute("SELECT name, length, closed, info FROM warc ORDER BY name")
        return [Mark(name, length, bool(closed), info) for name, length, closed, info in rows]

    def site_file(self, origin: str, name: str) -> SiteFile | None:
        """An answer about a site, None where it was never asked for."""
        found = self._base.execute(
            "SELECT origin, name, asked, status, reason, body FROM site_files WHERE origin=? AND name=?", (origin, name)
        ).fetchone()
        return None if found is None else SiteFile(*found)

    def site_files(self, name: str | None = None) -> Iterator[SiteFile]:
        """All answers about sites, or those of one name, by origin."""
        where = "" if name is None else "WHERE name=?"
        query = f"SELECT origin, name, asked, status, reason, body FROM site_files {where} ORDER BY origin, name"
        for found in self._base.execute(query, () if name is None else (name,)):
            yield SiteFile(*found)

    def put_site_file(self, file: SiteFile) -> None:
        """Put an answer about a site in place of the one before it."""
        values = (file.origin, file.name, file.asked, file.status, file.reason, file.body)
        self._base.execute("INSERT OR REPLACE INTO site_files VALUES (?, ?, ?, ?, ?, ?)", values)

    def host(self, name: str) -> HostSums:
        """What a host has cost; changed there, and then `put_host`."""
        return self._hosts.setdefault(name, HostSums())

    def put_host(self, name: str) -> None:
        """Put down what a host has cost by now."""
        sums = self.host(name)
        values = (name, sums.pages, sums.bytes, sums.failures)
        self._base.execute("INSERT OR REPLACE INTO hosts VALUES (?, ?, ?, ?)", values)

    def put_outcome(self, values: Sequence[Any]) -> None:
        """Put the outcome of an address: the columns of `outcomes`, in order."""
        self._base.execute("INSERT INTO outcomes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)

    def put_found(self, rank: int, value: dict[str, Any]) -> None:
        """Put the addresses that a page or sitemap leads to, to be taken in the order of ranks."""
        self._base.execute("INSERT INTO found VALUES (?, ?)", (rank, json.dumps(value, separators=(",", ":"))))

    def query(self, text: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of a query."""
        yield from self._base.execute(text, values)

    def run(self, text: str, values: Sequence[Any] = ()) -> int:
        """Change rows; how many were."""
        return self._base.execute(text, values).rowcount

    def run_many(self, text: str, values: Iterable[Sequence[Any]]) -> int:
        """Change rows, once for each of the values; how many were."""
        return self._base.executemany(text, values).rowcount
