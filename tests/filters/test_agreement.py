"""The same decisions as datatrove 0.10.1, given the same words, on real pages.

The reference is what its filters decide, written out plainly, one text at a time. One thing is ours on both sides: a
word, among tokens, is one that holds a letter or digit, where datatrove has a list of punctuation.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

import filters
from kernels.strings import text_batch
from kernels.words import words

STOP_WORDS = {"the", "be", "to", "of", "and", "that", "have", "with"}
TOP = {2: 0.20, 3: 0.18, 4: 0.16}
DUPLICATE = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}
POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
ENDS = tuple(".!?。！？؟۔।‼‽．｡")  # the commoner of Unicode's 150


def again(items: list[str]) -> list[str]:
    """Items equal to one before them."""
    seen: set[str] = set()
    return [item for item in items if item in seen or seen.add(item)]  # pyright: ignore


def is_word(token: str) -> bool:
    return any(character.isalnum() for character in token)


def gopher_quality(text: str, words: list[str]) -> bool:
    proper = [word for word in words if is_word(word)]
    lines = text.splitlines()
    if not 50 <= len(proper) <= 100_000:
        return False
    return (
        3 <= sum(map(len, proper)) / len(proper) <= 10
        and text.count("#") / len(words) <= 0.1
        and (text.count("...") + text.count("…")) / len(words) <= 0.1
        and sum(line.lstrip().startswith(("•", "-")) for line in lines) / len(lines) <= 0.9
        and sum(line.rstrip().endswith(("...", "…")) for line in lines) / len(lines) <= 0.3
        and sum(any(map(str.isalpha, word)) for word in words) / len(words) >= 0.8
        and len(STOP_WORDS.intersection(words)) >= 2
    )


def gopher_repetition(text: str, words: list[str]) -> bool:
    if not text:
        return False
    for parts in (re.split(r"\n{2,}", text.strip()), re.split(r"\n+", text)):
        repeated = again(parts)
        if len(repeated) / len(parts) > 0.3 or sum(map(len, repeated)) / len(text) > 0.2:
            return False
    for n, most in TOP.items():
        runs = Counter(" ".join(words[i : i + n]) for i in range(len(words) - n + 1))
        if runs:
            run, count = runs.most_common(1)[0]
            if len(run) * count / len(text) > most:
                return False
    return all(sum(_repeated_runs(words, n)) / len(text) <= most for n, most in DUPLICATE.items())


def _repeated_runs(words: list[str], n: int) -> Iterator[int]:
    seen: set[str] = set()
    at = 0
    while at <= len(words) - n:
        run = "".join(words[at : at + n])
        if run in seen:
            yield len(run)
            at += n
        else:
            seen.add(run)
            at += 1


def fineweb(text: str, words: list[str]) -> bool:
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines:
        return False
    return (
        sum(line.endswith(ENDS) for line in lines) / len(lines) >= 0.12
        and sum(len(line) <= 30 for line in lines) / len(lines) <= 0.67
        and sum(map(len, again(lines))) / len(text.replace("\n", "")) <= 0.01
        and text.count("\n") / len(words) <= 0.3
    )


def c4(text: str) -> bool:
    """Without the rule of terminal punctuation; sentences by a plain pattern."""
    sentences = 0
    for raw in text.splitlines():
        words = raw.split()
        line = re.sub(r"\[\d*]|\[edit]|\[citation needed]", "", raw.strip())
        lower = line.lower()
        if any(len(word) > 1000 for word in words) or len(words) < 3:
            continue
        if "lorem ipsum" in lower:
            return False
        if "javascript" in lower:
            continue
        if "{" in line:
            return False
        if any(phrase in lower for phrase in POLICY):
            continue
        sentences += 1 + len(re.findall(r"[.!?]+[\"”’')\]]*\s+(?=\S)|[。！？](?=.)", line))
    return sentences >= 5


@pytest.fixture(scope="module")
def pages(pomona_data: Path) -> list[str]:
    found: list[str] = []
    for index in sorted((pomona_data / "html_gold").glob("*/index.jsonl.gz")):
        with gzip.open(index, "rt", encoding="utf-8") as file:
            found += [text for line in file if (text := json.loads(line).get("gold_text"))]
    assert len(found) > 800
    return found


@pytest.fixture(scope="module")
def tokens(pages: list[str]) -> list[list[str]]:
    batch = text_batch(pa.array(pages))
    found = words(batch)
    data = bytes(batch.data)
    shown = [data[a:b].decode() for a, b in zip(found.starts.tolist(), found.ends.tolist(), strict=True)]
    return [shown[a:b] for a, b in zip(found.offsets, found.offsets[1:], strict=False)]


@pytest.mark.data
@pytest.mark.parametrize("family", ["gopher", "fineweb", "c4"])
def test_decisions(family: str, pages: list[str], tokens: list[list[str]]) -> None:
    if family == "gopher":
        expected = [
            gopher_quality(text, these) and gopher_repetition(text, these)
            for text, these in zip(pages, tokens, strict=True)
        ]
    elif family == "fineweb":
        expected = [fineweb(text, these) for text, these in zip(pages, tokens, strict=True)]
    else:
        expected = [c4(text) for text in pages]
    decided = filters.decide(filters.measure(pa.array(pages), [family]), filters.rules(family))["keep"].to_pylist()
    agree = sum(a == b for a, b in zip(decided, expected, strict=True))
    assert agree / len(pages) >= 0.995
    assert 0.5 < sum(decided) / len(pages) < 0.95  # both verdicts occur
