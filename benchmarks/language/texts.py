"""The labelled lines, and the web pages on which nobody says what language they are in."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filters.language_codes import code

SHORTEST = 20
"""Characters: shorter lines of the Declaration are its headings."""


@dataclass(frozen=True)
class Lines:
    """Lines; `names` as their set names a language and its script, `codes` the answer that is right."""

    texts: list[str]
    names: list[str]
    codes: list[str]


def flores(data: Path) -> Lines:
    """Single sentences of news and travel guides, 300 a language."""
    rows = _rows(data / "langid" / "flores200_dev_first300.jsonl.gz")
    return _lines((row["lang"], " ".join(one.split())) for row in rows for one in row["sentences"])


def udhr(data: Path) -> Lines:
    """Lines of the Universal Declaration of Human Rights, of files named by a language's code."""
    rows = [row for row in _rows(data / "langid" / "udhr2.jsonl.gz") if not row["file"].isdigit()]
    pairs = ((row["file"], line.strip()) for row in rows for line in row["text"].split("\n"))
    return _lines((name, line) for name, line in pairs if len(line) >= SHORTEST)


def pages(data: Path) -> list[str]:
    """Main texts of web pages."""
    files = (data / "html_gold" / name / "index.jsonl.gz" for name in ("magic_article", "wcxb_dev"))
    texts = [row.get("gold_text") or "" for file in files for row in _rows(file)]
    return [text for text in texts if len(text) >= 200]


def _lines(pairs: Any) -> Lines:
    known = list(pairs)
    return Lines([text for _, text in known], [name for name, _ in known], [code(name) for name, _ in known])


def _rows(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]
