"""RefinedWeb's line rules against DCLM's, written out plainly (mlfoundations/dclm, baselines/mappers/modifiers.py)."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import filters
from filters.line_family import LineBatch, measure_lines
from filters.refinedweb import COUNTERS
from kernels.strings import text_batch

COUNTER = re.compile(rf"^\W*\d(?:,|\.|\d)*(?:k|m|b)?\s+(?:{'|'.join(COUNTERS)})\W*$", re.ASCII)


def one(text: str) -> dict[str, float]:
    return {
        k.removeprefix("refinedweb."): v
        for k, v in filters.measure(pa.array([text]), ["refinedweb"]).to_pylist()[0].items()
    }


def test_by_hand() -> None:
    text = (
        "HELLO WORLD\n3 likes\nRead more...\n\n12\nSome plain text is here.\n"
        "  Items in cart: 3\nSign-in now please\nwords"
    )
    found = one(text)
    for flag in ("uppercase", "digit", "counter"):
        assert found[f"{flag}_line_ratio"] == 1 / 8
    assert found["single_word_line_ratio"] == 2 / 8  # 12 and words
    assert found["cut_line_ratio"] == 3 / 8
    # HELLO WORLD, 3 likes, Read more, 12, Items in cart, Sign in (a hyphen parts words), words
    assert found["removed_word_ratio"] == (2 + 2 + 2 + 1 + 3 + 1 + 1) / (2 + 2 + 2 + 1 + 5 + 4 + 4 + 1)
    assert one("A short line.\n\nAnd another one.")["removed_word_ratio"] == 0
    assert one("read more... is not at the end of this one")["cut_line_ratio"] == 0
    assert one("one two three four five six seven eight nine ten eleven read more...")["cut_line_ratio"] == 0
    assert one("這是一行中文，不是一個單詞。")["removed_word_ratio"] == 0  # white space would call it a single word


def of_lines(text: str, signal: str) -> list[float]:
    return measure_lines(LineBatch(text_batch(pa.array([text]))), f"refinedweb_lines.{signal}").tolist()


def test_lines() -> None:
    text = "ab CD\n1,204 Views!\n 12 \n\n\u00e9"
    assert of_lines(text, "uppercase_ratio") == [2 / 5, 1 / 12, 0, 0, 0]
    assert of_lines(text, "counter") == [0, 1, 0, 0, 0]
    assert of_lines(text, "digits") == [0, 0, 1, 0, 0]
    assert of_lines(text, "single_word") == [0, 0, 1, 0, 1]


def test_flagged_lines_are_dropped() -> None:
    text = "HELLO WORLD\nA line of prose.\n3 likes\n12\nwords\nAnother line."
    found = filters.strike_lines(pa.array([text]), filters.rules("refinedweb_lines"))
    assert found["text"].to_pylist() == ["A line of prose.\nAnother line."]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(["3", "1,2", ".", "K", " ", "likes", "Views", "!", "_", "-", "x", "\t", "share"]), max_size=8
    ).map("".join)
)
def test_counters_as_the_pattern(line: str) -> None:
    assert of_lines(line, "counter") == ([COUNTER.search(line.lower()) is not None] if line else [])


def removed(text: str) -> float:
    """DCLM's modifiers in its order; words as it counts them."""

    def words(lines: list[str]) -> int:
        return sum(word[0].isalnum() for line in lines for word in line.split())

    before = lines = text.split("\n")
    lines = [line for line in lines if not line or sum(map(str.isupper, line)) / len(line) <= 0.5]
    lines = [line for line in lines if not line or not all(map(str.isdigit, line))]
    lines = [line for line in lines if not COUNTER.search(line.lower())]
    lines = [line for line in lines if not line or len(line.split()) >= 2]
    for pattern in (r"\s?items in cart", r"\s?Read more\.\.\.$", r"^Sign-in\s?"):
        lines = [re.sub(pattern, "", line, flags=re.I) if len(line.split()) <= 10 else line for line in lines]
    total = words(before)
    return (total - words(lines)) / total if total else 0.0


@pytest.mark.data
def test_the_share_that_is_removed_from_pages(pomona_data: Path) -> None:
    """In scripts with spaces the 5% rule decides as DCLM's on at least 98% of pages, where it drops 6% of them."""
    pages: list[str] = []
    for index in sorted((pomona_data / "html_gold").glob("*/index.jsonl.gz")):
        with gzip.open(index, "rt", encoding="utf-8") as file:
            pages += [text for line in file if (text := json.loads(line).get("gold_text"))]
    pages = [page for page in pages if sum(map(str.isascii, page)) > 0.9 * len(page)]
    assert len(pages) > 600
    ours = filters.measure(pa.array(pages), ["refinedweb"])["refinedweb.removed_word_ratio"].to_pylist()
    theirs = [removed(page) for page in pages]
    assert sum((a > 0.05) == (b > 0.05) for a, b in zip(ours, theirs, strict=True)) / len(pages) >= 0.98
    assert 0.02 < sum(share > 0.05 for share in ours) / len(pages) < 0.2
