"""What `pomona runs list` and `show` say of runs, against what is on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.runs.folder import found, opened
from pipelines.runs.listing import describe, rows
from pipelines.steps.step import RunFailed
from pipelines.storage import lock, read_json
from tests.pipelines.runs import tiny


class Stopped(Exception):
    pass


def stop_at(step: str) -> object:
    def begun(name: str) -> None:
        if name == step:
            raise Stopped

    return begun


def test_a_finished_run_in_a_list(place: Path) -> None:
    (row,) = rows(found([place]))
    assert (row.name, row.state, row.steps, row.store) == ("tiny", "finished", 10, None)
    assert row.tokens == read_json(place / "run/mixture/core/manifest.json")["total_tokens"]
    files = [path for path in (place / "run").rglob("*") if path.is_file()]
    once = {path.stat().st_ino: path.stat().st_size for path in files}
    assert row.bytes == sum(once.values())
    # The mixture's files are those of the step under a second name.
    assert row.bytes < sum(path.stat().st_size for path in files)


def test_a_run_that_was_stopped_says_where(place: Path) -> None:
    with pytest.raises(Stopped):
        tiny.build("stopped", begun=stop_at("03-decide"))
    row = next(row for row in rows(found([place])) if row.run.endswith("stopped"))
    assert row.state == "unfinished, at 03-decide"
    assert row.steps == 3
    assert row.tokens is None


def test_a_run_in_use_names_its_holder(place: Path) -> None:
    with lock(Path("run"), "pomona build tiny"):
        (row,) = rows(found([place]))
    assert row.state.startswith("in use by pomona build tiny, process ")
    (row,) = rows(found([place]))
    assert row.state == "finished"


def test_a_damaged_run_does_not_hide_the_others(place: Path) -> None:
    (place / "bad").mkdir()
    (place / "bad" / "run.json").write_text("{")
    listed = {Path(row.run).name: row.state for row in rows(found([place]))}
    assert listed["run"] == "finished"
    assert listed["bad"].startswith("damaged: ")
    assert "run.json" in listed["bad"]


def test_a_run_is_shown_with_what_reads_what(place: Path) -> None:
    told = describe(opened(Path("run")))
    steps = {step["name"]: step for step in told["steps"]}
    assert steps["02-measure"]["reads"] == ["01-extract-web", "01-extract-other"]
    assert steps["01-extract-web"]["read_by"] == ["02-measure", "03-decide", "09-ledger"]
    assert {"mixture/core", "tokens/core", "mixture/heldout"} <= set(steps["08-mix"]["read_by"])
    assert steps["01-extract-web"]["in"] == len(tiny.WEB)
    assert steps["01-extract-web"]["engine"] == {"name": "local", "workers": 1}
    (core,) = [one for one in told["mixtures"] if one["stage"] == "core"]
    for shard in core["shards"]:
        published = Path("run/mixture/core") / shard["path"]
        assert (Path("run/steps") / shard["from"]).samefile(published)


def test_what_was_reused_is_shown_as_reused(place: Path) -> None:
    tiny.build(filters=tiny.threshold(4.6))
    steps = {step["name"]: step["reused"] for step in describe(opened(Path("run")))["steps"]}
    assert steps["02-measure"] is True
    assert steps["03-decide"] is False


def test_the_commands_print_tables_and_json(place: Path) -> None:
    runner = CliRunner()
    listed = json.loads(runner.invoke(app, ["runs", "list", ".", "--json"], catch_exceptions=False).stdout)
    assert [row["state"] for row in listed] == ["finished"]
    text = runner.invoke(app, ["runs", "list", "run"], catch_exceptions=False).stdout
    assert "finished" in text
    assert "no runs in" in runner.invoke(app, ["runs", "list", "web"], catch_exceptions=False).stdout
    shown = runner.invoke(app, ["runs", "show", "run"], catch_exceptions=False).stdout
    assert "05-decontaminate" in shown
    assert "mixture/core" in shown
    assert json.loads(runner.invoke(app, ["runs", "show", "run", "--json"], catch_exceptions=False).stdout)["steps"]
    with pytest.raises(RunFailed, match="no run here"):
        runner.invoke(app, ["runs", "show", "web"], catch_exceptions=False)
