from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.ngrams import ngram_hashes, repeats
from kernels.strings import text_batch
from kernels.words import spelled_words

SIZES = list(range(2, 11))


def top(tokens: list[str], n: int) -> int:
    runs = [" ".join(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
    if not runs:
        return 0
    run, count = Counter(runs).most_common(1)[0]
    return len(run) * count


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
    st.sampled_from([[2], [2, 3, 4], SIZES, [5, 9]]),
)
def test_repeats_by_definition(texts: list[list[str]], sizes: list[int]) -> None:
    words, spelling = spelled_words(text_batch(pa.array([" ".join(text) for text in texts], pa.string())))
    found = repeats(words.offsets, spelling.hashes, spelling.chars, sizes)
    assert found.top.tolist() == [[top(text, n) for n in sizes] for text in texts]
    assert found.duplicate.tolist() == [[duplicate(text, n) for n in sizes] for text in texts]


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
            repeats(words.offsets, spelling.hashes, spelling.chars, sizes)
