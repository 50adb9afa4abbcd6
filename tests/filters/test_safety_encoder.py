"""A head on an encoder's embeddings in place of the shipped classifiers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import filters
from filters import safety
from filters.quality.card import QualityModelError
from filters.quality.encoder import MINILM, encoder_folder
from filters.safety import encoder
from filters.safety.examples import FOLDS, Examples
from tests.filters.quality.test_encoder import WORDS, tiny

HATE, CYBER = (list(safety.categories()).index(name) for name in ("hate_speech", "cybercrime"))
SPAM = (
    "Free porn tube: milf gangbang, creampie, cumshot and bukkake videos! Hot shemale blowjob and deepthroat camgirl. "
)


def made_up(count: int = 400) -> Examples:
    """Texts whose words say what they are: of the first words, hate; of the next, cybercrime; else clean."""
    random = np.random.default_rng(3)
    texts: list[str] = []
    labels = np.zeros((count, len(safety.categories())), np.int8)
    for row in range(count):
        kind = row % 4
        words = {0: WORDS[:4], 1: WORDS[4:8]}.get(kind, WORDS[8:])
        texts.append(" ".join(random.choice(words, 12)))
        if kind == 0:
            labels[row, HATE] = 1
        elif kind == 1:
            labels[row, CYBER] = 1
            labels[row, HATE] = -1
    return Examples(texts, labels, np.full(count, "made"), np.arange(count) // 4 % FOLDS)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, Any]:
    folder = tmp_path_factory.mktemp("safety")
    card, sha256 = encoder.train(made_up(), folder / "model", "MIT", encoder=str(tiny(folder / "encoder")))
    return folder, sha256, card


def test_it_learns_on_folds_it_has_not_seen(made: tuple[Path, str, Any]) -> None:
    _, _, card = made
    assert card.training["categories"] == ["hate_speech", "cybercrime"]  # those that have labels
    assert card.metrics["hate_speech_auc"] > 0.95
    assert card.metrics["hate_speech_recall"] > 0.7
    assert card.metrics["cybercrime_auc"] > 0.95


def test_it_stands_in_place_of_the_classifier_and_lists_stay(made: tuple[Path, str, Any]) -> None:
    folder, _, _ = made
    known = made_up()
    texts = pa.array([*known.texts[:40], SPAM, "", "!!! 😀", "A word."], pa.large_string())
    given = {"safety": folder / "model" / "card.json"}
    found = filters.measure(texts, ["safety"], given)
    assert found.column_names == filters.measure(texts, ["safety"]).column_names
    hate = found["safety.hate_speech"].to_numpy()[:40] >= safety.FLAGGED
    assert (hate == (known.labels[:40, HATE] == 1)).mean() > 0.85
    assert found["safety.adult_sexual_material"][40].as_py() >= safety.FLAGGED  # by its list
    assert [set(row.values()) for row in found.slice(41, 2).to_pylist()] == [{0.0}, {0.0}]
    for row in range(0, len(texts), 7):
        assert filters.measure(texts.slice(row, 1), ["safety"], given).to_pylist() == found.slice(row, 1).to_pylist()
    plain = filters.measure(texts, ["safety"])
    assert found["safety.self_harm"].to_pylist() == plain["safety.self_harm"].to_pylist()  # no such output


def test_the_same_texts_give_the_same_card(made: tuple[Path, str, Any], tmp_path: Path) -> None:
    folder, sha256, _ = made
    assert encoder.train(made_up(), tmp_path, "MIT", encoder=str(folder / "encoder"))[1] == sha256


def test_another_card_or_a_changed_file_is_refused(made: tuple[Path, str, Any], tmp_path: Path) -> None:
    folder, _, _ = made
    copy = tmp_path / "model"
    shutil.copytree(folder / "model", copy)
    encoder.check(copy / "card.json")
    (copy / "head.safetensors").write_bytes(b"x")
    with pytest.raises(QualityModelError, match=r"head\.safetensors has changed"):
        encoder.check(copy / "card.json")
    card = (folder / "model" / "card.json").read_text()
    (folder / "model" / "other.json").write_text(card.replace('"cybercrime"', '"kindness"'))
    with pytest.raises(QualityModelError, match=r"expected one made by python -m filters\.safety\.encoder"):
        encoder.check(folder / "model" / "other.json")
    assert filters.family("safety").pinned  # a recipe names the digest
    assert encoder.libraries(folder / "model" / "card.json") == ("torch",)


@pytest.mark.data
@pytest.mark.slow
def test_minilm_learns_from_few_of_the_labelled_texts(pomona_data: Path, tmp_path: Path) -> None:
    try:
        encoder_folder(MINILM)
    except FileNotFoundError:
        pytest.skip(f"{MINILM} is not installed")
    arguments = ["--data", str(pomona_data), "--out", str(tmp_path), "--tokens", "32", "--most", "1500"]
    assert encoder.main(arguments) == 0
    found = filters.measure(pa.array(["How do I bake bread?"]), ["safety"], {"safety": tmp_path / "card.json"})
    assert max(found.to_pylist()[0].values()) < safety.FLAGGED
