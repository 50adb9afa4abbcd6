"""Lines of repeated content: logs on one line go, whatever stands around them; lines that several share stay."""

from __future__ import annotations

import pydoc_data.topics

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters import rules, strike_lines
from filters.line_family import LineBatch, line_families, measure_lines
from kernels.strings import text_batch

PROSE = [line for text in list(pydoc_data.topics.topics.values())[:12] for line in text.splitlines()]
LOG = " ".join(
    f"2026-11-22T19:{second:02d} ERROR could not connect to the database server on host db1 because the connection "
    "was refused; trying again in five seconds"
    for second in range(12)
)
SIGNALS = ["llama3_lines.covered_5_gram_ratio", "llama3_lines.covered_10_gram_ratio"]


def values(texts: list[str], signal: str) -> list[float]:
    return measure_lines(LineBatch(text_batch(pa.array(texts, pa.large_string()))), signal).tolist()


def test_a_log_on_one_line_goes_and_prose_stays() -> None:
    text = "\n".join([*PROSE[:40], LOG, *PROSE[40:80]])
    found = strike_lines(pa.array([text, LOG, "", "word"]), rules("llama3_lines"))
    assert found["lines.dropped"].to_pylist() == [1, 1, 0, 0]
    assert found["text"].to_pylist()[0] == "\n".join(PROSE[:80])
    assert found["lines.llama3-line-covered-10-grams"].to_pylist() == [1, 1, 0, 0]


def test_by_hand() -> None:
    ten = "a b c d e f g h i j"
    assert values([f"{ten} {ten}\n{ten}\n{ten}"], SIGNALS[1]) == [1, 0, 0]
    assert values([f"x {ten} y {ten} z"], SIGNALS[1]) == [pytest.approx(20 / 23)]
    assert values(["a b c d e\na b c d e A B C D E"], SIGNALS[0]) == [0, 1]  # case is folded


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([*PROSE, LOG, LOG[:300], "", "a b c d e a b c d e", "\x00 \u200f😀"]), max_size=9))
def test_a_line_has_its_value_wherever_it_stands(lines: list[str]) -> None:
    for signal in SIGNALS:
        alone = [values([line], signal) or [0.0] for line in lines]
        together = values(["\n".join([*lines, "end"])], signal)
        assert together == [*(one[0] for one in alone), 0]
        assert values([line for line in lines if line], signal) == [
            one[0] for line, one in zip(lines, alone, strict=True) if line
        ]


@pytest.mark.parametrize("family", sorted(line_families()))
def test_every_signal_of_lines_is_a_number_for_any_bytes(family: str) -> None:
    """Bad input: an unpaired surrogate reaches Arrow as bytes that are not UTF-8."""
    odd = [
        *(b"", b"x", b"\n\n\r\n\x85", b"\x00" * 70 + b"\n\x01", b"\xed\xa0\x80\n\xff", b"\xf0\x9f", b"a " * 5000),
        *("😀\u200f\u202e\n👨‍👩‍👧".encode() * 30, b"=" * 5000, b'{"a": "javascript"}\n3 LIKES\n42'),
    ]
    column = pa.array(odd, pa.large_binary()).view(pa.large_string())
    batch = LineBatch(text_batch(column))
    for name in line_families()[family].signals:
        found = measure_lines(batch, f"{family}.{name}")
        assert len(found) == len(batch)
        assert ((found >= 0) & (found < 1e6)).all(), name
        parts = [measure_lines(LineBatch(text_batch(column.slice(i, 1))), f"{family}.{name}") for i in range(len(odd))]
        assert [value for part in parts for value in part.tolist()] == found.tolist(), name
