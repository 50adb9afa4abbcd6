"""Batches made ahead of the step that needs them, by threads; what comes out is what the loader gives."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from trainer.data.loader import Batch


class Ahead:
    """Gives the batch of any step, and while the caller works on it makes those of the next steps.

    A batch depends on its step alone, so that neither the number of threads nor how far they are ahead can change what
    a step sees; asking for another step than the next only throws the prepared ones away. An error in a thread is
    raised where its step is asked for.

    Args:
        batch: `MixtureLoader.batch`.
        steps: make none from this step on.
        depth: steps ahead; 0 makes every batch when it is asked for.
        threads: that make them; numpy copies tokens without holding Python's lock.
    """

    def __init__(self, batch: Callable[[int], Batch], *, steps: int, depth: int = 2, threads: int = 1) -> None:
        if depth < 0 or threads < 1:
            raise ValueError(f"depth ({depth}) must not be negative and threads ({threads}) must be positive")
        self._batch, self._steps, self._depth = batch, steps, depth
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None
        self._made: dict[int, Future[Batch]] = {}

    def take(self, step: int) -> tuple[Batch, float]:
        """The batch of a step, and the seconds that the caller waited for it."""
        began = time.perf_counter()
        if not self._depth:
            return self._batch(step), time.perf_counter() - began
        if step not in self._made:
            self._forget()
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="batches")
        wanted = range(step, max(step + 1, min(step + 1 + self._depth, self._steps)))
        for ahead in wanted:
            if ahead not in self._made:
                self._made[ahead] = self._pool.submit(self._batch, ahead)
        made = self._made.pop(step).result()
        return made, time.perf_counter() - began

    def close(self) -> None:
        """Stop the threads; a later `take` starts them again."""
        self._forget()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def _forget(self) -> None:
        for future in self._made.values():
            future.cancel()
        self._made.clear()
