"""Repeated runs against counting them one by one."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels.coverage import covered_tokens, longest_period, runs
from kernels.repeated_lines import repeated_parts

from kernels.spaced import spaced_tokens
from kernels.strings import text_batch

SIZES = [1, 2, 3, 5]
texts = st.lists(st.lists(st.sampled_from(["a", "bb", "ccc", "é"]), max_size=25), min_size=1, max_size=4)


@settings(max_examples=150, deadline=None)
@given(texts)
def test_runs(given_texts: list[list[str]]) -> None:
    tokens = spaced_tokens(text_batch(pa.array([" ".join(words) for words in given_texts])))
    found = runs(tokens.offsets, tokens.hashes, tokens.chars, SIZES)
    marks = {n: covered_tokens(tokens.offsets, tokens.hashes, n) for n in SIZES}
    for i, words in enumerate(given_texts):
        for j, n in enumerate(SIZES):
            grams = [tuple(words[k : k + n]) for k in range(len(words) - n + 1)]
            times = Counter(grams)
            covered = {k + d for k, gram in enumerate(grams) if times[gram] > 1 for d in range(n)}
            first = times.most_common(1)[0] if times else ((), 0)
            most = max(times.values(), default=0)
            assert found.top[i, j] == first[1] * sum(map(len, first[0]))
            assert found.top_longest[i, j] == max(
                (most * sum(map(len, gram)) for gram in times if times[gram] == most > 1), default=0
            )
            assert found.total[i, j] == sum(sum(map(len, gram)) for gram in grams)
            assert found.repeated[i, j] == sum(sum(map(len, gram)) for gram in grams if times[gram] > 1)
            assert found.covered[i, j] == sum(len(words[k]) for k in covered)
            span = marks[n][tokens.offsets[i] : tokens.offsets[i + 1]]
            assert span.nonzero()[0].tolist() == sorted(covered)


@settings(max_examples=100, deadline=None)
@given(texts)
def test_periods(given_texts: list[list[str]]) -> None:
    tokens = spaced_tokens(text_batch(pa.array([" ".join(words) for words in given_texts])))
    found = longest_period(tokens.offsets, tokens.hashes, 3).tolist()
    for words, times in zip(given_texts, found, strict=True):
        expected = max(
            (
                count
                for period in (1, 2, 3)
                for start in range(len(words))
                for count in range(1, len(words) + 1)
                if start + period * count <= len(words)
                and words[start : start + period] * count == words[start : start + period * count]
            ),
            default=0,
        )
        assert times == expected


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.sampled_from(["", "a", "bb", "é"]), max_size=8), min_size=1, max_size=3))
def test_parts(given_texts: list[list[str]]) -> None:
    from kernels.lines import lines

    batch = text_batch(pa.array(["\n".join(parts) for parts in given_texts]))
    split = lines(batch)
    found = repeated_parts(batch, split.offsets, split.starts, split.ends)
    for i, parts in enumerate(given_texts):
        some = Counter(part for part in parts if part)
        assert found.parts[i] == some.total()
        assert found.chars[i] == sum(len(part) * times for part, times in some.items())
        assert found.copies[i] == sum(times for times in some.values() if times > 1)
        assert found.copy_chars[i] == sum(len(part) * times for part, times in some.items() if times > 1)
