"""The memory budget bounds what a worker holds, and shows in no byte."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pytest

from pipelines.document import document_id, partitions_of
from pipelines.engines.local import LocalEngine
from pipelines.engines.plan import GroupBy, Output, Plan, Shard
from tests.engines.contract import digests

ROWS = pa.schema([("id", pa.string()), ("text", pa.large_string())])
BATCHES, BATCH_ROWS, BYTES = 60, 500, 4000  # 120 MB of text in one partition


def read(shard: Shard) -> Iterator[pa.Table]:
    chance = np.random.default_rng(shard.index)
    for number in range(BATCHES):
        ids = [document_id("s", f"{shard.index}/{number}/{n}", b"") for n in range(BATCH_ROWS)]
        noise = chance.integers(97, 123, BATCH_ROWS * BYTES, np.uint8).tobytes().decode()
        texts = [noise[n * BYTES : (n + 1) * BYTES] for n in range(BATCH_ROWS)]
        yield pa.table([pa.array(ids), pa.array(texts, pa.large_string())], schema=ROWS)


def by_id(table: pa.Table, partitions: int) -> pa.Array:
    return partitions_of(table["id"], partitions)


def keep(table: pa.Table) -> dict[str, pa.Table]:
    return {"rows": table}


def run(out: str, memory: int, peak: Any) -> None:
    """Run the plan and watch the memory that is this process's own (mapped files are not)."""
    ended = threading.Event()
    process = psutil.Process()
    before = process.memory_full_info().uss

    def watch() -> None:
        while not ended.wait(0.01):
            peak.value = max(peak.value, process.memory_full_info().uss - before)

    watching = threading.Thread(target=watch)
    watching.start()
    group = GroupBy(ROWS, 1, by_id, ("id",), ("id",))
    plan = Plan("big", [Shard(0, "s", None)], read, keep, {"rows": Output(ROWS)}, group=group)
    LocalEngine(1, memory=memory).run(plan, Path(out))
    ended.set()
    watching.join()


@pytest.mark.slow
def test_a_budget_bounds_the_peak_and_gives_the_same_bytes(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    peaks = {}
    for name, memory in (("roomy", 4 << 30), ("tight", 32 << 20)):
        peak = context.Value("q", 0)
        process = context.Process(target=run, args=(str(tmp_path / name), memory, peak))
        process.start()
        process.join()
        assert process.exitcode == 0
        peaks[name] = peak.value
    assert digests(tmp_path / "roomy") == digests(tmp_path / "tight")
    # 120 MB of rows: held twice or more when there is room, hardly at all when there is not.
    assert peaks["roomy"] - peaks["tight"] > 120e6, peaks
