"""Numbers and excerpts as a reader sees them."""

from __future__ import annotations

import random
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.report import figures
from pipelines.report.verdicts import Smallest


@pytest.mark.parametrize(
    ("part", "whole", "words"),
    [(0, 10, "0\u202f%"), (10, 10, "100\u202f%"), (1, 3, "33.3\u202f%"), (1, 10**6, "<0.1\u202f%"), (1, 0, "–")],
)
def test_share(part: int, whole: int, words: str) -> None:
    assert figures.share(part, whole) == words


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**9), st.integers(1, 10**9))
def test_a_share_never_hides_something(part: int, whole: int) -> None:
    part = min(part, whole)
    told = figures.share(part, whole)
    assert (told == "0\u202f%") == (part == 0)
    assert (told == "100\u202f%") == (part == whole)


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "0"), (9999, "9\u202f999"), (12_345, "12.3\u202fk"), (1_340_000, "1.34\u202fM"), (6.3e12, "6.3\u202fT")],
)
def test_short(number: float, words: str) -> None:
    assert figures.short(number) == words


@pytest.mark.parametrize(
    ("length", "words"), [(0.25, "0.2 s"), (59.6, "60 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")]
)
def test_seconds(length: float, words: str) -> None:
    assert figures.seconds(length).replace("\u202f", " ") == words


def test_values() -> None:
    assert [figures.value(number) for number in (None, float("nan"), 100_000.0, 0.123456, float("inf"))] == [
        "–",
        "–",
        "100\u202f000",
        "0.1235",
        "∞",
    ]


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=400))
def test_an_excerpt_cannot_steer_what_shows_it(text: str) -> None:
    shown = figures.excerpt(text, 80)
    assert len(shown) <= 82
    assert not any(
        unicodedata.category(char) in ("Cc", "Cf", "Cs") and char not in "\n\t\u200c\u200d" for char in shown
    )


def test_escape_and_direction_marks_are_seen() -> None:
    assert figures.visible("a\x1b[31m\u202eb\0c") == "a\ufffd[31m\ufffdb\ufffdc"
    assert figures.visible("می\u200cخواهم") == "می\u200cخواهم"


@settings(max_examples=50, deadline=None)
@given(st.sets(st.integers(0, 2**128 - 1), max_size=20), st.integers(0, 2**32))
def test_the_named_few_do_not_depend_on_order(numbers: set[int], seed: int) -> None:
    rows = [{"id": f"{number:032x}", "step": "s"} for number in numbers]
    random.Random(seed).shuffle(rows)
    kept = Smallest(5)
    for row in rows:
        kept.add(row)
    assert [int(row["id"], 16) for row in kept.rows()] == sorted(numbers)[:5]
    assert kept.seen == len(numbers)
