"""Repeated passages: the suffix array, the windows over a corpus in parts, and brute force say the same."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.repeats import REPEATS_SCHEMA, KnownKeys, Repeated, repeated
from dedup.substrings import SubstringConfig, anchor_keys, cut, repeated_spans, window_keys
from dedup.suffix_array import longest_common_prefixes, suffix_array
from kernels.strings import TextBatch
from tests.growth import is_linear

SORTED = [(name, "ascending") for name in ("key", "rank", "id", "place", "group")]


def strings(batch: TextBatch) -> list[str]:
    return [bytes(batch.data[a:b]).decode() for a, b in zip(batch.offsets[:-1], batch.offsets[1:], strict=True)]


def column(texts: list[str]) -> pa.Array:
    return pa.array(texts, pa.large_string())


def brute(documents: list[list[str]], size: int) -> list[list[str]]:
    """Cut every token of a window that occurred before, by a set of all windows so far."""
    seen: set[tuple[str, ...]] = set()
    left: list[list[str]] = []
    for tokens in documents:
        gone = [False] * len(tokens)
        for place in range(len(tokens) - size + 1):
            window = tuple(tokens[place : place + size])
            if window in seen:
                gone[place : place + size] = [True] * size
            seen.add(window)
        left.append([token for token, cut_ in zip(tokens, gone, strict=True) if not cut_])
    return left


def in_parts(texts: list[str], groups: list[list[int]], ranks: list[int], config: SubstringConfig) -> list[str]:
    """What the step does, group by group."""
    ids = [f"{number:032x}" for number in range(len(texts))]

    def of(group: list[int]) -> tuple[pa.Array, pa.Array, np.ndarray]:
        return (
            column([texts[i] for i in group]),
            pa.array([ids[i] for i in group], pa.string()),
            np.array([ranks[i] for i in group], np.int32),
        )

    def told(tables: list[pa.Table]) -> list[pa.Table]:
        found = repeated(pa.concat_tables(tables).sort_by(SORTED), 1)
        return [found.filter(pc.equal(found["group"], n)).sort_by("key") for n in range(len(groups))]

    anchors = [one["key"].to_numpy() for one in told([anchor_keys(of(g)[0], n, config) for n, g in enumerate(groups)])]
    windows = told([window_keys(*of(g), n, KnownKeys.of(anchors[n]), config) for n, g in enumerate(groups)])
    left = [""] * len(texts)
    for n, group in enumerate(groups):
        text, names, _ = of(group)
        found = cut(text, names, KnownKeys.of(anchors[n]), Repeated.of(windows[n]), config)
        for i, one in zip(group, strings(found.text), strict=True):
            left[i] = one
    return left


tokens = st.sampled_from(["a", "b", "c", "ein", "größer", "日", "x1"])
corpora = st.lists(st.lists(tokens, max_size=30), min_size=1, max_size=5)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(corpora, st.integers(2, 9), st.sampled_from([" ", "\n", "  \n\n"]), st.integers(1, 3), st.randoms())
def test_all_three_agree(documents: list[list[str]], size: int, space: str, parts: int, random: object) -> None:
    texts = [space.join(one) for one in documents]
    expected = brute(documents, size)
    config = SubstringConfig(min_tokens=size)
    assert [one.split() for one in strings(repeated_spans(column(texts), config).text)] == expected
    order = list(range(len(texts)))
    random.shuffle(order)  # type: ignore[attr-defined]
    groups = [order[n::parts] for n in range(parts)]
    assert [one.split() for one in in_parts(texts, groups, [0] * len(texts), config)] == expected


@settings(max_examples=100, deadline=None)
@given(corpora, st.integers(2, 6))
def test_what_is_left_repeats_nothing_and_loses_no_token(documents: list[list[str]], size: int) -> None:
    texts = [" ".join(one) for one in documents]
    found = repeated_spans(column(texts), SubstringConfig(min_tokens=size))
    gone = [set[int]() for _ in documents]
    for row, start, end in zip(found.row, found.starts, found.ends, strict=True):
        base = found.before.offsets[row]
        first = len(texts[row].encode()[: start - base].split())
        gone[row] |= set(range(first, first + len(texts[row].encode()[start - base : end - base].split())))
    windows = [
        tuple(one[place : place + size])
        for row, one in enumerate(documents)
        for place in range(len(one) - size + 1)
        if not gone[row] & set(range(place, place + size))
    ]
    assert len(windows) == len(set(windows))
    left = {token for row, one in enumerate(documents) for at, token in enumerate(one) if at not in gone[row]}
    assert left == {token for one in documents for token in one}


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 2), max_size=40))
def test_the_suffix_array_is_sorted(numbers: list[int]) -> None:
    sequence = np.array(numbers, np.int64)
    order = suffix_array(sequence)
    assert order.tolist() == sorted(range(len(numbers)), key=lambda at: numbers[at:])
    shared = longest_common_prefixes(sequence, order)
    for rank in range(1, len(numbers)):
        a, b = numbers[order[rank - 1] :], numbers[order[rank] :]
        same = next((k for k, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
        assert shared[rank] == same


def test_the_preferred_copy_stays() -> None:
    passage = " ".join(f"w{n}" for n in range(60))
    texts = [f"web before {passage} web after", f"{passage}\n\nwiki after"]
    config = SubstringConfig()
    assert in_parts(texts, [[0], [1]], [0, 0], config) == [texts[0], "wiki after"]
    assert in_parts(texts, [[0], [1]], [1, 0], config) == ["web before web after", texts[1]]


def test_white_space_around_a_cut() -> None:
    passage = " ".join(f"w{n}" for n in range(60))
    text = [
        passage,
        f"A one.\n\n{passage}\n\nTwo.",
        f"B one:\n\n{passage} three.",
        f"c {passage}\n\nFour.",
        f"d {passage}",
    ]
    left = strings(repeated_spans(column(text)).text)
    assert left == [passage, "A one.\n\nTwo.", "B one:\n\nthree.", "c\n\nFour.", "d"]


def test_fifty_tokens_and_not_forty_nine() -> None:
    for shared, cut_ in ((49, 0), (50, 1)):
        passage = " ".join(f"w{n}" for n in range(shared))
        found = repeated_spans(column([f"a {passage} b", f"c {passage} d"]))
        assert len(found.row) == cut_


def test_one_repeated_word_is_no_worse_than_its_length() -> None:
    def once(text: str) -> None:
        assert strings(repeated_spans(column([text])).text) == ["word"]
        assert in_parts([text], [[0]], [0], SubstringConfig()) == ["word"]

    assert is_linear(once, lambda words: "word " * words, 30_000)  # n log n


def test_texts_without_tokens_and_not_utf8() -> None:
    texts = pa.array([b"", b" \n", b"\xff\xfe " * 80, b"\xff\xfe " * 80, "é".encode() * 3], pa.large_binary())
    found = repeated_spans(texts.view(pa.large_string()))
    assert len(found.text.offsets) == 6
    assert repeated(REPEATS_SCHEMA.empty_table(), 1).num_rows == 0
