"""The reader of BERT encoders beside transformers', and heads on embeddings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

import filters
from filters.quality import QualityModelError
from filters.quality.bert import read_bert
from filters.quality.encoder import MINILM, Encoder, encoder_folder
from filters.quality.head import train_head
from kernels.strings import text_batch

WORDS = (
    *("the", "river", "water", "sea", "land", "slope", "gravity", "reason", "because", "buy", "now", "free", "offer"),
    *("click", "here", "best", "price", "of", "to", "and"),
)
TEXTS = [
    *(" ".join(WORDS[k % 20] for k in range(first, first + length)) for first in range(6) for length in (1, 9, 40, 90)),
    *("", "x", " ", "\x00", "😀 emoji", "unseen Words, and the River!", "the " * 5000, "a" * 20_000),
]


def tiny(folder: Path) -> Path:
    """An encoder of random weights in transformers' layout."""
    from transformers import BertConfig, BertModel

    torch.manual_seed(1)
    vocabulary = {word: k for k, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 48}
    config = BertConfig(vocab_size=len(vocabulary), max_position_embeddings=64, **sizes)
    BertModel(config).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny(tmp_path_factory.mktemp("encoder"))


def agree(folder: Path, texts: list[str]) -> float:
    """Largest difference of hidden states from transformers'."""
    from transformers import AutoModel

    theirs, ours = AutoModel.from_pretrained(folder).eval(), read_bert(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(64)
    worst = 0.0
    with torch.inference_mode():
        for text in texts:
            ids = torch.tensor([tokenizer.encode(text).ids])
            found = ours(ids, torch.ones_like(ids, dtype=torch.bool))
            worst = max(worst, float((found - theirs(ids).last_hidden_state).abs().max()))
    return worst


def embedded(encoder: Encoder, texts: list[str]) -> np.ndarray:
    return encoder.embed(text_batch(pa.array(texts, pa.large_string())))


def test_hidden_states_agree_with_transformers(folder: Path) -> None:
    assert agree(folder, TEXTS) < 1e-5


def test_the_real_encoder_agrees_with_transformers() -> None:
    try:
        real = encoder_folder(MINILM)
    except FileNotFoundError:
        pytest.skip(f"{MINILM} is not installed")
    assert agree(real, ["A river carries water to the sea.", "x", *TEXTS[:4], "Ünïcode 東京 😀", "word " * 300]) < 1e-5
    near = embedded(Encoder(real), ["A river runs to the sea.", "The stream flows into the ocean.", "Buy shoes now!"])
    assert near[0] @ near[1] > 0.6 > 0.2 > near[0] @ near[2]


def test_an_embedding_depends_on_its_text_alone(folder: Path) -> None:
    encoder = Encoder(folder, 48)
    whole = embedded(encoder, TEXTS)
    np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1, atol=1e-6)
    assert np.array_equal(embedded(encoder, TEXTS[::-1])[::-1], whole)
    for row, text in enumerate(TEXTS):
        assert np.array_equal(embedded(encoder, [text])[0], whole[row]), text[:20]


def scored(path: Path) -> Path:
    """Scores that say how much of a text is about rivers."""
    drawn = np.random.default_rng(4)
    rows = [(n, drawn.choice(WORDS, 20)) for n in range(200)]
    about = [float(sum(word in WORDS[:9] for word in words)) / 4 for _, words in rows]
    texts = [" ".join(words) for _, words in rows]
    pq.write_table(pa.table({"text": texts, "score": np.clip(about, 0, 5)}), path)
    return path


def test_a_head_learns_scores_and_measures_them(folder: Path, tmp_path: Path) -> None:
    labels = scored(tmp_path / "labels.parquet")
    card, sha256 = train_head(labels, tmp_path / "edu", "edu", "MIT", encoder=str(folder), threshold=2.5, held_out=0.3)
    assert card.metrics["pearson"] > 0.5
    again, same = train_head(labels, tmp_path / "two", "edu", "MIT", encoder=str(folder), threshold=2.5, held_out=0.3)
    assert same == sha256
    assert again == card
    path = tmp_path / "edu" / "card.json"
    column = pa.array(TEXTS, pa.large_string())
    found = filters.measure(column, ["quality"], {"quality": path})["quality.edu"].to_pylist()
    assert all(0 <= value <= 5 for value in found)
    cut = [
        filters.measure(column.slice(k, 1), ["quality"], {"quality": path})["quality.edu"][0].as_py() for k in range(9)
    ]
    assert cut == found[:9]


def test_an_encoder_that_is_another_is_refused(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "encoder"
    copy.mkdir()
    for file in ("config.json", "model.safetensors", "tokenizer.json"):
        (copy / file).write_bytes((folder / file).read_bytes())
    train_head(scored(tmp_path / "l.parquet"), tmp_path / "m", "edu", "MIT", encoder=str(copy), threshold=2.5)
    (copy / "tokenizer.json").write_text((copy / "tokenizer.json").read_text() + "\n")
    card: Any = {"quality": tmp_path / "m" / "card.json"}
    with pytest.raises(QualityModelError, match=r"tokenizer\.json has changed"):
        filters.measure(pa.array(["x"]), ["quality"], card)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "hidden_act": "relu"}))
    with pytest.raises(QualityModelError, match="hidden_act: found 'relu', expected 'gelu'"):
        read_bert(copy)
    (copy / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(QualityModelError, match="found other weights"):
        read_bert(copy)
    with pytest.raises(FileNotFoundError, match="there is no encoder 'nowhere'"):
        encoder_folder("nowhere")
