"""Words read without their places are those of `kernels.words`, put plainly or decoded, in any text and beside any."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.plain_text import NOT_PLAIN, characters, plain
from kernels.strings import TextBatch, chosen, text_batch
from kernels.tokens import tokens
from kernels.unicode import unicode_tables
from kernels.word_hashes import PADDING, decoded_word_hashes, plain_word_hashes, reader
from kernels.words import WORD, folded_spelling, token_spelling

PIECES = st.sampled_from(
    [
        *("a", "B", "j", "k", "the", "7", "don't", "U.S", "e.g.", "3.14", "1,000", "end.Next", "x-2", "--", "'", "."),
        *(" ", " ", " ", "\n", "\t", "\x00", "\x7f", "\u2028", "\xa0", "\u3000", "’", "“", "é", "E\u0301", "ß", "ﬁ"),
        *("ดี", "か", "が", "中文", "\u00ad", "\u200b", "\u200d", "😀", "\u212a", "ſ", "①", "a\u0300", "\u0300"),
        *("eightlet", "ninechars", "sixteencharacter", "seventeenletters1", "w" * 70, "Ünïcödé" * 3, "плохо"),
        # What a plain text has to get right: capitals beside full stops, marks on what is no letter, signs with marks.
        *(
            "É",
            "Л.А.",
            ".É",
            "É.",
            "É.A",
            "A.É",
            "é.É",
            "x.Л",
            "·",
            "‧",
            "1️⃣",
            "❤️",
            "—",
            "×",
            "ー",
            "ユーザー",
            "Ⱥ",
            "İ",
        ),
        *(
            "ͅ",
            "١",
            "²",
            "1²",
            "l’é",
            "d’",
            "’x",
            ",5",
            ".5",
            "3\u00ad.5",
            "\ufeff",
            "हिन्दी",
            "ς",
            "ǅ",
            "\U00020000",
            "\ufffd",
        ),
    ]
)
TEXT = st.lists(PIECES, max_size=80).map("".join).map(str.encode) | st.binary(max_size=200)
TABLE = characters(np.zeros(0, np.uint8))


def padded(text: bytes, size: int) -> np.ndarray:
    data = np.full(size + PADDING, ord("x"), np.uint8)  # whatever lies behind a text is none of it
    data[: len(text)] = np.frombuffer(text, np.uint8)
    return data


def decoded(text: bytes, without_labels: bool) -> list[int]:
    window = np.zeros(len(text) + 1, np.uint64)
    room = reader(len(text), unicode_tables())
    count = decoded_word_hashes(padded(text, len(text)), len(text), without_labels, room, window)
    return window[:count].tolist()


def put_plainly(text: bytes, without_labels: bool) -> list[int] | None:
    window = np.zeros(len(text) + 1, np.uint64)
    room = reader(len(text), unicode_tables())
    written = np.full(2 * len(text) + PADDING, ord("x"), np.uint8)
    size = plain(padded(text, len(text)), 0, len(text), TABLE, room.natures, written)
    if size == NOT_PLAIN:
        return None
    assert size <= 2 * len(text)
    return window[: plain_word_hashes(written, size, without_labels, room, window)].tolist()


def words_of(text: bytes) -> tuple[list[int], list[bool]]:
    """The hash of each word, and whether it is a label."""
    batch: TextBatch = text_batch(pa.array([text], pa.large_binary()))
    found = tokens(batch)
    hashes = folded_spelling(batch, found, token_spelling(batch, found))
    word = found.kinds == WORD
    labels = [
        size == 1 and chr(text[start]).lower() in "abcdefghij"
        for start, size in zip(found.starts[word], (found.ends - found.starts)[word], strict=True)
    ]
    return hashes[word].tolist(), labels


@settings(max_examples=600, deadline=None)
@given(TEXT)
def test_hashes_are_those_of_words(text: bytes) -> None:
    expected, labels = words_of(text)
    without = [one for one, label in zip(expected, labels, strict=True) if not label]
    assert decoded(text, without_labels=False) == expected
    assert decoded(text, without_labels=True) == without
    assert put_plainly(text, without_labels=False) in (None, expected)
    assert put_plainly(text, without_labels=True) in (None, without)


@pytest.mark.parametrize(
    "text",
    [
        "“Quoted” — and so on… at 5 °C, 3 × 4",
        "naïve café, Ünïcödé ÉTÉ",
        "Война и мир. Л. Н. Толстой, А.С.Пушкин, И.О.Ф.",
        "中文和日本語のユーザー、ภาษาไทย ดี",
        "हिन्दी, العربية",
        "rock ’n’ roll: it’s l’été",
        "soft\u00adhyphen ❤️ done",
    ],
)
def test_common_texts_are_put_plainly(text: str) -> None:
    assert put_plainly(text.encode(), without_labels=False) == words_of(text.encode())[0]


@pytest.mark.parametrize(
    "text", [b"\xff", b"a\x80", b"\xed\xa0\x80", b"\xe2\x82", b"\xc0\xaf", "1️⃣.5".encode(), "١".encode()]
)
def test_what_is_no_utf8_or_needs_its_characters_is_left_to_be_decoded(text: bytes) -> None:
    assert put_plainly(text, without_labels=False) is None


@pytest.mark.parametrize("size", [*range(1, 26), 63, 64, 65, 127, 128, 129])
def test_words_of_every_length_at_every_place_in_a_block(size: int) -> None:
    for before in (0, 1, 31, 62, 63, 64):
        for letter in "Wé中":
            text = (" " * before + letter * size).encode()
            assert put_plainly(text, without_labels=False) == decoded(text, without_labels=False) == words_of(text)[0]


def test_texts_are_chosen_from_a_slice() -> None:
    batch = text_batch(pa.array(["zero", "one", "", "three", "four"]).slice(1))
    found = chosen(batch, np.array([3, 0, 1]))
    parts = [bytes(found.data[a:b]).decode() for a, b in zip(found.offsets, found.offsets[1:], strict=False)]
    assert parts == ["four", "one", ""]
    assert len(chosen(batch, np.zeros(0, np.int64)).offsets) == 1
