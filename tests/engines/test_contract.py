"""The contract every engine keeps: the same bytes, every row accounted for, nothing finished done again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines.engines.plan import Engine, Output, PlanError
from pipelines.engines.task import part_key
from tests.engines import contract
from tests.engines.contract import MOVERS, NAMES, ROWS, SCHEMAS, WORDS, Engines, digests, reference, typed, words


@pytest.fixture(scope="module")
def engines() -> Iterator[Engines]:
    held = Engines()
    yield held
    held.close()


def sized(name: str, workers: int) -> Any:
    """An engine to start; only the embedded one, with two workers, starts at once."""
    at_once = (name, workers) == ("local", 2)
    return pytest.param((name, workers), id=f"{name}-{workers}", marks=() if at_once else pytest.mark.slow)


@pytest.fixture(scope="module", params=[sized(name, 2) for name in NAMES])
def started(request: pytest.FixtureRequest, engines: Engines) -> Engine:
    return engines.get(*request.param)


@pytest.fixture
def engine(started: Engine, engines: Engines) -> Engine:
    engines.seen.told.clear()
    return started


ALL_SIZES = [sized(name, workers) for name in NAMES for workers in (1, 2, 4)]


@pytest.mark.parametrize("started", ALL_SIZES, indirect=True)
@pytest.mark.parametrize("grouped", [False, True])
def test_bytes_are_those_of_one_process(engine: Engine, tmp_path: Path, grouped: bool) -> None:
    plan = words((2, 0, 1, 5, 3), grouped=grouped, partitions=7)
    result = engine.run(plan, tmp_path / "out")
    assert digests(tmp_path / "out") == reference(plan, tmp_path / "expected")
    assert result.received == 11 * len(WORDS)
    name = "counts" if grouped else "rows"
    assert [entry.path for entry in result.files[name]] == [f"{name}/part-{n:05d}.parquet" for n in range(plan.parts)]


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("name", SCHEMAS)
def test_types_cross_unaltered(engine: Engine, tmp_path: Path, name: str, grouped: bool) -> None:
    plan = typed(name, grouped=grouped)
    engine.run(plan, tmp_path / "out")
    assert digests(tmp_path / "out") == reference(plan, tmp_path / "expected")


def test_groups_are_whole_and_sums_close(engine: Engine, tmp_path: Path) -> None:
    result = engine.run(words((1, 2, 3), grouped=True), tmp_path / "out")
    tables = [pq.read_table(tmp_path / "out" / entry.path) for entry in result.files["counts"]]
    counted = {row["word"]: row["count"] for table in tables for row in table.to_pylist()}
    assert sum(table.num_rows for table in tables) == len(counted)
    assert counted == {word.upper(): WORDS.count(word) * 6 for word in WORDS}


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("times", [(), (0, 0)])
def test_no_rows_still_give_every_part(engine: Engine, tmp_path: Path, grouped: bool, times: tuple[int, ...]) -> None:
    plan = words(times, grouped=grouped)
    result = engine.run(plan, tmp_path / "out")
    assert result.received == 0
    assert digests(tmp_path / "out") == reference(plan, tmp_path / "expected")
    assert len(digests(tmp_path / "out")) == plan.parts


@pytest.mark.parametrize("grouped", [False, True])
def test_a_plan_without_map(engine: Engine, tmp_path: Path, grouped: bool) -> None:
    plan = words(grouped=grouped, map=None)
    engine.run(plan, tmp_path / "out")
    assert digests(tmp_path / "out") == reference(plan, tmp_path / "expected")


def test_one_partition_gathers_all(engine: Engine, tmp_path: Path) -> None:
    plan = words(grouped=True, partitions=1)
    engine.run(plan, tmp_path / "out")
    assert digests(tmp_path / "out") == reference(plan, tmp_path / "expected")


@pytest.mark.parametrize("grouped", [False, True])
def test_finished_parts_are_not_repeated(engine: Engine, tmp_path: Path, grouped: bool) -> None:
    plan = words(grouped=grouped, marks=tmp_path)
    first = engine.run(plan, tmp_path / "out")
    before = digests(tmp_path / "out")
    again = engine.run(plan, tmp_path / "out")
    assert [path.read_text() for path in sorted(tmp_path.glob("ran-*"))] == ["x", "x", "x"]
    assert again.reused_tasks == plan.parts
    assert again.received == first.received
    assert again.files == first.files
    assert digests(tmp_path / "out") == before


@pytest.mark.parametrize("grouped", [False, True])
def test_only_what_is_missing_runs_again(engine: Engine, tmp_path: Path, grouped: bool) -> None:
    plan = words(grouped=grouped, marks=tmp_path)
    first = engine.run(plan, tmp_path / "out")
    before = digests(tmp_path / "out")
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("part-*")}
    contract.forget(tmp_path / "out", part_key(plan, 1))
    contract.forget(tmp_path / "out", "words-done")
    again = engine.run(plan, tmp_path / "out")
    assert again.files == first.files
    assert again.received == first.received
    assert digests(tmp_path / "out") == before
    written = [path.name for path, when in kept.items() if path.stat().st_mtime_ns != when]
    assert written == ["part-00001.parquet"]
    if not grouped:
        assert [path.read_text() for path in sorted(tmp_path.glob("ran-*"))] == ["x", "xx", "x"]


def test_faulty_records_are_set_apart(engine: Engine, tmp_path: Path) -> None:
    plan = words(grouped=False, map=contract.hates_foxes, map_fault=contract.pardon)
    result = engine.run(plan, tmp_path / "out")
    assert digests(tmp_path / "out") == reference(plan, tmp_path / "expected")
    found = [
        one
        for entry in result.files["rows"]
        for one in pq.read_table(tmp_path / "out" / entry.path)["word"].to_pylist()
    ]
    assert found.count("LookupError: a fox") == 6 * WORDS.count("fox")
    assert len(found) == 6 * len(WORDS)


def test_faulty_records_in_emit_are_set_apart(engine: Engine, tmp_path: Path) -> None:
    plan = words(
        grouped=False,
        emit=contract.emit_hating_dogs,
        emit_fault=contract.emit_pardon,
        outputs={"rows": Output(ROWS), "errors": Output(contract.ERRORS)},
    )
    result = engine.run(plan, tmp_path / "out")
    assert digests(tmp_path / "out") == reference(plan, tmp_path / "expected")
    assert sum(entry.rows for entry in result.files["errors"]) == 6 * WORDS.count("dog")


@pytest.mark.parametrize(
    ("more", "error", "message"),
    [
        ({"emit": contract.wrong_schema}, PlanError, "words: output 'rows' has schema"),
        ({"emit": contract.loses_a_row, "conserve": ("rows",)}, PlanError, "it must have one row for"),
        ({"map": contract.hates_foxes}, LookupError, "^'a fox'$|^a fox$"),
        ({"read": contract.unreadable}, OSError, r"^\[Errno 28\] shard-\d cannot be read$"),
        ({"read": contract.bad_shard}, Exception, r"shard shard-\d is bad"),
    ],
    ids=["schema", "lost row", "map", "read", "unpicklable"],
)
def test_errors_surface_as_themselves(
    engine: Engine, tmp_path: Path, more: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        engine.run(words(grouped=False, **more), tmp_path / "out")
    assert error is Exception or type(caught.value) is error
    assert not isinstance(caught.value, OSError) or caught.value.errno == 28


def test_mapped_rows_of_another_schema_are_refused(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="words: mapped rows have schema"):
        engine.run(words(grouped=True, map=contract.wrong_map), tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize("started", [(name, 2) for name in MOVERS], indirect=True, ids=MOVERS)
@pytest.mark.parametrize("grouped", [False, True])
def test_every_transform_saw_every_row(engine: Any, tmp_path: Path, grouped: bool) -> None:
    engine.run(words((4, 0, 3), grouped=grouped), tmp_path / "out")
    rows = 7 * len(WORDS)
    counts = dict(engine.counts)
    shuffled = counts.pop("shuffle")
    assert counts == {"read": rows, "map": rows, "emit": rows}
    assert shuffled == rows or not grouped


@pytest.mark.parametrize("grouped", [False, True])
def test_progress_ends_with_all_parts(engine: Engine, engines: Engines, tmp_path: Path, grouped: bool) -> None:
    plan = words(grouped=grouped)
    engine.run(plan, tmp_path / "out")
    told = [(done, total) for name, done, total in engines.seen.told if name == "words"]
    assert told[-1] == (plan.parts, plan.parts)
    assert told == sorted(told)
