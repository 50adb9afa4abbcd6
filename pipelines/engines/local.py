"""The embedded engine: a pool of processes on this machine, shuffles spilled to disk."""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipelines.engines import task
from pipelines.engines.plan import Plan, PlanResult, Progress, Shard, TaskResult
from pipelines.storage import write_bytes

log = logging.getLogger(__name__)


Job = tuple[Callable[..., TaskResult], tuple[Any, ...]]
"""A function of a task and its arguments."""


def _quiet(name: str, done: int, total: int) -> None:
    return None


class LocalEngine:
    """Runs tasks in `workers` processes (in this process when it is one).

    Every finished task leaves a note under `_tasks/`; a plan run again into the same folder repeats none of them.
    """

    name = "local"

    def __init__(self, workers: int | None = None, progress: Progress | None = None) -> None:
        """`workers` defaults to the cores this process may use."""
        self.workers = workers or len(os.sched_getaffinity(0))
        self._progress = progress or _quiet
        self._pool: ProcessPoolExecutor | None = None

    def run(self, plan: Plan, folder: Path) -> PlanResult:
        """Run a plan; see `Engine.run`."""
        folder.mkdir(parents=True, exist_ok=True)
        notes = folder / "_tasks"
        notes.mkdir(exist_ok=True)
        result = PlanResult(files={name: [] for name in plan.outputs})
        if plan.group is None:
            jobs = {f"{plan.name}-{shard.index:05d}": (task.run_shard, (plan, shard, folder)) for shard in plan.shards}
            finished = self._all(plan.name, jobs, notes, result)
            result.received = sum(one.received for one in finished)
        else:
            spill = folder / "_spill" / plan.name
            spill.mkdir(parents=True, exist_ok=True)
            writes: dict[str, Job] = {
                f"{plan.name}-map-{shard.index:05d}": (_spill_shard, (plan, shard, spill)) for shard in plan.shards
            }
            spilled = self._all(plan.name + " · read", writes, notes, result)
            reads: dict[str, Job] = {
                f"{plan.name}-group-{partition:05d}": (
                    task.run_partition,
                    (plan, partition, sorted(spill.glob(f"*-{partition:05d}.arrow")), folder),
                )
                for partition in range(plan.group.partitions)
            }
            finished = self._all(plan.name, reads, notes, result)
            result.received = sum(one.received for one in spilled)
            shutil.rmtree(folder / "_spill")
        for one in finished:
            for name, files in one.files.items():
                result.files[name] += files
        return result

    def _all(
        self,
        label: str,
        jobs: dict[str, Job],
        notes: Path,
        result: PlanResult,
    ) -> list[TaskResult]:
        """Run jobs that have no note yet; return all results in the order given."""
        done: dict[str, TaskResult] = {}
        for key in jobs:
            note = notes / f"{key}.json"
            if note.exists():
                try:
                    done[key] = TaskResult.model_validate_json(note.read_bytes())
                    result.reused_tasks += 1
                except ValidationError:
                    log.warning("%s is damaged; its task runs again", note)
        self._progress(label, len(done), len(jobs))

        def finish(key: str, one: TaskResult) -> None:
            write_bytes(notes / f"{key}.json", one.model_dump_json().encode())
            done[key] = one
            self._progress(label, len(done), len(jobs))

        todo = [key for key in jobs if key not in done]
        if self.workers == 1 or len(todo) == 1:
            for key in todo:
                function, arguments = jobs[key]
                finish(key, function(*arguments))
        else:
            self._in_pool({key: jobs[key] for key in todo}, finish)
        return [done[key] for key in jobs]

    def _in_pool(
        self,
        jobs: dict[str, Job],
        finish: Callable[[str, TaskResult], None],
    ) -> None:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self.workers,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_end_with,
                initargs=(os.getpid(),),
            )
        pending: dict[Future[TaskResult], str] = {
            self._pool.submit(function, *arguments): key for key, (function, arguments) in jobs.items()
        }
        try:
            while pending:
                ready, _ = wait(pending, return_when=FIRST_COMPLETED)
                for future in ready:
                    finish(pending.pop(future), future.result())
        finally:
            for future in pending:
                future.cancel()

    def close(self) -> None:
        """Stop the workers."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


def _end_with(parent: int) -> None:
    """Make a worker end soon after its parent, however that ended: a killed run must leave no process behind."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _spill_shard(plan: Plan, shard: Shard, spill: Path) -> TaskResult:
    """The first half of a shuffle: map one shard and leave a file for each partition it has rows for."""
    assert plan.group is not None
    parts: dict[int, list[task.pa.Table]] = {}
    received = 0
    for table in task.mapped(plan, shard):
        received += table.num_rows
        for partition, rows in task.split(plan, table):
            parts.setdefault(partition, []).append(rows)
    for partition, tables in parts.items():
        path = spill / f"{shard.index:05d}-{partition:05d}.arrow"
        temporary = path.with_suffix(".tmp")
        task.write_ipc(temporary, tables, plan.group.schema)
        temporary.rename(path)
    return TaskResult(received=received)
