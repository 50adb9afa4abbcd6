"""Pages as WARC files: equal pages give equal bytes."""

from __future__ import annotations

import gzip
import io
import uuid
from collections.abc import Sequence
from pathlib import Path

from benchmarks.corpus.pages import Page

PAGES_A_FILE = 250
DATE = "2024-01-01T00:00:00Z"


def write(pages: Sequence[tuple[str, Page]], folder: Path) -> list[Path]:
    """Write (digest, page) pairs, one after the other in turn into gzip WARC files of about PAGES_A_FILE records."""
    folder.mkdir(parents=True, exist_ok=True)
    count = max(2, -(-len(pages) // PAGES_A_FILE))
    files: list[Path] = []
    for number in range(count):
        path = folder / f"pages-{number:05d}.warc.gz"
        temporary = path.with_suffix(".part")
        with temporary.open("wb") as sink:
            for digest, page in pages[number::count]:
                sink.write(_member(record(digest, page)))
        temporary.rename(path)
        files.append(path)
    return files


def record(digest: str, page: Page) -> bytes:
    """One response record. The payload's type stands in its header, as Common Crawl writes it."""
    try:
        page.html.decode("utf-8")
        content_type = "text/html; charset=utf-8"
    except UnicodeDecodeError:  # the page's own declaration counts then
        content_type = "text/html"
    http = (
        f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {len(page.html)}\r\n\r\n".encode()
        + page.html
    )
    header = (
        "WARC/1.1\r\nWARC-Type: response\r\n"
        f"WARC-Record-ID: <{uuid.UUID(hex=digest).urn}>\r\n"
        f"WARC-Target-URI: {page.url}\r\nWARC-Date: {DATE}\r\n"
        "WARC-Identified-Payload-Type: text/html\r\n"
        f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(http)}\r\n\r\n"
    )
    return header.encode("utf-8") + http + b"\r\n\r\n"


def _member(data: bytes) -> bytes:
    sink = io.BytesIO()
    with gzip.GzipFile(fileobj=sink, mode="wb", compresslevel=6, mtime=0, filename="") as file:
        file.write(data)
    return sink.getvalue()
