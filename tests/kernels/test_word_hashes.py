"""Words read without their places are those of `kernels.words`, in any text and beside any other."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.strings import chosen, text_batch
from kernels.unicode import unicode_tables
from kernels.word_hashes import PADDING, reader, word_hashes
from kernels.words import WORD, words

PIECES = st.sampled_from(
    [
        *("a", "B", "j", "k", "the", "7", "don't", "U.S", "e.g.", "3.14", "1,000", "end.Next", "x-2", "--", "'", "."),
        *(" ", " ", " ", "\n", "\t", "\x00", "\x7f", "\u2028", "\xa0", "\u3000", "’", "“", "é", "E\u0301", "ß", "ﬁ"),
        *("ดี", "か", "が", "中文", "\u00ad", "\u200b", "\u200d", "😀", "K", "ſ", "①", "a\u0300", "\u0300"),
        *("eightlet", "ninechars", "sixteencharacter", "seventeenletters1", "w" * 70, "Ünïcödé" * 3, "плохо"),
    ]
)
TEXT = st.lists(PIECES, max_size=80).map("".join).map(str.encode) | st.binary(max_size=200)


def read(text: bytes, without_labels: bool) -> list[int]:
    data = np.full(len(text) + PADDING, ord("x"), np.uint8)  # whatever lies behind a text is none of it
    data[: len(text)] = np.frombuffer(text, np.uint8)
    window = np.zeros(len(text) + 1, np.uint64)
    count = word_hashes(data, len(text), without_labels, reader(len(text), unicode_tables()), window)
    return window[:count].tolist()


@settings(max_examples=400, deadline=None)
@given(TEXT)
def test_hashes_are_those_of_words(text: bytes) -> None:
    found = words(text_batch(pa.array([text], pa.large_binary())))
    expected = found.hashes[found.kinds == WORD].tolist()
    assert read(text, without_labels=False) == expected
    labels = [
        size == 1 and chr(text[start]).lower() in "abcdefghij"
        for start, size, kind in zip(found.starts, found.ends - found.starts, found.kinds, strict=True)
        if kind == WORD
    ]
    assert read(text, without_labels=True) == [one for one, label in zip(expected, labels, strict=True) if not label]


@pytest.mark.parametrize("size", [*range(1, 26), 63, 64, 65, 127, 128, 129])
def test_words_of_every_length_at_every_place_in_a_block(size: int) -> None:
    for before in (0, 1, 31, 62, 63, 64):
        text = (" " * before + "W" * size).encode()
        assert read(text, without_labels=False) == words(text_batch(pa.array([text]))).hashes.tolist()


def test_texts_are_chosen_from_a_slice() -> None:
    batch = text_batch(pa.array(["zero", "one", "", "three", "four"]).slice(1))
    found = chosen(batch, np.array([3, 0, 1]))
    parts = [bytes(found.data[a:b]).decode() for a, b in zip(found.offsets, found.offsets[1:], strict=False)]
    assert parts == ["four", "one", ""]
    assert len(chosen(batch, np.zeros(0, np.int64)).offsets) == 1
