from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.ngrams import ngram_hashes, runs
from kernels.periods import longest_period
from kernels.spaced import spaced_tokens
from kernels.strings import text_batch
from kernels.words import spelled_words


def duplicate(tokens: list[str], n: int) -> int:
    noted: set[tuple[str, ...]] = set()
    total = at = 0
    while at <= len(tokens) - n:
        run = tuple(tokens[at : at + n])
        if run in noted:
            total += len("".join(run))
            at += n
        else:
            noted.add(run)
            at += 1
    return total


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(["a", "bb", "ccc", "é"]), max_size=60), max_size=4),
    st.sampled_from(
        [([1], [2]), ([2], []), ([], [1, 3]), ([2, 3, 4], [5, 6, 7, 8, 9, 10]), ([1, 3], [6]), ([], [5, 9])]
    ),
    st.sampled_from([None, 0, 1]),
)
def test_runs_by_definition(texts: list[list[str]], sizes: tuple[list[int], list[int]], kind: int | None) -> None:
    tokens = spaced_tokens(text_batch(pa.array([" ".join(text) for text in texts], pa.string())))
    kinds = None if kind is None else (tokens.chars > 1).astype(np.uint8)
    found = runs(tokens.offsets, tokens.hashes, tokens.chars, *sizes, kinds, kind or 0)
    counted = runs(tokens.offsets, tokens.hashes, None, *sizes, kinds, kind or 0)
    if kind is not None:
        texts = [[word for word in text if (len(word) > 1) == kind] for text in texts]
    assert found.later.tolist() == [[duplicate(text, n) for n in sizes[1]] for text in texts]
    for i, words in enumerate(texts):
        for j, n in enumerate(sizes[0]):
            times = Counter(tuple(words[k : k + n]) for k in range(len(words) - n + 1))
            first, most = times.most_common(1)[0] if times else ((), 0)
            longest = max((sum(map(len, gram)) for gram in times if times[gram] == most > 1), default=0)
            assert (found.times[i, j], found.first[i, j]) == (most, sum(map(len, first)))
            assert found.longest[i, j] == longest
        for j, n in enumerate(sizes[1]):
            grams = [tuple(words[k : k + n]) for k in range(len(words) - n + 1)]
            times = Counter(grams)
            covered = {k + d for k, gram in enumerate(grams) if times[gram] > 1 for d in range(n)}
            assert found.total[i, j] == sum(sum(map(len, gram)) for gram in grams)
            assert found.repeated[i, j] == sum(sum(map(len, gram)) for gram in grams if times[gram] > 1)
            assert found.covered[i, j] == sum(len(words[k]) for k in covered)
            assert counted.covered[i, j] == len(covered)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(st.sampled_from(["a", "bb", "ccc"]), max_size=25), min_size=1, max_size=4))
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


def test_hashes_of_runs_stay_in_their_text() -> None:
    words, spelling = spelled_words(text_batch(pa.array(["a b c", "b c", "", "a", "c b"])))
    offsets, grams = ngram_hashes(words.offsets, spelling.hashes, 2)
    assert offsets.tolist() == [0, 2, 3, 3, 3, 4]
    assert grams[1] == grams[2]
    assert len(np.unique(grams)) == 3
    assert ngram_hashes(words.offsets, spelling.hashes, 1)[1].tolist() == spelling.hashes.tolist()


def test_sizes_must_rise() -> None:
    words, spelling = spelled_words(text_batch(pa.array(["a"])))
    for sizes in ([], [0], [3, 2], [2, 2]):
        with pytest.raises(ValueError, match="expected rising numbers of tokens"):
            runs(words.offsets, spelling.hashes, spelling.chars, sizes, [])


@pytest.mark.parametrize("tokens", [32_767, 32_768, 32_769, 40_000])
def test_runs_of_a_text_of_which_all_is_repeated(tokens: int) -> None:
    """Every run is a candidate, for texts around the size at which the table of runs gets smaller."""
    known = np.random.default_rng(5).integers(0, 1 << 64, tokens // 2, dtype=np.uint64)
    hashes = np.concatenate([known, known, known[: tokens % 2]])
    found = runs(np.array([0, tokens]), hashes, None, [2], [5, 6])
    assert found.times.tolist() == [[2]]
    assert found.covered.tolist() == [[tokens, tokens]]
    # All but those that lie across the border of the two copies; where one more token follows, it ends such a run too.
    assert found.repeated.tolist() == [[n * (tokens - 2 * (n - 1) + tokens % 2) for n in (5, 6)]]
