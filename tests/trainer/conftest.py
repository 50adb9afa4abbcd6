"""A small token set of real text: Python's own language reference (pydoc's topics), a tokenizer trained on it here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from trainer.recipe import TrainConfig

VOCABULARY = 512


def write_stage(
    run: Path, stage: str, texts: Sequence[tuple[str, str]], shards: int, tokenizer: Tokenizer, *, dtype: str = "uint16"
) -> Path:
    """Write tokens/<stage> of (id, text) pairs in the format the pipelines write."""
    folder = run / "tokens" / stage
    folder.mkdir(parents=True)
    eos = tokenizer.token_to_id("<eos>")
    encoded = [e.ids + [eos] for e in tokenizer.encode_batch([t for _, t in texts], add_special_tokens=False)]
    rows: list[tuple[int, int, int, str, str]] = []
    entries: list[dict[str, Any]] = []
    each = -(-len(encoded) // shards)
    for shard in range(shards):
        part = encoded[shard * each : (shard + 1) * each]
        start = 0
        for offset, ids in enumerate(part):
            name = texts[shard * each + offset][0]
            rows.append((shard, start, len(ids), name, "topics"))
            start += len(ids)
        content = (
            np.concatenate([np.array(ids) for ids in part]).astype("<u2" if dtype == "uint16" else "<u4").tobytes()
        )
        path = f"part-{shard:05d}.bin"
        (folder / path).write_bytes(content)
        entries.append({"path": path, "sha256": hashlib.sha256(content).hexdigest(), "tokens": start})
    shard_column, start_column, length_column, id_column, source_column = zip(*rows, strict=True)
    table = {
        "shard": pa.array(shard_column, pa.int32()),
        "start": pa.array(start_column, pa.int64()),
        "length": pa.array(length_column, pa.int32()),
        "id": pa.array(id_column),
        "source": pa.array(source_column),
    }
    pq.write_table(pa.table(table), folder / "documents.parquet")
    tokenizer_file = run / "tokenizer" / "tokenizer.json"
    manifest = {
        "stage": stage,
        "dtype": dtype,
        "vocab_size": tokenizer.get_vocab_size(),
        "eos_id": eos,
        "tokens": sum(entry["tokens"] for entry in entries),
        "shards": entries,
        "tokenizer": {
            "path": "../../tokenizer/tokenizer.json",
            "sha256": hashlib.sha256(tokenizer_file.read_bytes()).hexdigest(),
        },
        "sources": {"topics": len(rows)},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def train_tokenizer(run: Path, texts: Sequence[str], vocabulary: int = VOCABULARY) -> Tokenizer:
    """A byte-level BPE tokenizer with split digits, saved where a run keeps it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<pad>", "<bos>", "<eos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    (run / "tokenizer").mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(run / "tokenizer" / "tokenizer.json"))
    return tokenizer


def real_texts() -> list[tuple[str, str]]:
    """(id, text) of every pydoc topic, shortened so that a window holds several documents."""
    return [(f"topic:{name}", text[:1500]) for name, text in sorted(topics.items())]


@pytest.fixture(scope="session")
def token_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with stages core (3 shards), continued (1) and heldout (1). Read only."""
    run = tmp_path_factory.mktemp("run")
    texts = real_texts()
    tokenizer = train_tokenizer(run, [text for _, text in texts])
    write_stage(run, "heldout", texts[::8], 1, tokenizer)
    rest = [pair for index, pair in enumerate(texts) if index % 8]
    write_stage(run, "core", rest, 3, tokenizer)
    write_stage(run, "continued", rest[::2], 1, tokenizer)
    return run


@pytest.fixture(scope="session")
def straight(token_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run: 10 + 4 steps. Read only."""
    from tests.trainer.runs import QUIET
    from trainer.training import train

    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("straight") / "train"
    train(token_run, tiny_config(), out=out, console=QUIET)
    return out


TINY = {"width": 32, "layers": 2, "heads": 4, "kv_heads": 2, "head_dim": 8, "ffn_width": 64}
STAGES = {
    "core": {"steps": 10, "warmup_steps": 2, "sequence_length": 32, "batch_size": 4},
    "continued": {"steps": 4, "warmup_steps": 1, "sequence_length": 48, "batch_size": 2},
}


def tiny_config(**changes: Any) -> TrainConfig:
    """A run of 10 + 4 steps that takes well under a second."""
    raw: dict[str, Any] = {
        "model": TINY,
        "stages": STAGES,
        "heldout": {"max_tokens": 1024},
        "evaluate_every": 4,
        "checkpoint_every": 5,
        "generate": {"prompt": "The", "tokens": 12},
        "device": "cpu",
    }
    return TrainConfig.model_validate({**raw, **changes})


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """One thread a test: the suite shares its cores, and a fixed number of threads fixes the order of float sums."""
    torch.set_num_threads(1)
