"""Weights of entries, found as those of sources are: drawn by what they select, judged by entry, taken by `mix`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from pipelines import recipe as recipes
from pipelines import run as runs
from pipelines.cli import app
from pipelines.engines.local import LocalEngine
from pipelines.proxies.optimize import repetition, sentences
from pipelines.proxies.supply import UNSELECTED, Drawn, Pool, heldout_ids, stock_of, supply_of
from pipelines.recipe_errors import RecipeError
from pipelines.storage import read_json, read_table
from tests import tiny

MODEL = "{width: 16, layers: 1, heads: 2, kv_heads: 1, head_dim: 8, ffn_width: 32}"
WIDER = "{width: 32, layers: 1, heads: 2, kv_heads: 1, head_dim: 16, ffn_width: 64}"
CORE = {
    "tokens": 20_000,
    "epochs": 6,
    "entries": [
        {"name": "long", "share": 0.4, "sources": ["pages"], "signal": "gopher.words", "percentiles": [60, 100]},
        {"name": "maths", "share": 0.3, "sources": ["maths"], "epochs": 5},
        {"name": "short", "share": 0.3, "signal": "gopher.words", "max": 400},
    ],
}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("entries")
    file = tiny.write(folder)
    value = yaml.safe_load(file.read_text())
    value |= {"decontaminate": {}, "heldout": {"fraction": 0.15}}
    value["stages"] = {"core": CORE, "late": {"tokens": 4_000, "weights": {"pages": 0.5, "maths": 0.5}}}
    file.write_text(yaml.safe_dump(value, sort_keys=False))
    return file


@pytest.fixture(scope="module")
def run(recipe: Path) -> Path:
    return runs.build(recipes.load(recipe), runs.Options(recipe.parent / "run"), LocalEngine(1))


def test_entries_are_drawn_by_what_they_select(recipe: Path, run: Path, tmp_path: Path) -> None:
    """As the mixture's own manifest counts them, and every document drawn counts for its entry there."""
    mix = recipes.load(recipe).stages["core"]
    supply, stock = supply_of(run, mix, "core")
    manifest = read_json(run / "mixture/core/manifest.json")
    assert dict(zip(supply.names, supply.have.tolist(), strict=True)) == {
        name: told["tokens"] for name, told in manifest["supply"].items()
    }
    assert supply.caps.tolist() == [6, 5, 6]
    pool = Pool.make(run, supply, stock, tmp_path, 3_000)
    table = read_table(Drawn(pool, (0.5, 0.2, 0.3), 3_000).folder(tmp_path / "drawn") / "documents.parquet")
    sums = table.group_by("source").aggregate([("length", "sum")]).to_pylist()
    assert {row["source"]: row["length_sum"] for row in sums} == {"long": 1500, "maths": 600, "short": 900}
    entry = {
        row["id"]: row["entry"]
        for path in (run / "mixture/core").glob("*.parquet")
        for row in read_table(path, ["id", "entry"]).to_pylist()
    }
    drawn = table.to_pylist()
    assert not {row["id"] for row in drawn} & set(heldout_ids(run).to_pylist())
    assert all(entry.get(row["id"], row["source"]) == row["source"] for row in drawn)
    groups = set(stock.groups()["group"].to_pylist())
    assert groups == {"long", "maths", "short", UNSELECTED}  # pages of middle length fit no entry


def test_a_run_that_was_sorted_by_other_entries_is_refused(recipe: Path, run: Path) -> None:
    mix = recipes.load(recipe).stages["core"]
    other = mix.model_copy(update={"entries": (*mix.entries[:2], mix.entries[2].model_copy(update={"max": 300.0}))})
    with pytest.raises(RecipeError, match=r"are not sorted by the entries of stages\.core; `pomona mix"):
        stock_of(run, other, "core")
    with pytest.raises(RecipeError, match=r"are not sorted by the entries of stages\.late"):
        stock_of(run, mix, "late")


def test_repetition_is_told_with_what_other_stages_take(recipe: Path, run: Path) -> None:
    mix = recipes.load(recipe).stages["late"].model_copy(update={"tokens": 400_000})
    supply, _ = supply_of(run, mix, "late")
    told = repetition(run, "late", mix, supply, {"pages": 0.75, "maths": 0.25})
    core = read_json(run / "mixture/core/manifest.json")["sources"]
    assert told["pages"]["tokens"] == 300_000 > supply.have[0]
    assert told["pages"]["with_other_stages"] == 300_000 + core["pages"]
    assert told["pages"]["cost_with_other_stages"] > told["pages"]["cost"] > 0


def options(*more: str) -> list[str]:
    return ["--tokens", "1024", "--model", MODEL, "--sequence-length", "32", "--batch-size", "4", "--device", "cpu",
            "--workers", "1", "--heldout-tokens", "10000", "--stage", "core", *more]  # fmt: skip


def optimized(recipe: Path, run: Path, out: Path, *more: str) -> dict[str, Any]:
    arguments = ["optimize", str(recipe), "--run", str(run), "--out", str(out), "--json", *options(*more)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    return json.loads(done.stdout)


@pytest.mark.slow
def test_the_weights_found_are_what_mix_takes(
    recipe: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lightgbm")
    found = optimized(recipe, run, tmp_path / "found", "--method", "regmix", "--proxies", "12")
    assert set(found["weights"]) == set(found["repetition"]) == {"long", "maths", "short"}
    assert {group.rpartition("/")[2] for group in found["target"]} >= {"long", "maths", "short"}
    assert found["unjudged"] == []
    monkeypatch.chdir(tmp_path)
    arguments = ["mix", str(run), "--weights", "found/weights.yaml", "--out", "mixed", "--workers", "1", "--json"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    manifest = read_json(Path("mixed/mixture/core/manifest.json"))
    assert manifest["target_weights"] == pytest.approx(found["weights"])
    assert manifest["entries"] == read_json(run / "mixture/core/manifest.json")["entries"]


@pytest.mark.slow
def test_a_law_over_sizes_and_one_of_another_domain(recipe: Path, run: Path, tmp_path: Path) -> None:
    first = optimized(
        recipe, run, tmp_path / "first", "--method", "dcpt", "--domain", "maths", "--size", WIDER,
        "--target-parameters", "1e6", "--general-rise", "0.2",
    )  # fmt: skip
    assert len(first["sizes"]) == 2
    assert set(first["observed_domain"]["size"]) == set(first["sizes"])
    assert first["at"] == {"parameters": 1e6, "tokens": 1024.0}
    assert first["laws"]["domain"]["A"] > 0
    assert len(first["observed_domain"]["share"]) == 2 * 3 * 9
    second = optimized(
        recipe, run, tmp_path / "second", "--method", "dcpt", "--domain", "long", "--general-rise", "0.2",
        "--law", str(tmp_path / "first" / "optimization.json"),
    )  # fmt: skip
    assert second["laws_of"] == ["maths"]
    told = "\n".join(sentences(first))
    assert f"best for 1,000,000 parameters and 1,024 tokens; the law was fitted to {first['sizes'][0]:,}, " in told
    assert ("an extrapolation" in told) == (10 * max(first["sizes"]) < 1e6)
    far = "\n".join(sentences(first | {"at": {"parameters": 2.7e9, "tokens": 1e10}}))
    assert f"that is {2.7e9 / max(first['sizes']):,.0f} times the largest proxy" in far
    assert len(second["observed_domain"]["share"]) == 3
    own, other = second["laws"]["domain"], first["laws"]["domain"]
    assert {name for name in own if own[name] != other[name]} <= {"E", "error"}


def test_what_cannot_be_asked_is_refused_with_what_can(recipe: Path, run: Path, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")
    value = yaml.safe_load(recipe.read_text())
    value["stages"]["core"] = {
        "tokens": 100,
        "schedule": {"points": [{"at": 0, "weights": {"pages": 0.5, "maths": 0.5}}]},
    }
    scheduled = tmp_path / "scheduled.yaml"
    scheduled.write_text(yaml.safe_dump(value, sort_keys=False))
    for file, more, said in (
        (scheduled, [], "stages.core.schedule: shares that change while training goes on cannot be optimised"),
        (
            recipe,
            ["--method", "dcpt", "--domain", "shor"],
            "the law is about the share of one entry; did you mean 'short'",
        ),
        (recipe, ["--size", WIDER], "--size: for --method dcpt, not regmix"),
        (recipe, ["--method", "dcpt", "--domain", "short", "--size", "{widht: 3}"], "widht"),
        (
            recipe,
            ["--method", "dcpt", "--domain", "short", "--law", str(tmp_path / "other.json")],
            "other.json: expected",
        ),
        (recipe, ["--proxies", "4"], "expected 10 or more"),
    ):
        arguments = ["optimize", str(file), "--run", str(run), "--out", str(tmp_path / "out"), *options(*more)]
        done = CliRunner().invoke(app, arguments)
        assert isinstance(done.exception, RecipeError), (more, done.output, done.exception)
        assert said in " ".join(done.exception.problems)
