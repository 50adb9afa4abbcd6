"""A training with garbage planted in its data: a dump of a wrong encoding beside Python's own documentation."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.tiny import TOPICS
from tests.trained import SETTINGS, built_and_trained

PLANTED = 5
LETTERS = [
    chr(code) for code in (*range(0xC0, 0x180), *range(0x391, 0x3CA), *range(0x410, 0x450)) if chr(code).isalpha()
]
"""Letters that a text has where bytes were read in the wrong encoding."""
RECIPE = """
name: planted
partitions: 3
sources:
  - {{name: pages, type: table, paths: [{pages}], columns: {{uri: url}}}}
  - {{name: dump, type: table, paths: [{dump}], columns: {{uri: url}}}}
filters:
  families: [gopher, c4, fineweb]
  redact: []
  rules:
    - {{name: few-words, signal: gopher.words, min: 5}}
    - {{name: long-words, signal: gopher.mean_word_length, max: 100}}
tokenizer: {{vocab_size: 900, sample_bytes: 300000}}
heldout: {{fraction: 0.02}}
stages:
  core: {{tokens: {tokens}, weights: {{pages: 0.96, dump: 0.04}}, epochs: 4}}
train:
  model: {{width: 48, layers: 2, heads: 4, kv_heads: 2, head_dim: 12, ffn_width: 96}}
  stages:
    core: {{epochs: 1, warmup_steps: 10, sequence_length: 128, batch_size: 4}}
  heldout: {{max_tokens: 1024}}
  evaluate_every: 1000
  checkpoint_every: 1000
  keep_checkpoints: 4
  {settings}
"""


def make(folder: Path, tokens: int = 130_000) -> Path:
    """Build and train; return the run."""
    pages = [
        {"text": part, "url": f"https://docs.test/{name}/{at}"}
        for name, text in TOPICS
        for at, part in enumerate(text[first : first + 1500] for first in range(0, len(text), 1500))
    ]
    chance = random.Random(7)
    dump = [
        {
            "text": " ".join("".join(chance.choices(LETTERS, k=80)) for _ in range(14)),
            "url": f"https://dump.test/{at}",
        }
        for at in range(PLANTED)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (("pages", pages), ("dump", dump)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = folder / "planted.yaml"
    places = {name: folder / f"{name}.jsonl" for name in ("pages", "dump")}
    recipe.write_text(RECIPE.format(**places, tokens=tokens, settings=SETTINGS))
    return built_and_trained(recipe, folder / "run")


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run; read only."""
    return make(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="session")
def checkpoint(planted: Path) -> Path:
    """The last checkpoint of the training."""
    return sorted((planted / "train" / "core").glob("checkpoint-*"))[-1]
