"""Progress on the terminal: bars where someone looks, plain lines where a log is written."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

PLAIN_SECONDS = 10.0
"""Without a terminal, a long task says where it is this often."""


class Bars:
    """One bar a plan that is running; finished ones give way to a line said about the step."""

    def __init__(self, console: Console) -> None:
        """Draw on `console` when it is a terminal."""
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._ids: dict[str, int] = {}
        self._spoken = time.monotonic()

    def __enter__(self) -> Self:
        """Start drawing."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop drawing."""
        self._progress.stop()

    def tasks(self, name: str, done: int, total: int) -> None:
        """Show that `done` of `total` tasks of a plan are finished."""
        self._show(name, done, total, "")

    def crawl(self, name: str, done: int, total: int, note: str) -> None:
        """Show a crawl: pages done of the budget, with a note (hosts, pages a second, bytes)."""
        self._show(f"crawl {name}", done, total, note)

    def say(self, line: str) -> None:
        """Print a line above the bars."""
        for name in list(self._ids):
            self._progress.remove_task(self._ids.pop(name))  # pyright: ignore[reportArgumentType]
        self._console.print(line, soft_wrap=True)

    def _show(self, name: str, done: int, total: int, note: str) -> None:
        if name not in self._ids:
            self._ids[name] = self._progress.add_task(name, total=total, note=note)
        self._progress.update(self._ids[name], completed=done, total=total, note=note)  # pyright: ignore[reportArgumentType]
        if not self._console.is_terminal and time.monotonic() - self._spoken > PLAIN_SECONDS:
            self._spoken = time.monotonic()
            self._console.print(f"{name}: {done} of {total} {note}".rstrip(), soft_wrap=True)
