"""A recipe that crawls a site of this Python's help topics, and a search of every file of its run for a text."""

from __future__ import annotations

import gzip
import html
import json
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tokenizers import Tokenizer

from pipelines import storage
from tests.tiny import TOPICS

PAGES = dict(TOPICS[20:60])
RECIPE = """
name: crawled
partitions: 2
sources:
  - {{name: site, type: crawl, seeds: [{site}], allow_private: true, delay: 0.0, warc_max_bytes: 60000}}
  - {{name: notes, type: table, paths: [{notes}], columns: {{uri: url}}, license: MIT}}
filters:
  families: [gopher]
  rules:
    - {{signal: gopher.words, min: 40}}
tokenizer: {{vocab_size: 500, sample_bytes: 100000}}
heldout: {{fraction: 0.1}}
stages:
  core:
    tokens: 60000
    schedule:
      points:
        - {{at: 0, weights: {{site: 0.9, notes: 0.1}}}}
        - {{at: 0.5, weights: {{site: 0.7, notes: 0.3}}}}
  anneal:
    tokens: 60000
    entries:
      - {{name: long, share: 0.6, signal: gopher.words, percentiles: [50, 100]}}
      - {{name: rest, share: 0.4}}
"""


class Site(BaseHTTPRequestHandler):
    """The pages, linked from the first."""

    def do_GET(self) -> None:
        name = self.path.strip("/")
        links = "".join(f'<a href="/{one}">{one}</a> ' for one in PAGES)
        text = links if not name else "".join(f"<p>{html.escape(one)}</p>" for one in PAGES.get(name, "").split("\n\n"))
        found = not name or name in PAGES
        page = f"<html><head><title>{name}</title></head><body>{text}</body></html>".encode() if found else b""
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *args: object) -> None: ...


@contextmanager
def site(folder: Path) -> Generator[Path]:
    """Serve the pages, write notes beside them, and yield the recipe."""
    lines = [json.dumps({"text": text, "url": f"https://notes.example.org/{name}"}) for name, text in TOPICS[:12]]
    (folder / "notes.jsonl").write_text("\n".join(lines) + "\n")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    path = folder / "crawled.yaml"
    path.write_text(RECIPE.format(site=f"http://127.0.0.1:{server.server_address[1]}/", notes=folder / "notes.jsonl"))
    try:
        yield path
    finally:
        server.shutdown()
        server.server_close()


def page_of(run: Path) -> str:
    """The address of a page that both stages take: which do depends on the server's port, by the ids."""
    taken: list[set[str]] = []
    for stage in ("core", "anneal"):
        told = storage.read_json(run / "mixture" / stage / "manifest.json")
        tables = [storage.read_table(run / "mixture" / stage / one["path"], ["uri"]) for one in told["shards"]]
        taken.append({uri for table in tables for uri in table["uri"].to_pylist()})
    pages = {uri for uri in set.intersection(*taken) if uri.rpartition("/")[2] in PAGES}
    return next(uri for uri in sorted(pages) if len(distinctive(uri)) > 3)


def distinctive(uri: str) -> list[str]:
    """Lines of a page that no other text has, and that JSON and HTML write as they are."""
    name = uri.rpartition("/")[2]
    others = "\n".join(text for other, text in TOPICS if other != name)
    lines = map(str.strip, PAGES[name].split("\n"))
    return [line for line in lines if len(line) > 50 and line not in others and not set(line) & set("\"\\&<>'")]


def leaves(column: Any, decode: Any) -> Iterator[str]:
    """Every text of an Arrow column, however deep it lies; lists of numbers as the tokens that they may be."""
    kind = column.type
    if pa.types.is_struct(kind):
        for field in range(kind.num_fields):
            yield from leaves(pc.struct_field(column, [field]), decode)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        if pa.types.is_integer(kind.value_type):
            yield from (decode(one) for one in column.to_pylist() if one)
        else:
            yield from leaves(pc.list_flatten(column), decode)
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        yield from (one for one in column.to_pylist() if one)
    elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        yield from (one.decode("utf-8", "ignore") for one in column.to_pylist() if one)


def holding(run: Path, lines: list[str], library: Path | None = None) -> dict[str, str]:
    """Open every file of a folder, packed ones too; return those that hold one of the lines.

    Tokens are read with `library`, which is the run's own where none is named.
    """
    files = {name: storage.read_bytes(path) for path, name in storage.files_below(run)}
    tokenizer = Tokenizer.from_str(storage.read_bytes(library or run / "tokenizer/tokenizer.json").decode())
    size = tokenizer.get_vocab_size()

    def decode(ids: list[int]) -> str:
        return tokenizer.decode([one for one in ids if 0 <= one < size])

    found: dict[str, str] = {}
    for name, content in files.items():
        texts = [content.decode("utf-8", "ignore")]
        if content[:4] == b"PAR1":
            table = pq.read_table(pa.BufferReader(content))
            texts += [one for column in table.columns for one in leaves(column, decode)]
        elif content[:2] == b"\x1f\x8b":
            texts.append(html.unescape(gzip.decompress(content).decode("utf-8", "ignore")))
        elif name.endswith(".bin"):
            texts.append(decode(np.frombuffer(content, "<u2").tolist()))
        texts.append(html.unescape(texts[0]))
        for line in lines:
            if any(line in text for text in texts):
                found[name] = line
                break
    return found
