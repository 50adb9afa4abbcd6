"""The site: real pages of Debian's documentation, whole trees, each on a virtual host of its own."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.corpus.made import origins
from benchmarks.corpus.pages import MOST
from benchmarks.environments import BENCH

PAGES, HOSTS = 20_000, 50
"""What a site must have at least."""
OWN_HOST = 80
"""Pages of a folder that make it a host of its own."""
LISTED = 100
"""Links on one page of a host's listing."""
SLOW_EVERY, CRAWL_DELAY = 10, 0.01
"""Every tenth host asks in its robots.txt for a delay, in seconds; the others ask for none.

Short, because no crawler is quicker than the requests to the largest host times its delay (here 3,500, most of them for
links that lead nowhere): a site measures crawlers only where that product is less than the work on all pages.
"""


@dataclass(frozen=True)
class Host:
    """A virtual host: its name, and its pages by path."""

    name: str
    pages: dict[str, bytes]


def made() -> Path:
    """The site as one Parquet file (host, path, gzip-compressed body), made once and kept below .bench/.

    Raises:
        CorpusError: a package cannot be downloaded or read.
        ValueError: the packages have too few pages or folders.
    """
    path = BENCH / "crawl" / f"site-{PAGES}.parquet"
    if path.exists():
        return path
    hosts = _chosen()
    rows = [
        (host.name, at, gzip.compress(html, 6, mtime=0)) for host in hosts for at, html in sorted(host.pages.items())
    ]
    table = pa.table(list(map(list, zip(*rows, strict=True))), names=["host", "path", "body"])
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.set_column(2, "body", table["body"].cast(pa.large_binary())), path, compression="none")
    return path


def _chosen() -> list[Host]:
    """Whole origins, the smallest first, until there are enough pages; each cut into hosts by its largest folders."""
    hosts: list[Host] = []
    count = 0
    for name, file in sorted(origins().items(), key=lambda item: (pq.read_metadata(item[1]).num_rows, item[0])):
        if name.startswith("html_gold") or pq.read_metadata(file).num_rows >= MOST:  # no site, or only a part of one
            continue
        for host in _hosts(name, file):
            hosts.append(host)
            count += len(host.pages)
        if count >= PAGES and len(hosts) >= HOSTS:
            return hosts
    raise ValueError(f"the packages have {count:,} pages on {len(hosts)} hosts, expected {PAGES:,} on {HOSTS}")


def _hosts(origin: str, file: Path) -> Iterator[Host]:
    pages: dict[str, bytes] = {}
    for row in pq.read_table(file, columns=["url", "html"]).to_pylist():
        pages[unquote(urlsplit(row["url"]).path)] = row["html"]
    folders: dict[str, dict[str, bytes]] = defaultdict(dict)
    common = _common([path.split("/")[:-1] for path in pages])
    for path, html in pages.items():
        parts = path.split("/")
        folders["/".join(parts[: common + 1]) if len(parts) > common + 1 else ""][path] = html
    rest: dict[str, bytes] = {}
    number = 0
    for folder, held in sorted(folders.items()):
        if folder and len(held) >= OWN_HOST:
            number += 1
            yield Host(f"{origin.replace('.', '-')}-{number}.test", held)
        else:
            rest |= held
    if rest:
        yield Host(f"{origin.replace('.', '-')}.test", rest)


def _common(folders: list[list[str]]) -> int:
    """How many leading folders all pages share."""
    count = 0
    for names in zip(*folders, strict=False):
        if len(set(names)) > 1:
            break
        count += 1
    return count


def answers(file: Path) -> dict[str, dict[str, tuple[str, bytes]]]:
    """What is served: host -> path -> (content type, compressed body), robots.txt and listings of all pages too."""
    table = pq.read_table(file)
    found: dict[str, dict[str, tuple[str, bytes]]] = defaultdict(dict)
    for host, path, body in zip(*(table[name].to_pylist() for name in ("host", "path", "body")), strict=True):
        found[host][path] = ("text/html; charset=utf-8" if _utf8(body) else "text/html", body)
    for number, (host, pages) in enumerate(sorted(found.items())):
        paths = sorted(pages)
        lists = [paths[at : at + LISTED] for at in range(0, len(paths), LISTED)]
        for at, listed in enumerate(lists):
            pages[f"/list-{at}.html"] = ("text/html; charset=utf-8", _page(f"{host}, {at}", listed))
        pages["/"] = ("text/html; charset=utf-8", _page(host, [f"/list-{at}.html" for at in range(len(lists))]))
        delay = f"Crawl-delay: {CRAWL_DELAY}\n" if number % SLOW_EVERY == 0 else ""
        robots = f"User-agent: *\n{delay}Disallow: /private/\n"
        pages["/robots.txt"] = ("text/plain", gzip.compress(robots.encode()))
    return dict(found)


def _utf8(body: bytes) -> bool:
    try:
        gzip.decompress(body).decode()
    except UnicodeDecodeError:
        return False
    return True


def _page(title: str, links: list[str]) -> bytes:
    import html
    from urllib.parse import quote

    items = "".join(f'<li><a href="{quote(link)}">{html.escape(link)}</a></li>' for link in links)
    return gzip.compress(f"<!DOCTYPE html><title>{html.escape(title)}</title><ul>{items}</ul>".encode())


def seeds(file: Path, port: int) -> list[str]:
    """Where a crawl starts: every host's first page."""
    return [f"http://{host}:{port}/" for host in sorted(set(pq.read_table(file, columns=["host"])["host"].to_pylist()))]


def slow(file: Path) -> list[str]:
    """Hosts whose robots.txt asks for CRAWL_DELAY."""
    hosts = sorted(set(pq.read_table(file, columns=["host"])["host"].to_pylist()))
    return hosts[::SLOW_EVERY]


if __name__ == "__main__":
    found = made()
    table = pq.read_table(found, columns=["host"])
    print(json.dumps({"pages": table.num_rows, "hosts": len(table["host"].unique())}))
