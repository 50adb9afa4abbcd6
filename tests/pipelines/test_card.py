"""The card and the Croissant file: true to the mixture, readable by others' tools, the same for the same mixture."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from pipelines import card, croissant
from tests.pipelines.report.sample_run import shared


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sample run with its cards written."""
    copy = tmp_path_factory.mktemp("cards") / "run"
    shutil.copytree(shared(tmp_path_factory.getbasetemp), copy)
    written = card.write(copy)
    stages = ("core", "continued", "heldout")
    assert written == [copy / "mixture" / stage / name for stage in stages for name in ("README.md", "croissant.json")]
    return copy


def front(run: Path, stage: str) -> dict[str, Any]:
    text = (run / "mixture" / stage / "README.md").read_text("utf-8")
    return yaml.safe_load(text.split("---\n")[1])


def test_front_matter(run: Path) -> None:
    found = front(run, "core")
    assert found["license"] == ["bsd-3-clause", "other"]
    assert found["language"] == ["en"]
    assert found["size_categories"] == ["n<1K"]
    assert found["configs"][0]["data_files"] == [{"split": "train", "path": "part-*.parquet"}]
    assert front(run, "heldout")["configs"][0]["data_files"][0]["split"] == "validation"


def test_tables_count_what_is_there(run: Path) -> None:
    text = (run / "mixture" / "core" / "README.md").read_text("utf-8")
    manifest = json.loads((run / "mixture" / "core" / "manifest.json").read_text())
    rows = [
        row for shard in manifest["shards"] for row in pq.read_table(run / "mixture/core" / shard["path"]).to_pylist()
    ]
    documents, tokens = Counter(), Counter()
    for row in rows:
        documents[row["license"]] += 1
        tokens[row["license"]] += row["tokens"] * row["weight"]
    for name in documents:
        assert f"| {name} | {documents[name]:,} | {round(tokens[name]):,} |" in text
    for source, weight in manifest["target_weights"].items():
        assert f"| {source} | {weight:.4f} | {manifest['realised_weights'][source]:.4f} |" in text
    assert "| pydoc: robots-refused | 4 |" in text
    assert "| stdlib: licence-not-permissive | 1 |" in text
    assert "Checked against language-reference" in text
    assert "190 in, 187 kept (benchmark-overlap 3)" in text or re.search(r"kept \(benchmark-overlap \d+\)", text)
    for shard in manifest["shards"]:
        assert shard["sha256"] in text


def test_nothing_depends_on_when_or_where(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "run"
    shutil.copytree(run, other)
    told = json.loads((other / "run.json").read_text())
    told["created"] = "2031-01-01T00:00:00+00:00"
    for step in told["steps"]:
        step["seconds"], step["reused"] = 99.0, True
    (other / "run.json").write_text(json.dumps(told))
    for path in card.write(other):
        assert path.read_bytes() == (run / path.relative_to(other)).read_bytes()
        assert str(tmp_path) not in path.read_text("utf-8")


def test_names_from_the_run_are_not_markdown(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "run"
    shutil.copytree(run, other)
    path = other / "mixture" / "core" / "part-00000.parquet"
    table = pq.read_table(path)
    hostile = pa.array(["MIT | <script>alert(1)</script> `x`\n# no"] * len(table))
    pq.write_table(table.set_column(table.schema.get_field_index("license"), "license", hostile), path)
    card.write(other)
    text = (other / "mixture" / "core" / "README.md").read_text("utf-8")
    assert "<script>" not in text
    assert "\n# no" not in text
    assert r"| MIT \| &lt;script>alert(1)&lt;/script> \`x\` # no |" in text.replace("\ufffd", " ")


def test_datasets_loads_the_folder(run: Path, tmp_path: Path) -> None:
    import datasets

    for stage, split in (("core", "train"), ("heldout", "validation")):
        folder = run / "mixture" / stage
        found = datasets.load_dataset(str(folder), split=split, cache_dir=str(tmp_path))
        manifest = json.loads((folder / "manifest.json").read_text())
        assert found.num_rows == sum(shard["rows"] for shard in manifest["shards"])
        assert sorted(found.column_names) == sorted(croissant.FIELDS)
        assert {row["name"]: row["dtype"] for row in front(run, stage)["dataset_info"]["features"]} == {
            name: feature.dtype for name, feature in found.features.items()
        }


def test_the_cards_own_commands_run(run: Path) -> None:
    text = (run / "mixture" / "core" / "README.md").read_text("utf-8")
    duckdb, polars = pytest.importorskip("duckdb"), pytest.importorskip("polars")
    manifest = json.loads((run / "mixture" / "core" / "manifest.json").read_text())
    query = re.search(r"```sql\n(.*?);", text, re.DOTALL)
    assert query is not None
    rows = duckdb.sql(query.group(1).replace("path/to/core", str(run / "mixture" / "core"))).fetchall()
    assert {source: pytest.approx(tokens, abs=1) for source, tokens in rows} == manifest["tokens"]
    assert 'polars.scan_parquet("path/to/core/part-*.parquet")' in text
    frame = polars.scan_parquet(run / "mixture" / "core" / "part-*.parquet")
    assert frame.select(polars.len()).collect().item() == sum(shard["rows"] for shard in manifest["shards"])


def described(run: Path, stage: str = "core") -> dict[str, Any]:
    return json.loads((run / "mixture" / stage / "croissant.json").read_text("utf-8"))


def test_croissant_describes_every_shard_and_column(run: Path) -> None:
    found = described(run)
    files = {one["contentUrl"]: one for one in found["distribution"] if one["@type"] == "cr:FileObject"}
    shards = sorted((run / "mixture" / "core").glob("part-*.parquet"))
    assert sorted(files) == [path.name for path in shards]
    for path in shards:
        assert files[path.name]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert files[path.name]["contentSize"] == f"{path.stat().st_size} B"
    columns = [one["source"]["extract"]["column"] for one in found["recordSet"][0]["field"]]
    assert columns == pq.read_schema(shards[0]).names
    assert found["datePublished"] == "2026-03-01"  # the day of the newest page, not of the run
    assert found["license"] == ["https://spdx.org/licenses/PSF-2.0.html", "https://spdx.org/licenses/BSD-3-Clause.html"]


def test_mlcroissant_reads_the_records(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    dataset = mlcroissant.Dataset(jsonld=str(run / "mixture" / "heldout" / "croissant.json"))
    issues = dataset.metadata.ctx.issues
    assert not issues.errors
    assert not [warning for warning in issues.warnings if "url" not in str(warning)]
    rows = list(dataset.records("documents"))
    expected = {
        row["id"]: row
        for path in (run / "mixture" / "heldout").glob("*.parquet")
        for row in pq.read_table(path).to_pylist()
    }
    assert len(rows) == len(expected) > 5
    for row in rows:
        known = expected[_plain(row["documents/id"])]
        for name in croissant.FIELDS:
            assert _plain(row[f"documents/{name}"]) == known[name]


def _plain(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


@pytest.mark.parametrize(
    ("license_", "url"),
    [
        ("MIT", "https://spdx.org/licenses/MIT.html"),
        ("GPL-2.0+", "https://spdx.org/licenses/GPL-2.0+.html"),
        ("MIT OR Apache-2.0", "MIT OR Apache-2.0"),
    ],
)
def test_spdx(license_: str, url: str) -> None:
    assert croissant.spdx_url(license_) == url


@pytest.fixture
def undated(run: Path, tmp_path: Path) -> Iterator[Path]:
    """The run without its web pages' dates."""
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    for path in copy.glob("steps/05-*/documents/*.parquet"):
        table = pq.read_table(path)
        at = table.schema.get_field_index("fetched_at")
        pq.write_table(
            table.set_column(at, table.schema.field(at), pa.nulls(len(table), table.schema.field(at).type)), path
        )
    return copy


def test_a_day_is_never_the_clocks(undated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    card.write(undated)
    assert "datePublished" not in described(undated)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767225600")
    card.write(undated)
    assert described(undated)["datePublished"] == "2026-01-01"
