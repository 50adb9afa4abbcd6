"""A scan reads the words that an index was made of, and finds the n-grams that are there: no sieve loses one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decontam import Benchmark, Index
from decontam.folding import folded
from decontam.layout import GRAM, Lookup
from decontam.lookup import confirmed, held, possible, sifted
from decontam.reading import desk, read, texts_of
from decontam.seeds import ngrams
from decontam.tokens import tokens
from kernels.blocks import SPARE
from kernels.strings import text_batch

PIECES = st.sampled_from(
    [*("a", "J", "k", "spam", "Egg's", "3.14", "U.S", "-", "’", "é", "中", "が"), *("аеро", "٠١٢", "Ａ１", "①", "ο"),
     *(" ", " ", " ", "\n", "\u00ad", "longer than eight", "\x00", "“", "—", "\xa0", ".А", "Л.", "\u0301", "×", "É")]
)  # fmt: skip
WORDS = ["one", "two", "three", "four", "five", "six", "seven"]
# A cut-off character at a text's end must not read on in the next text.
TEXT = st.tuples(
    st.lists(PIECES, max_size=40).map("".join).map(str.encode), st.sampled_from([b"", b"\xd0", b"\xef\xbc"])
)


def words_read(column: pa.Array[Any], drop_labels: bool) -> list[list[int]]:
    texts = texts_of(text_batch(column))
    place = desk(texts)
    return [place.window[: read(texts, i, drop_labels, place)].tolist() for i in range(len(column))]


@settings(max_examples=200, deadline=None)
@given(st.lists(TEXT.map(b"".join), min_size=1, max_size=4), st.booleans())
def test_words_are_those_of_the_index_whatever_text_is_next(texts: list[bytes], drop_labels: bool) -> None:
    column = pa.array([*texts, b"\x90\x80\xb0 more"], pa.large_binary())
    found = words_read(column, drop_labels)
    for i in range(len(column)):
        alone = tokens(column.slice(i, 1), drop_labels)
        assert found[i] == alone.hashes.tolist()
    together = tokens(column, drop_labels)
    assert [
        together.hashes[a:b].tolist() for a, b in zip(together.offsets, together.offsets[1:], strict=False)
    ] == found


def test_folding_ends_with_a_text_and_takes_well_formed_characters_alone() -> None:
    # A byte that begins a Cyrillic letter, cut off, and a text that begins with such a letter's second byte.
    for texts in ([b"x \xd0", b"\xb0 y"], [b"x \xef\xbc", b"\xa1 y"], [b"\xf0\x80\x90\xb0", b"\xe0\x84\xb0"]):
        batch = folded(text_batch(pa.array(texts, pa.large_binary())))
        assert [bytes(batch.data[a:b]) for a, b in zip(batch.offsets, batch.offsets[1:], strict=False)] == texts


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(WORDS[:6]), max_size=30), min_size=1, max_size=6),
    st.lists(st.sampled_from(WORDS), max_size=200),
    st.sampled_from([("afm", 4, 0), ("qwen2", 5, 0), ("gpt3", 13, 0), ("default", 5, 3)]),
)
def test_every_known_n_gram_of_a_text_is_found(
    items: list[list[str]], text: list[str], method: tuple[str, int, int]
) -> None:
    name, n, short = method
    table = pa.table({"id": list(range(len(items))), "question": [" ".join(words) for words in items]})
    index = Index.build([Benchmark("b", table)], name)
    known = index._postings.grams  # pyright: ignore[reportPrivateUsage]
    lookup = index._lookup  # pyright: ignore[reportPrivateUsage]
    window = tokens(pa.array([" ".join(text)]), drop_labels=False).hashes
    count = len(window)
    long, brief, which = (np.zeros(count + SPARE, np.int64) for _ in range(3))
    totals = sifted(window, count, n, short, lookup, long, brief)
    for size, where, total in ((n, long, totals[0]), (short, brief, totals[1])):
        if not size:
            assert total == 0
            continue
        grams, _, positions = ngrams(np.array([0, count]), window, size)
        there = np.isin(grams, known["gram"])
        expected = positions[there].tolist()
        found = confirmed(window, where, total, size, False, known, lookup, np.zeros(count + 1, np.uint64), which)
        assert where[:found].tolist() == expected
        # Of an n-gram that stands in several places, the first.
        assert which[:found].tolist() == np.searchsorted(known["gram"], grams[there]).tolist()


def test_n_grams_beside_one_of_many_items_are_found() -> None:
    """Slots hold few n-grams; one of them may stand in so many places that those behind it are far."""
    rng = np.random.default_rng(0)
    # Of equal beginnings, and rising: an n-gram of 1,000 places and others, all of one slot.
    known = np.zeros(1030, GRAM)
    known["gram"] = np.sort(
        np.concatenate((np.full(1000, 500), rng.choice(np.setdiff1d(np.arange(1000), 500), 30, False)))
    )
    slots = np.zeros(16, np.uint64)
    slots[0] = 0xFFFFFFFF
    lookup = Lookup(slots, np.uint64(60), np.zeros(128, np.uint64), np.uint64(52), 1)
    for gram in range(1001):
        hashes, which = np.array([gram], np.uint64), np.zeros(1, np.int64)
        where = np.zeros(1, np.int64)
        assert possible(where, 1, True, known, lookup, hashes, which) == 1
        assert held(where, 1, known, hashes, which) == (gram in known["gram"])
        assert which[0] == np.searchsorted(known["gram"], gram)


@pytest.mark.parametrize("size", [3, 5])
def test_a_run_of_one_word_is_looked_up_once(size: int) -> None:
    index = Index.build([Benchmark("b", pa.table({"id": [1], "question": ["spam " * 40 + "and eggs"]}))], "qwen2")
    known, lookup = index._postings.grams, index._lookup  # pyright: ignore[reportPrivateUsage]
    window = tokens(pa.array(["spam " * 20]), drop_labels=False).hashes
    where, other, which = (np.zeros(20 + SPARE, np.int64) for _ in range(3))
    for once, expected in ((True, 1), (False, 16)):
        total, _ = sifted(window, 20, 5, size, lookup, where, other)
        found = confirmed(window, where, total, 5, once, known, lookup, np.zeros(21, np.uint64), which)
        assert found == expected
