"""The names in a crawl's folder, and what its manifest says.

    crawl.json               what was asked, sums, robots digests, files with their digests; written last
    ledger.parquet           one row an address: kept, dropped or failed, and why
    warc/*.warc.gz           the answers that were kept
    crawldiagnostics/*.warc.gz   redirects, answers with another status than 200, and revisits
    robotstxt/*.warc.gz      the robots.txt files

Named as in Common Crawl. An update (a crawl that asks only for what is new) adds a generation to the same folder: new
files, whose names tell it (`warc-g001-00000.warc.gz`, `ledger-g001.parquet`), beside the earlier ones, which are never
written again. `crawl.json` is replaced last, in one move, and it alone says what is current: the ledger, the files of
all generations, and in each file the records that are `withdrawn` from it (superseded by a newer answer, gone, refused
by robots.txt since). A file no record of which was withdrawn is the same input as before. What an interrupted update
left is named by no crawl.json, and removed by the next one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipelines import storage

FORMAT = "pomona-crawl/2"
FORMATS = ("pomona-crawl/1", FORMAT)
"""Formats that are read: the first knew one generation only."""

MANIFEST = "crawl.json"
PAGES, DIAGNOSTICS, ROBOTS = FOLDERS = ("warc", "crawldiagnostics", "robotstxt")


def ledger_name(generation: int) -> str:
    """The name of a generation's ledger; the first is 0."""
    return f"ledger{_mark(generation)}.parquet"


def prefix(folder: str, generation: int) -> str:
    """How the names of a generation's WARC files begin."""
    return folder + _mark(generation)


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


def clear(folder: Path, manifest: dict[str, Any] | None) -> None:
    """Remove what an unfinished crawl or update left: WARC files and ledgers that the manifest does not name."""
    named = {file["path"] for file in manifest["files"]} | {manifest["ledger"]["path"]} if manifest else set[str]()
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


def described(folder: Path, files: Iterable[Path]) -> list[dict[str, Any]]:
    """New files as the manifest names them."""
    return [
        {
            "path": file.relative_to(folder).as_posix(),
            "bytes": file.stat().st_size,
            "sha256": storage.sha256(file),
        }
        for file in files
    ]
