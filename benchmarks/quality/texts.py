"""Labelled texts made of the evaluation data: curated ones, and main texts of web pages that nobody chose.

As in DCLM: positive are instructions with answers (Dolly, self-instruct), threads of Stack Exchange, articles of
Wikipedia and chapters of books; negative is the main text of web pages of every kind. English alone, else the language
would tell them apart. A page's group is its host; a curated text is its own.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

SHORTEST, LONGEST = 200, 20_000
"""Characters; longer texts are cut, so that length says little."""
SETS = ("wcxb_dev", "magic_article")

Row = tuple[str, str]


def curated(data: Path) -> Iterator[Row]:
    """Curated texts with their groups."""
    for number, row in enumerate(_rows(data / "posttrain" / "dolly_hhrlhf_small.jsonl.gz")):
        asked = row["prompt"].partition("### Instruction:")[2].partition("### Response:")[0]
        yield f"dolly-{number}", f"{asked.strip()}\n\n{row['response']}"
    for row in _rows(data / "posttrain" / "self_instruct_seed_tasks.jsonl.gz"):
        parts = [f"{one['input']}\n\n{one['output']}".strip() for one in row["instances"]]
        yield row["id"], "\n\n".join([row["instruction"], *parts])
    for number, row in enumerate(_rows(data / "text" / "stackexchange_redpajama_sample.jsonl.gz")):
        yield f"stackexchange-{number}", row["text"]
    for book in sorted((data / "books").glob("*.jsonl.gz")):
        for row in _rows(book):
            yield f"{book.name}-{row['file']}", re.sub(r"\s*\n\s*", "\n", re.sub("<[^>]+>", "", row["xhtml"])).strip()
    yield from _wikipedia(data / "text" / "enwiki_dump_shortened.xml.bz2")


def raw(data: Path) -> Iterator[Row]:
    """Main texts of web pages with their hosts, as people marked them."""
    for name in SETS:
        for row in _rows(data / "html_gold" / name / "index.jsonl.gz"):
            if row.get("gold_text"):
                yield urlsplit(row["url"] or "").hostname or f"{name}-{row['id']}", row["gold_text"]


def write(data: Path, out: Path) -> pa.Table:
    """Write ``label``, ``group`` and ``text`` of all to Parquet, and return them."""
    from filters.language import identify

    rows = [(1, group, text) for group, text in curated(data)] + [(0, group, text) for group, text in raw(data)]
    table = pa.table(
        {
            "label": pa.array([label for label, _, _ in rows], pa.int8()),
            "group": pa.array([group for _, group, _ in rows], pa.string()),
            "text": pa.array([text[:LONGEST] for _, _, text in rows], pa.large_string()),
        }
    )
    english = pc.equal(identify(table["text"])["language"], "en")
    long = pc.greater_equal(pc.utf8_length(table["text"]), SHORTEST)
    table = table.filter(pc.and_(english, long))
    out.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, out)
    return table


def _wikipedia(dump: Path) -> Iterator[Row]:
    import bz2
    import xml.etree.ElementTree as ElementTree

    from pipelines.extract.extraction import ExtractionError
    from pipelines.extract.wikitext import read_wikitext

    with bz2.open(dump) as file:
        for _, page in ElementTree.iterparse(file):
            if not page.tag.endswith("}page"):
                continue
            found: dict[str, Any] = {one.tag.rpartition("}")[2]: one.text for one in page.iter()}
            if found.get("ns", "0") == "0" and not (found.get("text") or "").lstrip().lower().startswith("#redirect"):
                try:
                    yield f"wiki-{found['title']}", read_wikitext((found["text"] or "").encode(), "text/x-wiki").text
                except ExtractionError:
                    continue
            page.clear()


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
