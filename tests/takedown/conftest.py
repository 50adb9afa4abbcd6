"""A small run with a training on it, built once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines import run as runs
from pipelines.engines.local import LocalEngine
from pipelines.recipe import load
from tests.tiny import TOPICS, archive
from tests.trained import SETTINGS, built_and_trained

RECIPE = """
name: small
partitions: 3
sources:
  - {{name: pages, type: warc, paths: [{warcs}]}}
  - {{name: notes, type: table, paths: [{notes}], columns: {{uri: url}}, license: MIT}}
filters:
  families: [gopher]
  rules:
    - {{signal: gopher.words, min: 40}}
tokenizer: {{vocab_size: 500, sample_bytes: 100000}}
heldout: {{fraction: 0.05}}
stages:
  core: {{tokens: 60000, weights: {{pages: 0.9, notes: 0.1}}}}
train:
  model: {{width: 16, layers: 1, heads: 2, kv_heads: 1, head_dim: 8, ffn_width: 32}}
  stages:
    core: {{steps: 24, warmup_steps: 2, sequence_length: 64, batch_size: 2}}
  heldout: {{max_tokens: 512}}
  evaluate_every: 24
  checkpoint_every: 4
  keep_checkpoints: 10
  {settings}
"""
COPIED = "while"
"""A topic that a note repeats with a line added: near-duplicates."""


def write(folder: Path) -> Path:
    """Write 60 topics as pages, ten as notes, and the recipe."""
    archive(folder / "warcs" / "pages.warc.gz", TOPICS[20:80])
    named = dict(TOPICS)
    extra = [(f"note:{name}", text) for name, text in TOPICS[:9]]
    extra.append((f"note:{COPIED}", named[COPIED] + "\nAnd so on.\n"))
    extra.append(("page:copy", named[COPIED] + "\nSo it goes.\n"))
    lines = [json.dumps({"text": text, "url": f"https://notes.example.org/{name}"}) for name, text in extra]
    (folder / "notes.jsonl").write_text("\n".join(lines) + "\n")
    recipe = folder / "small.yaml"
    recipe.write_text(RECIPE.format(warcs=folder / "warcs", notes=folder / "notes.jsonl", settings=SETTINGS))
    return recipe


@pytest.fixture(scope="session")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("takedown"))


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, recipe: Path) -> Path:
    """The run, trained; read only: tests take `run`."""
    return built_and_trained(recipe, tmp_path_factory.mktemp("runs") / "small")


@pytest.fixture
def rebuild(recipe: Path) -> Callable[[Path], None]:
    """Build the recipe again into a folder."""

    def again(out: Path) -> None:
        runs.build(load(recipe), runs.Options(out), LocalEngine(1))

    return again
