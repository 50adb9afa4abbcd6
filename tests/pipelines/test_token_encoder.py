"""Our encoder against the tokenizers library: the same tokens for every tokenizer, language, program and code point."""

from __future__ import annotations

import gzip
import inspect
import json
import os
import pydoc_data.topics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from kernels import bpe
from kernels.strings import text_batch
from pipelines import tokenizer
from pipelines.code_points import asked, classes
from pipelines.token_encoder import LLAMA3, QWEN2, Encoder

TEXTS = [*pydoc_data.topics.topics.values(), inspect.getsource(inspect), inspect.getsource(json)]
KINDS = ("afm", "gpt2", "llama3", "qwen2")


def byte_level(pattern: str | None, **model: Any) -> Tokenizer:
    """A tokenizer in the form of a published one, trained here."""
    made = Tokenizer(models.BPE(**model))
    cut = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)
    if pattern is not None:
        cut = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), cut])
    made.pre_tokenizer = cut
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=2000,
        special_tokens=["<|end_of_text|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(TEXTS, trainer)
    return made


def qwen2() -> Tokenizer:
    """With what its file has besides: NFC, and added tokens that are not special."""
    made = byte_level(QWEN2)
    made.normalizer = normalizers.NFC()
    made.add_tokens([AddedToken("<tool_call>", normalized=False), AddedToken("<|fim_pad|>", normalized=False)])
    return made


MAKERS: dict[str, Callable[[], Tokenizer]] = {
    "afm": lambda: tokenizer.train(TEXTS, 2048),
    "gpt2": lambda: byte_level(None),
    "llama3": lambda: byte_level(LLAMA3, ignore_merges=True),
    "qwen2": qwen2,
}


@pytest.fixture(scope="module")
def states() -> dict[str, str]:
    return {name: make().to_str() for name, make in MAKERS.items()}


@pytest.fixture(scope="module")
def encoders(states: dict[str, str]) -> dict[str, Encoder]:
    return {name: Encoder(state) for name, state in states.items()}


def expected(encoder: Encoder, text: str) -> list[int]:
    return encoder.library.encode(text, add_special_tokens=False).ids


def ids(encoder: Encoder, texts: list[str]) -> list[list[int]]:
    found = encoder.encode(pa.array(texts, pa.large_string()))
    return [found.tokens[a:b].tolist() for a, b in zip(found.offsets[:-1], found.offsets[1:], strict=True)]


SPACES = " \t\n\r\v\f\u0085\u00a0\u2003\u2028\u3000"
CHARACTERS = st.one_of(
    st.characters(exclude_categories=["Cs"]),
    st.sampled_from(SPACES + "'sStTreEvVmMlLdDſKaé0٣½a\u0301\u093f.,!#_-€中が가🙂\u200d\x00"),
)
TEXT = st.one_of(
    st.text(CHARACTERS), st.text(st.sampled_from(" \n\t\r'saé1.")), st.sampled_from(TEXTS).map(lambda t: t[:300])
)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=400, deadline=None)
@given(texts=st.lists(TEXT, max_size=4))
@example(
    texts=["it's IT'S'ſ 'LL'Re 'vE'x", "a  b\t\tc \n\n d\r\n\r\n  e ", "   ", "1234567 ½٣", "<|end_of_text|><eos>"]
)
@example(texts=["<tool_call>e\u0301</tool_call>", "plain", "e\u0301"])
def test_tokens_are_the_library_s(encoders: dict[str, Encoder], kind: str, texts: list[str]) -> None:
    encoder = encoders[kind]
    assert encoder.compiled
    assert ids(encoder, texts) == [expected(encoder, text) for text in texts]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_code_point_is_cut_as_the_library_cuts_it(encoders: dict[str, Encoder], kind: str) -> None:
    """Each between letters, spaces, digits and after an apostrophe; the planes that have characters."""
    planes = [*range(0x20000), *range(0x2F800, 0x2FA20), *range(0xE0000, 0xE0200), *range(0x10FFF0, 0x110000)]
    points = [chr(code) for code in planes if not 0xD800 <= code < 0xE000]
    texts = ["".join(f"a{c}b {c} 1{c}2 '{c}\n" for c in points[k : k + 512]) for k in range(0, len(points), 512)]
    encoder = encoders[kind]
    library = encoder.library.encode_batch_fast(texts, add_special_tokens=False)
    assert ids(encoder, texts) == [one.ids for one in library]


@pytest.mark.parametrize("kind", ["afm", "gpt2", "llama3"])
@settings(max_examples=200, deadline=None)
@given(texts=st.lists(TEXT, max_size=4))
def test_nothing_is_lost_of_any_text(encoders: dict[str, Encoder], kind: str, texts: list[str]) -> None:
    found = encoders[kind].encode(pa.array(texts, pa.string()))
    assert (found.lost == -1).all()
    spelled = [encoders[kind].library.decode(one, skip_special_tokens=False) for one in ids(encoders[kind], texts)]
    assert spelled == texts


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_encoded_before_changes_nothing(
    encoders: dict[str, Encoder], states: dict[str, str], kind: str
) -> None:
    """A table of known pieces that is far too small is emptied again and again."""
    small = Encoder(states[kind])
    assert small._kernel is not None
    object.__setattr__(small._kernel, "seen", bpe.known(16, 256, 64))
    for text in (TEXTS[:30], TEXTS[30:60], TEXTS[:30]):
        assert ids(small, text) == ids(encoders[kind], text)


def test_slices_chunks_nulls_and_nothing(encoders: dict[str, Encoder]) -> None:
    encoder = encoders["afm"]
    whole = pa.array(["x", "one two", None, "", "three"])
    found = encoder.encode(whole.slice(1))
    assert np.diff(found.offsets).tolist() == [len(expected(encoder, t)) for t in ("one two", "", "", "three")]
    chunked = pa.chunked_array([whole.slice(0, 2), whole.slice(2)])
    assert encoder.encode(chunked).tokens.tolist() == encoder.encode(whole).tokens.tolist()
    assert encoder.encode(pa.array([], pa.string())).offsets.tolist() == [0]


def test_a_normalised_text_is_told_as_lost_at_its_byte(encoders: dict[str, Encoder]) -> None:
    found = encoders["qwen2"].encode(pa.array(["plain", "ab e\u0301", "caf\u00e9"]))
    assert found.lost.tolist() == [-1, 3, -1]


def test_what_a_vocabulary_does_not_have_is_told_as_lost(encoders: dict[str, Encoder]) -> None:
    words = Tokenizer(models.WordLevel({"a": 0, "b": 1, "[UNK]": 2}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    encoder = Encoder(words.to_str())
    assert not encoder.compiled
    assert encoder.encode(pa.array(["a", "a b", "a c"])).lost.tolist() == [-1, -1, 2]


def test_the_comparison_sees_every_kind_of_difference() -> None:
    spelled, spelled_offsets = np.frombuffer(b"abcd", np.uint8), np.array([0, 1, 3, 4])
    offsets, tokens = np.array([0, 3, 5, 8, 8, 8]), np.array([0, 1, 2, 0, 1, 0, 1, 2], np.uint32)
    texts = text_batch(pa.array(["abcd", "abcd", "abXd", "a", ""]))
    assert bpe.first_difference(texts, offsets, tokens, spelled, spelled_offsets).tolist() == [-1, 3, 2, 0, -1]


@pytest.mark.parametrize(
    "change",
    [
        lambda t: setattr(t, "normalizer", normalizers.Lowercase()),
        lambda t: setattr(t, "pre_tokenizer", pre_tokenizers.ByteLevel(add_prefix_space=True)),
        lambda t: setattr(t, "pre_tokenizer", pre_tokenizers.Whitespace()),
        lambda t: t.add_tokens([AddedToken(" xyz", lstrip=True)]),
    ],
)
def test_a_tokenizer_with_a_part_of_its_own_is_left_to_the_library(change: Callable[[Tokenizer], Any]) -> None:
    made = byte_level(None)
    change(made)
    encoder = Encoder(made.to_str())
    assert not encoder.compiled
    assert ids(encoder, ["Some  text xyz"]) == [expected(encoder, "Some  text xyz")]


def test_truncation_and_padding_of_a_file_are_not_taken_over(states: dict[str, str]) -> None:
    for kind in KINDS:
        other = Tokenizer.from_str(states[kind])
        other.enable_truncation(4)
        other.enable_padding(length=64)
        for library in (False, True):
            text = "a longer text than four tokens, and shorter than sixty-four"
            assert ids(Encoder(other.to_str(), library=library), [text]) == ids(Encoder(states[kind]), [text])


def test_two_merges_that_make_one_token_are_taken_in_the_library_s_order() -> None:
    """(a, bc) and (ab, c) both make abc, with ranks between which another merge comes."""
    letters = {c: i for i, c in enumerate(pre_tokenizers.ByteLevel.alphabet())}
    words = {**letters, **{w: len(letters) + i for i, w in enumerate(("bc", "ab", "abc", "cd", "abcd"))}}
    merges = [("b", "c"), ("a", "bc"), ("a", "b"), ("c", "d"), ("ab", "c"), ("ab", "cd"), ("abc", "d")]
    made = Tokenizer(models.BPE(words, merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    encoder = Encoder(made.to_str())
    assert encoder.compiled
    for text in ("abc", "abcd", "aabcd", "abab", "bcd", "cdcdabc", "abcabcdabc" * 9):
        assert ids(encoder, [text]) == [expected(encoder, text)]


def test_the_end_of_documents_is_a_special_token(encoders: dict[str, Encoder]) -> None:
    afm, llama = encoders["afm"].library, encoders["llama3"].library
    assert tokenizer.end_of_text(afm) == ("<eos>", 2)
    assert tokenizer.end_of_text(llama) == ("<|end_of_text|>", 0)
    with pytest.raises(ValueError, match=r"eos '<eof>' is no token of it; did you mean '<eos>'\?"):
        tokenizer.end_of_text(afm, "<eof>")
    with pytest.raises(ValueError, match="eos 'the' is an ordinary token, which a text may hold"):
        tokenizer.end_of_text(llama, "the")
    bare = Tokenizer(models.BPE({"a": 0}, []))
    with pytest.raises(ValueError, match=r"no end of documents.*special tokens are none; give 'eos'"):
        tokenizer.end_of_text(bare)


@pytest.mark.slow
def test_classes_are_kept_by_the_library_s_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    classes.cache_clear()
    made = classes()
    (file,) = tmp_path.iterdir()
    file.write_bytes(b"cut off")
    classes.cache_clear()
    np.testing.assert_array_equal(classes(), made)
    np.testing.assert_array_equal(np.load(file), asked())
    classes.cache_clear()


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_language_and_code_come_back(encoders: dict[str, Encoder], kind: str) -> None:
    """All 204 languages of FLORES-200; programs as they are, with tabs, CRLF and control characters."""
    folder = Path(os.environ["POMONA_DATA"])
    with gzip.open(folder / "langid" / "flores200_dev_first300.jsonl.gz", "rt", encoding="utf-8", newline="\n") as file:
        texts = ["\n".join(json.loads(line)["sentences"]) for line in file]
    with gzip.open(folder / "code" / "thealgorithms_python_a.jsonl.gz", "rt", encoding="utf-8", newline="\n") as file:
        programs = [json.loads(line)["text"] for line in file]
    texts += programs
    texts += [one.replace("    ", "\t") for one in programs[:300]]
    texts += [one.replace("\n", "\r\n") for one in programs[:300]]
    texts += [one.replace(" ", "\x00\x07\x1b[0m\x7f\u200b") for one in programs[:100]]
    encoder = encoders[kind]
    found = encoder.encode(pa.array(texts, pa.large_string()))
    library = encoder.library.encode_batch_fast(texts, add_special_tokens=False)
    assert ids(encoder, texts) == [one.ids for one in library]
    if kind == "qwen2":  # its NFC changes some, and says so
        lossy = np.flatnonzero(found.lost >= 0)
        changed = [i for i, t in enumerate(texts) if encoder.library.decode(library[i].ids) != t]
        assert lossy.tolist() == changed
        assert changed
    else:
        assert (found.lost == -1).all()
        decoded = encoder.library.decode_batch([one.ids for one in library], skip_special_tokens=False)
        assert decoded == texts


@pytest.mark.data
@pytest.mark.slow
def test_gpt2_s_own_vocabulary_gives_gpt2_s_tokens() -> None:
    folder = Path(os.environ["POMONA_DATA"])
    files = [str(folder / "models" / "gpt2_tokenizer" / name) for name in ("encoder.json", "vocab.bpe")]
    made = Tokenizer(models.BPE.from_file(*files))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(["<|endoftext|>"])
    encoder = Encoder(made.to_str())
    assert encoder.compiled
    assert tokenizer.end_of_text(encoder.library) == ("<|endoftext|>", 50256)
    assert ids(encoder, ["Hello world", " don't"]) == [[15496, 995], [836, 470]]
    with gzip.open(folder / "langid" / "flores200_dev_first300.jsonl.gz", "rt", encoding="utf-8", newline="\n") as file:
        texts = [" ".join(json.loads(line)["sentences"]) for line in file]
    assert ids(encoder, texts) == [one.ids for one in encoder.library.encode_batch_fast(texts)]
