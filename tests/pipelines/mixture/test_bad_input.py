"""What a user gets wrong about a mixture, by command: each is refused with the numbers that clash and what is valid."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.storage import read_json
from tests.takedown.conftest import write
from tests.trained import built_and_trained


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("bad"))


@pytest.fixture(scope="module")
def built(recipe: Path) -> Path:
    return built_and_trained(recipe, recipe.parent / "run")


def said(*arguments: str) -> str:
    """Run a command that must be refused; return what it says."""
    done = CliRunner().invoke(app, [*arguments])
    assert done.exception is not None, done.output
    assert not isinstance(done.exception, SystemExit), done.output
    return str(done.exception)


def changed(recipe: Path, name: str, **fields: Any) -> str:
    """Write the recipe with other fields beside it."""
    path = recipe.with_name(f"{name}.yaml")
    path.write_text(yaml.safe_dump({**yaml.safe_load(recipe.read_text()), **fields}, sort_keys=False))
    return str(path)


def weights(recipe: Path, name: str, **core: Any) -> list[str]:
    path = recipe.with_name(f"{name}-weights.yaml")
    path.write_text(yaml.safe_dump({"stages": {"core": core}}, sort_keys=False))
    return ["--weights", str(path), "--out", str(recipe.with_name(name))]


def test_weights_that_do_not_sum(recipe: Path, built: Path) -> None:
    stages = {"core": {"tokens": 100, "weights": {"pages": 0.5, "notes": 0.25}}}
    for told in (
        said("build", changed(recipe, "sum", stages=stages), "--out", str(recipe.with_name("sum"))),
        said("mix", str(built), *weights(recipe, "sum", weights={"pages": 0.5, "notes": 0.25})),
    ):
        assert "weights sum to 0.75, expected 1; in proportion that would be {pages: 0.6667, notes: 0.3333}" in told
    assert not recipe.with_name("sum").exists()


def test_a_source_without_tokens(recipe: Path, built: Path) -> None:
    told = said("mix", str(built), *weights(recipe, "none", weights={"pages": 0.5, "books": 0.5}))
    assert "no source 'books'" in told
    entries = [
        {"name": "zh", "share": 0.1, "languages": ["zh"]},
        {"name": "rest", "share": 0.9},
    ]
    told = said("mix", str(built), *weights(recipe, "none", entries=entries, tokens=1000))
    assert "zh should give 100 tokens (0.1 of 1,000) but has 0 × 4 epochs = 0 (no document fits it)" in told
    assert "with these tokens the nearest weights are {zh: 0, rest: 1}" in told


def test_a_cap_below_the_demand(recipe: Path, built: Path) -> None:
    have = read_json(built / "mixture/core/manifest.json")["supply"]["notes"]["tokens"]
    asked = {"weights": {"pages": 0.5, "notes": 0.5}, "tokens": 6 * have, "epochs": {"notes": 2, "pages": 9}}
    told = said("mix", str(built), *weights(recipe, "cap", **asked))
    assert (
        f"notes should give {3 * have:,} tokens (0.5 of {6 * have:,}) but has {have:,} × 2 epochs = {2 * have:,}"
        in told
    )
    assert (
        f"at most {4 * have + 1:,} tokens are feasible" in told or f"at most {4 * have:,} tokens are feasible" in told
    )
    assert "or raise epochs to {notes: 3}" in told
    # What it proposes is accepted.
    budget = re.search(r"at most ([\d,]+) tokens", told)
    assert budget is not None
    given = weights(recipe, "feasible", **{**asked, "tokens": int(budget.group(1).replace(",", ""))})
    assert CliRunner().invoke(app, ["mix", str(built), *given, "--workers", "1", "--json"]).exit_code == 0


def test_documents_that_may_not_be_cut(recipe: Path, built: Path) -> None:
    asked = {"weights": {"pages": 1.0}, "tokens": 300, "sequence_length": 16, "cut": False}
    told = said("mix", str(built), *weights(recipe, "whole", **asked))
    assert "pages should give 300 tokens (1 of 300), and whole documents come to" in told
    assert "where a packed sequence has 16" in told
    assert "Leave out stages.core.cut" in told
    given = weights(recipe, "cut", **{**asked, "cut": True})
    done = CliRunner().invoke(app, ["mix", str(built), *given, "--workers", "1", "--json"])
    assert done.exit_code == 0, (done.output, done.exception)
    manifest = read_json(recipe.with_name("cut") / "mixture/core/manifest.json")
    assert (manifest["total_tokens"], manifest["cut_documents"], manifest["exact_to"]) == (300, 1, 16)
    rows = [
        row
        for path in recipe.with_name("cut").glob("mixture/core/*.parquet")
        for row in pq.read_table(path).to_pylist()
    ]
    assert sum(row["tokens"] * row["weight"] for row in rows) == pytest.approx(300)
    assert sum(row["weight"] % 1 > 0 for row in rows) == 1
    (one,) = [row for row in rows if row["weight"] % 1]
    # The head of it is what lies in the token shards, without an end mark.
    tokens = read_json(recipe.with_name("cut") / "tokens/core/manifest.json")
    order = pq.read_table(recipe.with_name("cut") / "tokens/core/documents.parquet").to_pylist()
    (place,) = [row for row in order if row["id"] == one["id"]]
    import numpy as np

    shard = np.fromfile(recipe.with_name("cut") / "tokens/core" / tokens["shards"][place["shard"]]["path"], "<u2")
    own = shard[place["start"] : place["start"] + place["length"]]
    library = Tokenizer.from_file(str(recipe.with_name("cut") / "tokenizer/tokenizer.json"))
    assert own.tolist() == library.encode(one["text"], add_special_tokens=False).ids[: place["length"]]
    assert tokens["eos_id"] not in own.tolist()


def test_a_tokenizer_that_cannot_encode_a_text(recipe: Path) -> None:
    """No document is lost without a word: each is `tokens-differ` in the ledger, with the byte; and nothing is left."""
    words = Tokenizer(WordLevel({"the": 0, "<unk>": 1, "<eos>": 2}, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    words.add_special_tokens(["<eos>"])
    file = recipe.with_name("words.json")
    words.save(str(file))
    out = recipe.with_name("differ")
    told = said("build", changed(recipe, "differ", tokenizer={"file": {"path": str(file)}}), "--out", str(out))
    assert "pages" in told or "tokens" in told
    step = next(out.glob("steps/07-tokenize-*"))
    manifest = json.loads((step / "_manifest.json").read_text())
    assert manifest["kept"] == 0
    assert set(manifest["failed"]) == {"tokens-differ"}
    assert manifest["in"] == manifest["failed"]["tokens-differ"]
    rows = [row for path in step.glob("ledger/*.parquet") for row in pq.read_table(path).to_pylist()]
    assert all("byte" in str(row["evidence"]) for row in rows if row["verdict"] == "failed")


def test_a_shard_that_was_changed_under_its_manifest(recipe: Path, built: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(built, tmp_path / "run"))
    shard = next((run / "tokens/core").glob("*.bin"))
    content = bytearray(shard.read_bytes())
    content[4] ^= 1
    shard.write_bytes(content)
    told = said("train", str(recipe), "--run", str(run), "--no-resume")
    expected = read_json(run / "tokens/core/manifest.json")["shards"][0]["sha256"]
    assert f"{shard}: the shard has changed: sha256 is " in told
    assert f"the manifest expects {expected}; restore the shard or tokenize the stage again" in told
    shard.write_bytes(bytes(content[:-2]))
    told = said("train", str(recipe), "--run", str(run), "--no-resume")
    assert f"{len(content) - 2} bytes" in told
    assert f"expects {len(content)} bytes" in told


def test_a_resume_with_another_mixture(recipe: Path, built: Path, tmp_path: Path) -> None:
    given = weights(recipe, "other", weights={"pages": 0.8, "notes": 0.2}, tokens=50_000)
    done = CliRunner().invoke(app, ["mix", str(built), *given, "--workers", "1", "--json"])
    assert done.exit_code == 0, (done.output, done.exception)
    run = Path(shutil.copytree(built, tmp_path / "run"))
    for path in (run / "train" / "core").glob("checkpoint-*"):
        if int(path.name.removeprefix("checkpoint-")) > 12:
            shutil.rmtree(path)
    told = said("train", str(recipe), "--run", str(run), "--mixture", str(recipe.with_name("other")))
    saved = read_json(run / "train/core/checkpoint-000012/state.json")["loader"]["order_sha256"]
    assert saved in told
    assert "cannot resume the data order" in told
    assert "start over without resuming" in told
