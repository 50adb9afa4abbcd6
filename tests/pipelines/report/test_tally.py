"""The sums of a report: the same however parts are grouped, on every engine, and never more than a sample in memory."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.engines.local import LocalEngine
from pipelines.report import clusters, page, signals, tally
from pipelines.report.distinct import Distinct
from pipelines.report.folder import RunFolder
from pipelines.runs.leftover import COUNTING
from tests.pipelines.report.sample_run import shared


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return RunFolder.open(shared(tmp_path_factory.getbasetemp))


@pytest.fixture(scope="module")
def found(run: RunFolder) -> tally.Tally:
    return tally.gather(run)


@pytest.fixture(scope="module")
def ledger(run: RunFolder) -> list[dict[str, Any]]:
    return pa.concat_tables(pq.read_table(path) for path in run.ledger).to_pylist()


def test_nothing_of_the_counting_stays(run: RunFolder, found: tally.Tally) -> None:
    assert found.verdicts.counts
    assert not (run.path / COUNTING).exists()


@pytest.mark.parametrize("together", [1, 2])
def test_groups_do_not_show(run: RunFolder, found: tally.Tally, together: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(run.ledger) > 2
    monkeypatch.setattr(tally, "TOGETHER", together)
    assert tally.gather(run).state() == found.state()


def test_a_merged_state_is_the_state(run: RunFolder, found: tally.Tally) -> None:
    empty = tally.Tally(signals=signals.opened(run), stages={name: type(one)() for name, one in found.stages.items()})
    empty.merge(found.state())
    assert empty.state() == found.state()
    assert json.loads(found.state())["consent"]["documents"] == found.consent.documents > 100


@pytest.mark.slow
def test_workers_do_not_show(run: RunFolder, found: tally.Tally) -> None:
    engine = LocalEngine(2)
    try:
        assert tally.gather(run, engine).state() == found.state()
    finally:
        engine.close()


@pytest.mark.slow
def test_the_command_counts_in_processes(run: RunFolder, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run.path, copy)
    done = CliRunner().invoke(app, ["report", str(copy), "--workers", "2"])
    assert (done.exit_code, done.output.split()) == (0, [str(copy / "report.html")])
    assert (copy / "report.html").read_text("utf-8") == page.render(page.gather(run.path))
    assert (copy / "mixture" / "core" / "README.md").exists()
    assert not (copy / COUNTING).exists()


def test_verdicts_are_the_ledgers(found: tally.Tally, ledger: list[dict[str, Any]]) -> None:
    expected = Counter((row["step"], row["source"], row["verdict"], row["reason"]) for row in ledger)
    assert found.verdicts.counts == expected
    assert found.verdicts.failures.seen == sum(row["verdict"] == "failed" for row in ledger)
    for (step, reason), some in found.verdicts.examples.items():
        ids = sorted(
            row["id"] for row in ledger if (row["step"], row["reason"]) == (step, reason) and row["verdict"] != "kept"
        )
        assert [row["id"] for row in some.rows()] == ids[: len(some.rows())]
        assert some.seen == len(ids)


def test_clusters_are_the_ledgers(found: tally.Tally, ledger: list[dict[str, Any]]) -> None:
    copies: dict[str, list[str]] = {}
    for row in ledger:
        parent = json.loads(row["evidence"] or "{}").get("parent")
        if row["verdict"] == "dropped" and parent:
            copies.setdefault(parent, []).append(row["id"])
    assert copies
    assert found.clusters.sizes == Counter(map(len, copies.values()))
    assert (found.clusters.texts, found.clusters.copies) == (len(copies), sum(map(len, copies.values())))
    largest = sorted(copies, key=lambda parent: (-len(copies[parent]), parent))[: clusters.CLUSTERS]
    assert [one.parent for one in found.clusters.largest] == largest
    for one in found.clusters.largest:
        assert [row["id"] for row in one.members] == sorted(copies[one.parent])[: clusters.MEMBERS]
        assert one.size == len(copies[one.parent])


def test_only_parts_with_a_wanted_id_are_opened_for_texts(run: RunFolder) -> None:
    files = run.documents_until("measure")
    first = pq.read_table(files[0], columns=["id"])["id"][0].as_py()
    assert run.documents_of([first], "measure") == files[:1]
    ids = pa.concat_tables(pq.read_table(path, columns=["id"]) for path in files)["id"].to_pylist()
    assert run.documents_of(ids, "measure") == files


def test_axes_come_from_few_files(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "SAMPLE_FILES", 2)
    monkeypatch.setattr(signals, "SAMPLE_VALUES", 128)
    read: list[Path] = []
    batches = signals.read_batches

    def seen(path: Path, names: Any) -> Any:
        read.append(path)
        return batches(path, names)

    monkeypatch.setattr(signals, "read_batches", seen)
    opened = signals.opened(run)
    assert len(set(read)) == 2
    assert 0 < opened.sampled <= 2 * max(64, 128 // 2)
    assert all(signal.scale.low < signal.scale.high for signal in opened.numbers)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.text(max_size=3)), st.lists(st.text(max_size=3)), st.integers(1, 8))
def test_different_values_add_up_however_they_come(one: list[str], other: list[str], most: int) -> None:
    whole, first, second = Distinct(most), Distinct(most), Distinct(most)
    for value in one + other:
        whole.add(value)
    for value in one:
        first.add(value)
    for value in reversed(other):
        second.add(value)
    first.merge(second.state())
    assert first.state() == whole.state()
    assert len(first) == len(whole)
    if len({*one, *other}) <= most:
        assert whole.exact
        assert len(whole) == len({*one, *other})
        assert str(whole) == str(len({*one, *other}))


def test_many_different_values_are_about_right() -> None:
    counted = Distinct()
    for number in range(200_000):
        counted.add(f"file {number}")
    assert not counted.exact
    assert abs(len(counted) / 200_000 - 1) < 0.05
    assert str(counted).startswith("about ")
    assert len(counted.state()) == 4097
