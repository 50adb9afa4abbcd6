"""dolma's taggers (1.2.1, ``gopher_v2`` and ``c4_v2``), written out plainly: the same numbers, to the last bit."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from pathlib import Path
from statistics import median

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import filters
from filters.gopher import STOP_WORDS
from filters.naughty import naughty_words


def tagged(text: str) -> dict[str, float]:
    words, lines, every = text.split(), re.split(r"\n+", text), text.lower().split("\n")
    chars = max(sum(map(len, words)), 1)
    count = max(len(words), 1)
    times = Counter(lines)
    several = {line: number for line, number in times.items() if number > 1}
    found: dict[str, float] = {
        "words": len(words),
        "median_word_length": median(map(len, words)) if words else 0,
        "symbol_ratio": sum("#" in word or "…" in word for word in words) / count,
        "alphabetic_word_ratio": sum(any(map(str.isalpha, word)) for word in words) / count,
        "stop_words": sum(word in STOP_WORDS for word in words),
        "bullet_line_ratio": sum(line.startswith(("*", "-")) for line in lines) / len(lines),
        "ellipsis_line_ratio": sum(line.endswith("…") for line in lines) / len(lines),
        "duplicate_line_ratio": sum(several.values()) / len(lines),
        "duplicate_line_char_ratio": sum(len(line) * number for line, number in several.items()) / chars,
        "curly_brackets": "{" in text,
        "lorem_ipsum": "lorem ipsum" in text.lower(),
        "javascript": "javascript" in text.lower(),
        "unfinished_line_ratio": sum(not line.strip().endswith((".", "?", "!", '"')) for line in every) / len(every),
        "short_line_ratio": sum(len(line.split()) < 3 for line in every) / len(every),
    }
    for n in range(2, 11):
        grams = Counter(zip(*(words[k:] for k in range(n)), strict=False))
        lengths = {gram: sum(map(len, gram)) for gram in grams}
        if n < 5:
            top, number = grams.most_common(1)[0] if grams else ((), 0)
            found[f"top_{n}_gram_char_ratio"] = number * lengths.get(top, 0) / chars
        else:
            total = sum(number * lengths[gram] for gram, number in grams.items())
            repeated = sum(number * lengths[gram] for gram, number in grams.items() if number > 1)
            found[f"duplicate_{n}_gram_char_ratio"] = repeated / max(total, 1)
    return found if text else dict.fromkeys(found, 0.0) | {"unfinished_line_ratio": 1.0, "short_line_ratio": 1.0}


def check(texts: list[str]) -> None:
    found = filters.measure(pa.array(texts), ["dolma"]).to_pylist()
    for text, row in zip(texts, found, strict=True):
        for name, value in tagged(text).items():
            mine = row[f"dolma.{name}"]
            assert (mine > 0 if isinstance(value, bool) else mine) == value, (name, text[:200])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["the", "of ", " ", "\n", "a b\n", "- ", "…", "#x", "é.", "{", "JavaScript", "lorem", " ipsum"]
        ),
        max_size=40,
    ).map("".join)
)
def test_made_texts(text: str) -> None:
    check([text, text * 3])


@pytest.mark.data
def test_real_pages(pomona_data: Path) -> None:
    pages: list[str] = []
    for index in sorted((pomona_data / "html_gold").glob("*/index.jsonl.gz")):
        with gzip.open(index, "rt", encoding="utf-8") as file:
            pages += [text for line in file if (text := json.loads(line).get("gold_text"))]
    assert len(pages) > 800
    check(pages)
    keep = filters.decide(filters.measure(pa.array(pages), ["dolma"]), filters.rules("dolma"))["keep"].to_pylist()
    assert 0.5 < sum(keep) / len(keep) < 0.9


def test_naughty_words_are_whole_and_phrases_anywhere() -> None:
    phrase = next(entry for entry in naughty_words() if " " in entry)
    word = next(entry for entry in naughty_words() if entry.isalpha())
    texts = [f"x {word.upper()} y {word}", f"{word}, {word}ly", f"ab{phrase}cd", ""]
    found = filters.measure(pa.array(texts), ["dolma", "llama3"])
    assert found["dolma.naughty_words"].to_pylist() == [2, 0, 1, 0]
    assert found["llama3.dirty_words"].to_pylist()[:2] == [2, 1]  # tokens, so that a comma does not hide a word


def test_what_follows_itself() -> None:
    found = filters.measure(pa.array(["ab cd ef " * 120, "ab cd ef " * 99, "ab", "====="]), ["dolma"])
    assert found["dolma.periodic_repeats"].to_pylist() == [120, 99, 1, 1]
