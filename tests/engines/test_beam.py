"""The Beam engine: real transforms over tables, several workers, faults."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest

from pipelines.engines import sorting
from pipelines.engines.beam import BeamEngine
from pipelines.engines.plan import EngineError, Output, Plan, PlanError, Shard
from pipelines.engines.pool import WorkerError
from tests.engines import contract
from tests.engines.contract import ROWS, WORDS, digests, forget, keep, reference, upper, words

ROWS_IN_ALL = len(WORDS) * 6


@pytest.fixture(scope="module")
def one() -> Iterator[BeamEngine]:
    engine = BeamEngine(1)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def two() -> Iterator[BeamEngine]:
    engine = BeamEngine(2)
    yield engine
    engine.close()


@pytest.fixture(params=[1, pytest.param(2, marks=pytest.mark.slow)])
def engine(request: pytest.FixtureRequest) -> BeamEngine:
    return request.getfixturevalue("one" if request.param == 1 else "two")


# ---- what the transforms see -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("grouped", [False, True])
def test_every_transform_sees_every_row_as_tables(tmp_path: Path, engine: BeamEngine, grouped: bool) -> None:
    result = engine.run(words(grouped=grouped), tmp_path / "out")
    assert engine.counts == dict.fromkeys(("read", "map", "shuffle", "emit"), ROWS_IN_ALL)
    assert result.received == ROWS_IN_ALL
    assert engine.tables["read"] == engine.tables["map"] == sum(-(-len(WORDS) * times // 7) for times in (1, 2, 3))
    assert engine.tables["shuffle"] == engine.tables["emit"] < ROWS_IN_ALL / 4
    assert digests(tmp_path / "out") == reference(words(grouped=grouped), tmp_path / "local")


@pytest.mark.parametrize("grouped", [False, True])
def test_finished_parts_are_left_out_before_the_shuffle(tmp_path: Path, engine: BeamEngine, grouped: bool) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    plan = words(grouped=grouped, marks=marks)
    before = engine.run(plan, tmp_path / "out")
    files = digests(tmp_path / "out")
    lost = max(range(plan.parts), key=lambda part: before.files["counts" if grouped else "rows"][part].rows)
    forget(tmp_path / "out", f"words-{'group-' if grouped else ''}{lost:05d}")
    again = engine.run(plan, tmp_path / "out")
    assert again.files == before.files
    assert again.received == ROWS_IN_ALL
    assert again.reused_tasks == plan.parts - 1
    assert digests(tmp_path / "out") == files
    assert engine.counts["read"] == (ROWS_IN_ALL if grouped else len(WORDS) * (lost + 1))
    assert 0 < engine.counts["shuffle"] == engine.counts["emit"] < ROWS_IN_ALL
    times_read = [len((marks / f"ran-{shard.index}").read_text()) for shard in plan.shards]
    assert times_read == [2 if grouped or shard.index == lost else 1 for shard in plan.shards]


@pytest.mark.parametrize("grouped", [False, True])
def test_no_shards_and_no_rows_still_give_every_part(tmp_path: Path, engine: BeamEngine, grouped: bool) -> None:
    for name, times in {"none": (), "empty": (0, 0)}.items():
        plan = words(times, grouped=grouped)
        engine.run(plan, tmp_path / name)
        assert digests(tmp_path / name) == reference(plan, tmp_path / f"{name}-local")
        assert len(digests(tmp_path / name)) == (4 if grouped else len(times))


@pytest.mark.slow
def test_more_rows_than_memory_are_sorted_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spilled: list[Path] = []
    write = sorting.write_ipc

    def watched(path: Path, tables: Iterable[pa.Table], schema: pa.Schema) -> None:
        spilled.append(path)
        write(path, tables, schema)

    plan = contract.typed("documents", grouped=True)
    plan = replace(plan, read=contract.ReadTyped(contract.schema_of("documents"), 4000))
    expected = reference(plan, tmp_path / "local")
    monkeypatch.setattr(sorting, "write_ipc", watched)
    BeamEngine(1, memory=1).run(plan, tmp_path / "out")
    assert {path.parent.name for path in spilled} >= {f"arrived-{part:05d}" for part in range(3)}
    assert digests(tmp_path / "out") == expected
    assert not any(path.exists() for path in spilled)


def test_tables_keep_schema_metadata_and_slices() -> None:
    from pipelines.engines.beam_transforms import TableCoder

    coder = pickle.loads(pickle.dumps(TableCoder()))
    for name in contract.SCHEMAS:
        schema = contract.schema_of(name)
        table = next(iter(contract.ReadTyped(schema)(Shard(0, "s", None)))).slice(1, 3)
        found = coder.decode(coder.encode(table))
        assert found.schema.equals(schema, check_metadata=True)
        assert found.equals(table)
        assert len(coder.encode(table)) < len(coder.encode(pa.concat_tables([table] * 50)))
    assert coder.decode(coder.encode(None)) is None
    assert not coder.is_deterministic()


# ---- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"emit": contract.wrong_schema}, PlanError, "words: output 'rows' has schema"),
        ({"emit": contract.loses_a_row, "conserve": ("rows",)}, PlanError, "rows came in and output 'rows' has"),
        ({"map": contract.hates_foxes}, LookupError, r"^'?a fox'?$"),
        ({"read": contract.unreadable}, OSError, r"^\[Errno 28\] shard-\d cannot be read$"),
        ({"read": contract.bad_shard}, WorkerError, "shard shard-0 is bad"),
    ],
)
def test_errors_of_functions_surface_as_themselves(
    tmp_path: Path, engine: BeamEngine, capfd: Any, changes: dict[str, Any], error: type[Exception], text: str
) -> None:
    plan = words((1,), grouped=False)
    broken = replace(plan, **changes)
    capfd.readouterr()
    with pytest.raises(error, match=text) as raised:
        engine.run(broken, tmp_path / "out")
    assert "while running" not in str(raised.value)
    assert capfd.readouterr() == ("", "")


def test_rows_that_raise_are_answered_for(tmp_path: Path, engine: BeamEngine) -> None:
    plan = words(grouped=False, map=contract.hates_foxes, map_fault=contract.pardon)
    engine.run(plan, tmp_path / "out")
    assert digests(tmp_path / "out") == reference(plan, tmp_path / "local")


def dies_once(table: pa.Table) -> pa.Table:
    if "fox" in table["word"].to_pylist():
        mark = Path(os.environ["POMONA_TEST_MARK"])
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    return upper(table)


def dies(table: pa.Table) -> pa.Table:
    os.kill(os.getpid(), signal.SIGKILL)
    return table


def emit_dies(table: pa.Table) -> dict[str, pa.Table]:
    os.kill(os.getpid(), signal.SIGKILL)
    return {"rows": table}


@pytest.mark.slow
@pytest.mark.parametrize("grouped", [False, True])
def test_a_killed_worker_costs_no_more_than_its_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grouped: bool
) -> None:
    monkeypatch.setenv("POMONA_TEST_MARK", str(tmp_path / "mark"))
    plan = words(grouped=grouped, map=dies_once)
    engine = BeamEngine(2)
    engine.run(plan, tmp_path / "out")
    engine.close()
    assert (tmp_path / "mark").exists()
    assert digests(tmp_path / "out") == reference(words(grouped=grouped), tmp_path / "local")


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{"map": dies}, {"emit": emit_dies}])
def test_workers_that_keep_dying_end_the_run(tmp_path: Path, changes: dict[str, Any]) -> None:
    engine = BeamEngine(2)
    with pytest.raises(EngineError, match=r"words: workers ended \d times, with \[-9(, -9)*\];"):
        engine.run(words(grouped=False, **changes), tmp_path / "out")
    engine.run(words(grouped=False), tmp_path / "after")
    engine.close()
    assert digests(tmp_path / "after") == reference(words(grouped=False), tmp_path / "local")


def strangers(table: pa.Table) -> pa.Table:
    """Give the address of every socket on which the driver listens for others than this machine."""
    listening = [
        one.laddr.ip for one in psutil.Process(os.getppid()).net_connections("inet") if one.status == psutil.CONN_LISTEN
    ]
    if not listening:
        raise LookupError("the driver does not listen at all")
    if {address.removeprefix("::ffff:") for address in listening} - {"127.0.0.1", "::1"}:
        raise PermissionError(f"listens on {listening}")
    return table


@pytest.mark.slow
def test_nothing_listens_beyond_this_machine(tmp_path: Path, two: BeamEngine) -> None:
    two.run(words(grouped=False, map=strangers), tmp_path / "out")
    assert two.counts["map"] == ROWS_IN_ALL


@pytest.mark.slow
def test_more_rows_than_a_message_holds_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.engines import beam_workers

    engine = BeamEngine(2)
    monkeypatch.setattr(beam_workers, "MOST_BYTES", 2000)
    with pytest.raises(EngineError, match="of rows go to one worker, which Beam's embedded runner cannot send"):
        engine.run(words((20,), grouped=True), tmp_path / "out")
    monkeypatch.undo()
    engine.run(words((20,), grouped=True), tmp_path / "out")
    engine.close()
    assert digests(tmp_path / "out") == reference(words((20,), grouped=True), tmp_path / "local")


def sleepy(shard: Shard) -> Iterator[pa.Table]:
    (Path(shard.payload) / f"pid-{os.getpid()}").touch()
    time.sleep(300)
    yield ROWS.empty_table()


def drive(folder: str) -> None:
    base = Path(folder)
    shards = [Shard(number, f"s{number}", folder) for number in range(2)]
    BeamEngine(2).run(Plan("sleepy", shards, sleepy, keep, {"rows": Output(ROWS)}), base / "out")


@pytest.mark.slow
def test_a_killed_driver_leaves_no_worker_behind(tmp_path: Path) -> None:
    driver = multiprocessing.get_context("spawn").Process(target=drive, args=(str(tmp_path),))
    driver.start()
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob("pid-*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    workers = [int(path.name.removeprefix("pid-")) for path in tmp_path.glob("pid-*")]
    assert len(workers) == 2
    driver.kill()
    driver.join()
    while any(_alive(worker) for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_alive(worker) for worker in workers)


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
