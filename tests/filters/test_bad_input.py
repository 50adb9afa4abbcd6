"""Every family answers with numbers, whatever the text, and whatever stands beside it."""

from __future__ import annotations

import math

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import filters
import filters.signals
from tests.growth import is_linear

# All that need no file; those that do are tested with one in test_perplexity.py and quality.
FAMILIES = [name for name in filters.families() if name not in ("mathscore", "perplexity", "quality")]
PROSE = (
    "It was the best of times, it was the worst of times. We have had everything before us!\n\n3 likes\nREAD ON\n42\n"
    "  Sign-in for $x^2$ and \\frac{1}{2}, naïve café 😀👍🏽 I’m sorry!!\n# @generated, do not edit\n\\u00e9\\u00e8"
)
ODD = [
    "",
    "x",
    " ",
    "\n",
    "\n\n\n",
    "\r\n\x0b\x85\u2028",
    "\x00",
    "\x00" * 70 + "\x01\n\x7f",
    "😀",
    "👨‍👩‍👧‍👦🇩🇪🇫🇷🇩❤️1️⃣🏽" * 30,
    "\u200f\u202e\u2066שלום\u2069",
    "\u0301",
    "ÃÃ©â€™Ð¿",
    "$",
    "$$",
    "$$$",
    "$$x",
    '"""',
    "/*",
    "<!--",
    "0x",
    "\\u",
    "-- ",
    "=" * 5000,
    "a" * 5000,
    "a " * 3000,
    None,
]
BROKEN = [
    b"\xff",
    b"\xed\xa0\x80\n\xff",
    b"ok \xe2\x82",
    b"\xf0\x9f\x98",
    b"\xc3",
    b"'\xc3\xa9\xc3\x80",
    b"\xf4\x90\x80\x80",
]


# A ratio of two different things, or of runs that lap over, may be above 1.
UNBOUNDED = (
    *("gopher.", "fineweb.", "dialogue.", "dclm.symbol", "dclm.top", "dolma.top", "dolma.duplicate_line_char"),
    *("code.config", "code.test", "llama3.dirty"),
)


def numbers(column: pa.Array) -> None:
    table = filters.measure(column, FAMILIES)
    assert table.num_rows == len(column)
    for name, values in table.to_pydict().items():
        assert all(isinstance(value, float) and math.isfinite(value) and value >= 0 for value in values), name
        if name.endswith("_ratio") and not name.startswith(UNBOUNDED):
            assert max(values, default=0) <= 1, name


def test_every_text_gives_numbers() -> None:
    numbers(pa.array(ODD))
    numbers(pa.array(["\n".join(text or "" for text in ODD)]))
    numbers(pa.array([], pa.string()))


def test_bytes_that_are_no_text_give_numbers() -> None:
    """An unpaired surrogate reaches Arrow as bytes that are not UTF-8: Arrow takes no Python string that has one."""
    with pytest.raises(UnicodeEncodeError):
        pa.array(["\ud800"])
    numbers(pa.array([*BROKEN, b"".join(BROKEN)], pa.binary()).view(pa.string()))
    numbers(
        pa.array(["\ud83d\ude00 \udfff".encode("utf-16", "surrogatepass"), "\ud800".encode("utf-8", "surrogatepass")])
    )


def test_one_long_line_gives_numbers() -> None:
    numbers(pa.array(["lorem ipsum " * 100_000, "é" * 500_000, "4f" * 400_000]))


@pytest.mark.slow
def test_a_hundred_megabytes_on_one_line_give_numbers() -> None:
    numbers(pa.array(["some words of a text that never ends, " * (100_000_000 // 38)], pa.large_string()))


@pytest.mark.slow
@pytest.mark.parametrize("piece", ["\\'", "'\"", "a ", "{", "...", "4f ", "/*", "it's ", "$", "中", "\xa0"])
def test_a_long_line_takes_time_in_proportion(piece: str) -> None:
    """A search that begins anew at every sign would take 64 times as long for 8 times the text."""

    heuristics = [name for name in FAMILIES if name not in ("mixed", "pii")]

    def column(size: int) -> pa.Array:
        return pa.array([piece * size], pa.large_string())

    assert is_linear(lambda text: filters.measure(text, heuristics), column, 100_000)


texts = st.lists(st.sampled_from([PROSE, *ODD]) | st.text(max_size=60), min_size=1, max_size=6)


@settings(max_examples=15, deadline=None)
@given(texts, st.integers(0, 6), st.randoms(use_true_random=False))
def test_batches_and_order_never_change_a_value(given_texts: list[str | None], cut: int, shuffle: object) -> None:
    column = pa.array(given_texts, pa.string())
    whole = filters.measure(column, FAMILIES)
    parts = [column.slice(0, min(cut, len(column))), column.slice(min(cut, len(column)))]
    assert pa.concat_tables([filters.measure(part, FAMILIES) for part in parts]).equals(whole)
    assert filters.measure(pa.chunked_array(parts, pa.string()), FAMILIES).equals(whole)
    order = list(range(len(given_texts)))
    shuffle.shuffle(order)  # pyright: ignore[reportAttributeAccessIssue]
    assert filters.measure(column.take(pa.array(order)), FAMILIES).equals(whole.take(pa.array(order)))


def test_portions_never_change_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    column = pa.array([PROSE, "", "x" * 300, PROSE[:40], PROSE + PROSE])
    whole = filters.measure(column, FAMILIES)
    monkeypatch.setattr(filters.signals, "_PORTION", 100)
    assert filters.measure(column, FAMILIES).equals(whole)


def test_a_reference_is_refused_where_it_means_nothing() -> None:
    with pytest.raises(ValueError, match=r"family gopher: found the reference 'x.arpa', and it takes none"):
        filters.measure(pa.array(["a"]), ["gopher"], {"gopher": "x.arpa"})
    with pytest.raises(ValueError, match="found one for 'perplexity', which is not among the families"):
        filters.measure(pa.array(["a"]), ["gopher"], {"perplexity": "x.arpa"})
