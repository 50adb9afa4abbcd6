"""`pomona runs clean` removes what nobody needs, and never what a run needs, may need, or is at."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.runs.clean import GONE, TEMPORARY, UNFINISHED, UNREFERRED, WORK, clean, find
from pipelines.runs.folder import opened
from pipelines.runs.request import USERS
from pipelines.runs.verify import verify
from pipelines.steps.step import RunFailed
from pipelines.storage import lock, read_json, write_json
from tests.pipelines.runs import tiny
from tests.pipelines.runs.test_listing import Stopped, stop_at


def disk(folder: Path) -> int:
    return sum({path.stat().st_ino: path.stat().st_size for path in folder.rglob("*") if path.is_file()}.values())


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name[0].isdigit()}


def test_steps_of_an_earlier_recipe_go_and_those_of_the_run_stay(place: Path) -> None:
    old = names(Path("run/steps"))
    tiny.build(filters=tiny.threshold(4.6))
    kept = {Path(step["folder"]).name for step in read_json(Path("run/run.json"))["steps"]}
    before = tiny.tree(place)
    found = find([Path("run")])
    assert {scrap.path.name for scrap in found.scraps} == {name for name in old if name >= "03"}
    assert {scrap.why for scrap in found.scraps} == {UNREFERRED}
    assert tiny.tree(place) == before
    size = disk(place)
    gone = clean([Path("run")])
    assert gone.freed == found.freed == size - disk(place)
    left = names(Path("run/steps"))
    assert kept <= left
    assert {name for name in left - kept if not name.startswith("09-ledger")} == set()
    assert verify(opened(Path("run"))).faults == []
    assert find([Path("run")]).scraps == []


def test_leftovers_of_killed_processes_go(place: Path) -> None:
    step = next(Path("run/steps").glob("02-measure-*"))
    made = {
        step / "_tasks" / "02-measure-00000.json": WORK,
        step / "_spill" / "x" / "run.arrow": WORK,
        step / "signals" / ".part-00000.parquet.4711-7f00aa.tmp": TEMPORARY,
        Path("run/mixture/core/.manifest.json.4711-7f00aa.tmp"): TEMPORARY,
        Path("run/.writable-4711"): TEMPORARY,
        Path("run/_report/sums/part-00000.parquet"): TEMPORARY,
    }
    for path in made:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(1000))
    unfinished = Path("run/steps/03-decide-0123456789abcdef")
    (unfinished / "documents").mkdir(parents=True)
    (unfinished / "documents" / "part-00000.parquet").write_bytes(bytes(1000))
    mine = Path("run/steps/notes")  # nothing that a build makes has such a name
    mine.mkdir()
    found = clean([Path("run")])
    assert found.freed == 7000
    assert {scrap.why for scrap in found.scraps} == {WORK, TEMPORARY, UNFINISHED}
    assert not any(path.exists() for path in [*made, unfinished])
    assert mine.exists()
    assert verify(opened(Path("run"))).faults == []


def test_a_stopped_run_keeps_everything_it_may_need(place: Path) -> None:
    with pytest.raises(Stopped):
        tiny.build(filters=tiny.threshold(4.6), begun=stop_at("05-decontaminate"))
    assert not Path("run/run.json").exists()
    before = tiny.tree(place)
    found = clean([Path("run")])
    assert found.scraps == []
    assert "unfinished, at 05-decontaminate" in found.left[0]
    assert {name: what for name, what in tiny.tree(place).items() if not name.endswith(".lock")} == {
        name: what for name, what in before.items() if not name.endswith(".lock")
    }


def test_a_run_that_is_in_use_is_left_alone(place: Path) -> None:
    (Path("run") / ".writable-1").write_bytes(b"x")
    with lock(Path("run"), "pomona build tiny"):
        for found in (find([Path("run")]), clean([Path("run")])):
            assert found.scraps == []
            assert "in use by pomona build tiny" in found.left[0]
    assert (Path("run") / ".writable-1").exists()


def test_a_step_that_another_process_is_at_is_left_alone(place: Path) -> None:
    tiny.build(filters=tiny.threshold(4.6))
    step = find([Path("run")]).scraps[0].path
    with lock(step, "step 03-decide"):
        found = clean([Path("run")])
        assert any(str(step) in text for text in found.left)
        assert step.exists()
    clean([Path("run")])
    assert not step.exists()


@pytest.mark.slow
def test_of_a_store_goes_what_no_run_in_it_needs(place: Path) -> None:
    store = Path("store")
    tiny.build("one", store=store)
    tiny.build("two", store=store, filters=tiny.threshold(4.6))
    assert find([], [store]).scraps == []
    of_two = {Path(step["folder"]).name for step in read_json(Path("two/run.json"))["steps"]}
    for path in [*Path("one").rglob("*")][::-1]:
        path.unlink() if path.is_file() else path.rmdir()
    Path("one").rmdir()
    found = clean([], [store])
    whys = {scrap.why for scrap in found.scraps}
    assert whys == {UNREFERRED, GONE}
    assert of_two <= names(store)
    assert len(names(store)) == len(of_two) + 1  # and the ledger
    assert verify(opened(Path("two"))).faults == []
    assert len(list((store / USERS).iterdir())) == 1


@pytest.mark.slow
def test_a_stopped_run_keeps_its_store(place: Path) -> None:
    store = Path("store")
    tiny.build("one", store=store)
    tiny.build("one", store=store, filters=tiny.threshold(4.6))
    assert find([], [store]).scraps
    with pytest.raises(Stopped):
        tiny.build("two", store=store, begun=stop_at("08-mix"), seed=1)
    found = clean([], [store])
    assert found.scraps == []
    assert any("two is unfinished" in text for text in found.left)


@pytest.mark.slow
def test_a_store_that_a_run_elsewhere_may_use_is_left_alone(place: Path) -> None:
    store = Path("store")
    tiny.build("one", store=store)
    tiny.build("one", store=store, filters=tiny.threshold(4.6))
    (mine,) = (store / USERS).iterdir()
    write_json(store / USERS / "other.json", {"run": "/nowhere/run", "host": "another-machine"})
    found = clean([], [store])
    assert found.scraps == []
    assert "another-machine" in found.left[0]
    (store / USERS / "other.json").unlink()
    mine.unlink()
    with pytest.raises(RunFailed, match="no run is known to use this store"):
        find([], [store])
    # Named by hand, the run counts.
    assert {scrap.why for scrap in find([Path("one")], [store]).scraps} == {UNREFERRED}


def test_a_run_that_uses_the_steps_of_another_counts(place: Path) -> None:
    tiny.build("second", store=Path("run/steps"), filters=tiny.threshold(4.6))
    assert find([Path("run")]).scraps == []
    with lock(Path("second"), "pomona build tiny"):
        assert any("second is in use" in text for text in clean([Path("run")]).left)


@pytest.mark.slow
def test_a_run_that_begins_meanwhile_stops_the_removal(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.runs import clean as module

    store = Path("store")
    tiny.build("one", store=store)
    tiny.build("one", store=store, filters=tiny.threshold(4.6))
    looked = module.find

    def then_another(*arguments: object) -> object:
        found = looked(*arguments)  # type: ignore[arg-type]
        write_json(store / USERS / "new.json", {"run": str(place / "two"), "host": "here"})
        return found

    monkeypatch.setattr(module, "find", then_another)
    before = names(store)
    found = clean([], [store])
    assert found.scraps == []
    assert all("began to use" in text for text in found.left)
    assert names(store) == before


def test_bytes_that_another_name_keeps_are_not_counted_as_freed(place: Path) -> None:
    tiny.build(filters=tiny.threshold(4.6))
    whole = find([Path("run")]).freed
    step = next(scrap.path for scrap in find([Path("run")]).scraps if scrap.path.name.startswith("03-decide"))
    kept = step / "documents" / "part-00000.parquet"
    os.link(kept, "kept.parquet")
    assert find([Path("run")]).freed == whole - kept.stat().st_size


def test_the_command_touches_nothing_without_yes(place: Path) -> None:
    tiny.build(filters=tiny.threshold(4.6))
    runner = CliRunner()
    before = tiny.tree(place)
    text = runner.invoke(app, ["runs", "clean", "run"], catch_exceptions=False).stdout
    assert "nothing was touched: add --yes" in text
    assert tiny.tree(place) == before
    told = json.loads(runner.invoke(app, ["runs", "clean", "run", "--yes", "--json"], catch_exceptions=False).stdout)
    assert told["removed"] is True
    assert not any(Path(scrap["path"]).exists() for scrap in told["scraps"])
    assert "nothing to remove" in runner.invoke(app, ["runs", "clean", "run"], catch_exceptions=False).stdout
