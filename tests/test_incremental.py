"""A run after a change does only what the change asks for, and gives the bytes of a run from nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines import recipe, run
from pipelines.engines.local import LocalEngine
from pipelines.extract import extract_body
from pipelines.steps import measure
from tests import tiny


def build(file: Path, out: Path, *sets: str, **options: Any) -> dict[str, Any]:
    run.build(recipe.load(file, sets), run.Options(out, **options), LocalEngine(1))
    return run.read(out)


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Count the pages extracted and the texts measured."""
    done = {"extracted": 0, "measured": 0}
    signals = measure.signals

    def counted_signals(text: pa.Array | pa.ChunkedArray, families: tuple[str, ...]) -> pa.Table:
        done["measured"] += len(text)
        return signals(text, families)

    def counted_body(*arguments: Any) -> Any:
        done["extracted"] += 1
        return extract_body(*arguments)

    monkeypatch.setattr(measure, "signals", counted_signals)
    monkeypatch.setattr("pipelines.steps.extract.extract_body", counted_body)
    return done


def steps(described: dict[str, Any]) -> dict[str, bool]:
    return {step["name"]: step["reused"] for step in described["steps"]}


@pytest.mark.slow
def test_new_input_alone_is_extracted_and_measured(tmp_path: Path, work: dict[str, int]) -> None:
    file = tiny.write(tmp_path, topics=40)
    first = build(file, tmp_path / "run")
    assert work == {"extracted": 40 + 138, "measured": 40 + 138}
    work.update(extracted=0, measured=0)
    tiny.archive(tmp_path / "warcs" / "more.warc.gz", tiny.TOPICS[40:47])
    second = build(file, tmp_path / "run")
    assert work == {"extracted": 7, "measured": 7}
    assert steps(second)["01-extract-maths"]
    assert first["inputs"]["maths"] == second["inputs"]["maths"]
    build(file, tmp_path / "whole")
    assert tiny.digests(tmp_path / "run") == tiny.digests(tmp_path / "whole")
    # An archive that is gone takes its pages with it; the others are not read again.
    (tmp_path / "warcs" / "pages-1.warc.gz").unlink()
    work.update(extracted=0, measured=0)
    build(file, tmp_path / "run")
    assert work == {"extracted": 0, "measured": 0}
    build(file, tmp_path / "fewer")
    assert tiny.digests(tmp_path / "run") == tiny.digests(tmp_path / "fewer")


@pytest.mark.slow
def test_a_changed_threshold_decides_again_and_runs_share_a_store(tmp_path: Path, work: dict[str, int]) -> None:
    file = tiny.write(tmp_path, topics=24)
    store = tmp_path / "store"
    build(file, tmp_path / "one", store=store)
    work.update(extracted=0, measured=0)
    again = build(file, tmp_path / "two", "filters.rules.0.min=80", store=store)
    assert work == {"extracted": 0, "measured": 0}
    assert [name for name, reused in steps(again).items() if reused] == [
        "01-extract-pages",
        "01-extract-maths",
        "02-measure",
    ]
    same = build(file, tmp_path / "three", store=store)
    assert all(steps(same).values())
    assert tiny.digests(tmp_path / "three") == tiny.digests(tmp_path / "one")


@pytest.mark.slow
def test_a_changed_source_runs_that_source_again(tmp_path: Path, work: dict[str, int]) -> None:
    file = tiny.write(tmp_path, topics=24)
    build(file, tmp_path / "run")
    work.update(extracted=0, measured=0)
    changed = build(file, tmp_path / "run", "sources.0.license=PSF-2.0")
    assert work == {"extracted": 24, "measured": 24}
    assert steps(changed)["01-extract-maths"]


@pytest.mark.slow
def test_verify_runs_a_sample_twice(tmp_path: Path) -> None:
    described = build(tiny.write(tmp_path, topics=12), tmp_path / "run", verify=0.5)
    assert json.loads((tmp_path / "run" / "run.json").read_bytes())["steps"] == described["steps"]
