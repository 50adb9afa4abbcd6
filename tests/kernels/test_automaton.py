from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels.automaton import automaton, count_groups

from kernels.known_runs import count_known_runs, known_runs
from kernels.strings import text_batch
from kernels.words import words


def overlapping(text: str, phrases: set[str]) -> int:
    return sum(any(text[:end].endswith(phrase) for phrase in phrases) for end in range(1, len(text) + 1))


phrases = st.sets(st.text(alphabet="abé ", min_size=1, max_size=4), min_size=1, max_size=5)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(alphabet="abcé "), min_size=1, max_size=3), st.lists(phrases, min_size=1, max_size=3))
def test_as_looking_for_each(texts: list[str], groups: list[set[str]]) -> None:
    batch = text_batch(pa.array(texts))
    found = count_groups(
        batch, batch.offsets[:-1], batch.offsets[1:], automaton([sorted(g) for g in groups], fold=False)
    )
    assert found.tolist() == [[overlapping(text, group) for group in groups] for text in texts]


def test_case_and_mistakes() -> None:
    batch = text_batch(pa.array(["I'm Sorry. I'M SORRY", "{"]))
    machine = automaton([["i'm sorry"]], fold=True)
    assert count_groups(batch, batch.offsets[:-1], batch.offsets[1:], machine).tolist() == [[2], [0]]
    with pytest.raises(ValueError, match="none empty"):
        automaton([["a", ""]], fold=False)
    with pytest.raises(ValueError, match="found upper case"):
        automaton([["A"]], fold=True)


def test_known_runs_are_whole_words_and_the_longest_first() -> None:
    known = known_runs(["big", "big bad", "bad wolf", "l'eau"])
    batch = text_batch(pa.array(["Big BAD wolf", "bigger bad", "bad  wolf, big", "", "L'eau bad"]))
    found = words(batch)
    assert count_known_runs(found.offsets, found.hashes, known).tolist() == [1, 0, 2, 0, 1]
