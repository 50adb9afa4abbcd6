"""The embedded engine: processes on this machine, shuffles spilled to disk, memory bounded."""

from __future__ import annotations

import logging
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pyarrow as pa
from pydantic import ValidationError

from pipelines.document import concat
from pipelines.engines.care import DEATHS, Care, Place
from pipelines.engines.plan import EngineError, Plan, PlanResult, Progress, Shard, TaskResult, quiet
from pipelines.engines.pool import Call, Died, Done, Pool
from pipelines.engines.sorting import merged, read_ipc, write_ipc
from pipelines.engines.task import Notes, mapped, part_key, plan_key, run_partition, run_shard, split
from pipelines.ledger import sort
from pipelines.storage import FileEntry, remove, scratch

log = logging.getLogger(__name__)

MOST_DEATHS = 64
"""Deaths of workers on one task after which it is given up: more than isolating two poison records takes."""
MEMORY_SHARE = 0.5
"""Share of the memory that is free at the start which all workers together may fill with rows."""

Job = Callable[[Care], Call]
"""What a task calls, given where it has to take care."""


class LocalEngine:
    """Runs tasks in `workers` processes, or in this process when `isolate` is false and there is one worker.

    The largest shards go first. A worker that dies costs the task it was at, which is tried again; records that kill
    are found by halving batches. Rows beyond `memory` bytes (for all workers together) are sorted on disk.
    """

    name = "local"

    def __init__(
        self,
        workers: int | None = None,
        progress: Progress | None = None,
        *,
        memory: int | None = None,
        isolate: bool = False,
    ) -> None:
        """`workers` defaults to the cores this process may use, `memory` to half of what is free."""
        self.workers = workers or len(os.sched_getaffinity(0))
        free = memory or int(psutil.virtual_memory().available * MEMORY_SHARE)
        self._memory = max(1 << 20, free // self.workers)
        self._progress = progress or quiet
        self._pool = Pool(self.workers) if self.workers > 1 or isolate else None

    def run(self, plan: Plan, folder: Path) -> PlanResult:
        """Run a plan; see `Engine.run`."""
        notes = Notes(folder)
        whole = f"{plan_key(plan)}-done"
        if (before := notes.get(whole)) is not None:  # its spills are gone, and nothing of it has to be read
            result = PlanResult(before.received, reused_tasks=plan.parts)
            result.add(before)
            return result
        spills = scratch(folder, plan_key(plan))
        spills.mkdir(parents=True, exist_ok=True)
        result = PlanResult(files={name: [] for name in plan.outputs})
        if plan.group is None:
            jobs = {part_key(plan, shard.index): self._shard_job(plan, shard, folder) for shard in largest_first(plan)}
            finished = self._all(plan.name, jobs, notes, spills, result)
            result.received = sum(one.received for one in finished)
        else:
            finished = self._shuffle(plan, folder, spills, notes, result)
        for one in finished:
            result.add(one)
        notes.put(whole, TaskResult(received=result.received, files=result.files, verdicts=result.told()))
        remove(spills)
        return result

    def _shard_job(self, plan: Plan, shard: Shard, folder: Path) -> Job:
        return lambda care: (run_shard, (plan, shard, folder, care, self._memory // 2))

    def _shuffle(self, plan: Plan, folder: Path, spills: Path, notes: Notes, result: PlanResult) -> list[TaskResult]:
        assert plan.group is not None

        def write(shard: Shard) -> Job:
            return lambda care: (_spill_shard, (plan, shard, spills, care, self._memory))

        writes = {f"map-{shard.index:05d}": write(shard) for shard in largest_first(plan)}
        written = self._all(plan.name + " · read", writes, Notes(spills), spills, result)
        result.received = sum(one.received for one in written)
        runs: dict[int, list[Path]] = {number: [] for number in range(plan.group.partitions)}
        for one in written:
            for entry in one.files["spill"]:
                runs[int(entry.path.rpartition("-")[2].removesuffix(".arrow"))].append(spills / entry.path)

        def read(partition: int, paths: list[Path]) -> Job:
            return lambda care: (_join_spills, (plan, partition, paths, folder, care, self._memory))

        reads = {part_key(plan, partition): read(partition, paths) for partition, paths in runs.items()}
        return self._all(plan.name, reads, notes, spills, result)

    def _all(self, label: str, jobs: dict[str, Job], notes: Notes, marks: Path, result: PlanResult) -> list[TaskResult]:
        """Run jobs that have no note yet, in the order given; return all results in the order of their numbers."""
        done = {key: found for key in jobs if (found := notes.get(key)) is not None}
        result.reused_tasks += len(done)
        self._progress(label, len(done), len(jobs))
        for key, one in self._results({key: job for key, job in jobs.items() if key not in done}, marks):
            notes.put(key, one)
            done[key] = one
            self._progress(label, len(done), len(jobs))
        return [done[key] for key in sorted(jobs, key=lambda key: int(key.rpartition("-")[2]))]

    def _results(self, jobs: dict[str, Job], marks: Path) -> Iterator[tuple[str, TaskResult]]:
        if self._pool is None:
            for key, job in jobs.items():
                function, arguments = job(Care())
                yield key, function(*arguments)
            return
        waiting = deque(jobs)
        deaths: dict[str, list[Place]] = {}

        def following() -> tuple[str, Call] | None:
            if not waiting:
                return None
            key = waiting.popleft()
            return key, jobs[key](Care(tuple(deaths.get(key, ())), marks / f"{key}.at"))

        try:
            for ending in self._pool.run(following):
                if isinstance(ending, Done):
                    yield ending.key, ending.value
                elif isinstance(ending, Died):
                    places = deaths.setdefault(ending.key, [])
                    places.append(_place(marks / f"{ending.key}.at"))
                    _give_up(ending, places)
                    waiting.appendleft(ending.key)
                else:
                    raise ending.error
        except BaseException:  # also when the caller goes: busy workers must not go on
            self._pool.close()
            raise

    def close(self) -> None:
        """Stop the workers."""
        if self._pool is not None:
            self._pool.close()


def largest_first(plan: Plan) -> list[Shard]:
    """Order shards by size, so that none of the long tasks is the last to begin."""
    return sorted(plan.shards, key=lambda shard: (-shard.bytes, shard.index))


def _place(mark: Path) -> Place:
    """Read where a dead worker was."""
    try:
        return Place.model_validate_json(mark.read_bytes())
    except (FileNotFoundError, ValidationError):
        return Place(stage="start")


def _give_up(ending: Died, places: list[Place]) -> None:
    """Raise EngineError when a task has killed too many workers for a record to be the cause."""
    last = places[-1]
    alone = last.stage not in ("map", "emit") and places.count(last) >= DEATHS
    log.warning("%s: a worker ended (%s) at %s; the task is tried again", ending.key, _cause(ending.code), last.stage)
    if alone or len(places) >= MOST_DEATHS:
        raise EngineError(
            f"task {ending.key}: its worker ended {len(places)} times ({_cause(ending.code)}), the last time at "
            f"{last.stage} of batch {last.batch}; if memory ran out, give --memory or fewer --workers"
        )


def _cause(code: int | None) -> str:
    if code is None:
        return "for no known cause"
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return f"{name}, as when memory runs out" if name == "SIGKILL" else name


def _spill_shard(plan: Plan, shard: Shard, spills: Path, care: Care, memory: int) -> TaskResult:
    """The first half of a shuffle: map one shard and leave sorted rows for each partition it has any for.

    What exceeds the memory is left in several runs.
    """
    assert plan.group is not None
    held: dict[int, list[pa.Table]] = {}
    size = received = flushed = 0
    files: list[FileEntry] = []

    def flush() -> None:
        nonlocal held, size, flushed
        for partition, tables in sorted(held.items()):
            path = spills / f"{shard.index:05d}-{flushed:05d}-{partition:05d}.arrow"
            assert plan.group is not None
            rows = sort(concat(tables, plan.group.schema), plan.group.sort)
            write_ipc(path, [rows], plan.group.schema)
            files.append(FileEntry(path=path.name, rows=rows.num_rows, bytes=path.stat().st_size, sha256=""))
        held, size, flushed = {}, 0, flushed + 1

    for table in mapped(plan, shard, care):
        received += table.num_rows
        size += table.nbytes
        for partition, rows in split(plan, table):
            held.setdefault(partition, []).append(rows)
        if size > memory // 2:
            care.at(Place(stage="spill"))
            flush()
    care.at(Place(stage="spill"))
    flush()
    return TaskResult(received=received, files={"spill": files})


def _join_spills(plan: Plan, partition: int, paths: list[Path], folder: Path, care: Care, memory: int) -> TaskResult:
    """The second half of a shuffle: bring one partition's runs together and write its parts."""
    assert plan.group is not None
    care.at(Place(stage="merge"))
    total = sum(path.stat().st_size for path in paths)
    runs = [read_ipc(path) for path in paths]
    if total <= memory // 2:  # one sort of everything is faster than a merge
        tables = [table for run in runs for table in run]
        rows: Iterator[pa.Table] = iter([sort(concat(tables, plan.group.schema), plan.group.sort)])
    else:
        rows = merged(runs, plan.group.sort)
    return run_partition(plan, partition, rows, folder, care, memory // 2)
