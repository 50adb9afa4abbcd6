"""Formulas between delimiters are counted as the regular expression counts them, without its cost."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.extract.delimiters import delimited

EXPRESSION = re.compile(
    r"\$\$[^$]{1,2000}\$\$|\\\(.{1,500}?\\\)|\\\[.{1,2000}?\\\]|\\begin\{(?:equation|align)", re.DOTALL
)
PIECES = [
    "$", "$$", r"\(", r"\)", r"\[", r"\]", r"\begin{equation}", r"\begin{align*}", r"\begin{x}", "\\", "x", "\n", "(",
    ")", "x" * 498, "x" * 499, "x" * 500, "x" * 501, "y" * 1999, "y" * 2000, "y" * 2001,
]  # fmt: skip


@settings(max_examples=500)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_as_the_expression(text: str) -> None:
    assert delimited(text) == len(EXPRESSION.findall(text))
