"""Models of quality: training, cards, the family, ensembles; the text is documentation and prose made of its words."""

from __future__ import annotations

import contextlib
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import filters
from filters.quality import QualityModelError, metrics, ngram
from filters.quality.card import BINS, checked, digest, read_card
from filters.quality.ensemble import fit_ensemble, ranks
from filters.quality.labels import read_labels
from filters.quality.learning import NgramTraining
from filters.quality.train import import_fasttext, main, train_ngrams
from kernels.strings import text_batch
from tests.fasttext_model import written

GOOD = [
    "A river carries water to the sea because the land slopes, and the reason is gravity.",
    "To solve the equation, subtract three from both sides; the answer is then seven.",
    "The heart has four chambers, each of which fills and empties with every beat.",
    "Cells divide in two, and each part receives a copy of the same genes.",
]
BAD = [
    "Buy now! Free shipping on all orders, click here for the best price.",
    "Sign in | Register | Cart (0) | Follow us on social media for offers",
    "Posted by admin. Leave a comment. Share this post. Related posts. Tags.",
    "Win a prize today, limited offer, click here, subscribe, best deals online",
]
OPTIONS = NgramTraining(buckets=20_000, epochs=8)
ODD = ["", "x", " ", "\n", "\x00" * 50, "😀👨‍👩‍👧" * 40, "\u200f\u202eשלום", "$" * 3000, "word " * 4000, None]


def labels(path: Path, copies: int = 30) -> Path:
    rows = [
        (label, f"host-{kind}-{n}", f"{text} {word} {n}")
        for label, kind, some in ((1, "good", GOOD), (0, "bad", BAD))
        for n in range(copies)
        for text, word in ((some[n % 4], some[(n + 1) % 4].split()[n % 7]),)
    ]
    table = {name: [row[k] for row in rows] for k, name in enumerate(("label", "group", "text"))}
    pq.write_table(pa.table(table), path)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quality")
    train_ngrams(labels(folder / "labels.parquet"), folder, "curated", "Apache-2.0", OPTIONS, held_out=0.3)
    return folder / "card.json"


def scores(card: Path, texts: list[str | None], column: str = "quality.curated") -> list[float]:
    return filters.measure(pa.array(texts, pa.string()), ["quality"], {"quality": card})[column].to_pylist()


def test_a_model_tells_texts_apart_and_says_how_well(made: Path) -> None:
    card = checked(made)
    assert card.metrics["auc"] > 0.99
    assert card.data is not None
    assert card.data.trained + card.data.held_out == card.data.rows == 60
    assert card.data.sha256 == digest(made.parent / "labels.parquet")
    found = scores(made, ["The heart beats because cells divide.", "Click here for free offers and the best price"])
    assert found[0] > 0.5 > found[1]


def test_the_same_labels_give_the_same_bytes(made: Path, tmp_path: Path) -> None:
    again = labels(tmp_path / "labels.parquet")
    told = {"out": tmp_path, "name": "curated", "licence": "Apache-2.0", "buckets": 20000, "epochs": 8, "held-out": 0.3}
    assert main([str(again), *(f"--{name}={value}" for name, value in told.items())]) == 0
    assert (tmp_path / "model.safetensors").read_bytes() == (made.parent / "model.safetensors").read_bytes()
    assert (tmp_path / "card.json").read_bytes() == made.read_bytes()


def test_fasttexts_probabilities_survive_the_import(tmp_path: Path) -> None:
    import fasttext

    lines = tmp_path / "lines.txt"
    lines.write_text("no model")
    file = written(tmp_path / "dclm.bin", " ".join([*GOOD, *BAD]).split(), ["hq", "cc"], word_ngrams=2, buckets=3000)
    with contextlib.redirect_stderr(io.StringIO()):
        library: Any = fasttext.load_model(str(file))
    card, _ = import_fasttext(tmp_path / "dclm.bin", tmp_path, "dclm", "MIT", "__label__hq")
    texts = [*GOOD, *BAD, "", "unseen words entirely", "the best reason"]
    expected = [dict(zip(*library.predict(text, k=2), strict=True))["__label__hq"] for text in texts]
    assert max(expected) - min(expected) > 0.5
    np.testing.assert_allclose(scores(tmp_path / "card.json", texts, "quality.dclm"), expected, atol=1e-4)
    assert card.training["sha256"] == digest(tmp_path / "dclm.bin")
    with pytest.raises(QualityModelError, match=r"found the labels .*, expected 'good'"):
        import_fasttext(tmp_path / "dclm.bin", tmp_path, "dclm", "MIT", "good")
    with pytest.raises(QualityModelError, match=r"lines\.txt.*expected a fastText model"):
        import_fasttext(lines, tmp_path, "dclm", "MIT", "hq")


def test_a_pruned_model_survives_writing(tmp_path: Path) -> None:
    import fasttext

    words = " ".join([*GOOD, *BAD]).split()
    file = written(tmp_path / "model.bin", words, ["hq", "cc"], word_ngrams=2, characters=(2, 3), buckets=2000)
    with contextlib.redirect_stderr(io.StringIO()):
        library: Any = fasttext.load_model(str(file))
    library.quantize(cutoff=600)
    library.save_model(str(tmp_path / "model.ftz"))
    model = ngram.from_fasttext(tmp_path / "model.ftz", "hq")
    assert len(model.rows) < 2000
    ngram.save(tmp_path / "model.safetensors", model)
    texts = [*GOOD, *BAD, "", "x"]
    batch = text_batch(pa.array(texts))
    read = ngram.load(tmp_path / "model.safetensors").scores(batch)
    assert np.array_equal(read, model.scores(batch))
    expected = [dict(zip(*library.predict(text, k=2), strict=True))["__label__hq"] for text in texts]
    np.testing.assert_allclose(read, expected, atol=1e-4)


def test_a_changed_or_missing_file_is_refused(made: Path, tmp_path: Path) -> None:
    for name in ("card.json", "model.safetensors"):
        (tmp_path / name).write_bytes((made.parent / name).read_bytes())
    model = tmp_path / "model.safetensors"
    whole = model.read_bytes()
    model.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(QualityModelError, match=r"model\.safetensors has changed: found SHA-256 .* expected"):
        scores(tmp_path / "card.json", ["x"])
    model.unlink()
    with pytest.raises(FileNotFoundError, match=r"no file .*model\.safetensors"):
        checked(tmp_path / "card.json")
    with pytest.raises(FileNotFoundError, match="no card"):
        read_card(tmp_path / "none.json")
    model.write_bytes(b"not a model")
    card = json.loads((tmp_path / "card.json").read_text())
    card["files"]["model.safetensors"] = digest(model)
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(QualityModelError, match="found no n-gram model"):
        scores(tmp_path / "card.json", ["x"])
    (tmp_path / "card.json").write_text("{}")
    with pytest.raises(QualityModelError, match="name: Field required"):
        read_card(tmp_path / "card.json")


def test_without_a_model_nothing_is_measured() -> None:
    with pytest.raises(ValueError, match="quality: found no model"):
        filters.measure(pa.array(["x"]), ["quality"])


def test_an_ensemble_has_the_highest_rank(made: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    train_ngrams(labels(tmp_path / "l.parquet"), other, "other", "MIT", OPTIONS.model_copy(update={"seed": 5}))
    drawn = np.random.default_rng(0)
    words = " ".join([*GOOD, *BAD]).split()
    sample = pa.chunked_array([[" ".join(drawn.choice(words, 12)) for _ in range(400)]])
    pq.write_table(pa.table({"text": sample}), tmp_path / "sample.parquet")
    out = tmp_path / "ensemble.json"
    card, sha256 = fit_ensemble([made, other / "card.json"], sample, tmp_path / "sample.parquet", out)
    assert sha256 == digest(out)
    assert card.licence == "Apache-2.0 AND MIT"
    found = filters.measure(sample, ["quality"], {"quality": out})
    bins = [found[f"quality.{name}_bin"].to_numpy() for name in ("curated", "other")]
    assert np.array_equal(found["quality.bin"].to_numpy(), np.maximum(*bins))
    for one in bins:
        assert np.bincount(one.astype(int), minlength=BINS).tolist() == [400 // BINS] * BINS
    with pytest.raises(QualityModelError, match="an ensemble"):
        fit_ensemble([out], sample, tmp_path / "sample.parquet", tmp_path / "again.json")
    with pytest.raises(QualityModelError, match="a second model named 'curated'"):
        fit_ensemble([made, made], sample, tmp_path / "sample.parquet", tmp_path / "again.json")
    with pytest.raises(QualityModelError, match="found 3 texts"):
        fit_ensemble([made], sample.slice(0, 3), tmp_path / "sample.parquet", tmp_path / "again.json")
    (other / "card.json").write_text(made.read_text())
    with pytest.raises(QualityModelError, match="has changed"):
        checked(out)


def test_equal_scores_have_equal_ranks() -> None:
    bounds = np.array([0.1] * 5 + [0.5] * 14)
    assert ranks(np.array([0.0, 0.1, 0.2, 0.5, 1.0]), bounds).tolist() == [0, 5, 5, 19, 19]


def test_odd_texts_have_numbers(made: Path) -> None:
    broken = pa.array([b"\xff\xfe", b"\xed\xa0\x80", b"ok \xe2\x82"], pa.binary()).view(pa.string())
    table = filters.measure(broken, ["quality"], {"quality": made})
    found = [*table["quality.curated"].to_pylist(), *scores(made, ODD)]
    assert all(math.isfinite(value) and 0 <= value <= 1 for value in found)


@pytest.mark.slow
def test_a_hundred_megabytes_on_one_line(made: Path) -> None:
    text = pa.array(["some words of a text that never ends, " * 2_600_000, "x" * 3_000_000], pa.large_string())
    found = filters.measure(text, ["quality"], {"quality": made})["quality.curated"].to_pylist()
    assert all(0 <= value <= 1 for value in found)


some_texts = st.lists(st.sampled_from([*GOOD, *BAD, *ODD]) | st.text(max_size=50), min_size=1, max_size=6)


@settings(max_examples=40, deadline=None)
@given(some_texts, st.integers(0, 6), st.randoms(use_true_random=False))
def test_batches_and_order_never_change_a_value(made: Path, texts: list[Any], cut: int, shuffle: Any) -> None:
    texts = [text and text.encode("utf-8", "replace").decode() for text in texts]
    whole = scores(made, texts)
    assert scores(made, texts[:cut]) + scores(made, texts[cut:]) == whole
    order = list(range(len(texts)))
    shuffle.shuffle(order)
    assert scores(made, [texts[k] for k in order]) == [whole[k] for k in order]


def test_a_group_is_learned_from_or_held_out_as_a_whole(tmp_path: Path) -> None:
    table = pa.table({"text": [f"t{n}" for n in range(400)], "label": [n % 2 for n in range(400)],
                      "group": [f"g{n // 10}" for n in range(400)]})  # fmt: skip
    pq.write_table(table, tmp_path / "l.parquet")
    found = read_labels(tmp_path / "l.parquet", None, 0.3, 0)
    by_group = found.held_out.reshape(40, 10)
    assert (by_group.all(axis=1) | ~by_group.any(axis=1)).all()
    assert 4 <= by_group.all(axis=1).sum() <= 20
    assert found.groups == 40
    order = np.random.default_rng(1).permutation(400)
    pq.write_table(table.take(pa.array(order)), tmp_path / "m.parquet")
    assert np.array_equal(read_labels(tmp_path / "m.parquet", None, 0.3, 0).held_out, found.held_out[order])


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"text": ["a", "b"]}, "expected text and one of label and score"),
        ({"text": ["a", None], "label": [0, 1]}, "row 1: found no text"),
        ({"text": ["a", "b"], "label": [0, None]}, "row 1: found no text or no label"),
        ({"text": ["a", "b"], "label": [0, 3]}, "row 1: found the label 3, expected 0 or 1"),
        ({"text": ["a", "b"], "label": [1, 1]}, "2 reach 0.5|1 reach 0.5|0 reach"),
        ({"text": ["a", "b"], "label": ["x", "y"]}, "expected strings and numbers"),
        ({"text": ["a"], "label": [1], "score": [2.0]}, "with both, say which"),
    ],
)
def test_labels_that_are_wrong(tmp_path: Path, columns: dict[str, Any], says: str) -> None:
    path = tmp_path / "labels.parquet"
    pq.write_table(pa.table(columns), path)
    with pytest.raises(QualityModelError, match=says) as caught:
        train_ngrams(path, tmp_path / "m", "m", "MIT", OPTIONS)
    assert str(path) in str(caught.value)
    assert not (tmp_path / "m").exists()
    path.write_bytes(b"no parquet")
    with pytest.raises(QualityModelError, match="no Parquet"):
        train_ngrams(path, tmp_path / "m", "m", "MIT", OPTIONS)


def test_auc_is_the_share_of_pairs_in_order() -> None:
    drawn = np.random.default_rng(3)
    values, positive = drawn.integers(0, 20, 200).astype(float), drawn.random(200) < 0.3
    pairs = values[positive][:, None] - values[~positive][None, :]
    assert metrics.auc(values, positive) == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())
    assert math.isnan(metrics.auc(values, np.ones(200, np.bool_)))
