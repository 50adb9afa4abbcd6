"""What is the local engine's own: notes that are damaged, workers that end with their driver. The rest is contract."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from pipelines.engines.local import LocalEngine, largest_first
from pipelines.engines.plan import Output, Plan, Shard
from tests.engines.contract import ROWS, digests, keep, words


def test_a_damaged_note_runs_its_task_again(tmp_path: Path) -> None:
    LocalEngine(1).run(words(grouped=False), tmp_path / "out")
    before = digests(tmp_path / "out")
    for name in ("words-00001", "words-done"):
        (tmp_path / "out" / "_tasks" / f"{name}.json").write_text('{"received": 3')
    result = LocalEngine(1).run(words(grouped=False), tmp_path / "out")
    assert result.reused_tasks == 2
    assert digests(tmp_path / "out") == before


def test_the_largest_shards_go_first() -> None:
    plan = words((1, 5, 2, 5), grouped=False)
    assert [shard.index for shard in largest_first(plan)] == [1, 3, 2, 0]


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
