"""Hashes under case folding are those of a plain loop over characters, wherever a token stands."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.folded_hashes import ascii_hashes
from kernels.strings import text_batch
from kernels.words import words

_MASK = (1 << 64) - 1


def plain_hash(token: str) -> int:
    """The hash of ``kernels.words``, written out; for tokens whose case folds as ``str.lower`` does, none invisible."""
    state = 0x9E3779B97F4A7C15
    for character in token.lower():
        state ^= ord(character) * 0x87C37B91114253D5 & _MASK
        state = (state << 27 | state >> 37) & _MASK
        state = state * 0x4CF5AD432745937F & _MASK
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    state = (state ^ state >> 27) * 0x94D049BB133111EB & _MASK
    return state ^ state >> 31


letters = st.text("abzAZ09éÉдД日", min_size=1, max_size=20)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(letters, max_size=40).map(" ".join), max_size=4))
def test_hashes_are_those_of_a_plain_loop(texts: list[str]) -> None:
    batch = text_batch(pa.array(texts, pa.string()))
    found = words(batch)
    data = bytes(batch.data)
    spelt = [data[a:b].decode() for a, b in zip(found.starts, found.ends, strict=True)]
    assert found.hashes.tolist() == [plain_hash(token) for token in spelt]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7])
def test_more_tokens_than_lanes(share: float) -> None:
    rng = np.random.default_rng(1)
    tokens = [
        "".join(rng.choice(list("abcXYZ789" if rng.random() >= share else "абвЭЮЯ"), size=rng.integers(1, 20)))
        for _ in range(9000)
    ]
    found = words(text_batch(pa.array([" ".join(tokens)])))
    assert found.hashes.tolist() == [plain_hash(token) for token in tokens]


def test_what_is_not_hashed_is_named() -> None:
    text = b"Short sixteen-letters and more-than-sixteen-letters \xc3\xa9 or near the end." + b"." * 64 + b" it ends so"
    data = np.frombuffer(text, np.uint8)
    spans = [(0, 5), (6, 21), (26, 51), (52, 54), (len(text) - 16, len(text)), (len(text) - 2, len(text))]
    starts, ends = (np.array(column, np.int64) for column in zip(*spans, strict=True))
    hashes, others = ascii_hashes(data, starts, ends)
    assert others.tolist() == [2, 3, 5]
    assert [hashes[k] for k in (0, 1, 4)] == [plain_hash(text[slice(*spans[k])].decode()) for k in (0, 1, 4)]
