"""What the fuzzer, and those who read beside it, found: each file once broke something, and is read again here."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipelines.extract import ExtractionError, extract_body
from pipelines.ledger import KEPT
from tests.fuzz.files import SEEDS, rows
from tests.fuzz.outcome import check, outcome

CORPUS = Path(__file__).parent / "corpus"

PAGES = {
    "no-start-tag.html": "attributes were read from memory that nobody had written",
    "number.html": "a number of more than 4,300 digits was a ValueError of html.unescape: the page was lost",
    "surrogate.html": "the title had a lone surrogate and a NUL: no table could be made of the page",
    "deep-json.html": "lists in lists of JSON-LD were a RecursionError: the page was lost",
    "comment-in-formula.html": "a comment in MathML was a ValueError of lxml: the page was lost",
}
FILES = {
    # file: the kind it is, the name it is read under, the records that are kept, what it broke
    "first-byte-lost.epub": ("epub", "f.epub", 0, "a member before the file's beginning: OSError, the run ended"),
    "comments.warc": ("warc", "f.warc", 0, "comments parted by a regular expression in all ways: it never ended"),
    "date.warc": ("warc", "f.warc", 1, "a moment before the year 1 in UTC: OverflowError, the run ended"),
    "length.warc.gz": ("warc.gz", "f.warc.gz", 2, "one record's wrong length took all that followed"),
    "length.warc": ("warc", "f.warc", 2, "the same in a plain file"),
    "deep.jsonl": (
        "jsonl",
        "f.jsonl",
        1,
        "lists too deep for what writes them: RecursionError, the run ended",
    ),
    "list.parquet": ("parquet", "f.parquet", 1, "one string in a list that is not UTF-8: ArrowInvalid, the run ended"),
    "type-in-body.posts.xml": ("stackexchange", "posts.xml", 0, "a type that is no attribute: KeyError, the run ended"),
    "score.posts.xml": ("stackexchange", "posts.xml", 1, "a score of --5: ValueError, the run ended"),
    "number.wiki.xml": ("mediawiki", "f.xml", 1, "a page's number of --5: ValueError, the run ended"),
    "unclosed.wiki.xml": ("mediawiki", "f.xml", 1, "a page that is not closed took the next one with it"),
    "codec.tex.gz": ("latex.gz", "f.gz", 1, "a codec that decodes nothing: UnicodeError, the run ended"),
    "name.papers.tar.gz": ("latex.tar.gz", "f.tar.gz", 0, "a member's name that is not UTF-8: no table, the run ended"),
    "headers.papers.tar.gz": (
        "latex.tar.gz",
        "f.tar.gz",
        0,
        "400 headers, one member: RecursionError, the run ended",
    ),
    "headers.code.tar.gz": ("code tar.gz", "f.tar.gz", 0, "the same among source code"),
    "name.code.zip": ("code zip", "f.zip", 0, "a member without a name: IndexError, the run ended"),
    "zeros.code.tar": (
        "code tar",
        "f.tar",
        0,
        "zeros were an archive without members, and lost without a word",
    ),
}


def test_every_file_has_its_line() -> None:
    assert {path.name for path in CORPUS.iterdir()} == {*PAGES, *FILES, "coding.py"}


@pytest.mark.parametrize("name", PAGES)
def test_pages(name: str) -> None:
    found = outcome((CORPUS / name).read_bytes())
    check(found)
    assert found[0] == "text"
    assert "no formula" not in found[1]


def test_a_codec_that_decodes_nothing() -> None:
    """`# coding: undefined` raised UnicodeError, which is no UnicodeDecodeError."""
    with pytest.raises(ExtractionError) as caught:
        extract_body((CORPUS / "coding.py").read_bytes(), "text/x-python")
    assert caught.value.reason == "undecodable-content"


@pytest.mark.parametrize("name", FILES)
def test_files(name: str, tmp_path: Path) -> None:
    kind, usual, kept, _ = FILES[name]
    shutil.copy(CORPUS / name, tmp_path / usual)
    more = {"columns": {"text": "text", "metadata": ["metadata"]}} if kind == "jsonl" else {}
    found = rows(SEEDS[kind][2], tmp_path, **more)
    assert found
    assert sum(row[1] == KEPT for row in found) == kept
