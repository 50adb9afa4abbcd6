"""Builds by recipes that a user of datatrove would move over with, and by rules for some documents alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from filters.language import model_path
from pipelines import cli
from pipelines.datatrove_blocks import Outcome, running
from pipelines.recipe import BlockUse
from tests.pipelines.runs import tiny

pytestmark = pytest.mark.slow

# Python's reference is full of signs and short of sentences, hence the bounds.
BLOCKS: list[dict[str, Any]] = [
    {"block": "LanguageFilter", "model": str(model_path()), "options": {"languages": "en", "language_threshold": 0.5}},
    {"block": "GopherQualityFilter", "options": {"min_doc_words": 120, "max_non_alpha_words_ratio": 0.5}},
    {"block": "C4QualityFilter", "options": {"filter_no_terminal_punct": False}},
    {"block": "FineWebQualityFilter", "options": {"line_punct_thr": 0.2, "short_line_thr": 0.9, "new_line_ratio": 0.9}},
    {"block": "PIIFormatter", "sources": ["web"]},
]
MAIL = "Write to jane.doe@gmail.com from 8.8.8.8."


def built(folder: Path, **changes: Any) -> Path:
    """Lay out the tiny recipe with some fields replaced, and build it by the command."""
    tiny.lay_out(folder)
    fields = {**tiny.fields(), **changes}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(fields))
    found = CliRunner().invoke(cli.app, ["build", "tiny.yaml", "--out", "run", "--workers", "1"])
    assert found.exit_code == 0, found.output
    return folder / "run"


def rows(run: Path, pattern: str) -> list[dict[str, Any]]:
    """The rows of a run's Parquet files."""
    return pa.concat_tables(pq.read_table(path) for path in sorted(run.glob(pattern))).to_pylist()


def sums(run: Path) -> dict[str, dict[str, Any]]:
    """What each step says of its records."""
    return {step["name"]: step for step in json.loads((run / "run.json").read_bytes())["steps"]}


def test_five_blocks_of_datatrove_decide_in_a_build_as_they_do_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    topics = dict(tiny.pydoc_data.topics.topics)
    for name in tiny.TOPICS:
        monkeypatch.setitem(tiny.pydoc_data.topics.topics, name, f"{topics[name]}\n{MAIL}")
    german = "Der schnelle braune Fuchs springt über den faulen Hund und die Katze.\n"
    monkeypatch.setitem(tiny.pydoc_data.topics.topics, tiny.WEB[0], german * 30)
    # What is redacted without a block would leave the formatter nothing to do.
    run = built(tmp_path, blocks=BLOCKS, filters={**tiny.fields()["filters"], "redact": []})
    before = rows(run, "steps/03-decide-*/documents/*.parquet")
    after = {row["id"]: row["text"] for row in rows(run, "steps/03-blocks-*/documents/*.parquet")}
    said = {row["id"]: row for row in rows(run, "ledger/*.parquet") if row["step"] == "03-blocks"}
    assert len(said) == len(before) == sums(run)["03-blocks"]["in"]
    assert len(after) == sums(run)["03-blocks"]["kept"]
    dropped: set[str] = set()
    for row in before:
        told = {"source": row["source"], "kind": row["kind"], "language": row["language"]}
        text, found = row["text"], Outcome("", {})
        for use in map(BlockUse.model_validate, BLOCKS):
            found = running((use,))(row["id"], text, told)
            if found.dropped_by:
                break
            text = found.text
        assert said[row["id"]]["reason"] == found.verdict
        assert (said[row["id"]]["verdict"] == "kept") == (row["id"] in after) == (not found.dropped_by)
        dropped.add(found.dropped_by)
        if row["id"] in after:
            assert after[row["id"]] == text
            assert ("jane.doe@gmail.com" in text) == (row["source"] == "other")  # the formatter is for the web alone
    assert dropped >= {"", "language-filter", "gopher-quality-filter", "c4-quality-filter"}


def test_rules_by_kind_and_by_source_decide_on_these_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sources = [*tiny.fields()["sources"], {"name": "maths", "type": "docstrings", "packages": ["networkx"]}]
    rules = [
        {"signal": "gopher.words", "min": 300, "kinds": ["web"], "name": "short-page"},
        {"signal": "gopher.words", "max": 1500, "sources": ["other"], "name": "long-other"},
        {"signal": "code.mean_line", "max": 40, "sources": ["maths"], "name": "wide-lines"},
        {"preset": "fineweb", "kinds": ["web"], "sources": ["web"], "action": "tag"},
    ]
    stages = {"core": {"tokens": 20_000, "weights": {"web": 0.5, "other": 0.2, "maths": 0.3}, "epochs": 20}}
    filters = {"families": ["gopher", "fineweb", "code"], "rules": rules}
    run = built(tmp_path, sources=sources, filters=filters, stages=stages)
    said = [row for row in rows(run, "ledger/*.parquet") if row["step"] == "03-decide"]
    signals = {row["id"]: row for row in rows(run, "steps/02-measure-*/signals/*.parquet")}
    reasons: dict[str, set[str]] = {}
    for row in said:
        found = signals[row["id"]]
        words, width = found["gopher.words"], found["code.mean_line"]
        expected = ""
        if row["source"] == "maths":
            expected = "wide-lines" if width > 40 else ""
        elif words < 300:
            expected = "short-page"
        elif row["source"] == "other" and words > 1500:
            expected = "long-other"
        assert row["reason"] == expected
        assert (row["verdict"] == "kept") == (not expected)
        reasons.setdefault(row["source"], set()).add(expected)
        tagged = json.loads(row["evidence"]).get("tagged", []) if row["evidence"] else []
        assert row["source"] == "web" or not tagged
    assert reasons == {
        "web": {"", "short-page"},
        "other": {"", "short-page", "long-other"},
        "maths": {"", "wide-lines"},
    }
    assert sum(sums(run)["03-decide"]["dropped"].values()) == sum(row["verdict"] == "dropped" for row in said)
