from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.lines import lines
from kernels.phrases import begins_with, count_phrases, ends_with, phrase_lines
from kernels.sentences import sentence_counts
from kernels.strings import text_batch
from kernels.vocabulary import distinct_known_words
from kernels.words import spelled_words

TEXTS = st.lists(st.text("aAbB. …\n", max_size=30), max_size=4)
PHRASES = ["a", "ab", "aba", "..", "…", " a"]


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_phrases_are_pythons(texts: list[str]) -> None:
    batch = text_batch(pa.array(texts, pa.string()))
    assert count_phrases(batch, PHRASES).tolist() == [[text.count(phrase) for phrase in PHRASES] for text in texts]
    found = lines(batch)
    split = [line for text in texts for line in text.split("\n")]
    assert phrase_lines(batch, found, PHRASES).tolist() == [
        [phrase in line.lower() for phrase in PHRASES] for line in split
    ]
    ends = ["ab", "…"]
    assert begins_with(batch, found.starts, found.ends, ends).tolist() == [
        line.startswith(tuple(ends)) for line in split
    ]
    assert ends_with(batch, found.starts, found.ends, ends).tolist() == [line.endswith(tuple(ends)) for line in split]


def test_an_empty_phrase_is_refused() -> None:
    with pytest.raises(ValueError, match="none empty"):
        count_phrases(text_batch(pa.array(["a"])), ["a", ""])


def test_distinct_known_words() -> None:
    words, spelling = spelled_words(text_batch(pa.array(["the cat of the house", "The Of", "", "that's with, with."])))
    assert distinct_known_words(words, spelling, ["the", "of", "with", "house"]).tolist() == [3, 0, 0, 1]
    with pytest.raises(ValueError, match="all different"):
        distinct_known_words(words, spelling, ["a", "a"])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", 0),
        ("   ", 0),
        ("no end", 1),
        ("One. Two! Three?", 3),
        ("One... two", 1),
        ("See e.g. the U.S. report by J. Smith. It ends here.", 2),
        ("Version 3.14 of example.com is v2.x now", 1),
        ("The end.Next sentence", 2),
        ("He said “no.” Then he left.", 2),
        ("Known fact.[12] Another one.[citation needed]", 2),
        ("今天天气很好。我们去公园。", 2),
        ("यह एक वाक्य है। यह दूसरा है।", 2),
        (". . .", 1),
    ],
)
def test_sentences(line: str, expected: int) -> None:
    batch = text_batch(pa.array(["Before. Here.\n" + line + "\nAfter.", line]))
    words, spelling = spelled_words(batch)
    counts = sentence_counts(batch, words, spelling, lines(batch))
    assert counts.tolist() == [2, expected, 1, expected]
