"""Pages of one origin (a package, a set of gold pages), read once and kept as Parquet."""

from __future__ import annotations

import gzip
import heapq
import json
import re
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

SMALLEST, LARGEST = 2_000, 1_000_000
"""Bytes of a page: shorter ones are redirects and empty frames, longer ones whole books in one file."""
MOST = 2_500
"""Pages kept of one origin, those with the smallest digests: the origins of most pages must not be most of the mix."""

SCHEMA = pa.schema([pa.field("digest", pa.string()), pa.field("url", pa.string()), pa.field("html", pa.large_binary())])
"""`digest` is xxh3-128 of the page's bytes, in hex: pages of equal bytes are one page."""

_REDIRECT = re.compile(rb"http-equiv=[\"']?refresh", re.IGNORECASE)
_NOSCRIPT = re.compile(rb"<noscript>.{0,2000}?</noscript>", re.IGNORECASE | re.DOTALL)
_HTML = re.compile(r"\.x?html?$", re.IGNORECASE)


class CorpusError(Exception):
    """The corpus cannot be made; the message says what is missing and what to do."""


@dataclass(frozen=True)
class Page:
    """A page and where it would be found."""

    url: str
    html: bytes


def download(package: str, folder: Path) -> Path:
    """The newest downloaded file of a Debian package; it is downloaded where there is none.

    Raises:
        CorpusError: apt-get cannot download it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = sorted(folder.glob(f"{package}_*.deb"))
    if not found:
        command = ["apt-get", "download", "-q", package]
        try:
            ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise CorpusError("apt-get is not there: the corpus is made of Debian's packages") from None
        found = sorted(folder.glob(f"{package}_*.deb"))
        if ran.returncode or not found:
            said = (ran.stderr.strip().splitlines() or ["nothing was said"])[-1]
            raise CorpusError(f"{package}: apt-get could not download it ({said}); run `apt-get update` first")
    return found[-1]


def of_package(package: str, deb: Path) -> Iterator[Page]:
    """The HTML pages of a Debian package, under an address of their own host."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
            for member in tar:
                if member.isreg() and _HTML.search(member.name) and SMALLEST <= member.size <= LARGEST:
                    file = tar.extractfile(member)
                    assert file is not None
                    yield Page(f"https://{package}.docs.example.org/{_path(member.name)}", file.read())
    if process.returncode:
        raise CorpusError(f"{deb}: dpkg-deb ended with {process.returncode}; delete the file to download it again")


def _path(name: str) -> str:
    return re.sub(r"^\./(usr/share/)?(doc/)?", "", name)


def of_gold(folder: Path) -> Iterator[Page]:
    """The pages of one set of html_gold, under their own addresses."""
    with gzip.open(folder / "index.jsonl.gz", "rt", encoding="utf-8") as index:
        for line in index:
            entry = json.loads(line)
            with gzip.open(folder / entry["file"]) as file:
                html = file.read()
            if SMALLEST <= len(html) <= LARGEST:
                yield Page(entry.get("url") or f"https://{folder.name}.example.org/{entry['id']}.html", html)


def keep(pages: Iterable[Page], path: Path) -> int:
    """Write the pages that count to a Parquet file, by digest; return how many there were to choose from."""
    seen: set[str] = set()
    # Turned round: the heap gives up its smallest, and the smallest digests are what is to be kept.
    kept: list[tuple[int, str, str, bytes]] = []
    for page in pages:
        digest = xxhash.xxh3_128_hexdigest(page.html)
        if digest in seen or _REDIRECT.search(_NOSCRIPT.sub(b"", page.html[:4096])):
            continue
        seen.add(digest)
        entry = (-int(digest, 16), digest, page.url, page.html)
        if len(kept) < MOST:
            heapq.heappush(kept, entry)
        else:
            heapq.heappushpop(kept, entry)
    rows = sorted((digest, url, html) for _, digest, url, html in kept)
    table = pa.Table.from_pylist([dict(zip(SCHEMA.names, row, strict=True)) for row in rows], SCHEMA)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    pq.write_table(table.replace_schema_metadata({"available": str(len(seen))}), temporary, compression="zstd")
    temporary.rename(path)
    return len(seen)
