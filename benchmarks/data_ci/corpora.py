"""Corpora of real texts for each question, made of the evaluation data; nothing of it stays in the repository."""

from __future__ import annotations

import gzip
import importlib.metadata
import json
import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import xxhash

from benchmarks.quality.texts import curated, raw

SHORTEST, LONGEST = 400, 12_000
"""Characters of a text; longer ones are cut, so that none is a corpus of its own."""
LEAKED, COPIES = 50, 6
"""Items of the benchmark that leak, and how often each does."""


@dataclass(frozen=True)
class Text:
    """A text with its address and the group that it is held out with."""

    uri: str
    group: str
    text: str


def write(path: Path, texts: Iterable[Text]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for one in texts:
            file.write(json.dumps({"id": one.uri, "group": one.group, "text": one.text}) + "\n")
    return path


def part(text: str, of: int) -> int:
    """A number below `of` that a text always has."""
    return xxhash.xxh64_intdigest(text.encode()) % of


def english(texts: Iterable[Text]) -> list[Text]:
    import pyarrow as pa

    from filters.language import identify

    found = [Text(one.uri, one.group, one.text[:LONGEST]) for one in texts if len(one.text) >= SHORTEST]
    languages = identify(pa.array([one.text for one in found], pa.large_string()))["language"].to_pylist()
    return [one for one, language in zip(found, languages, strict=True) if language == "en"]


def web(data: Path) -> list[Text]:
    """Main texts of web pages as people marked them, English ones."""
    rows = [(f"https://{host}/{number}", host, text) for number, (host, text) in enumerate(raw(data))]
    return english(Text(*row) for row in rows)


def pages(data: Path) -> list[Text]:
    """Other web pages, by our extractor: no host of them is among those of `web`."""
    from pipelines.extract import extract_html

    hosts = {one.group for one in web(data)}
    folder = data / "html_gold" / "trafilatura_a"
    found: list[Text] = []
    for row in rows(folder / "index.jsonl.gz"):
        host = urlsplit(row["url"] or "").hostname or ""
        if host not in hosts:
            with gzip.open(folder / row["file"]) as file:
                text = extract_html(file.read(), row["url"]).text
            found.append(Text(row["url"], host, text))
    return english(found)


def good(data: Path) -> list[Text]:
    """Curated texts: instructions with answers, threads, articles, chapters of books."""
    return english(Text(f"curated://{group}", re.split(r"[-_]", group)[0], text) for group, text in curated(data))


def documentation() -> list[Text]:
    """English pages of the corpus that `python -m benchmarks.corpus` makes: documentation of Debian's packages."""
    import pyarrow.parquet as pq

    from benchmarks.corpus.documents import extracted
    from benchmarks.corpus.made import make

    corpus = make(20_000)
    done = sorted(corpus.glob("steps/01-extract-*/_manifest.json"), key=lambda path: path.stat().st_mtime)
    # Texts of an earlier version of the extractor do as well: what they are is not asked here.
    parts = sorted((done[-1].parent / "documents").glob("*.parquet")) if done else extracted(corpus)[1]
    found: list[Text] = []
    for path in parts:
        table = pq.read_table(path, columns=["uri", "text"])
        for uri, text in zip(table["uri"].to_pylist(), table["text"].to_pylist(), strict=True):
            host = urlsplit(uri).hostname or ""
            if host.endswith(".docs.example.org"):  # the others are pages of html_gold
                found.append(Text(uri, host, text))
    return english(found)


def licences() -> list[Text]:
    """The licence texts of installed packages: near-copies of each other as nobody had to make them."""
    found: dict[str, Text] = {}
    for package in importlib.metadata.distributions():
        for file in package.files or ():
            if file.name.upper().startswith(("LICENSE", "LICENCE", "COPYING")) and file.suffix in ("", ".txt", ".md"):
                place = Path(str(file.locate()))
                if place.is_file():
                    text = place.read_text("utf-8", errors="replace")[:LONGEST]
                    uri = f"https://packages.test/{package.metadata['Name']}/{file}"
                    found[uri] = Text(uri, "licence", text)
    return sorted(found.values(), key=lambda one: one.uri)


def duplicated(texts: list[Text], seed: int = 0) -> Iterator[Text]:
    """Copies as crawls hold them: most pages once or twice, a tenth of them up to sixty times, half with small edits.

    An edit is a line of its own on top (a date, a notice), or a paragraph less.
    """
    rng = random.Random(seed)
    for one in texts:
        copies = rng.choice((20, 30, 40, 60)) if rng.random() < 0.1 else rng.choice((1, 1, 1, 2, 2, 3))
        for copy in range(copies):
            text = one.text
            if copy and rng.random() < 0.5:
                paragraphs = text.split("\n")
                if len(paragraphs) > 6 and rng.random() < 0.5:
                    del paragraphs[rng.randrange(len(paragraphs))]
                else:
                    paragraphs.insert(0, f"Printed on {rng.randint(1, 28)}.{rng.randint(1, 12)}.2024, copy {copy}")
                text = "\n".join(paragraphs)
            yield Text(f"{one.uri}?copy={copy}", one.group, text)


def items(data: Path) -> list[dict[str, Any]]:
    """The benchmark that leaks: GSM8K's problems with their solutions."""
    return [
        {"id": str(number), "question": row["question"], "solution": row["answer"]}
        for number, row in enumerate(rows(data / "benchmarks" / "gsm8k_test.jsonl.gz"))
    ]


def whole(item: dict[str, Any]) -> str:
    return f"{item['question']}\n{item['solution']}"


def as_long_as(texts: list[Text], characters: int) -> list[Text]:
    """The first texts that have so many characters between them."""
    found: list[Text] = []
    for one in texts:
        if characters <= 0:
            break
        found.append(one)
        characters -= len(one.text)
    return found


def leaks(chosen: list[dict[str, Any]], carriers: list[Text]) -> Iterator[Text]:
    """Each item several times: as a document of its own with other words before it, and in the middle of web pages."""
    before = ("Question:", "I was asked this at school today.", "Task", "An exercise, solved")
    page = iter(carriers)
    for item in chosen:
        for copy in range(COPIES):
            uri = f"https://leaks.test/{item['id']}/{copy}"
            if copy < len(before):
                yield Text(uri, "leak", f"{before[copy]}\n\n{whole(item)}\n")
            else:
                carrier = next(page)
                half = len(carrier.text) // 2
                cut = carrier.text.find("\n", half)
                cut = cut if cut >= 0 else len(carrier.text)
                yield Text(uri, "leak", f"{carrier.text[:cut]}\n\n{whole(item)}\n{carrier.text[cut:]}")


def rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
