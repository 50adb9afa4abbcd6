"""Every source goes through the extraction step: its sums close, and neither workers nor cuts show in the output."""

from __future__ import annotations

import bz2
import gzip
import html
import io
import json
import pydoc_data.topics
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter

from pipelines.engines.local import LocalEngine
from pipelines.sources import SourceConfig
from pipelines.steps import extract
from pipelines.steps.step import Finished, Steps

TOPICS = dict(sorted(pydoc_data.topics.topics.items())[:30])


def _epub(text: str) -> bytes:
    out = io.BytesIO()
    page = f'<html xmlns="http://www.w3.org/1999/xhtml"><body><p>{html.escape(text)}</p></body></html>'
    with zipfile.ZipFile(out, "w") as book:
        book.writestr(
            "META-INF/container.xml", '<container><rootfiles><rootfile full-path="b.opf"/></rootfiles></container>'
        )
        book.writestr("b.opf", '<package><manifest><item id="a" href="a.xhtml" media-type="application/xhtml+xml"/>'
                               '</manifest><spine><itemref idref="a"/></spine></package>')  # fmt: skip
        book.writestr("a.xhtml", page)
    return out.getvalue()


def _tar(text: str) -> bytes:
    out = io.BytesIO()
    data = (
        b"\\documentclass{article}\\begin{document}\\begin{verbatim}\n%s\n\\end{verbatim}\\end{document}"
        % text.encode()
    )
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("main.tex")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def _page(name: str, text: str) -> str:
    return (
        f"<page><title>{name}</title><ns>0</ns><revision><text>"
        f"{html.escape(f'<pre>{html.escape(text)}</pre>')}</text></revision></page>"
    )


def _make(kind: str, folder: Path) -> dict[str, Any]:
    """Real documentation in a source's own format, with one bad record among it; and the recipe's fields."""
    folder.mkdir()
    if kind == "text":
        (folder / "all.txt").write_text("\n%%\n".join([*TOPICS.values(), "a\0b"]))
        return {"split": "marker", "marker": "%%", "split_bytes": 5000}
    if kind == "table":
        rows = [*({"text": text, "id": name} for name, text in TOPICS.items()), {"text": None, "id": "none"}]
        pq.write_table(pa.Table.from_pylist(rows), folder / "a.parquet", row_group_size=7)
        (folder / "b.jsonl.gz").write_bytes(gzip.compress(b'{"text": "one more"}\n{"text": '))
        return {"layout": "datatrove", "split_bytes": 5000}
    if kind == "mediawiki":
        pages = [*(_page(name, text) for name, text in TOPICS.items()), _page("bad & title", "x")]
        streams = ["<mediawiki>", *("".join(pages[at::5]) for at in range(5)), "</mediawiki>"]
        (folder / "w.xml.bz2").write_bytes(b"".join(bz2.compress(one.encode()) for one in streams))
        return {"split_bytes": 5000}
    if kind == "epub":
        for name, text in TOPICS.items():
            (folder / f"{name}.epub").write_bytes(_epub(text))
        (folder / "broken.epub").write_bytes(b"PK")
        return {}
    if kind == "latex":
        for name, text in TOPICS.items():
            (folder / f"{name}.tar.gz").write_bytes(gzip.compress(_tar(text)))
        (folder / "empty.tex").write_text("no document")
        return {}
    posts = "".join(
        f'<row Id="{at}" PostTypeId="1" Title="{name}" Body="{_attribute(f"<p>{html.escape(text)}</p>")}" />\n'
        for at, (name, text) in enumerate(TOPICS.items(), 1)
    )
    (folder / "Posts.xml").write_text(f"<posts>\n{posts}<row Id='x' />\n</posts>")
    return {"site": "docs.test", "split_bytes": 10_000}


def _attribute(text: str) -> str:
    return html.escape(text).replace("\n", "&#xA;")


def _run(source: Any, out: Path, workers: int) -> Finished:
    return extract.run(Steps(out, LocalEngine(workers)), "s", source, source.model_dump(mode="json"), 3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["text", "table", "mediawiki", "epub", "latex", "stackexchange"])
def test_sums_close_and_workers_do_not_show(kind: str, tmp_path: Path) -> None:
    fields = _make(kind, tmp_path / "input")
    given = {"name": "s", "type": kind, "paths": [str(tmp_path / "input")], **fields}
    source: Any = TypeAdapter[Any](SourceConfig).validate_python(given)
    one, two = _run(source, tmp_path / "one", 1), _run(source, tmp_path / "two", 2)
    for done in (one, two):
        done.account.check(kind)
        assert done.account.received == done.table("ledger").num_rows
    assert one.table("documents").equals(two.table("documents"))
    assert one.table("ledger").equals(two.table("ledger"))
    assert one.account.kept == len(TOPICS) + (kind == "table")
    assert one.account.failed.total() == 1 + (kind == "table"), one.account
    texts = [" ".join(text.split()) for text in one.table("documents")["text"].to_pylist()]
    for said in TOPICS.values():
        assert any(" ".join(said.split()) in text for text in texts)
    for row in one.table("documents").to_pylist():
        assert json.loads(row["metadata"])["extractor"] == {
            "text": "text", "table": "text", "mediawiki": "wikitext", "latex": "latex",
        }.get(kind, "structure")  # fmt: skip
