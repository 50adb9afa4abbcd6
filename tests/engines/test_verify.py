"""A function that answers differently the second time is caught, and its step and shard are named."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from pipelines.document import document_id, partitions_of
from pipelines.engines.local import LocalEngine
from pipelines.engines.plan import GroupBy, Output, Plan, PlanError, Shard
from pipelines.engines.verify import check_again, sample

ROWS = pa.schema([("id", pa.string()), ("value", pa.int64())])
calls = itertools.count()


def read(shard: Shard) -> Iterator[pa.Table]:
    ids = [document_id("s", f"{shard.index}/{n}", b"") for n in range(20)]
    yield pa.table([pa.array(ids), pa.array(range(20), pa.int64())], schema=ROWS)


def keep(table: pa.Table) -> dict[str, pa.Table]:
    return {"rows": table}


def moody(table: pa.Table) -> pa.Table:
    return table.set_column(1, "value", pa.array([next(calls)] * table.num_rows, pa.int64()))


def by_id(table: pa.Table, partitions: int) -> pa.Array:
    return partitions_of(table["id"], partitions)


def plan(*, steady: bool, grouped: bool) -> Plan:
    return Plan(
        name="02-guess",
        shards=[Shard(n, f"shard-{n}", None) for n in range(5)],
        read=read,
        map=None if steady else moody,
        emit=keep,
        outputs={"rows": Output(ROWS)},
        group=GroupBy(ROWS, 3, by_id, ("id",), ("id",)) if grouped else None,
    )


@pytest.mark.parametrize("grouped", [False, True])
def test_a_step_that_is_not_deterministic_is_named(tmp_path: Path, grouped: bool) -> None:
    guess = plan(steady=False, grouped=grouped)
    result = LocalEngine(1).run(guess, tmp_path)
    with pytest.raises(PlanError, match=r"step 02-guess: run a second time, shard shard-\d gives another"):
        check_again(guess, result, tmp_path, 0.2)


@pytest.mark.parametrize("grouped", [False, True])
def test_a_deterministic_step_passes(tmp_path: Path, grouped: bool) -> None:
    steady = plan(steady=True, grouped=grouped)
    check_again(steady, LocalEngine(1).run(steady, tmp_path), tmp_path, 1.0)


def test_the_sample_is_a_share_at_least_one_and_always_the_same() -> None:
    steady = plan(steady=True, grouped=False)
    assert len(sample(steady, 0.01)) == 1
    assert len(sample(steady, 1.0)) == 5
    assert [one.name for one in sample(steady, 0.4)] == [one.name for one in sample(steady, 0.4)]
