"""What reads a run that was mixed from several: each of them counts, whatever its partitions."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from pipelines import remix
from pipelines.diff.diff import diff
from pipelines.engines.local import LocalEngine
from pipelines.report import funnel
from pipelines.report.folder import RunFolder, RunFolderError
from pipelines.report.tally import gather
from pipelines.takedown.selection import Asked
from pipelines.takedown.takedown import takedown
from pipelines.trace.described import describe
from pipelines.whatif import whatif
from pipelines.why import why
from tests.pipelines.runs import tiny


@pytest.fixture
def mixed(place: Path) -> Path:
    """The run and one of other pages in three partitions, mixed."""
    tiny.another(out="second", partitions=3)
    stages = {"core": {"weights": {"web": 0.5, "other": 0.5}, "tokens": 20_000}}
    Path("weights.yaml").write_text(yaml.safe_dump({"stages": stages}))
    return remix.mix(
        [Path("run"), Path("second")], Path("weights.yaml"), Path("mixed"), LocalEngine(1), tokenizer=Path("run")
    )


def steps(run: str, name: str) -> dict[str, int]:
    told = json.loads(Path(run, "run.json").read_text())["steps"]
    return next({what: step[what] for what in ("in", "kept")} for step in told if step["name"] == name)


def only_second(mixed: Path) -> str:
    """The id of a page that only the second run has, in the mixture."""
    own = pq.read_table(next(Path("run/steps").glob("05-decontaminate-*")) / "documents", columns=["id"])["id"]
    rows = pq.read_table(sorted((mixed / "mixture/core").glob("*.parquet")), columns=["id"]).to_pylist()
    known = set(own.to_pylist())
    return next(row["id"] for row in rows if row["id"] not in known)


def test_the_difference_counts_the_tokens_of_all_runs_and_adds_their_steps(mixed: Path) -> None:
    found = diff(Path("run"), mixed)
    gained = pq.read_table(next((mixed / "steps").glob("06-merge-*")) / "tokens", columns=["id", "count"])
    own = pq.read_table(next(Path("run/steps").glob("05-decontaminate-*")) / "documents", columns=["id"])["id"]
    known = set(own.to_pylist())
    new = [row["count"] for row in gained.to_pylist() if row["id"] not in known]
    assert (found.total.gained, found.total.tokens_gained, found.total.lost) == (len(new), sum(new), 0)
    assert new
    assert None not in found.by["language"]
    assert sum(one.gained for one in found.by["kind"].values()) == len(new)
    measured = next(one for one in found.steps if one.step == "02-measure")
    both = steps("run", "02-measure")["kept"] + steps("second", "02-measure")["kept"]
    assert measured.kept == (steps("run", "02-measure")["kept"], both)
    assert diff(mixed, Path("run")).total.lost == len(new)


def test_the_funnel_begins_with_the_records_of_all_runs(mixed: Path) -> None:
    folders = [RunFolder.open(Path(run)) for run in ("run", "second", "mixed")]
    first, second, both = [funnel.read(folder, gather(folder).verdicts) for folder in folders]
    assert both.first == first.first + second.first
    assert both.curated <= first.curated + second.curated


def test_a_record_of_the_second_run_is_told_with_its_signals_and_can_be_taken_down(mixed: Path) -> None:
    id_ = only_second(mixed)
    record = why(mixed, id_).records[0]
    assert record.signals["gopher.words"] > 0
    assert describe(RunFolder.open(mixed), "core", [id_])[id_].signals["gopher.words"] > 0
    found = takedown(mixed, Asked(ids=(id_,)), dry_run=True)
    assert [one.id for one in found.records] == [id_]


def test_other_rules_are_asked_of_one_run(mixed: Path) -> None:
    with pytest.raises(RunFolderError, match="mixed: mixed from run and second, each judged by its own rules"):
        whatif(mixed, ["gopher-few-words=3"])
