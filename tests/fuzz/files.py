"""Small files of every kind that a source reads, and what a source makes of a folder of them."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import html
import io
import json
import lzma
import pydoc_data.topics
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.engines.plan import Shard
from pipelines.ledger import DROPPED, FAILED, KEPT
from pipelines.sources.code.source import CodeSource
from pipelines.sources.epub import EpubSource
from pipelines.sources.latex import LatexSource
from pipelines.sources.mediawiki import MediaWikiSource
from pipelines.sources.raw import RAW_SCHEMA
from pipelines.sources.source import SourceFields
from pipelines.sources.stackexchange import StackExchangeSource
from pipelines.sources.table import TableSource
from pipelines.sources.text import TextSource
from pipelines.sources.warc import WarcSource
from pipelines.steps.extract import ReadSource

TOPICS = [(name, text[:400]) for name, text in sorted(pydoc_data.topics.topics.items())[:3]]
PAGES = [f"<html><title>{name}</title><body><p>{html.escape(text)}</p></body></html>".encode() for name, text in TOPICS]


def warc() -> list[bytes]:
    """Records of a WARC file."""
    records: list[bytes] = []
    for at, page in enumerate(PAGES):
        block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + page
        head = f"WARC/1.1\r\nWARC-Type: response\r\nWARC-Target-URI: http://h.test/{at}\r\n"
        head += f"WARC-Date: 2026-01-02T03:04:05Z\r\nContent-Type: application/http\r\nContent-Length: {len(block)}\r\n"
        records.append(head.encode() + b"\r\n" + block + b"\r\n\r\n")
    return records


def arc() -> bytes:
    """An ARC file."""
    made = [b"filedesc://a.arc 0.0.0.0 20260102030405 text/plain 0\n\n"]
    for at, page in enumerate(PAGES):
        block = b"HTTP/1.1 200 OK\nContent-Type: text/html\n\n" + page
        made.append(b"http://h.test/%d 1.2.3.4 20260102030405 text/html %d\n%s\n" % (at, len(block), block))
    return b"".join(made)


def wet() -> bytes:
    """A WET file."""
    head = b"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: http://h.test/%d\r\n"
    head += b"Content-Length: %d\r\n\r\n%s\r\n\r\n"
    return b"".join(head % (at, len(text.encode()), text.encode()) for at, (_, text) in enumerate(TOPICS))


def parquet() -> bytes:
    """Texts with an address and nested metadata, in two row groups."""
    table = pa.table(
        {
            "text": [text for _, text in TOPICS],
            "url": [f"http://h.test/{name}" for name, _ in TOPICS],
            "metadata": [{"names": [name], "length": len(text)} for name, text in TOPICS],
        }
    )
    stream = io.BytesIO()
    pq.write_table(table, stream, row_group_size=2, compression="snappy")
    return stream.getvalue()


def jsonl() -> bytes:
    """The same as lines."""
    rows = [{"text": text, "url": f"http://h.test/{name}", "metadata": {"n": 1}} for name, text in TOPICS]
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def wiki() -> list[str]:
    """The parts of a MediaWiki export: its head, its pages, its end."""
    head = '<mediawiki xml:lang="en"><siteinfo><base>https://w.test/wiki/Main</base></siteinfo>\n'
    pages = [
        f"<page><title>{name}</title><ns>0</ns><id>{at}</id><revision><id>{at}</id><text>'''{name}''' [[a|b]] "
        f"{{{{lang|la|x}}}} {html.escape(text, quote=False)}</text></revision></page>\n"
        for at, (name, text) in enumerate(TOPICS)
    ]
    return [head, *pages, "</mediawiki>\n"]


def posts() -> bytes:
    """A question with two answers."""
    made = ["<posts>\n"]
    for at, (name, text) in enumerate(TOPICS):
        body = html.escape(f"<p>{text}</p>").replace("\n", "&#xA;")
        kind = 'PostTypeId="2" ParentId="1"' if at else 'PostTypeId="1"'
        made.append(
            f'<row Id="{at + 1}" {kind} Score="{at}" CreationDate="2020-01-02" Title="{name}" Body="{body}" />\n'
        )
    return "".join([*made, "</posts>\n"]).encode()


def tex() -> bytes:
    """A document with mathematics, a table and a macro."""
    text = "\n\n".join(text.replace("%", "").replace("\\", "") for _, text in TOPICS)
    return (
        r"\documentclass{article}\newcommand{\R}[1]{\mathbb{R}^{#1}}\begin{document}\section{A}Let $x\in\R{2}$."
        r"\begin{align}a&=b\end{align}\begin{tabular}{ll}a&b\\c&d\end{tabular}\input{part}" + text + r"\end{document}"
    ).encode()


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def tarred(files: Mapping[str, bytes], kind: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar file."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=kind) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def epub() -> bytes:
    """A book of three chapters."""
    items = "".join(f'<item id="i{at}" href="{at}.html" media-type="application/xhtml+xml"/>' for at in range(3))
    spine = "".join(f'<itemref idref="i{at}"/>' for at in range(3))
    package = f"<package><metadata/><manifest>{items}</manifest><spine>{spine}</spine></package>"
    container = '<container><rootfiles><rootfile full-path="b.opf"/></rootfiles></container>'
    chapters = {f"{at}.html": page for at, page in enumerate(PAGES)}
    return zipped({"META-INF/container.xml": container.encode(), "b.opf": package.encode(), **chapters})


CODE = {
    "a/m.py": b"def f(x):\n    return x\n" * 9,
    "a/" + "n" * 120 + ".py": b"x = 1\n" * 30,
}


Make = Callable[..., Any]


def _fields(kind: type[SourceFields], **fields: Any) -> Make:
    def make(folder: Path, **more: Any) -> Any:
        # Of code a folder would be one tree, not its archives.
        paths = [folder] if kind is not CodeSource else sorted(file for file in folder.rglob("*") if file.is_file())
        return kind.model_validate({"name": "s", "paths": paths, **fields, **more})

    return make


_WARC, _WET = _fields(WarcSource), _fields(WarcSource, records=["conversion"])
_TABLE = _fields(TableSource, columns={"text": "text", "uri": "url", "metadata": ["metadata"]})
_LINES = _fields(TableSource, columns={"text": "text"})
_WIKI, _LATEX, _STACK = _fields(MediaWikiSource), _fields(LatexSource), _fields(StackExchangeSource, site="s.test")
_CODE = _fields(CodeSource, license="MIT")

SEEDS: dict[str, tuple[str, bytes, Make]] = {
    "warc": ("f.warc", b"".join(warc()), _WARC),
    "warc.gz": ("f.warc.gz", b"".join(gzip.compress(one, mtime=0) for one in warc()), _WARC),
    "arc": ("f.arc", arc(), _WARC),
    "arc.gz": ("f.arc.gz", gzip.compress(arc(), mtime=0), _WARC),
    "wet": ("f.wet.gz", gzip.compress(wet(), mtime=0), _WET),
    "text": ("f.txt", "\n\n".join(text for _, text in TOPICS).encode(), _fields(TextSource)),
    "text.xz": ("f.txt.xz", lzma.compress(TOPICS[0][1].encode()), _fields(TextSource, split="blank-lines")),
    "text lines": ("f.txt", "\n\n".join(text for _, text in TOPICS).encode(), _fields(TextSource, split="blank-lines")),
    "jsonl": ("f.jsonl", jsonl(), _LINES),
    "jsonl.gz": ("f.jsonl.gz", gzip.compress(jsonl(), mtime=0), _LINES),
    "parquet": ("f.parquet", parquet(), _TABLE),
    "mediawiki": ("f.xml", "".join(wiki()).encode(), _WIKI),
    "mediawiki.bz2": ("f.xml.bz2", b"".join(bz2.compress(one.encode()) for one in wiki()), _WIKI),
    "stackexchange": ("posts.xml", posts(), _STACK),
    "epub": ("f.epub", epub(), _fields(EpubSource)),
    "latex": ("f.tex", tex(), _LATEX),
    "latex.gz": ("f.gz", gzip.compress(tex(), mtime=0), _LATEX),
    "latex.tar.gz": ("f.tar.gz", gzip.compress(tarred({"m.tex": tex(), "part.tex": b"More."}), mtime=0), _LATEX),
    "code zip": ("f.zip", zipped(CODE), _CODE),
    "code tar": ("f.tar", tarred(CODE), _CODE),
    "code gnu": ("f.tar", tarred(CODE, tarfile.GNU_FORMAT), _CODE),
    "code tar.gz": ("f.tar.gz", gzip.compress(tarred(CODE), mtime=0), _CODE),
}
"""A file's name and bytes, and the source that reads the folder it is in."""

SPLITTABLE = ("warc", "warc.gz", "arc", "arc.gz", "wet", "text lines", "jsonl")
"""Kinds whose files are cut into units, in any way with the same outcomes."""

Row = tuple[str, str, str, str, str]


def rows(make: Make, folder: Path, **more: Any) -> list[Row]:
    """What a source reads in a folder, as the extraction step has it: address, verdict, reason, digest, media type."""
    source = make(folder, **more)
    found: list[Row] = []
    for number, unit in enumerate(source.units()):
        for table in ReadSource("s", source)(Shard(number, unit.name, unit, unit.bytes)):
            assert table.schema.equals(RAW_SCHEMA)
            table.validate(full=True)
            for row in table.to_pylist():
                assert row["verdict"] in (KEPT, DROPPED, FAILED)
                assert row["uri"]
                if row["verdict"] == KEPT:
                    assert row["body"] is not None, row
                else:
                    assert row["reason"], row
                    assert row["reason"] == row["reason"].lower(), row
                body = hashlib.sha256(row["body"] or b"").hexdigest()
                found.append((row["uri"], row["verdict"], row["reason"], body, row["content_type"] or ""))
    return found


def bodies(make: Make, folder: Path) -> list[tuple[bytes, str]]:
    """The bodies and media types of what a source keeps."""
    source = make(folder)
    return [
        (row["body"], row["content_type"])
        for number, unit in enumerate(source.units())
        for table in ReadSource("s", source)(Shard(number, unit.name, unit, unit.bytes))
        for row in table.to_pylist()
        if row["verdict"] == KEPT
    ]
