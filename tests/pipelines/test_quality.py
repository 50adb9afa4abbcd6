"""Quality models in a recipe: refused unless they are those it names, and part of the address of what they measured."""

from __future__ import annotations

import json
import pydoc_data.topics
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from filters.quality.card import digest
from filters.quality.learning import NgramTraining
from filters.quality.train import train_ngrams
from pipelines import recipe, why
from pipelines.cli import app
from pipelines.recipe_errors import RecipeError
from tests.pipelines.runs import tiny

ROOT = Path(__file__).parents[2]
CARD = Path("model/card.json")


def train(seed: int = 0) -> str:
    """Train a model to prefer topics that talk of classes; return its card's digest."""
    texts = [pydoc_data.topics.topics[name] for name in tiny.TOPICS]
    rows = {"text": texts, "label": [int("class" in text) for text in texts]}
    pq.write_table(pa.table(rows), "labels.parquet")
    options = NgramTraining(buckets=5000, seed=seed)
    return train_ngrams(Path("labels.parquet"), CARD.parent, "classes", "PSF-2.0", options, held_out=0.3)[1]


def filters(sha256: str | None, least: float = 0.5) -> dict[str, Any]:
    return {
        "families": ["quality"],
        "references": {"quality": {"path": str(CARD), "sha256": sha256}},
        "rules": [{"name": "curated", "signal": "quality.classes", "min": least, "sources": ["web"]}],
    }


def problems(**changes: Any) -> str:
    Path("recipe.yaml").write_text(yaml.safe_dump({**tiny.fields(), **changes}))
    with pytest.raises(RecipeError) as caught:
        recipe.load(Path("recipe.yaml"))
    return "\n".join(caught.value.problems)


def test_a_recipe_names_the_model_it_means(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tiny.lay_out(tmp_path)
    assert f"{CARD}: no such file" in problems(filters=filters(None))
    sha256 = train()
    assert f"filters.references.quality.sha256: not given; it is {sha256}" in problems(filters=filters(None))
    assert f"has changed: found {sha256}, expected {'0' * 64}" in problems(filters=filters("0" * 64))
    right = {**tiny.fields(), "filters": filters(sha256)}
    Path("recipe.yaml").write_text(yaml.safe_dump(right))
    loaded = recipe.load(Path("recipe.yaml"))
    assert recipe.Recipe.model_validate(loaded.resolved()).digest == loaded.digest
    unknown = {**filters(sha256), "rules": [{"signal": "quality.clases", "min": 0.5}]}
    assert "no signal 'quality.clases' is measured; did you mean 'quality.classes'?" in problems(filters=unknown)
    assert "the family 'quality' needs a model" in problems(filters={"families": ["quality"]})
    model = CARD.parent / "model.safetensors"
    whole = model.read_bytes()
    model.write_bytes(whole + b"x")
    assert "model.safetensors has changed" in problems(filters=filters(sha256))
    model.unlink()
    assert "there is no file" in problems(filters=filters(sha256))
    CARD.write_text("{}")
    told = problems(filters=filters(digest(CARD)))
    assert "name: Field required" in told
    assert "no signal" not in told  # what it would measure cannot be known


@pytest.mark.slow
def test_a_build_selects_by_the_model_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tiny.lay_out(tmp_path)
    run = tmp_path / tiny.build("run", filters=filters(train()))
    ledger = pa.concat_tables(pq.read_table(path) for path in run.glob("ledger/*.parquet")).to_pylist()
    dropped = [row for row in ledger if row["reason"] == "curated"]
    assert dropped
    assert all(row["signal"] == "quality.classes" and row["value"] < 0.5 == row["threshold"] for row in dropped)
    told = json.dumps(why.why(run, dropped[0]["uri"]).as_dict())
    assert "quality.classes" in told
    # Another threshold measures nothing again; another model does.
    again = json.loads((tiny.build("run", filters=filters(digest(CARD), 0.4)) / "run.json").read_bytes())
    assert {step["name"]: step["reused"] for step in again["steps"]}["02-measure"]
    other = json.loads((tiny.build("run", filters=filters(train(seed=1), 0.4)) / "run.json").read_bytes())
    assert not {step["name"]: step["reused"] for step in other["steps"]}["02-measure"]


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    train()
    words = "--out two --name other --licence MIT --buckets 5000 --held-out 0.3 --json"
    done = CliRunner().invoke(app, ["quality", "train", "labels.parquet", *words.split()])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["sha256"] == digest(Path("two/card.json"))
    assert told["card"]["metrics"]["auc"] > 0.5
    shown = CliRunner().invoke(app, ["quality", "show", "two/card.json"])
    assert f"sha256: {told['sha256']}" in shown.stdout
    topics = pa.array([line for name in tiny.TOPICS for line in pydoc_data.topics.topics[name].split("\n\n")])
    pq.write_table(pa.table({"text": topics}), "sample.parquet")
    ranked = ["quality", "rank", str(CARD), "two/card.json", "--sample", "sample.parquet"]
    done = CliRunner().invoke(app, [*ranked, "--out", "both.json"])
    assert "signal  quality.bin" in done.stdout, done.output
    wrong = CliRunner().invoke(app, ["quality", "rank", str(CARD), "--sample", "none", "--out", "x.json"])
    assert isinstance(wrong.exception, RecipeError)


def test_the_recipe_with_and_without_selection_lacks_only_its_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data/web").mkdir(parents=True)
    pq.write_table(pa.table({"text": ["a"], "url": ["http://a.test/"]}), "data/web/a.parquet")
    train()
    (tmp_path / "models").mkdir()
    CARD.parent.rename("models/curated")
    card = Path("models/curated/card.json")
    card.write_text(card.read_text().replace('"name": "classes"', '"name": "curated"'))
    given = f"filters.references.quality.sha256={digest(card)}"
    best = recipe.load(ROOT / "recipes" / "quality.yaml", [given])
    every = recipe.load(ROOT / "recipes" / "quality.yaml", [given, "filters.rules.0.min.percentile=0"])
    assert best.digest != every.digest
    assert best.filters.references == every.filters.references
