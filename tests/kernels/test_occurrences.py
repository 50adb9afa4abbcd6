from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import filters
from kernels.known_runs import count_known_runs, known_runs
from kernels.occurrences import PhraseGroup, count_occurrences, finder
from kernels.strings import text_batch
from kernels.tokens import tokens
from kernels.words import folded_spelling, token_spelling


def overlapping(text: str, phrases: set[str]) -> int:
    return sum(any(text[:end].endswith(phrase) for phrase in phrases) for end in range(1, len(text) + 1))


phrases = st.sets(st.text(alphabet="abé ", min_size=1, max_size=4), min_size=1, max_size=5)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(alphabet="abcé "), min_size=1, max_size=3), st.lists(phrases, min_size=1, max_size=3))
def test_as_looking_for_each(texts: list[str], groups: list[set[str]]) -> None:
    batch = text_batch(pa.array(texts))
    wanted = finder(tuple(PhraseGroup(tuple(sorted(group))) for group in groups))
    found = count_occurrences(batch, batch.offsets[:-1], batch.offsets[1:], wanted)
    assert found.tolist() == [[overlapping(text, group) for group in groups] for text in texts]


def test_case_and_mistakes() -> None:
    batch = text_batch(pa.array(["I'm Sorry. I'M SORRY", "{"]))
    sorry = finder((PhraseGroup(("i'm sorry",), fold=True),))
    assert count_occurrences(batch, batch.offsets[:-1], batch.offsets[1:], sorry).tolist() == [[2], [0]]
    with pytest.raises(ValueError, match="none empty"):
        finder((PhraseGroup(("a", "")),))
    with pytest.raises(ValueError, match="found upper case"):
        finder((PhraseGroup(("A",), fold=True),))


FAMILIES = [one for name in filters.families() for one in filters.family(name).phrases]
PIECES = [phrase for group in FAMILIES for phrase in group.phrases]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from([*PIECES, " ", "a", "Xx", "é", ".", "\\"]) | st.text(max_size=3), max_size=12),
        min_size=1,
        max_size=3,
    ),
    st.booleans(),
)
def test_the_families_phrases_as_one_by_one(parts: list[list[str]], capital: bool) -> None:
    texts = ["".join(part).upper() if capital else "".join(part) for part in parts]
    batch = text_batch(pa.array(texts))
    found = count_occurrences(batch, batch.offsets[:-1], batch.offsets[1:], finder(tuple(FAMILIES)))
    for text, row in zip(texts, found.tolist(), strict=True):
        shown = text.encode().lower().decode()
        assert row == [overlapping(shown if group.fold else text, set(group.phrases)) for group in FAMILIES]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 90), st.integers(0, 200)), max_size=6), st.integers(0, 3))
def test_only_within_ranges(gaps: list[tuple[int, int]], shift: int) -> None:
    text = "x" * shift + "big bad wolf {" * 130
    bounds = np.minimum(np.cumsum([size for gap in gaps for size in gap], dtype=np.int64), len(text)).reshape(-1, 2)
    groups = (PhraseGroup(("bad wolf",)), PhraseGroup(("{",)))
    found = count_occurrences(text_batch(pa.array([text])), bounds[:, 0].copy(), bounds[:, 1].copy(), finder(groups))
    assert found.tolist() == [[text[start:end].count(p) for p in ("bad wolf", "{")] for start, end in bounds.tolist()]


@pytest.mark.parametrize("before", [0, 120, 4089, 4090, 4095, 4096, 4097, 8191])
@pytest.mark.parametrize("phrase", ["#", "bad wolf", "…", ". . ."])
def test_wherever_it_stands(before: int, phrase: str) -> None:
    """The text is walked a stretch at a time, and nothing lies behind its last byte."""
    text = ("x y " * 3000)[:before] + phrase
    batch = text_batch(pa.array([text, text + " x", phrase + text]))
    found = count_occurrences(batch, batch.offsets[:-1], batch.offsets[1:], finder((PhraseGroup((phrase,)),)))
    assert found.tolist() == [[1], [1], [overlapping(phrase + text[-20:], {phrase}) if before < 20 else 2]]


def test_known_runs_are_whole_words_and_the_longest_first() -> None:
    known = known_runs(["big", "big bad", "bad wolf", "l'eau"])
    batch = text_batch(pa.array(["Big BAD wolf", "bigger bad", "bad  wolf, big", "", "L'eau bad"]))
    found = tokens(batch)
    hashes = folded_spelling(batch, found, token_spelling(batch, found))
    assert count_known_runs(found.offsets, hashes, known).tolist() == [1, 0, 2, 0, 1]


def longest_first(words: list[str], phrases: set[tuple[str, ...]]) -> int:
    found = at = 0
    while at < len(words):
        length = max((len(phrase) for phrase in phrases if tuple(words[at : at + len(phrase)]) == phrase), default=0)
        found += length > 0
        at += max(length, 1)
    return found


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("abc"), max_size=30), min_size=1, max_size=3),
    st.sets(st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(tuple), min_size=1, max_size=5),
    st.integers(0, 1030),
)
def test_known_runs_by_definition(texts: list[list[str]], phrases: set[tuple[str, ...]], before: int) -> None:
    """Words that begin no run are put before, for tokens are gone through a stretch of 1,024 at a time."""
    texts = [["x"] * before + text for text in texts]
    batch = text_batch(pa.array([" ".join(text) for text in texts]))
    found = tokens(batch)
    hashes = folded_spelling(batch, found, token_spelling(batch, found))
    counts = count_known_runs(found.offsets, hashes, known_runs([" ".join(phrase) for phrase in sorted(phrases)]))
    assert counts.tolist() == [longest_first(text, phrases) for text in texts]


def test_known_runs_are_not_too_long() -> None:
    assert len(known_runs(["a b " * 127 + "c"]).table) == 64
    with pytest.raises(ValueError, match="found one of 256 tokens, expected at most 255"):
        known_runs(["a", "a b " * 128])
