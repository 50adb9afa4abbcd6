"""What `pomona build --dry-run` prints of an estimate."""

from __future__ import annotations

import json
from typing import Any

from pipelines.estimate import AGAIN, CRAWL, NOTHING, RESUMES, REUSED, Estimate, Line
from pipelines.runs.amounts import bytes_text, seconds_text


def tell(found: Estimate, as_json: bool) -> None:
    """Print an estimate."""
    if as_json:
        print(json.dumps(found.as_dict()))
        return
    from rich.console import Console

    out = Console(highlight=False)
    out.print(table(found))
    for text in summary(found):
        out.print(text, soft_wrap=True)


def table(found: Estimate) -> Any:
    """Lay an estimate out for a terminal."""
    from rich.table import Table

    columns = ["step", "", "records in", "time", "written", *(["cost"] if found.price is not None else [])]
    laid = Table(*columns, box=None)
    for column in laid.columns[2:]:
        column.justify = "right"
    for line in found.lines:
        about = "" if line.exact and not line.least else "≥ " if line.least else "~ "
        cells = [line.step, _state(line), "" if line.records is None else f"{about}{line.records:,}"]
        if line.runs and line.seconds is not None and line.bytes is not None:
            mark = "≥ " if line.least else "~ "
            cells += [mark + seconds_text(line.seconds), mark + bytes_text(line.bytes)]
            if found.price is not None:
                cells.append(mark + _money(line.seconds * found.workers / 3600 * found.price))
        elif line.runs and line.state not in (CRAWL, AGAIN):
            cells += [f"[yellow]{NOTHING}[/]"]
        laid.add_row(*cells)
    return laid


def summary(found: Estimate) -> list[str]:
    """Say an estimate's sums and what they rest on, in lines."""
    running = [line for line in found.lines if line.runs]
    if not running:
        return ["everything is reused: nothing would run but the publishing of the mixture"]
    lines: list[str] = []
    if any(line.seconds is not None for line in running):
        workers = f"{found.workers} worker" + "s" * (found.workers > 1)
        mark = "about" if found.complete else "at least"
        cost = "" if found.money is None else f", {_money(found.money)} at {found.price:g} a core-hour"
        lines.append(
            f"{mark} {seconds_text(found.seconds)} with {workers} ({found.core_hours:.3g} core-hours"
            f"{cost}), {bytes_text(found.bytes)} written"
        )
        lines.append(
            "assumed: time is linear in records and falls with the number of workers, at the rates of the newest "
            f"finished steps in {found.root}"
        )
    steps = [line for line in running if line.state not in (CRAWL, AGAIN)]
    if missing := [line.step for line in steps if line.seconds is None]:
        which = f": {', '.join(missing)}" if len(missing) < len(steps) else f" in {found.root}"
        lines.append(NOTHING + which)
    if any(line.state in (CRAWL, AGAIN) for line in running):
        lines.append(
            "a crawl comes first: what it finds decides what the steps after it have to do, and is not counted"
        )
    return lines


def _money(amount: float) -> str:
    return f"{amount:.2f}" if amount >= 1 else f"{amount:.4f}"


def _state(line: Line) -> str:
    if line.state != RESUMES:
        return f"[dim]{line.state}[/]" if line.state == REUSED else line.state
    return (
        f"{RESUMES}, {line.tasks_done} of {line.tasks} tasks done"
        if line.tasks
        else f"{RESUMES}, {line.tasks_done} tasks done"
    )
