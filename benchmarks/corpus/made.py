"""A corpus of a size: downloaded, read, chosen and written once, and kept below .bench/."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.corpus import pages, warc
from benchmarks.corpus.choice import choose
from benchmarks.environments import BENCH

HERE = Path(__file__).parent
FOLDER = BENCH / "corpus"


def version(*names: str) -> str:
    """A digest of files of this package: what was made by other code is not taken for what this code would make."""
    return hashlib.sha256(b"".join((HERE / name).read_bytes() for name in names)).hexdigest()[:8]


def packages() -> list[str]:
    """The packages that are read."""
    lines = (HERE / "packages.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def origins() -> dict[str, Path]:
    """The kept pages of every origin; those that are missing are made.

    Raises:
        CorpusError: a package cannot be downloaded or read.
    """
    kept = FOLDER / f"pages-{version('pages.py', 'packages.txt')}"
    found: dict[str, Path] = {}
    for package in packages():
        path = kept / f"{package}.parquet"
        if not path.exists():
            _tell(package, pages.keep(pages.of_package(package, pages.download(package, FOLDER / "debs")), path))
        found[package] = path
    data = os.environ.get("POMONA_DATA")
    for index in sorted(Path(data).glob("html_gold/*/index.jsonl.gz")) if data else []:
        name = f"html_gold.{index.parent.name}"
        path = kept / f"{name}.parquet"
        if not path.exists():
            _tell(name, pages.keep(pages.of_gold(index.parent), path))
        found[name] = path
    return found


def _tell(name: str, count: int) -> None:
    print(f"{name}: {count:,} distinct pages", file=sys.stderr, flush=True)


def make(count: int, seed: int = 0) -> Path:
    """The folder of a corpus of so many pages: `warc/` and `corpus.json`, which says what they are.

    Raises:
        CorpusError: a package cannot be downloaded or read.
        ValueError: there are fewer pages.
    """
    gold = "gold" if os.environ.get("POMONA_DATA") else "packages"
    code = version("made.py", "pages.py", "choice.py", "warc.py", "packages.txt")
    folder = FOLDER / f"{gold}-{code}-{count}-{seed}"
    about = folder / "corpus.json"
    if about.exists():
        return folder
    found = origins()
    digests = {name: pq.read_table(path, columns=["digest"])["digest"].to_pylist() for name, path in found.items()}
    chosen = choose(digests, count, seed)
    taken: dict[tuple[str, int], pages.Page] = {}
    for name, path in found.items():
        rows = [one.row for one in chosen if one.origin == name]
        table = pq.read_table(path).take(pa.array(rows, pa.int64()))
        for row, one in zip(rows, table.to_pylist(), strict=True):
            taken[name, row] = pages.Page(one["url"], one["html"])
    listing: list[tuple[str, pages.Page]] = []
    addresses: set[str] = set()
    for one in chosen:
        page = taken[one.origin, one.row]
        if page.url in addresses:  # two sets of pages may hold two versions of one address
            page = pages.Page(f"{page.url}#{one.digest}", page.html)
        addresses.add(page.url)
        listing.append((one.digest, page))
    files = warc.write(listing, folder / "warc")
    described: dict[str, Any] = {
        "pages": count,
        "seed": seed,
        "bytes": sum(len(page.html) for _, page in listing),
        "files": len(files),
        "warc_bytes": sum(path.stat().st_size for path in files),
        "debs": sorted(path.name for path in (FOLDER / "debs").glob("*.deb") if path.name.split("_")[0] in found),
        "origins": {name: sum(one.origin == name for one in chosen) for name in sorted(found)},
    }
    about.write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
    return folder
