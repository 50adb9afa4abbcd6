"""The language model against looking every run up in a dictionary."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.backoff import backoff_model, score_lines
from kernels.spaced import spaced_tokens, spelling_hash
from kernels.strings import text_batch

WORDS = ["a", "b", "c", "</s>", "<unk>"]
RUNS: list[tuple[str, ...]] = [
    ("<s>",),
    *((word,) for word in WORDS),
    ("<s>", "a"),
    ("a", "b"),
    ("b", "a"),
    ("b", "</s>"),
    ("<s>", "a", "b"),
]
MODEL: dict[tuple[str, ...], tuple[float, float]] = {
    run: (-0.1 - 0.07 * number, -0.01 * number) for number, run in enumerate(RUNS)
}


def score(words: list[str]) -> float:
    known = [word if (word,) in MODEL else "<unk>" for word in words]
    sentence = ["<s>", *known, "</s>"]
    total = 0.0
    for at in range(1, len(sentence)):
        first = max(0, at - 2)
        while tuple(sentence[first : at + 1]) not in MODEL:
            total += MODEL.get(tuple(sentence[first:at]), (0.0, 0.0))[1]
            first += 1
        total += MODEL[tuple(sentence[first : at + 1])][0]
    return total


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.sampled_from(["a", "b", "c", "z", "y"]), max_size=6), min_size=1, max_size=4))
def test_scores(lines: list[list[str]]) -> None:
    hashes = np.array([spelling_hash(word) for run in MODEL for word in run], np.uint64)
    offsets = np.cumsum([0, *map(len, MODEL)], dtype=np.int64)
    model = backoff_model(hashes, offsets, *(np.array([pair[k] for pair in MODEL.values()]) for k in (0, 1)))
    tokens = spaced_tokens(text_batch(pa.array([" ".join(words) for words in lines])))
    found = score_lines(model, tokens.offsets, tokens.hashes)
    assert found.log10.tolist() == pytest.approx([score(words) for words in lines])
    assert found.unknown.tolist() == [sum(word in "yz" for word in words) for words in lines]
