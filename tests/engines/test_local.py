"""The contract every engine keeps: same bytes whatever the workers, groups whole, finished tasks never repeated."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.document import document_id, partitions_of
from pipelines.engines.local import LocalEngine
from pipelines.engines.plan import GroupBy, Output, Plan, PlanError, Shard

ROWS = pa.schema([("id", pa.string()), ("word", pa.string()), ("shard", pa.int32())])
COUNTS = pa.schema([("word", pa.string()), ("count", pa.int64())])
TEXT = "the quick brown fox jumps over the lazy dog and the cat sat on the mat"
WORDS = TEXT.split()


def read(shard: Shard) -> Iterator[pa.Table]:
    ran = Path(shard.payload) / f"ran-{shard.index}"
    ran.write_text(ran.read_text() + "x" if ran.exists() else "x")
    rows = [
        {"id": document_id("s", f"{shard.index}/{n}", word.encode()), "word": word, "shard": shard.index}
        for n, word in enumerate(WORDS * (shard.index + 1))
    ]
    for start in range(0, len(rows), 7):
        yield pa.Table.from_pylist(rows[start : start + 7], ROWS)


def upper(table: pa.Table) -> pa.Table:
    return table.set_column(1, "word", pc.utf8_upper(table["word"]))


def by_word(table: pa.Table, partitions: int) -> pa.Array:
    numbers = [hashlib.md5(word.encode()).digest()[0] % partitions for word in table["word"].to_pylist()]
    return pa.array(numbers, pa.int32())


def count(table: pa.Table) -> dict[str, pa.Table]:
    return {"counts": table.group_by("word").aggregate([([], "count_all")]).rename_columns(COUNTS.names).cast(COUNTS)}


def keep(table: pa.Table) -> dict[str, pa.Table]:
    return {"rows": table}


def plan(marks: Path, shards: int = 3, *, grouped: bool) -> Plan:
    return Plan(
        name="words",
        shards=[Shard(n, f"shard-{n}", str(marks)) for n in range(shards)],
        read=read,
        map=upper,
        group=GroupBy(ROWS, 4, by_word, ("word",), ("word", "id")) if grouped else None,
        emit=count if grouped else keep,
        outputs={"counts": Output(COUNTS, ("word",))} if grouped else {"rows": Output(ROWS)},
    )


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.parquet"))
    }


@pytest.mark.parametrize("grouped", [False, True])
def test_bytes_do_not_depend_on_workers(tmp_path: Path, grouped: bool) -> None:
    seen = []
    for workers in (1, 2):
        marks = tmp_path / f"marks-{workers}"
        marks.mkdir()
        engine = LocalEngine(workers)
        result = engine.run(plan(marks, grouped=grouped), tmp_path / f"out-{workers}")
        engine.close()
        assert result.received == len(WORDS) * 6
        seen.append(digests(tmp_path / f"out-{workers}"))
    assert seen[0] == seen[1]
    assert len(seen[0]) == (4 if grouped else 3)


def test_groups_are_whole_and_sums_close(tmp_path: Path) -> None:
    result = LocalEngine(1).run(plan(tmp_path, grouped=True), tmp_path / "out")
    tables = [pq.read_table(tmp_path / "out" / entry.path) for entry in result.files["counts"]]
    counted = {row["word"]: row["count"] for table in tables for row in table.to_pylist()}
    assert sum(table.num_rows for table in tables) == len(counted)
    assert counted == {word.upper(): WORDS.count(word) * 6 for word in WORDS}


@pytest.mark.parametrize("grouped", [False, True])
def test_finished_tasks_are_not_repeated(tmp_path: Path, grouped: bool) -> None:
    first = LocalEngine(1).run(plan(tmp_path, grouped=grouped), tmp_path / "out")
    before = digests(tmp_path / "out")
    again = LocalEngine(1).run(plan(tmp_path, grouped=grouped), tmp_path / "out")
    assert [path.read_text() for path in sorted(tmp_path.glob("ran-*"))] == ["x", "x", "x"]
    assert again.reused_tasks == (4 if grouped else 3)
    assert again.files == first.files
    assert digests(tmp_path / "out") == before


def test_a_damaged_note_runs_its_task_again(tmp_path: Path) -> None:
    LocalEngine(1).run(plan(tmp_path, grouped=False), tmp_path / "out")
    before = digests(tmp_path / "out")
    for name in ("words-00001", "words-done"):
        (tmp_path / "out" / "_tasks" / f"{name}.json").write_text('{"received": 3')
    result = LocalEngine(1).run(plan(tmp_path, grouped=False), tmp_path / "out")
    assert result.reused_tasks == 2
    assert digests(tmp_path / "out") == before


def wrong(table: pa.Table) -> dict[str, pa.Table]:
    return {"rows": table.drop_columns(["shard"])}


def test_another_schema_is_refused_with_the_name(tmp_path: Path) -> None:
    bad = plan(tmp_path, grouped=False)
    bad = Plan(bad.name, bad.shards, bad.read, wrong, bad.outputs)
    with pytest.raises(PlanError, match="words: output 'rows' has schema"):
        LocalEngine(1).run(bad, tmp_path / "out")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=20), max_size=50), st.integers(1, 300))
def test_partitions_are_in_range_and_a_function_of_the_id(contents: list[bytes], partitions: int) -> None:
    ids = [document_id("s", "u", content) for content in contents]
    numbers = partitions_of(pa.array(ids, pa.string()), partitions).to_pylist()
    assert numbers == [int(one[:8], 16) * partitions >> 32 for one in ids]
    assert all(0 <= number < partitions for number in numbers)
    sliced = pa.array(["x", *ids], pa.string())[1:]
    assert partitions_of(sliced, partitions).to_pylist() == numbers


def test_partitions_are_even() -> None:
    ids = pa.array([document_id("s", str(n), b"") for n in range(20_000)])
    counts = np.bincount(partitions_of(ids, 8).to_numpy(), minlength=8)
    assert counts.min() > 2300
    assert counts.max() < 2700


def sleepy(shard: Shard) -> Iterator[pa.Table]:
    (Path(shard.payload) / f"pid-{shard.index}").write_text(str(os.getpid()))
    time.sleep(60)
    yield ROWS.empty_table()


def drive(folder: str) -> None:
    base = Path(folder)
    LocalEngine(2).run(
        Plan("sleepy", [Shard(n, f"s{n}", folder) for n in range(2)], sleepy, keep, {"rows": Output(ROWS)}),
        base / "out",
    )


def test_a_killed_driver_leaves_no_worker_behind(tmp_path: Path) -> None:
    driver = multiprocessing.get_context("spawn").Process(target=drive, args=(str(tmp_path),))
    driver.start()
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("pid-*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.1)
    workers = [int(path.read_text()) for path in tmp_path.glob("pid-*")]
    assert len(workers) == 2
    driver.kill()
    driver.join()
    while any(alive(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in workers)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
