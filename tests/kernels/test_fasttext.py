from __future__ import annotations

import contextlib
import gzip
import io
import json
import struct
from pathlib import Path
from typing import Any

import fasttext
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters import fasttext_file
from filters.fasttext_file import FastText
from filters.language import model_path
from kernels.strings import TextBatch, text_batch

TEXTS = {
    "eng_Latn": ["the cat sat on the mat", "a dog is in the garden and it barks", "we went to the sea in the summer"],
    "fra_Latn": ["le chat est sur le tapis", "un chien est dans le jardin", "nous allons à la mer en été"],
    "rus_Cyrl": ["кошка сидит на ковре", "собака лает в саду", "летом мы едем на море"],
    "jpn_Jpan": ["猫がマットの上に座った", "庭に犬がいる", "夏に海へ行きました"],
}


def loaded(path: Path) -> Any:
    with contextlib.redirect_stderr(io.StringIO()):
        return fasttext.load_model(str(path))


def batch(texts: list[str]) -> TextBatch:
    return text_batch(pa.array(texts, pa.large_string()))


def probabilities(model: FastText, texts: list[str]) -> np.ndarray:
    return model.probabilities(*model.sums(batch(texts)))


def assert_equal(model: FastText, library: Any, texts: list[str]) -> None:
    ours = probabilities(model, texts)
    labels, theirs = library.predict([text.replace("\n", " ") for text in texts], k=min(5, len(model.labels)))
    place = {f"__label__{label}": column for column, label in enumerate(model.labels)}
    for row, (names, expected) in enumerate(zip(labels, theirs, strict=True)):
        found = ours[row, [place[name] for name in names]]
        np.testing.assert_allclose(found, expected, atol=1e-4)
        assert found[0] >= ours[row].max() - 1e-4


def written(path: Path, *, loss: int, longest: int) -> Path:
    """A model file of random rows (fastText's own training, on so little, ends now and then in NaN)."""
    words = ["</s>", *dict.fromkeys(word for some in TEXTS.values() for text in some for word in text.split())]
    entries = [(word, 5, 0) for word in words] + [(f"__label__{label}", 40 - k, 1) for k, label in enumerate(TEXTS)]
    dim, buckets, drawn = 10, 300, np.random.default_rng(1)
    content = struct.pack("<ii", 793712314, 12)
    content += struct.pack("<12id", dim, 5, 5, 1, 5, 1, loss, 3, buckets, 2 if longest else 0, longest, 100, 1e-4)
    content += struct.pack("<iiiqq", len(entries), len(words), len(TEXTS), 1000, -1)
    content += b"".join(word.encode() + b"\0" + struct.pack("<qb", count, kind) for word, count, kind in entries)
    for rows in (len(words) + buckets, len(TEXTS)):
        values = drawn.normal(size=(rows, dim)).astype("<f4")
        content += b"\0" + struct.pack("<qq", *values.shape) + values.tobytes()
    path.write_bytes(content)
    return path


MODEL = fasttext_file.read(model_path())
LIBRARY = loaded(model_path())


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=5))
def test_any_text_has_the_librarys_probabilities(texts: list[str]) -> None:
    assert_equal(MODEL, LIBRARY, texts)


@pytest.mark.parametrize(("loss", "longest"), [(1, 4), (3, 4), (3, 0)])
def test_models_of_each_kind(tmp_path: Path, loss: int, longest: int) -> None:
    path = written(tmp_path / "model.bin", loss=loss, longest=longest)
    model = fasttext_file.read(path)
    texts = [text for some in TEXTS.values() for text in some]
    assert_equal(model, loaded(path), [*texts, "unseen words, ñandú", "a", " ".join(texts), "x" * 5000])
    assert set(model.labels) == set(TEXTS)
    assert model.labels[0] == "eng_Latn"


def test_neither_batches_nor_order_show() -> None:
    model = MODEL
    texts = [text for some in TEXTS.values() for text in some] * 3 + ["", "é", "__label__en the"]
    sums, counts = model.sums(batch(texts))
    found = model.probabilities(sums, counts)
    for row, text in enumerate(texts):
        one, number = model.sums(batch([text]))
        assert np.array_equal(one[0], sums[row])
        assert number[0] == counts[row]
        assert np.array_equal(model.probabilities(one, number)[0], found[row])
    turned, turned_counts = model.sums(batch(texts[::-1]))
    assert np.array_equal(turned[::-1], sums)
    assert np.array_equal(turned_counts[::-1], counts)


def test_parts_of_a_text_may_be_added() -> None:
    model = MODEL
    sums, counts = model.sums(batch(["the cat sat", "on the mat", "the cat sat on the mat"]))
    np.testing.assert_allclose(sums[0] + sums[1], sums[2], atol=1e-5)
    assert counts[0] + counts[1] == counts[2]


@pytest.mark.data
def test_real_pages_and_sentences(pomona_data: Path) -> None:
    with gzip.open(pomona_data / "langid" / "flores200_dev_first300.jsonl.gz", "rt", encoding="utf-8") as file:
        texts = [sentence for line in file for sentence in json.loads(line)["sentences"][:10]]
    with gzip.open(pomona_data / "html_gold" / "wcxb_dev" / "index.jsonl.gz", "rt", encoding="utf-8") as file:
        texts += [json.loads(line)["gold_text"] for line in file][:200]
    assert len(texts) > 2000
    assert_equal(MODEL, LIBRARY, texts)


def test_files_that_are_no_such_model(tmp_path: Path) -> None:
    whole = model_path().read_bytes()
    bad = tmp_path / "model.bin"
    for content, expected in (
        (b"", "cut short"),
        (b"PK\x03\x04" + b"\x00" * 100, "expected a fastText model"),
        (whole[:2000], "cut short"),
        (whole[:-1], "cut short"),
        (whole[: 8 + 28] + struct.pack("<i", 1) + whole[8 + 32 :], "expected a supervised model"),
    ):
        bad.write_bytes(content)
        with pytest.raises(ValueError, match=expected) as caught:
            fasttext_file.read(bad)
        assert str(bad) in str(caught.value)


def test_the_beginning_of_a_file_says_whether_it_is_one(tmp_path: Path) -> None:
    whole = model_path().read_bytes()
    begun = tmp_path / "model.bin"
    begun.write_bytes(whole[:200])
    fasttext_file.check(begun)  # the rest is not read
    begun.write_bytes(whole[:20])
    with pytest.raises(ValueError, match="cut short"):
        fasttext_file.check(begun)
    begun.write_text("version https://git-lfs.github.com/spec/v1\n" * 3)
    with pytest.raises(ValueError, match="expected a fastText model"):
        fasttext_file.check(begun)
    with pytest.raises(FileNotFoundError):
        fasttext_file.check(tmp_path / "none.bin")
