"""A dry run: what it says would run does run, what it says it takes is near what it takes, and it changes nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.dry_run import summary
from pipelines.engines.local import LocalEngine
from pipelines.engines.settings import BadSettings
from pipelines.estimate import AGAIN, CRAWL, NOTHING, RESUMES, REUSED, RUNS, Estimate, Standing, estimate
from pipelines.run import Options
from pipelines.storage import read_json
from tests.pipelines.runs import tiny
from tests.pipelines.runs.conftest import built as built
from tests.pipelines.runs.conftest import place as place

STEPS = [
    "01-extract-web", "01-extract-other", "02-measure", "03-decide", "04-dedup", "05-decontaminate", "06-tokenizer",
    "07-tokenize", "08-mix", "09-ledger",
]  # fmt: skip


def planned(out: str = "run", workers: int = 1, update: bool = False, **changes: Any) -> Estimate:
    return estimate(tiny.recipe(**changes), Options(Path(out), update=update), Standing("local", workers))


def states(found: Estimate) -> dict[str, str]:
    return {line.step: line.state for line in found.lines}


def test_without_an_earlier_run_no_number_is_invented_and_nothing_is_written(place: Path) -> None:
    before = tiny.tree(place)
    found = planned("elsewhere")
    assert states(found) == dict.fromkeys(STEPS, RUNS)
    assert all(line.seconds is None and line.bytes is None and line.records is None for line in found.lines)
    assert not found.complete
    assert summary(found) == [f"{NOTHING} in elsewhere/steps"]
    assert tiny.tree(place) == before


def test_a_finished_run_is_reused_whole(place: Path) -> None:
    before = tiny.tree(place)
    found = planned()
    assert states(found) == dict.fromkeys(STEPS, REUSED)
    assert found.seconds == 0
    assert found.complete
    assert tiny.tree(place) == before


def test_a_changed_threshold_runs_decisions_and_what_follows(place: Path) -> None:
    found = planned(filters=tiny.threshold(4.6))
    assert states(found) == {step: REUSED if step < "03" else RUNS for step in STEPS}
    decide = next(line for line in found.lines if line.step == "03-decide")
    assert decide.exact
    assert decide.records == len(tiny.WEB) + len(tiny.OTHER)
    assert found.complete


def test_steps_on_parts_of_documents_stand_between_those_that_they_are_between(place: Path) -> None:
    found = planned(dedup_parts=[{"type": "lines"}, {"type": "paragraphs"}])
    added = [line.step for line in found.lines if line.step not in STEPS]
    assert [step.partition("-")[2] for step in added] == ["lines", "paragraphs"]
    lines = {line.step: line for line in found.lines}
    assert lines[added[0]].records == lines["04-dedup"].kept
    assert lines[added[0]].exact


def test_a_changed_source_runs_that_source_and_what_follows(place: Path) -> None:
    sources = tiny.fields()["sources"]
    sources[1]["license"] = "PSF-2.0"
    found = planned(sources=sources)
    assert states(found) == {step: REUSED if step == "01-extract-web" else RUNS for step in STEPS}
    lines = {line.step: line for line in found.lines}
    assert lines["01-extract-other"].records == lines["01-extract-other"].new == len(tiny.OTHER)
    # Of the source that is as it was, the signals are known.
    assert (lines["02-measure"].records, lines["02-measure"].new) == (len(tiny.WEB) + len(tiny.OTHER), len(tiny.OTHER))


def test_the_estimate_for_more_input_is_near_what_the_run_then_writes(place: Path) -> None:
    tiny.archive(place / "web" / "more.warc.gz", tiny.MORE)
    found = planned()
    lines = {line.step: line for line in found.lines}
    assert states(found) == {step: REUSED if step == "01-extract-other" else RUNS for step in STEPS}
    # Twice the pages: those of the first file are counted, not extracted again.
    extract = lines["01-extract-web"]
    assert extract.records is not None
    assert extract.new == extract.records - len(tiny.WEB)
    assert len(tiny.MORE) / 2 < extract.new < len(tiny.MORE) * 2
    assert found.seconds > 0
    tiny.build()
    described = read_json(Path("run/run.json"))
    for told in described["steps"]:
        manifest = read_json(Path("run") / told["folder"] / "_manifest.json")
        written = sum(one["bytes"] for name, files in manifest["outputs"].items() for one in files)
        line = lines[told["name"]]
        if line.state == RUNS:
            assert line.bytes is not None
            assert written / 2 < line.bytes < written * 2, told["name"]
    assert states(planned()) == dict.fromkeys(STEPS, REUSED)


def test_time_falls_with_workers_and_the_cost_is_that_of_all_of_them(place: Path) -> None:
    one, four = (planned(filters=tiny.threshold(4.6), workers=workers) for workers in (1, 4))
    alone = next(line.seconds for line in one.lines if line.step == "06-tokenizer")
    assert alone is not None
    # Every line is rounded to a millisecond, so four workers' seconds are off by up to four halves of one a line.
    assert one.seconds - alone == pytest.approx(4 * (four.seconds - alone), abs=0.0025 * len(one.lines))
    one.price = 0.5
    assert one.money == pytest.approx(one.seconds / 3600 * 0.5)


def test_rates_are_not_taken_from_a_step_that_found_its_work_done(place: Path) -> None:
    first = read_json(next(Path("run/steps").glob("02-measure-*")) / "_manifest.json")["digest"]
    tiny.archive(place / "web" / "more.warc.gz", tiny.MORE)
    tiny.build()
    found = planned(filters={**tiny.threshold(3.0), "families": ["gopher", "c4"]})
    measure = next(line for line in found.lines if line.step == "02-measure")
    assert measure.rates_of == f"02-measure-{first}"
    assert measure.records == measure.new
    assert not measure.least


def test_a_step_that_was_cut_off_resumes_and_only_the_rest_of_it_counts(place: Path) -> None:
    def stop(name: str, done: int, total: int) -> None:
        if name == "03-decide" and done == 1:
            raise KeyboardInterrupt

    whole = next(line for line in planned(filters=tiny.threshold(4.6)).lines if line.step == "03-decide")
    with pytest.raises(KeyboardInterrupt):
        tiny.build(engine=LocalEngine(1, stop), filters=tiny.threshold(4.6))
    line = next(line for line in planned(filters=tiny.threshold(4.6)).lines if line.step == "03-decide")
    assert (line.state, line.tasks_done, line.tasks) == (RESUMES, 1, 2)
    assert whole.seconds is not None
    assert whole.seconds > 0
    assert line.seconds == pytest.approx(whole.seconds / 2, abs=0.01)


def test_a_crawl_that_is_not_recorded_comes_first(place: Path) -> None:
    sources = [*tiny.fields()["sources"], {"name": "live", "type": "crawl", "seeds": ["http://nowhere.invalid/"]}]
    before = tiny.tree(place)
    found = planned(sources=sources)
    said = states(found)
    assert said["crawl live"] == CRAWL
    assert said["01-extract-live"] == RUNS
    assert said["01-extract-web"] == REUSED
    measure = next(line for line in found.lines if line.step == "02-measure")
    assert (measure.records, measure.least) == (len(tiny.WEB) + len(tiny.OTHER), True)
    assert not found.complete
    assert any("a crawl comes first" in text for text in summary(found))
    assert tiny.tree(place) == before


def test_the_command_line_prints_the_estimate_and_its_cost(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["build", "tiny.yaml", "--out", "run", "--workers", "2", "--dry-run", "--set", "seed=3"]
    monkeypatch.setenv("POMONA_PRICE_PER_CORE_HOUR", "2")
    done = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    told = json.loads(done.stdout)
    assert told["money"] == pytest.approx(told["core_hours"] * 2, rel=0.01)
    assert told["engine"] == {"name": "local", "workers": 2}
    assert [step["step"] for step in told["steps"]] == STEPS
    text = CliRunner().invoke(app, [*arguments, "--price-per-core-hour", "3"], catch_exceptions=False).stdout
    assert "at 3 a core-hour" in text
    assert "reused" in text
    with pytest.raises(BadSettings):
        CliRunner().invoke(app, [*arguments, "--engine", "spark"], catch_exceptions=False)


def test_an_update_crawls_again_before_anything_else(place: Path, pydoc_crawl: Any, pydoc_config: Any) -> None:
    fields = pydoc_config.model_dump(mode="json", exclude_defaults=True, exclude={"source"})
    sources = [*tiny.fields()["sources"], {"name": "web", "type": "crawl", **fields}][1:]
    shutil.copytree(pydoc_crawl.folder, place / "run" / "crawl" / "web")
    said = states(planned(sources=sources, update=True))
    assert said["crawl web"] == AGAIN
    assert said["00-crawl-web"] == RUNS
    assert "crawl web" not in states(planned(sources=sources))
