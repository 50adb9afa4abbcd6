from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kernels.lines import LineRule, inner_lines, lines
from kernels.repeated_lines import repeated
from kernels.spaced import longest_words, spaced_counts
from kernels.strings import text_batch

SPLIT: dict[LineRule, Callable[[str], list[str]]] = {
    "newline": lambda text: text.split("\n"),
    "unicode": str.splitlines,
    "paragraph": lambda text: re.split(r"\n{2,}", text.strip()),
}
# Letters, every kind of white space and line break, and what their bytes could be taken for.
TEXTS = st.lists(
    st.text(
        "ab.\n\r\t \v\f\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2003\u2028\u2029\u202f\u205f\u3000é€\u2027😀。", max_size=25
    ),
    max_size=5,
)


@pytest.mark.parametrize("rule", ["newline", "unicode", "paragraph"])
@settings(max_examples=150, deadline=None)
@given(texts=TEXTS)
@example(texts=["", "\n", "\n\n", "a\r\nb\r", "a\n\n\nb\n \nc", "\u2028", "a\xa0"])
def test_lines_are_pythons(rule: LineRule, texts: list[str]) -> None:
    batch = text_batch(pa.array(texts, pa.string()))
    found = lines(batch, rule)
    data = bytes(batch.data)
    shown = [data[a:b].decode() for a, b in zip(found.starts, found.ends, strict=True)]
    expected = [SPLIT[rule](text) for text in texts]
    assert [shown[a:b] for a, b in zip(found.offsets, found.offsets[1:], strict=False)] == expected
    assert [data[a:b].decode() for a, b in zip(found.inner_starts, found.inner_ends, strict=True)] == [
        line.strip() for line in shown
    ]
    assert found.chars.tolist() == [len(line) for line in shown]
    assert found.terminal.tolist() == [line.endswith((".", "。")) for line in shown]
    assert spaced_counts(batch, found.starts, found.ends).tolist() == [len(line.split()) for line in shown]
    longest = longest_words(batch, found.starts, found.ends)
    assert longest.tolist() == [max(map(len, line.split()), default=0) for line in shown]
    if rule != "newline":
        by_newlines = lines(batch, rule, lines(batch))
        for one, other in zip(found, by_newlines, strict=True):
            assert one.tolist() == other.tolist()
    for i, one in enumerate(shown):
        for j, other in enumerate(shown):
            assert (found.hashes[i] == found.hashes[j]) == (one == other)


@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_duplicates(texts: list[str]) -> None:
    found = lines(text_batch(pa.array(texts, pa.string())))
    counted = repeated(found.offsets, found.hashes, found.chars, found.chars > 0)
    for i, text in enumerate(texts):
        full = [line for line in text.split("\n") if line]
        again = [line for k, line in enumerate(full) if line in full[:k]]
        copies = [line for line in full if full.count(line) > 1]
        assert (counted.parts[i], counted.chars[i]) == (len(full), sum(map(len, full)))
        assert (counted.later[i], counted.later_chars[i]) == (len(again), sum(map(len, again)))
        assert (counted.copies[i], counted.copy_chars[i]) == (len(copies), sum(map(len, copies)))


@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_inner_lines(texts: list[str]) -> None:
    batch = text_batch(pa.array(texts, pa.string()))
    hashes, chars = inner_lines(batch, lines(batch))
    inner = [line.strip() for text in texts for line in text.split("\n")]
    assert chars.tolist() == [len(line) for line in inner]
    assert [[one == other for other in hashes.tolist()] for one in hashes.tolist()] == [
        [one == other for other in inner] for one in inner
    ]


def test_bytes_that_are_no_text() -> None:
    batch = text_batch(pa.array([b"a\xe2\x80\nb\xc2", b"\xe2\x80\xa8\xff", b"\xe3\x80"]))
    for rule in SPLIT:
        found = lines(batch, rule)
        assert (found.starts <= found.ends).all()
        assert (found.inner_starts <= found.inner_ends).all()
    assert np.diff(lines(batch).offsets).tolist() == [2, 1, 1]


def test_unknown_rule() -> None:
    with pytest.raises(ValueError, match="found 'sentence', expected one of newline, unicode, paragraph"):
        lines(text_batch(pa.array(["a"])), "sentence")  # pyright: ignore[reportArgumentType]
