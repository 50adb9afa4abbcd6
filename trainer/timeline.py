"""Where the time of each step went: waiting for its batch, or computing."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def waited(rows: Sequence[Mapping[str, Any]], stage: str) -> float:
    """Seconds that a stage's steps waited for their batches, from the rows of metrics.jsonl."""
    return sum(float(row.get("data_seconds", 0.0)) for row in rows if row["stage"] == stage and "loss" in row)


def plot_timeline(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw the milliseconds of each step, computing and waiting for data, from the rows of metrics.jsonl as PNG.

    The file is replaced atomically. Without any training row nothing is drawn.
    """
    from matplotlib.figure import Figure  # slow to import, needed once a stage

    steps = [row for row in rows if "loss" in row and "data_seconds" in row]
    if not steps:
        return
    first: dict[str, int] = {}
    waits: list[float] = []
    works: list[float] = []
    for number, row in enumerate(steps):
        first.setdefault(str(row["stage"]), number)
        whole = float(row["tokens"]) / int(row["step"]) / float(row["tokens_per_second"])
        wait = float(row["data_seconds"])
        waits.append(wait * 1e3)
        works.append(max(0.0, whole - wait) * 1e3)
    figure = Figure(figsize=(8.0, 3.5), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    share = sum(waits) / (sum(waits) + sum(works))
    x = list(range(1, len(steps) + 1))
    axes.stackplot(
        x,
        works,
        waits,
        colors=("#8fb4d9", "#c1440e"),
        labels=("computing", f"waiting for data ({share:.2%} of the time)"),
        step="mid",
    )
    # A first step compiles and warms up: it would hide all others.
    whole = sorted(wait + work for wait, work in zip(waits, works, strict=True))
    top = 1.5 * whole[int(0.98 * (len(whole) - 1))]
    axes.set_ylim(0.0, top)
    axes.set_xlim(1, max(2, len(steps)))
    for stage, number in first.items():
        if number:
            axes.axvline(number + 0.5, color="#666666", linestyle="--", linewidth=0.8)
        axes.annotate(
            stage, (number + 1, top), xytext=(4, -10), textcoords="offset points", fontsize=9, color="#444444"
        )
    axes.set_xlabel("step")
    axes.set_ylabel("milliseconds a step")
    axes.legend(loc="upper right", bbox_to_anchor=(1.0, 0.93), frameon=False)
    temporary = path.with_name(f".tmp-{path.name}-{os.getpid()}")
    figure.savefig(temporary, format="png")
    temporary.replace(path)
