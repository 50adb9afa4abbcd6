"""Kernels that read 64 bytes at once agree with plain definitions, at every place of a block and of a buffer."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels.divergence import BUCKETS, bucket_counts, divergence
from kernels.lines import LineRule, lines
from kernels.phrases import count_phrases, phrase_lines, words_with
from kernels.ratios import ratios
from kernels.spaced import longest_words, spaced_counts, spaced_ranges, spaced_tokens, spelling_hash
from kernels.strings import TextBatch, text_batch
from kernels.token_types import token_types
from kernels.tokens import tokens, tokens_of_units
from kernels.unicode import decode_text, unicode_tables
from kernels.vocabulary import count_few, distinct_known_words
from kernels.words import spelled_words, token_hashes, token_spelling

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


@settings(max_examples=20, deadline=None)
@given(TEXT, st.integers(0, 40))
def test_a_word_is_read_alike_in_every_stretch(text: str, more: int) -> None:
    """Of a stretch in the middle, of the last one and at the end of the buffer."""
    parts = ["the", "w" * 16, "Q" * 17, "é" * 8, "é" * 9, "long" * 9, text, "end"]
    batch = exact_batch([" ".join(parts * 150), " ".join(parts[-more:] or parts)])
    found = tokens(batch)
    data = batch.data.tobytes()
    names = [data[a:b] for a, b in zip(found.starts.tolist(), found.ends.tolist(), strict=True)]
    spelling = token_spelling(batch, found)
    known = dict(zip(names, spelling.hashes.tolist(), strict=True))
    assert spelling.hashes.tolist() == [known[name] for name in names]
    assert known == dict(zip(known, token_hashes([name.decode() for name in known]).tolist(), strict=True))
    assert spelling.chars.tolist() == [len(name.decode()) for name in names]
    spaced = spaced_tokens(batch)
    for k in (0, 1, 2, 3, 4, 5, 511, 512, 513, len(spaced.starts) - 2, len(spaced.starts) - 1):
        word = data[spaced.starts[k] : spaced.ends[k]].decode()
        lower = "".join(sign.lower() if sign.isascii() else sign for sign in word)
        assert (int(spaced.hashes[k]), int(spaced.folded[k])) == (spelling_hash(word), spelling_hash(lower))
        assert (spaced.chars[k], spaced.alphabetic[k]) == (len(word), any(map(str.isalpha, word)))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(0, 9), max_size=300), max_size=3))
def test_few_words_are_counted(texts: list[list[int]]) -> None:
    texts.append([number % 10 for number in range(5000)])  # more than one stretch
    offsets = np.cumsum([0, *map(len, texts)], dtype=np.int64)
    hashes = np.array([number for text in texts for number in text], np.uint64)
    few = np.array([2, 3, 5], np.uint64)
    assert count_few(offsets, hashes, few).tolist() == [sum(number in (2, 3, 5) for number in text) for text in texts]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1 << 40), st.integers(0, 1 << 40) | st.just(0)), max_size=20))
def test_ratios(pairs: list[tuple[int, int]]) -> None:
    numbers = np.array(pairs, np.int64).reshape(-1, 2)
    assert ratios(numbers[:, 0], numbers[:, 1]).tolist() == [part / whole if whole else 0 for part, whole in pairs]


def test_ratios_are_of_whole_numbers() -> None:
    with pytest.raises(TypeError, match="float64"):
        ratios(np.array([0.5]), np.array([1]))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="found 1 parts"):
        ratios(np.array([1]), np.array([1, 2]))


@settings(max_examples=50, deadline=None)
@given(TEXT)
def test_cross_entropy_goes_by_the_buckets(text: str) -> None:
    """Each type is read at once for ``divergence``, and byte by byte for ``bucket_counts``."""
    batch = exact_batch([text, "end"])
    found = tokens(batch)
    bits = np.sqrt(np.arange(BUCKETS, dtype=np.float64))
    far = divergence(batch, found, token_types(token_spelling(batch, found).hashes), bits)
    own = exact_batch([text])
    counts = bucket_counts(own, spelled_words(own)[0])
    expected = float((counts * bits).sum()) / max(1, int(counts.sum()))
    assert float(far.cross[0]) == pytest.approx(expected)


def test_hashes_of_spelling_are_fixed() -> None:
    """Signatures of the formal profile outlive a version."""
    assert token_hashes(["Word", "eight___", "more than eight", "ดี"]).tolist() == [
        11831027176276415379,
        10352219849759559841,
        16400254841645326496,
        2508748353388379916,
    ]
