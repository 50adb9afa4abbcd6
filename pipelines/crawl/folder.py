"""The names in a crawl's folder, and what its manifest says.

    crawl.json               what was asked, sums, robots digests, files with their digests; written last
    ledger.parquet           one row an address: kept, dropped or failed, and why
    warc/*.warc.gz           the answers that were kept
    crawldiagnostics/*.warc.gz   redirects, answers with another status than 200, and revisits
    robotstxt/*.warc.gz      the robots.txt files, and what else speaks for a whole site: tdmrep.json, sitemaps
    frontier/                while the crawl runs: what it knows (see `journal`); removed when it is finished

Named as in Common Crawl. An update (a crawl that asks only for what is new) adds a generation to the same folder: new
files, whose names tell it (`warc-g001-00000.warc.gz`, `ledger-g001.parquet`), beside the earlier ones, which are never
written again. Where several workers share the hosts, each writes files of its own (`warc-w002-00000.warc.gz`).
`crawl.json` is replaced last, in one move, and it alone says what is current: the ledger, the files of all generations,
and in each file the records that are `withdrawn` from it (superseded by a newer answer, gone, refused by robots.txt
since, left to the page that they name as canonical). A file no record of which was withdrawn is the same input as
before. What an interrupted crawl or update left is named by no crawl.json but known to `frontier/`, and is
gone on with; what neither names is removed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines import storage
from pipelines.crawl.journal import Mark

FORMAT = "pomona-crawl/2"
FORMATS = ("pomona-crawl/1", FORMAT)
"""Formats that are read: the first knew one generation only."""

MANIFEST = "crawl.json"
FRONTIER = "frontier"
JOURNAL = "crawl.sqlite"
PAGES, DIAGNOSTICS, ROBOTS = FOLDERS = ("warc", "crawldiagnostics", "robotstxt")


def ledger_name(generation: int) -> str:
    """The name of a generation's ledger; the first is 0."""
    return f"ledger{_mark(generation)}.parquet"


def prefix(folder: str, generation: int, worker: int | None = None) -> str:
    """How the names of a generation's WARC files begin; `worker` where several write."""
    return folder + _mark(generation) + ("" if worker is None else f"-w{worker:03d}")


def journal_of(folder: Path, worker: int | None = None) -> Path:
    """Where a crawl, or one of its workers, keeps what it knows while it runs."""
    return folder / FRONTIER / ("" if worker is None else f"w{worker:03d}") / JOURNAL


def _mark(generation: int) -> str:
    return f"-g{generation:03d}" if generation else ""


def read_manifest(folder: Path) -> dict[str, Any]:
    """crawl.json of a finished crawl.

    Raises:
        FileNotFoundError: the folder holds no finished crawl.
        ValueError: crawl.json is damaged or of another format.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder}: no finished crawl here ({MANIFEST} is missing); "
            "run `pomona crawl RECIPE --out DIR` to its end first"
        )
    manifest = storage.read_json(path)
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if not isinstance(manifest, dict) or found not in FORMATS:
        raise ValueError(f"{path}: format is {found!r}, expected {' or '.join(map(repr, FORMATS))}")
    return manifest


def clear(folder: Path, manifest: dict[str, Any] | None, marks: Iterable[Mark]) -> None:
    """Remove what an unfinished crawl or update left: WARC files and ledgers that neither manifest nor marks name."""
    named = {file["path"] for file in manifest["files"]} | {manifest["ledger"]["path"]} if manifest else set[str]()
    for mark in marks:
        named |= {mark.name, mark.name + ".open"}
    for pattern in (*(f"{name}/*.warc.gz*" for name in FOLDERS), "ledger.parquet", "ledger-g*.parquet"):
        for path in folder.glob(pattern):
            if path.relative_to(folder).as_posix() not in named:
                path.unlink()


def link(files: list[dict[str, Any]], source: Path, folder: Path) -> None:
    """Bring an earlier crawl's files into another folder, without a copy where the file system allows it."""
    for file in files:
        goal = folder / file["path"]
        goal.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source / file["path"], goal)
        except OSError:  # another file system, or one without hard links
            shutil.copyfile(source / file["path"], goal)


def described(
    folder: Path, files: Iterable[str], withdrawn: Mapping[str, Sequence[Mapping[str, Any]]]
) -> list[dict[str, Any]]:
    """New files as the manifest names them, with the records that are withdrawn from each."""
    found: list[dict[str, Any]] = []
    for name in files:
        path = folder / name
        entry: dict[str, Any] = {"path": name, "bytes": path.stat().st_size, "sha256": storage.sha256(path)}
        if records := withdrawn.get(name):
            entry["withdrawn"] = sorted(records, key=lambda record: int(record["offset"]))
        found.append(entry)
    return found
