"""Character references: as the standard library, but for numbers that it refuses to read."""

from __future__ import annotations

import html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.extract.references import unescape


@given(st.text(alphabet="&#xX0123456789abcdefg;amplt ", max_size=60))
def test_as_the_standard_library(text: str) -> None:
    assert unescape(text) == html.unescape(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("&#" + "1" * 5000 + ";.", "\ufffd."),
        ("&#x" + "f" * 5000 + ".", "\ufffd."),
        ("&#" + "0" * 5000 + "65;", "A"),
        ("&#X" + "0" * 5000 + "41z", "Az"),
        ("&#" + "0" * 5000 + ";", "\ufffd"),
    ],
)
def test_numbers_of_any_length(text: str, expected: str) -> None:
    assert unescape(text) == expected
