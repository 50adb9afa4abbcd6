"""What a person sees while a model trains: a progress bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

_LINES = 20  # plain lines a stage


class TrainProgress:
    """Reports of one run on a rich console; nothing is drawn on a quiet one (`Console(quiet=True)`)."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._stage, self._steps, self._heldout = "", 0, float("nan")

    def start(self, stage: str, steps: int, done: int, heldout: float) -> None:
        """A stage begins, or goes on after `done` steps."""
        self._stage, self._steps, self._heldout = stage, steps, heldout
        if self.console.is_terminal and not self.console.quiet:
            self._bar = Progress(
                TextColumn("[bold]{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[status]}"),
                TimeRemainingColumn(),
                console=self.console,
            )
            self._task = self._bar.add_task(stage, total=steps, completed=done, status=self._status(None, None, None))
            self._bar.start()
        else:
            self.say(f"{stage}: {steps} steps, {done} done, held-out loss {heldout:.4f}")

    def step(self, step: int, loss: float, lr: float, tokens_per_second: float) -> None:
        """A step is done."""
        if self._bar is not None:
            status = self._status(loss, lr, tokens_per_second)
            self._bar.update(self._task, completed=step, status=status)
        elif step % max(1, self._steps // _LINES) == 0 or step == self._steps:
            self.say(f"{self._stage}: step {step}/{self._steps} {self._status(loss, lr, tokens_per_second)}")

    def heldout(self, loss: float) -> None:
        """The held-out loss was measured."""
        self._heldout = loss

    def stop(self) -> None:
        """The stage ended, well or not."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def say(self, text: str) -> None:
        """A line of plain text (no markup: it may hold document ids or generated text)."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _status(self, loss: float | None, lr: float | None, speed: float | None) -> str:
        parts = [] if loss is None else [f"loss {loss:.4f}"]
        parts.append(f"held-out {self._heldout:.4f}")
        if lr is not None and speed is not None:
            parts.append(f"lr {lr:.2e} {speed:,.0f} tokens/s")
        return " ".join(parts)
