"""Poison is found by halving: one bad record costs one record, whatever the batch, and is told with its cause."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.engines.care import DEATHS, Care, Place, TooManyFaults
from pipelines.engines.local import LocalEngine
from pipelines.engines.plan import EngineError, GroupBy, Output, Plan, PlanError, Shard
from pipelines.engines.task import run_shard

ROWS = pa.schema([("id", pa.int64()), ("error", pa.string())])


def numbers(values: list[int]) -> pa.Table:
    return pa.table({"id": pa.array(values, pa.int64()), "error": pa.nulls(len(values), pa.string())}, schema=ROWS)


def fault(rows: pa.Table, errors: list[str]) -> pa.Table:
    return rows.set_column(1, "error", pa.array(errors, pa.string()))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 1000), max_size=200), st.sets(st.integers(0, 1000), max_size=8))
def test_every_record_is_answered_in_order_and_only_bad_ones_fail(values: list[int], bad: set[int]) -> None:
    def function(rows: pa.Table) -> pa.Table:
        found = sorted(set(rows["id"].to_pylist()) & bad)
        if found:
            raise ValueError(f"cannot take {len(found)} of these")
        return rows

    table = pa.concat_tables(Care().apply(function, fault, numbers(values), "map", 0))
    assert table["id"].to_pylist() == values
    said = [one is not None for one in table["error"].to_pylist()]
    assert said == [value in bad for value in values]


def test_a_fault_says_type_and_message_but_no_address() -> None:
    def function(rows: pa.Table) -> pa.Table:
        raise TypeError(f"not this: {object()}")

    table = pa.concat_tables(Care().apply(function, fault, numbers([1]), "map", 0))
    assert table["error"].to_pylist() == ["TypeError: not this: <object object at 0x…>"]


@pytest.mark.parametrize("error", [PlanError("broken"), OSError(28, "No space left on device"), EngineError("gone")])
def test_what_is_not_the_records_fault_is_raised(error: Exception) -> None:
    def function(rows: pa.Table) -> pa.Table:
        raise error

    with pytest.raises(type(error)):
        Care().apply(function, fault, numbers([1, 2, 3]), "map", 0)


def test_a_batch_that_does_not_fit_into_memory_is_taken_in_halves() -> None:
    def function(rows: pa.Table) -> pa.Table:
        if rows.num_rows > 10:
            raise MemoryError("cannot allocate")
        return rows

    table = pa.concat_tables(Care().apply(function, fault, numbers(list(range(100))), "map", 0))
    assert table["error"].null_count == 100
    assert table["id"].to_pylist() == list(range(100))


def test_without_an_answer_for_faults_the_error_is_raised_as_it_is() -> None:
    def function(rows: pa.Table) -> pa.Table:
        raise ZeroDivisionError("no words")

    with pytest.raises(ZeroDivisionError, match="no words"):
        Care().apply(function, None, numbers([1, 2]), "map", 0)


def test_a_step_that_fails_on_everything_is_stopped() -> None:
    def function(rows: pa.Table) -> pa.Table:
        raise KeyError("column")

    with pytest.raises(TooManyFaults, match="more than 1000 records fail, the last with KeyError"):
        Care().apply(function, fault, numbers(list(range(3000))), "map", 0)


def test_a_range_that_killed_is_halved_and_a_record_that_killed_three_times_is_poison() -> None:
    seen: list[list[int]] = []

    def function(rows: pa.Table) -> pa.Table:
        seen.append(rows["id"].to_pylist())
        return rows

    def place(start: int, stop: int) -> Place:
        return Place(stage="map", batch=0, start=start, stop=stop)

    Care((place(0, 4), place(0, 2), place(0, 1))).apply(function, fault, numbers([7, 8, 9, 10]), "map", 0)
    assert seen == [[7], [8], [9, 10]]  # one death may be anybody's kill: the record is tried again
    poison = Care((place(0, 4), place(0, 2), *[place(0, 1)] * DEATHS))
    table = pa.concat_tables(poison.apply(function, fault, numbers([7, 8, 9, 10]), "map", 0))
    assert table["error"].to_pylist() == [f"its worker died {DEATHS} times on this record alone", None, None, None]
    assert poison.faults == 1


COUNT = 300


def read(shard: Shard) -> Iterator[pa.Table]:
    for start in range(0, COUNT, 64):
        yield numbers(list(range(shard.index * 1000 + start, shard.index * 1000 + min(COUNT, start + 64))))


def raises(table: pa.Table) -> pa.Table:
    for value in table["id"].to_pylist():
        if value in (1010, 1077):
            raise ValueError(f"record {value} is poison")
    return table


def kills(table: pa.Table) -> pa.Table:
    if 1010 in table["id"].to_pylist():
        os.kill(os.getpid(), signal.SIGSEGV)
    return table


def keep(table: pa.Table) -> dict[str, pa.Table]:
    return {"rows": table}


def same(table: pa.Table, partitions: int) -> pa.Array:
    return pc.cast(pc.bit_wise_and(table["id"], 1), pa.int32()).combine_chunks()


def plan(function: object, *, grouped: bool) -> Plan:
    return Plan(
        name="poisoned",
        shards=[Shard(n, f"shard-{n}", None) for n in range(2)],
        read=read,
        map=function,  # type: ignore[arg-type]
        map_fault=fault,
        emit=keep,
        outputs={"rows": Output(ROWS)},
        group=GroupBy(ROWS, 2, same, ("id",), ("id",)) if grouped else None,
    )


@pytest.mark.parametrize("grouped", [False, True])
def test_records_that_raise_are_isolated(tmp_path: Path, grouped: bool) -> None:
    result = LocalEngine(1).run(plan(raises, grouped=grouped), tmp_path)
    table = pa.concat_tables([pq.read_table(tmp_path / one.path) for one in result.files["rows"]])
    bad = table.filter(pc.is_valid(table["error"]))
    assert sorted(bad["id"].to_pylist()) == [1010, 1077]
    assert table.num_rows == result.received == 2 * COUNT


@pytest.mark.slow
def test_a_record_that_kills_its_worker_is_isolated_and_the_run_goes_on(tmp_path: Path) -> None:
    engine = LocalEngine(2)
    result = engine.run(plan(kills, grouped=False), tmp_path)
    engine.close()
    table = pa.concat_tables([pq.read_table(tmp_path / one.path) for one in result.files["rows"]])
    bad = table.filter(pc.is_valid(table["error"])).to_pylist()
    assert bad == [{"id": 1010, "error": f"its worker died {DEATHS} times on this record alone"}]
    assert table.num_rows == 2 * COUNT


def dies(shard: Shard) -> Iterator[pa.Table]:
    os.kill(os.getpid(), signal.SIGKILL)
    yield numbers([])


def test_a_worker_that_dies_before_any_record_stops_the_run_with_the_shard_and_what_to_do(tmp_path: Path) -> None:
    engine = LocalEngine(1, isolate=True)
    bad = Plan("reads", [Shard(0, "s", None)], dies, keep, {"rows": Output(ROWS)})
    with pytest.raises(EngineError, match=r"task reads-00000: its worker ended 3 times .*SIGKILL.*--memory"):
        engine.run(bad, tmp_path)
    engine.close()


def short(table: pa.Table) -> dict[str, pa.Table]:
    return {"rows": table.slice(1)}


def test_a_step_that_loses_a_row_is_named(tmp_path: Path) -> None:
    bad = Plan("loses", [Shard(0, "s", None)], read, short, {"rows": Output(ROWS)}, conserve=("rows",))
    with pytest.raises(PlanError, match=r"loses: 64 rows came in and output 'rows' has 63"):
        run_shard(bad, bad.shards[0], tmp_path)


def test_halving_takes_few_tries() -> None:
    tries = 0

    def function(rows: pa.Table) -> pa.Table:
        nonlocal tries
        tries += 1
        if 77 in rows["id"].to_pylist():
            raise ValueError
        return rows

    Care().apply(function, fault, numbers(list(range(4096))), "map", 0)
    assert tries <= 2 * math.log2(4096) + 1
