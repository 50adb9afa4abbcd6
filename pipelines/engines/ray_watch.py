"""What happens inside a Ray run, kept in one small actor: rows each transform saw, and where killed tasks were."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pipelines.engines.care import DEATHS, Care, Place
from pipelines.engines.plan import EngineError

MOST_DEATHS = 64
"""Deaths of workers on one task after which it is given up: more than isolating two poison records takes."""


class Watch:
    """The actor's state; a task that runs twice counts once.

    A task begins, says where it is, and ends. One that begins again without having ended was killed.
    """

    def __init__(self) -> None:
        self._rows: dict[str, dict[int, int]] = {}
        self._places: dict[tuple[str, int], Place] = {}
        self._deaths: dict[tuple[str, int], list[Place]] = {}

    def clear(self) -> None:
        """Forget the last plan."""
        self._rows, self._places, self._deaths = {}, {}, {}

    def begin(self, transform: str, number: int) -> list[Place]:
        """Return where earlier tries of a task were killed."""
        task = (transform, number)
        if task in self._places:
            self._deaths.setdefault(task, []).append(self._places[task])
        self._places[task] = Place(stage="start")
        return self._deaths.get(task, [])

    def at(self, transform: str, number: int, place: Place) -> None:
        """Take note of the rows a task is at."""
        self._places[(transform, number)] = place

    def end(self, transform: str, number: int, rows: int) -> None:
        """Take note of a finished task and the rows it handed on (an emit: took)."""
        self._places.pop((transform, number), None)
        self._rows.setdefault(transform, {})[number] = rows

    def counts(self) -> dict[str, int]:
        """Return the rows each transform saw."""
        return {transform: sum(rows.values()) for transform, rows in self._rows.items()}


@dataclass
class WatchedCare(Care):
    """Care that tells the watch, on whatever machine that is, where its task is."""

    watch: Any = field(default=None)
    task: tuple[str, int] = ("", 0)

    def at(self, place: Place) -> None:
        """Tell the watch what comes next, and wait until it knows: this process may not live to send it."""
        import ray

        ray.get(self.watch.at.remote(*self.task, place))


def begin(watch: Any, transform: str, number: int, name: str) -> WatchedCare:
    """Begin a task; raises EngineError when it has killed too many workers for a record to be the cause."""
    import ray

    deaths: list[Place] = ray.get(watch.begin.remote(transform, number))
    if deaths:
        last = deaths[-1]
        alone = last.stage not in ("map", "emit") and deaths.count(last) >= DEATHS
        if alone or len(deaths) >= MOST_DEATHS:
            raise EngineError(
                f"{name}: the worker of {transform} {number} ended {len(deaths)} times, the last time at {last.stage} "
                f"of batch {last.batch}; if memory ran out, give --memory, fewer --workers or hints with more memory"
            )
    return WatchedCare(tuple(deaths), watch=watch, task=(transform, number))
