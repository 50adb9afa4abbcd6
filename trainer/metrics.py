"""`metrics.jsonl`: one JSON object a training step and one a held-out evaluation, in the order they happened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypedDict

from trainer.files import write_atomic


class StepRow(TypedDict):
    """One optimizer step."""

    stage: str
    step: int
    """From 1, within the stage."""
    loss: float
    """Mean cross-entropy of the step's valid tokens, nats, without z-loss."""
    z_loss: float
    lr: float
    """peak_lr · schedule."""
    grad_norm: float
    """Before clipping."""
    skipped: bool
    """True where the gradient norm reached drop_norm and no update was made."""
    tokens: int
    """Input tokens of the stage so far."""
    tokens_per_second: float
    seconds: float
    """Wall time of the stage so far."""
    data_seconds: float
    """How long this step waited for its batch."""


class HeldOutRow(TypedDict):
    """One held-out evaluation; step 0 is before the first update."""

    stage: str
    step: int
    heldout_loss: float


class Metrics:
    """Appends rows; on opening drops the rows that a resumed run will write again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = read_metrics(path)

    def rewind(self, stages: list[str], stage: str, step: int) -> None:
        """Keep rows of the stages before `stage` (in the order of `stages`) and rows of `stage` up to `step`.

        The file is replaced atomically. `step` -1 keeps nothing of the stage itself.
        """
        place = {name: index for index, name in enumerate(stages)}
        self.rows = [
            row
            for row in self.rows
            if row["stage"] in place and (place[row["stage"]], row["step"]) <= (place[stage], step)
        ]
        text = "".join(json.dumps(row) + "\n" for row in self.rows)
        write_atomic(self.path, text.encode())

    def append(self, row: StepRow | HeldOutRow) -> None:
        """Write one row at once, so that a killed run loses none."""
        self.rows.append(dict(row))
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All whole rows of the file, none if it does not exist. A last line cut off by a kill is left out."""
    if not path.is_file():
        return []
    lines = path.read_bytes().split(b"\n")
    # Every row ends with a newline: what follows the last one was cut off while being written.
    return [json.loads(line) for line in lines[:-1] if line]
