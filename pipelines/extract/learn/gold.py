"""Pages with known main text, and how near an extracted text comes to it.

Sets: folders with `index.jsonl.gz` (a page a line) and the pages' bytes beside it, gzipped. A page has its full main
text (`gold_text`), its main part as HTML (`gold_html`), or only snippets that must be in it and others that must not.
"""

from __future__ import annotations

import gzip
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa

from kernels.strings import text_batch
from kernels.words import WORD, words
from pipelines.extract.page.text import FORMULA

SETS = ("wcxb_dev", "magic_article", "trafilatura_a", "readability")
_FORMULA = re.compile(r"\$\$?[^$]+\$\$?")
SHINGLE = 4
"""Words of a shingle: the measure of the WCXB and trafilatura comparisons here is F1 of bags of them."""


@dataclass(frozen=True, slots=True)
class GoldPage:
    """A page and what is known of its main text."""

    set: str
    id: str
    url: str | None
    host: str  # pages of one host are never parted between training and test
    kind: str  # page type, "" where the set has none
    html: bytes
    text: str | None  # full main text
    present: tuple[str, ...]  # snippets of it, where the full text is not known
    absent: tuple[str, ...]  # snippets that are not main text
    holes: bool = False  # the gold text lacks its formulas


def pages(folder: Path, sets: tuple[str, ...] = SETS) -> Iterator[GoldPage]:
    """Read the pages of sets that have anything to compare with."""
    for name in sets:
        with gzip.open(folder / name / "index.jsonl.gz", "rt", encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                text = row.get("gold_text") or (_text_of(row["gold_html"]) if row.get("gold_html") else None)
                present = tuple(row.get("with") or ()) if text is None else ()
                absent = tuple(row.get("without") or ()) if text is None else ()
                if text is None and not present and not absent:
                    continue
                url = row.get("url")
                host = (urlsplit(url).hostname or "") if url else ""
                with gzip.open(folder / name / row["file"]) as file:
                    html = file.read()
                host = ".".join(host.split(".")[-3:]) or f"{name}:{row['id']}"
                holes = text is not None and FORMULA in text
                kind = row.get("page_type") or ""
                yield GoldPage(name, row["id"], url, host, kind, html, text, present, absent, holes)


def _text_of(html: str) -> str:
    """The text of a main part given as HTML, a line a block."""
    from pipelines.extract.page.parse import parse
    from pipelines.extract.page.text import texts

    data = np.frombuffer(html.encode("utf-8"), np.uint8)
    batch = texts(data, parse(data)).batch
    whole = batch.data.tobytes()
    bounds = batch.offsets
    return "\n".join(whole[bounds[i] : bounds[i + 1]].decode("utf-8") for i in range(len(bounds) - 1))


def plain(text: str) -> str:
    """A text as it is compared: spaces joined, and in normal form C, as letters that look the same are."""
    return unicodedata.normalize("NFC", " ".join(text.split()))


def tokens(text: str) -> list[int]:
    """Hashes of a text's words: kernels.words' rule, so that a Han character is a word."""
    found = words(text_batch(pa.array([unicodedata.normalize("NFC", text)], pa.large_string())))
    return found.hashes[found.kinds == WORD].tolist()


def shingles(text: str) -> Counter[tuple[int, ...]]:
    """Bag of a text's shingles; a text of fewer words is one shingle."""
    sequence = tokens(text)
    if not sequence:
        return Counter()
    if len(sequence) < SHINGLE:
        return Counter([tuple(sequence)])
    return Counter(zip(*(sequence[k:] for k in range(SHINGLE)), strict=False))


def f1(page: GoldPage, text: str) -> float:
    """How near a text comes to a page's gold: F1 of bags of shingles, or of snippets found and rightly not found.

    Where the gold has holes for formulas, what a text has between dollars is neither right nor wrong.
    """
    if page.text is not None:
        if page.holes:
            text = _FORMULA.sub(" ", text)
        gold, found = shingles(page.text), shingles(text)
        common = (gold & found).total()
        return 2 * common / max(1, gold.total() + found.total())
    return _f1(*snippets(page, text))


def snippets(page: GoldPage, text: str) -> tuple[int, int, int]:
    """Count snippets rightly found, wrongly found, and missed."""
    whole = plain(text)
    hits = sum(plain(one) in whole for one in page.present)
    wrong = sum(plain(one) in whole for one in page.absent)
    return hits, wrong, len(page.present) - hits


def _f1(hits: int, wrong: int, missed: int) -> float:
    return 2 * hits / max(1, 2 * hits + wrong + missed) if hits + wrong + missed else 1.0
