"""Ray: Ray Data moves the records, Ray's own scheduler places the work, on one machine or on a cluster.

A plan becomes a chain of Ray Data operators: shards → read → map → (hash shuffle by partition) → emit and write.
Arrow blocks flow between them; Ray fuses neighbours that need the same resources. A block of a plan without a shuffle
is a whole shard, so shards must fit in a worker's memory (several times over, as text grows on the way); so must
partitions. Workers import Pomona and write to the run's folder: on a cluster it must be installed on every node, and
the folder be one that all of them reach.

`Plan.hints`: `cpus`, `gpus` and `memory` are given to the operators of the plan's functions (reading and, after a
shuffle, emitting take a CPU each); with `actors`, those run in a pool of actors of that size, so that a model is
loaded once in each. In a plan without a shuffle `map` and `emit` share a pool; in one with a shuffle the hints are
those of `map`, or of `emit` where there is no `map`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from pipelines.engines.plan import EngineError, Hints, Plan, PlanResult, Progress, TaskResult, quiet
from pipelines.engines.ray_cluster import READ_CPUS, Cluster
from pipelines.engines.ray_transforms import PART, Emit, Lasting, Map, Read, TaskFailed, Transform, shard_table
from pipelines.engines.task import Notes, part_key, write_batches

log = logging.getLogger(__name__)

MEMORY_SHARE = 0.5
"""Share of the memory that is free at the start which a local cluster may use."""


class RayEngine:
    """Runs plans on a Ray cluster: what this process is in, what `address` or RAY_ADDRESS names, or one of its own.

    `counts` holds the rows that each transform of the last plan handed on ("read", "map", "shuffle") or took ("emit").
    """

    name = "ray"

    def __init__(
        self,
        workers: int | None = None,
        progress: Progress | None = None,
        *,
        address: str | None = None,
        memory: int | None = None,
    ) -> None:
        """`workers` are the CPUs of a local cluster, by default the cores this process may use; `memory` its bytes.

        Raises EngineError when Ray is not installed or no cluster answers at `address`.
        """
        self.workers = workers or len(os.sched_getaffinity(0))
        self._memory = memory or int(psutil.virtual_memory().available * MEMORY_SHARE)
        self._progress = progress or quiet
        self._cluster = Cluster(self.workers, self._memory, address)
        self.counts: dict[str, int] = {}

    def close(self) -> None:
        """Leave the cluster; end it if it was started here."""
        self._cluster.close()

    def run(self, plan: Plan, folder: Path) -> PlanResult:
        """Run a plan; see `Engine.run`."""
        notes = Notes(folder)
        done = {part: note for part in range(plan.parts) if (note := notes.get(part_key(plan, part))) is not None}
        result = PlanResult(files={name: [] for name in plan.outputs}, reused_tasks=len(done))
        self.counts = dict.fromkeys(("read", "map", "shuffle", "emit"), 0)
        self._progress(plan.name, len(done), plan.parts)
        if len(done) < plan.parts and plan.shards:
            for part, finished in self._parts(plan, folder, frozenset(done)):
                if part in done:
                    raise EngineError(f"{plan.name}: Ray gave part {part} in two pieces; please report it")
                done[part] = finished
                self._progress(plan.name, len(done), plan.parts)
        for part in range(plan.parts):
            if part not in done:  # no row went there
                done[part] = write_batches(plan, part, [], folder)
                notes.put(part_key(plan, part), done[part])
                self._progress(plan.name, len(done), plan.parts)
            result.received += done[part].received
            result.add(done[part])
        return result

    def _parts(self, plan: Plan, folder: Path, finished: frozenset[int]) -> Iterator[tuple[int, TaskResult]]:
        """Run what is not finished; give each part's result as soon as Ray does."""
        import ray
        from ray.exceptions import RayError

        watch = self._cluster.watch()
        try:
            with self._cluster.settings():
                dataset = self._dataset(plan, folder, finished, watch)
                for batch in dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
                    if batch.num_rows:
                        results = map(TaskResult.model_validate_json, batch["result"].to_pylist())
                        yield from zip(batch["part"].to_pylist(), results, strict=True)
        except RayError as error:
            raise _cause(plan, error) from None
        self.counts |= ray.get(watch.counts.remote())
        self._check(plan)

    def _check(self, plan: Plan) -> None:
        """Whatever was handed on must have arrived: the watch counts at both ends."""
        handed = self.counts["map" if plan.map or plan.group else "read"]
        if self.counts["emit"] != handed:
            raise EngineError(
                f"{plan.name}: {handed} rows went to emit and {self.counts['emit']} arrived; Ray lost or doubled some: "
                "run again, and please report it if it stays"
            )

    def _dataset(self, plan: Plan, folder: Path, finished: frozenset[int], watch: Any) -> Any:
        """Build the chain of operators; nothing runs yet."""
        import ray

        shards = [one for one in plan.shards if plan.group or one.index not in finished]
        rows = ray.data.from_arrow([shard_table(one) for one in shards])
        hints = self._cluster.fitted(plan.hints, plan.name)
        emit = Emit.of(plan, watch, folder, self._memory // self.workers // 2)
        # Actors hold their CPUs, and must not starve what feeds them.
        rows = _mapped(rows, Read.of(plan, watch), Hints(cpus=READ_CPUS if hints.actors else 1))
        if plan.group is None:
            rest = (Map.of(plan, watch), emit) if plan.map else (emit,)
            return _mapped(rows, rest, hints)
        rows = _mapped(rows, Map.of(plan, watch, finished), hints if plan.map else Hints())
        borders = [part + 0.5 for part in range(max(1, plan.group.partitions - 1))]
        rows = rows.sort(PART, boundaries=borders)  # given its borders, a sort is a shuffle: one block a partition
        return _mapped(rows, emit, Hints() if plan.map else hints)


def _mapped(rows: Any, transform: Transform | tuple[Transform, ...], hints: Hints) -> Any:
    """Add one operator: tasks, or actors where the hints ask for them."""
    import ray

    options: dict[str, Any] = {"num_cpus": hints.cpus, "batch_size": None, "batch_format": "pyarrow"}
    if hints.gpus:
        options["num_gpus"] = hints.gpus
    if hints.memory:
        options["memory"] = hints.memory
    transforms = transform if isinstance(transform, tuple) else (transform,)
    # `map_batches` itself refuses whole blocks where there are GPUs: our functions are given batches of their own.
    if hints.actors is None:
        for one in transforms:
            rows = rows.map_batches_internal(one, **options)
        return rows
    fewest, most = hints.actors
    pool = ray.data.ActorPoolStrategy(min_size=fewest, max_size=most)
    return rows.map_batches_internal(Lasting, fn_constructor_args=transforms, compute=pool, **options)


def _cause(plan: Plan, error: BaseException) -> Exception:
    """Find what a worker raised under what Ray made of it."""
    seen: BaseException | None = error
    while seen is not None:
        inner = getattr(seen, "cause", None)  # Ray's errors are of the cause's type too, but do not hold what it holds
        if isinstance(inner, TaskFailed):
            return inner.error
        if isinstance(seen, TaskFailed):
            return seen.error
        seen = seen.__cause__ or (inner if isinstance(inner, BaseException) else None)
    return EngineError(f"{plan.name}: Ray stopped: {type(error).__name__}: {str(error).strip().splitlines()[-1]}")
