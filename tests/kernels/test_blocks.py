"""Kernels that read 64 bytes at once agree with plain definitions, at every place of a block and of a buffer."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels.lines import LineRule, lines
from kernels.phrases import count_phrases, phrase_lines, words_with
from kernels.spaced import longest_words, spaced_counts, spaced_ranges
from kernels.strings import TextBatch, text_batch
from kernels.tokens import tokens, tokens_of_units
from kernels.unicode import decode_text, unicode_tables
from kernels.vocabulary import distinct_known_words
from kernels.words import spelled_words, token_hashes

PIECES = st.sampled_from(
    [
        *("a", "B", "the", "Quick", "7", "42", "don't", "U.S", "e.g.", "3.14", "1,000", "x-2", "-", "--"),
        *("...", "..", ".", "'", ",", "!", "!!", "=", "==", "#", "_", "(", ")", "{", "\x00", "\x7f"),
        *(" ", " ", " ", "  ", "\t", "\n", "\n\n", "\r\n", "\x1c", "\u2028", "\x85", "\xa0", "\u3000"),
        *("’", "“", "é", "E\u0301", "ß", "ดี", "か", "が", "\u00ad", "\u200b", "…", "😀"),
        *("long" * 9, "w" * 70, "Ünïcödé" * 3, "lorem ipsum", "JavaScript", "use cookies"),
    ]
)
TEXT = st.lists(PIECES, max_size=80).map("".join)


def exact_batch(texts: list[str]) -> TextBatch:
    """A batch whose buffer ends with its last text."""
    encoded = [text.encode() for text in texts]
    data = np.frombuffer(b"".join(encoded), np.uint8).copy()
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    data.flags.writeable = offsets.flags.writeable = False
    return TextBatch(data, offsets)


def tokens_by_the_rule(text: str) -> list[NDArray[np.generic]]:
    """Tokens of one text, all of it decoded first."""
    data = np.frombuffer(text.encode(), np.uint8)
    units = np.zeros(len(data) + 2, np.uint32)
    count = decode_text(data, 0, len(data), unicode_tables(), units)
    units[count] = units[count + 1] = 0
    columns = [np.empty(len(data), kind) for kind in (np.int64, np.int64, np.uint8, np.bool_, np.bool_)]
    found = tokens_of_units(data, units, count, 0, 0, *columns)
    return [column[:found] for column in columns]


@settings(max_examples=300, deadline=None)
@given(st.lists(TEXT | st.text(st.characters(max_codepoint=127), max_size=200), min_size=1, max_size=3))
def test_tokens_of_ascii_are_those_of_the_rule(texts: list[str]) -> None:
    batch = exact_batch(texts)
    found = tokens(batch)
    for i, text in enumerate(texts):
        here = slice(found.offsets[i], found.offsets[i + 1])
        expected = tokens_by_the_rule(text)
        for column, other in zip(
            (found.starts - batch.offsets[i], found.ends - batch.offsets[i]), expected, strict=False
        ):
            assert column[here].tolist() == other.tolist(), text
        for column, other in zip(found[3:], expected[2:], strict=True):
            assert column[here].tolist() == other.tolist(), text


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=3))
def test_lines_and_their_words(texts: list[str]) -> None:
    batch = exact_batch(texts)
    rules: dict[LineRule, list[list[str]]] = {
        "newline": [text.split("\n") for text in texts],
        "unicode": [text.splitlines() for text in texts],
        "paragraph": [re.split(r"\n{2,}", text.strip()) for text in texts],
    }
    newline = lines(batch)
    for rule, expected in rules.items():
        found = lines(batch, rule)
        shown = [
            bytes(batch.data[a:b]).decode() for a, b in zip(found.starts.tolist(), found.ends.tolist(), strict=True)
        ]
        assert shown == [line for one in expected for line in one]
        assert found.chars.tolist() == [len(line) for line in shown]
        inner = zip(found.inner_starts.tolist(), found.inner_ends.tolist(), strict=True)
        assert [bytes(batch.data[a:b]).decode() for a, b in inner] == [line.strip() for line in shown]
        alike = dict(zip(found.hashes.tolist(), shown, strict=True))
        assert len(alike) == len(set(shown))
        assert all(alike[hash_] == line for hash_, line in zip(found.hashes.tolist(), shown, strict=True))
        for column, other in zip(lines(batch, rule, newline), found, strict=True):
            assert column.tolist() == other.tolist()
        counts = spaced_counts(batch, found.starts, found.ends)
        assert counts.tolist() == [len(line.split()) for line in shown]
        longest = longest_words(batch, found.starts, found.ends)
        assert longest.tolist() == [max(map(len, line.split()), default=0) for line in shown]


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=3))
def test_phrases(texts: list[str]) -> None:
    batch = exact_batch(texts)
    phrases = ["#", "...", "…", "lorem ipsum", "the", "{"]
    assert count_phrases(batch, phrases).tolist() == [[text.count(phrase) for phrase in phrases] for text in texts]
    words = spaced_ranges(batch)
    signs = count_phrases(batch, ["#", "…"]).any(axis=1)
    assert words_with(batch, words.offsets, words.ends, signs, ("#", "…")).tolist() == [
        sum("#" in word or "…" in word for word in text.split()) for text in texts
    ]
    found = lines(batch, "unicode")
    held = [[phrase in ascii_lower(line) for phrase in phrases] for text in texts for line in text.splitlines()]
    assert phrase_lines(batch, found, phrases).tolist() == held


def ascii_lower(line: str) -> str:
    return re.sub("[A-Z]+", lambda match: match[0].lower(), line)


@pytest.mark.parametrize("before", [*range(70), 126, 127, 128, 129, 191, 192])
def test_what_ends_a_buffer_is_seen(before: int) -> None:
    batch = exact_batch(["x" * before + "#"])
    batch_ends = (batch.offsets[:-1], batch.offsets[1:])
    assert count_phrases(batch, ["#"]).tolist() == [[1]]
    assert tokens(batch).ends.tolist() == ([before, before + 1] if before else [1])
    assert longest_words(batch, *batch_ends).tolist() == [before + 1]
    assert spaced_counts(batch, *batch_ends).tolist() == [1]


@settings(max_examples=100, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=3))
def test_known_words(texts: list[str]) -> None:
    vocabulary = ["the", "Quick", "don't", "ดี", "w" * 70, "Ünïcödé" * 3]
    batch = text_batch(pa.array(texts))
    found, spelling = spelled_words(batch)
    names = [bytes(batch.data[a:b]).decode() for a, b in zip(found.starts.tolist(), found.ends.tolist(), strict=True)]
    assert spelling.hashes.tolist() == token_hashes(names).tolist()
    expected = [
        len(set(names[found.offsets[i] : found.offsets[i + 1]]).intersection(vocabulary)) for i in range(len(texts))
    ]
    assert distinct_known_words(found, spelling, vocabulary).tolist() == expected


def test_hashes_of_spelling_are_fixed() -> None:
    """Signatures of the formal profile outlive a version."""
    assert token_hashes(["Word", "eight___", "more than eight", "ดี"]).tolist() == [
        11831027176276415379,
        10352219849759559841,
        16400254841645326496,
        2508748353388379916,
    ]
