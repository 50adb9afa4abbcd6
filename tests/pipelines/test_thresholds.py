"""Adaptive bounds: percentiles of a reference, language by language, as numbers in the recorded recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines import recipe, rules
from pipelines.recipe import Adaptive, Bounds, RuleUse
from pipelines.recipe_errors import RecipeError
from pipelines.report.folder import RunFolder
from tests.pipelines.runs import tiny

LOW = Adaptive(percentile=10, of="wiki")
HIGH = Adaptive(percentile=90, of="wiki", otherwise=9.0)


def given(signal: str, bound: Adaptive) -> dict[str, float]:
    assert signal == "gopher.mean_word_length"
    return {"en": 4.0, "fr": 4.5} if bound.percentile < 50 else {"en": 6.0}


def test_a_rule_is_written_for_each_language_and_for_the_others() -> None:
    found = rules.resolved([RuleUse(signal="gopher.mean_word_length", name="length", min=LOW, max=HIGH)], given)
    assert [(one.name, one.min, one.max, one.languages, one.except_languages) for one in found] == [
        ("length-en", 4.0, 6.0, ("en",), ()),
        ("length-fr", 4.5, 9.0, ("fr",), ()),
        ("length", None, 9.0, (), ("en", "fr")),
    ]


def test_other_languages_are_not_judged_where_nothing_is_said_of_them() -> None:
    found = rules.resolved([RuleUse(signal="gopher.mean_word_length", min=LOW)], given)
    assert [one.languages for one in found] == [("en",), ("fr",)]
    both = RuleUse(signal="gopher.mean_word_length", min=LOW, max=HIGH, languages=("fr", "de"))
    assert [(one.languages, one.min, one.max) for one in rules.resolved([both], given)] == [
        (("fr",), 4.5, 9.0), (("de",), None, 9.0)
    ]  # fmt: skip


def test_a_presets_bound_can_be_adaptive_and_a_lines_cannot() -> None:
    use = RuleUse(preset="gopher", set={"gopher.mean_word_length": Bounds(min=LOW)})
    found = [one for one in rules.resolved([use], given) if one.signal == "gopher.mean_word_length"]
    assert [(one.languages, one.min, one.max) for one in found] == [
        (("en",), 4.0, None),
        (("fr",), 4.5, None),
        ((), None, 10),
    ]
    with pytest.raises(ValueError, match="give its bounds as numbers"):
        rules.resolved([RuleUse(signal="line.words", min=LOW)], given)
    crossed = RuleUse(signal="gopher.mean_word_length", min=5.0, max=Adaptive(percentile=10, of="wiki"))
    with pytest.raises(ValueError, match=r"min 5.0 above max 4.0"):
        rules.resolved([crossed], given)


def filters(percentile: float, least: int = 5) -> dict[str, Any]:
    bound = {"percentile": percentile, "of": "other", "least": least, "otherwise": 2.0}
    return {"families": ["gopher"], "rules": [{"signal": "gopher.mean_word_length", "min": bound, "sources": ["web"]}]}


def test_a_reference_must_be_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tiny.lay_out(tmp_path)
    with pytest.raises(RecipeError, match="of: no source 'othr'; did you mean 'other'"):
        recipe.load(Path("tiny.yaml"), ["filters.rules.0.min={percentile: 5, of: othr}"])
    with pytest.raises(RecipeError, match="less than or equal to 100"):
        recipe.load(Path("tiny.yaml"), ["filters.rules.0.min={percentile: 500, of: other}"])


@pytest.mark.slow
def test_a_build_takes_the_percentile_and_records_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tiny.lay_out(tmp_path)
    run = tmp_path / tiny.build("run", filters=filters(40))
    facts = json.loads((run / "run.json").read_bytes())
    english, rest = facts["recipe"]["filters"]["rules"]
    measured = pa.concat_tables(pq.read_table(path) for path in run.glob("steps/02-measure-*/signals/*.parquet"))
    ids = pa.concat_tables(
        pq.read_table(path, columns=["id"]) for path in run.glob("steps/01-extract-other-*/documents/*.parquet")
    )
    reference = {row["id"] for row in ids.to_pylist()}
    values = sorted(
        row["gopher.mean_word_length"]
        for row in measured.to_pylist()
        if row["id"] in reference and row["language.language"] == "en"
    )
    assert english["min"] in values
    assert np.mean(np.array(values) <= english["min"]) >= 0.4 > np.mean(np.array(values) < english["min"])
    assert (english["languages"], rest["min"], rest["except_languages"]) == (["en"], 2.0, ["en"])
    ledger = pa.concat_tables(pq.read_table(path) for path in run.glob("ledger/*.parquet")).to_pylist()
    dropped = [row for row in ledger if row["reason"] == "gopher-mean-word-length-en"]
    assert dropped
    assert all(row["threshold"] == english["min"] > row["value"] for row in dropped)
    assert {row["source"] for row in dropped} == {"web"}
    told = RunFolder.open(run).rules
    assert [rule.covers("web", "web", "en") for rule in told] == [True, False]
    assert [rule.covers("web", "web", "de") for rule in told] == [False, True]
    # Another percentile measures nothing again; a reference that is too small leaves the bound for all.
    again = json.loads((tiny.build("run", filters=filters(20)) / "run.json").read_bytes())
    assert {step["name"]: step["reused"] for step in again["steps"]}["02-measure"]
    assert again["recipe"]["filters"]["rules"][0]["min"] < english["min"]
    few = json.loads((tiny.build("run", filters=filters(20, least=1000)) / "run.json").read_bytes())
    assert [(rule["min"], rule["languages"]) for rule in few["recipe"]["filters"]["rules"]] == [(2.0, [])]
