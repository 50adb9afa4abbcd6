"""What two runs differ in, against a plain count over their ledgers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner

from pipelines import run as runs
from pipelines.cli import app
from pipelines.diff import ends, page
from pipelines.diff.diff import Difference, diff, fields
from pipelines.engines.local import LocalEngine
from pipelines.recipe import load
from tests.takedown.conftest import write


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run, and one with a stricter rule, one topic's copy gone, and other partitions."""
    folder = tmp_path_factory.mktemp("diff")
    recipe = write(folder)
    before, after = folder / "before", folder / "after"
    runs.build(load(recipe), runs.Options(before), LocalEngine(1))
    notes = folder / "notes.jsonl"
    lines = notes.read_text().splitlines()
    notes.write_text("\n".join(line for line in lines if "page:copy" not in line) + "\n")
    changed = ["filters.rules=[{signal: gopher.words, min: 90}]", "partitions=5", "stages.core.tokens=40000"]
    runs.build(load(recipe, changed), runs.Options(after), LocalEngine(1))
    return before, after


@pytest.fixture(scope="module")
def found(pair: tuple[Path, Path]) -> Difference:
    return diff(*pair)


def curated(run: Path) -> dict[str, tuple[str, int]]:
    """Id -> source and tokens of what the run tokenized, read plainly."""
    rows = duckdb.sql(f"select id, source, count from '{run}/steps/07-tokenize-*/tokens/*.parquet'").fetchall()
    return {id_: (source, count) for id_, source, count in rows}


def test_documents_and_tokens(found: Difference, pair: tuple[Path, Path]) -> None:
    was, now = map(curated, pair)
    lost, gained = set(was) - set(now), set(now) - set(was)
    assert lost
    assert gained
    total = found.total
    assert (total.before, total.after, total.lost, total.gained) == (len(was), len(now), len(lost), len(gained))
    assert total.tokens_lost == sum(was[id_][1] for id_ in lost)
    assert total.tokens_gained == sum(now[id_][1] for id_ in gained)
    assert (total.tokens_before, total.tokens_after) == (
        sum(c for _, c in was.values()),
        sum(c for _, c in now.values()),
    )
    for source, tally in found.by["source"].items():
        assert tally.lost == sum(was[id_][0] == source for id_ in lost)
        assert tally.gained == sum(now[id_][0] == source for id_ in gained)
    for tallies in found.by.values():
        assert sum(tally.lost for tally in tallies.values()) == len(lost)
        assert sum(tally.before for tally in tallies.values()) == len(was)


def test_every_document_moved_has_its_reason(found: Difference, pair: tuple[Path, Path]) -> None:
    """A stricter rule loses short ones; of a cluster whose best copy is gone another one comes in."""
    ends = {(one.direction, one.step, one.reason): one for one in found.moved}
    assert sum(one.documents for one in found.moved if one.direction == "lost") == found.total.lost
    was, now = map(curated, pair)
    short = {
        id_
        for (id_,) in duckdb.sql(
            f"select id from '{pair[1]}/ledger/*.parquet' where reason = 'gopher-words' and verdict = 'dropped'"
        ).fetchall()
    }
    assert ends[("lost", "03-decide", "gopher-words")].documents == len(set(was) & short) > 0
    assert ends[("lost", "not in this run", "")].documents == 1
    gained = ends[("gained", "04-dedup", "near-duplicate")]
    assert gained.documents == 1
    (sample,) = [one for one in found.samples if one.direction == "gained"]
    assert sample.uri.endswith("while")
    assert sample.id in now
    assert "while" in sample.text
    lost = {one.id for one in found.samples if one.direction == "lost"}
    assert lost <= set(was) - set(now)


def test_recipe_steps_and_mixtures(found: Difference) -> None:
    told = {path: (one, other) for path, one, other in found.recipe}
    assert told["partitions"] == (3, 5)
    assert told["filters.rules.gopher-words.min"] == (40.0, 90.0)
    assert told["stages.core.tokens"] == (60000, 40000)
    step = next(one for one in found.steps if one.step == "03-decide")
    assert step.reasons["gopher-words"][0] < step.reasons["gopher-words"][1]
    stage = next(one for one in found.stages if one.stage == "core")
    assert stage.tokens[0] > stage.tokens[1]
    assert not found.equal


def test_a_run_is_equal_to_itself(pair: tuple[Path, Path]) -> None:
    same = diff(pair[0], pair[0])
    assert same.equal
    assert [*same.recipe, *same.steps, *same.moved, *same.samples] == []


def test_finer_ranges_than_parts_give_the_same_answer(
    found: Difference, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in memory is a range of so many rows, however few parts the runs have."""
    largest: list[int] = []
    read = ends.Side.ends

    def counted(side: ends.Side, part: int, of: int) -> Any:
        table = read(side, part, of)
        largest.append(table.num_rows)
        return table

    monkeypatch.setattr(ends.Side, "ends", counted)
    monkeypatch.setattr(ends, "ROWS", 20)
    fine = diff(*pair)
    assert fine.as_dict() == found.as_dict()
    assert len(largest) > 2 * 5
    assert max(largest) <= 20


def test_turned_round_gained_is_lost(found: Difference, pair: tuple[Path, Path]) -> None:
    back = diff(pair[1], pair[0])
    assert (back.total.gained, back.total.lost) == (found.total.lost, found.total.gained)
    assert (back.total.tokens_gained, back.total.before) == (found.total.tokens_lost, found.total.after)


def test_fields() -> None:
    one: dict[str, Any] = {"a": 1, "rules": [{"name": "x", "min": 1}, {"name": "y"}], "same": [1, 2]}
    other: dict[str, Any] = {"a": 2, "rules": [{"name": "y"}], "same": [1, 2], "new": None, "b": 3}
    assert fields(one, other) == [
        ("a", 1, 2),
        ("rules.x", {"name": "x", "min": 1}, None),
        ("b", None, 3),
    ]


def test_the_command(pair: tuple[Path, Path], tmp_path: Path) -> None:
    names = [str(one) for one in pair]
    done = CliRunner().invoke(app, ["diff", *names, "--html", str(tmp_path / "d.html")])
    assert done.exit_code == 0, done.output
    assert "03-decide gopher-words" in done.output
    text = (tmp_path / "d.html").read_text()
    assert "<script" not in text
    assert "gopher-words" in text
    done = CliRunner().invoke(app, ["diff", *names, "--json"])
    assert json.loads(done.output)["equal"] is False


def test_texts_are_escaped(found: Difference) -> None:
    from dataclasses import replace

    hostile = Difference(found.before, found.after)
    hostile.samples = [replace(found.samples[0], text="<script>alert(1)</script>")]
    hostile.moved = [one for one in found.moved if one.reason == hostile.samples[0].reason]
    assert "<script>alert" not in page.render(hostile)
