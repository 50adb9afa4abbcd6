"""AFM's tokenizer: digits split, bytes for what is rare, nothing normalised, every text comes back."""

from __future__ import annotations

import inspect
import json
import pydoc_data.topics
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from pipelines import tokenizer

TEXTS = [*pydoc_data.topics.topics.values(), inspect.getsource(inspect), inspect.getsource(json)]


@pytest.fixture(scope="module")
def trained() -> Tokenizer:
    return tokenizer.train(TEXTS, 2048)


def back(library: Tokenizer, text: str) -> str:
    return library.decode(library.encode(text).ids, skip_special_tokens=False)


@settings(max_examples=300, deadline=None)
@given(st.text())
def test_every_text_comes_back(trained: Tokenizer, text: str) -> None:
    assert back(trained, text) == text


@pytest.mark.parametrize(
    "text",
    ["<eos>", "<0x41><pad>", "\tdef f():\n\t\treturn '▁'\r\n", "ดี ดู か゛ が が ﬁ ① Å Å", "12345", " \x00 \n\n "],
)
def test_awkward_texts_come_back(trained: Tokenizer, text: str) -> None:
    assert back(trained, text) == text


def test_real_texts_come_back_and_cost_less_than_bytes(trained: Tokenizer) -> None:
    for text in TEXTS[:40]:
        encoded = trained.encode(text)
        assert trained.decode(encoded.ids, skip_special_tokens=False) == text
        assert len(encoded.ids) < len(text.encode()) / 2


def test_digits_are_single_tokens(trained: Tokenizer) -> None:
    assert [one for one in trained.encode("year 2024").tokens if one.strip().isdigit()] == ["2", "0", "2", "4"]


def test_special_tokens_in_a_text_are_text(trained: Tokenizer) -> None:
    ids = trained.encode("a<eos>b<0x00>").ids
    assert min(ids) > 258


def test_equal_texts_give_equal_vocabularies_and_a_file_loads_as_it_was(trained: Tokenizer, tmp_path: Path) -> None:
    again = tokenizer.train(TEXTS, 2048)
    assert again.to_str() == trained.to_str()
    tokenizer.save(trained, tmp_path / "tokenizer.json")
    loaded = tokenizer.load(tmp_path / "tokenizer.json")
    assert loaded.encode("x <eos> 12").ids == trained.encode("x <eos> 12").ids
    assert [trained.token_to_id(name) for name in ("<pad>", "<bos>", "<eos>", "<0x00>")] == [0, 1, 2, 3]


def test_ties_among_rare_characters_are_broken_alike_in_every_process() -> None:
    # More characters than the alphabet may have, nearly all equally rare.
    code = (
        "from pipelines import tokenizer; "
        "texts = ['the cat sat on the mat ' * 20, ''.join(map(chr, range(0x4E00, 0x4E00 + 3000)))]; "
        "print(tokenizer.train(texts, 600).to_str())"
    )
    command = [sys.executable, "-c", code]
    made = {subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in "12"}
    assert len(made) == 1


def test_the_alphabet_is_the_most_frequent_characters_then_the_lowest() -> None:
    assert tokenizer.characters(["bbb", "aac", "dc", "e"], 4) == ["a", "b", "c", "d"]
    assert tokenizer.characters([], 4) == []
