"""The Beam engine: plans as Beam pipelines, on this machine or on any runner that Beam's options name."""

from __future__ import annotations

import importlib.util
import logging
import os
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import psutil

from pipelines.engines import beam_quiet
from pipelines.engines.care import DEATHS
from pipelines.engines.plan import EngineError, Plan, PlanResult, Progress, TaskResult, quiet
from pipelines.engines.task import MEMORY, Notes, part_key, plan_key
from pipelines.storage import children, remove, scratch

log = logging.getLogger(__name__)

MEMORY_SHARE = 0.5
"""Share of the memory that is free at the start which all workers on this machine together may fill with rows."""
LOOK_SECONDS = 1.0
"""How often the notes of finished parts are counted, to tell of progress."""


class BeamEngine:
    """Compiles plans to Beam transforms and has a runner move the records.

    Without `options`, or with `--runner=DirectRunner`, that is Beam's portable runner embedded in this process: all
    in this process for one worker, in worker processes that outlive the plan for more. It holds what it shuffles in
    memory, and a worker takes less than 2 GB of it: a cluster's runner is for more.

    Attributes:
        counts: rows that each transform of the last plan handed on: "read", "map", "shuffle", "emit".
        tables: the same in tables, which are the elements that Beam moves.
    """

    name = "beam"

    def __init__(
        self,
        workers: int | None = None,
        progress: Progress | None = None,
        *,
        options: Sequence[str] = (),
        memory: int | None = None,
    ) -> None:
        """`workers` defaults to the cores this process may use, `memory` (bytes, all workers) to half of what is free.

        `options` go to Beam as they are. Raises EngineError where Beam is not installed, does not know an option, or
        a server that an option names does not answer.
        """
        if importlib.util.find_spec("apache_beam") is None:
            raise EngineError("apache-beam is not installed: pip install 'pomona[beam]'")
        from pipelines.engines.beam_options import checked

        self.workers = workers or len(os.sched_getaffinity(0))
        self.counts: dict[str, int] = {}
        self.tables: dict[str, int] = {}
        self._progress = progress or quiet
        self._options = checked(options)
        free = memory or int(psutil.virtual_memory().available * MEMORY_SHARE)
        self._memory = max(1 << 20, free // self.workers)
        self._crew: Any = None
        self._deaths: list[int | None] = []

    def run(self, plan: Plan, folder: Path) -> PlanResult:
        """Run a plan; see `Engine.run`."""
        notes = Notes(folder)
        keys = [part_key(plan, part) for part in range(plan.parts)]
        done = {part: found for part, key in enumerate(keys) if (found := notes.get(key)) is not None}
        reused = len(done)
        self.counts, self.tables = {}, {}
        self._progress(plan.name, reused, len(keys))
        if reused < len(keys):
            with self._told(plan, folder, keys):
                self._finish(plan, folder, frozenset(done))
            done = {part: self._noted(plan, folder, notes, key) for part, key in enumerate(keys)}
            self._progress(plan.name, len(keys), len(keys))
        remove(scratch(folder, plan_key(plan)))
        result = PlanResult(files={name: [] for name in plan.outputs}, reused_tasks=reused)
        for part in range(len(keys)):
            result.received += done[part].received
            result.add(done[part])
        return result

    def pipeline(self, plan: Plan, folder: Path, finished: frozenset[int] = frozenset()) -> Any:
        """Return a plan's Beam pipeline, on the runner that the options name, without running it.

        Raises EngineError where the options contradict what the runner asks for.
        """
        with beam_quiet.quiet():
            import apache_beam

            from pipelines.engines.beam_transforms import Build

        local = self._options.local
        options = self._options.pipeline_options(*([f"--direct_num_workers={self.workers}"] if local else []))
        memory = self._memory if local else plan.hints.memory // 2 or MEMORY
        try:
            pipeline = apache_beam.Pipeline(runner=self._runner() if local else None, options=options)
        except (ValueError, ImportError, AttributeError) as error:
            why = " ".join(str(error).split())
            raise EngineError(f"beam: the options do not make a pipeline for {self._options.runner}: {why}") from None
        Build(plan, folder, finished, memory, self._options.hints(plan.hints))(pipeline)
        return pipeline

    def _runner(self) -> Any:
        from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

        if self.workers == 1:
            return FnApiRunner()
        from pipelines.engines.beam_workers import Crew, CrewEnvironment

        if self._crew is None:
            self._crew = Crew(self._deaths)
        return FnApiRunner(default_environment=CrewEnvironment(self._crew.name))

    def _finish(self, plan: Plan, folder: Path, finished: frozenset[int]) -> None:
        """Run the pipeline; again, for the parts that are left, where a worker died."""
        notes = Notes(folder)
        self._deaths.clear()
        while True:
            try:
                self._once(plan, folder, finished)
            except _WorkerDied as error:
                if len(self._deaths) >= DEATHS:
                    raise EngineError(
                        f"{plan.name}: workers ended {len(self._deaths)} times, with {self._deaths}; if memory "
                        "ran out, give --memory or fewer --workers; the local engine finds a record that kills"
                    ) from error
                log.warning("%s: a worker ended (%s); what was not finished is run again", plan.name, self._deaths[-1])
                parts = range(plan.parts)
                finished = frozenset(part for part in parts if notes.get(part_key(plan, part)) is not None)
            else:
                return

    def _once(self, plan: Plan, folder: Path, finished: frozenset[int]) -> None:
        from pipelines.engines.beam_transforms import NAMESPACE, STAGES, surfaced

        died = len(self._deaths)
        with beam_quiet.quiet(), self._guarded():
            pipeline = self.pipeline(plan, folder, finished)
            try:
                result = pipeline.run()
                state = result.wait_until_finish()
            except EngineError:
                raise
            except Exception as error:  # each runner raises what it likes
                text = str(error)
                found = surfaced(text)
                if found is not None:
                    raise found from None
                if len(self._deaths) > died:
                    raise _WorkerDied from error
                raise EngineError(f"{plan.name}: beam's {self._options.runner or 'runner'} failed: {text}") from error
            counters = result.metrics().query()["counters"]
        if state != "DONE":
            raise EngineError(f"{plan.name}: beam's {self._options.runner or 'runner'} ended in state {state}")
        seen = dict.fromkeys((*STAGES, *(f"{stage}-tables" for stage in STAGES)), 0)
        for counter in counters:
            if counter.key.metric.namespace == NAMESPACE:
                value = counter.committed if counter.committed is not None else counter.attempted
                seen[counter.key.metric.name] += value or 0
        self.counts = {stage: seen[stage] for stage in STAGES}
        self.tables = {stage: seen[f"{stage}-tables"] for stage in STAGES}

    def _guarded(self) -> Any:
        """Keep the embedded runner's servers to this machine."""
        if not self._options.local:
            return nullcontext()
        from pipelines.engines.beam_workers import loopback

        return loopback()

    def _noted(self, plan: Plan, folder: Path, notes: Notes, key: str) -> TaskResult:
        found = notes.get(key)
        if found is None:
            raise EngineError(
                f"{plan.name}: beam's {self._options.runner or 'runner'} finished, but part {key} is not in {folder}; "
                "its workers write there, so give a folder that they and this machine share (--out s3://... or gs://...)"
            )
        return found

    @contextmanager
    def _told(self, plan: Plan, folder: Path, keys: list[str]) -> Generator[None]:
        """Tell of progress by the notes that workers leave, wherever they are."""
        over = threading.Event()
        names = {f"{key}.json" for key in keys}

        def look() -> None:
            last = -1
            while not over.wait(LOOK_SECONDS):
                count = sum(path.name in names for path in children(folder / "_tasks", plan_key(plan)))
                if last < count < len(keys):
                    last = count
                    self._progress(plan.name, count, len(keys))

        watcher = threading.Thread(target=look, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()

    def close(self) -> None:
        """Stop the workers."""
        if self._crew is not None:
            self._crew.close()
            self._crew = None


class _WorkerDied(Exception):
    """A worker ended under the pipeline."""
