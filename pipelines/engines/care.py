"""Isolate poison: a record that makes a function raise, or kills its worker, is found by halving its batch."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
from pydantic import BaseModel

from pipelines.engines.plan import EngineError, PlanError
from pipelines.storage import StorageError

T = TypeVar("T")

DEATHS = 3
"""Deaths of a worker on one and the same record that make it poison: one or two may be anybody's `kill`."""
MOST_FAULTS = 1000
"""Faulty records of one task after which the fault is no longer the records'."""

_ADDRESS = re.compile(r"0x[0-9a-f]{4,}")

OURS = (PlanError, EngineError, StorageError, OSError)
"""Errors that say nothing about the record: a broken contract, a full disk, a store out of reach."""


class Place(BaseModel, frozen=True):
    """What a task is at: rows `start` to `stop` of a batch in one of its stages (read, map, emit, write)."""

    stage: str
    batch: int = 0
    start: int = 0
    stop: int = 0


class TooManyFaults(EngineError):
    """So many records of one task fail that the step itself must be at fault."""


@dataclass
class Care:
    """How one try of a task goes about its rows, knowing where earlier tries were killed.

    `mark`, where given, is a file that always says which rows the task is at, for whoever finds its worker dead.
    """

    deaths: tuple[Place, ...] = ()
    mark: Path | None = None
    faults: int = field(default=0, init=False)

    def at(self, place: Place) -> None:
        """Leave a note of what comes next."""
        if self.mark is not None:
            self.mark.write_text(place.model_dump_json())

    def apply(
        self,
        function: Callable[[pa.Table], T],
        fault: Callable[[pa.Table, list[str]], T] | None,
        batch: pa.Table,
        stage: str,
        number: int,
    ) -> list[T]:
        """Apply a function to a batch, or to its halves where the whole fails; `fault` answers for single bad rows.

        Returns the answers in order of the rows. Without `fault` an error is raised as it is.
        """
        if fault is None:
            self.at(Place(stage=stage, batch=number, stop=batch.num_rows))
            return [function(batch)]
        return self._halved(function, fault, batch, Place(stage=stage, batch=number, stop=batch.num_rows))

    def _halved(
        self,
        function: Callable[[pa.Table], T],
        fault: Callable[[pa.Table, list[str]], T],
        batch: pa.Table,
        place: Place,
    ) -> list[T]:
        rows = batch.slice(place.start, place.stop - place.start)
        deaths = self.deaths.count(place)
        if deaths >= DEATHS and rows.num_rows == 1:
            self.faults += 1
            return [fault(rows, [f"its worker died {DEATHS} times on this record alone"])]
        if not deaths or rows.num_rows <= 1:
            self.at(place)
            try:
                return [function(rows)]
            except OURS:
                raise
            except Exception as error:  # whatever a record provokes is that record's, once it is alone
                if rows.num_rows == 0:
                    raise
                if rows.num_rows == 1:
                    self.faults += 1
                    if self.faults > MOST_FAULTS:
                        raise TooManyFaults(
                            f"more than {MOST_FAULTS} records fail, the last with {told(error)}"
                        ) from error
                    return [fault(rows, [told(error)])]
        middle = (place.start + place.stop) // 2
        first = place.model_copy(update={"stop": middle})
        second = place.model_copy(update={"start": middle})
        return [*self._halved(function, fault, batch, first), *self._halved(function, fault, batch, second)]


def told(error: BaseException) -> str:
    """Return an error as text that is the same in every process: type and message, memory addresses struck out."""
    return f"{type(error).__name__}: {_ADDRESS.sub('0x…', str(error))}"[:500]
