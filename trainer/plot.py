"""The loss curve of a run as PNG."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def plot_losses(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw training and held-out loss (nats a token) over input tokens, stages marked, from the rows of metrics.jsonl.

    The file is replaced atomically. Without any training row nothing is drawn.
    """
    from matplotlib.figure import Figure  # slow to import, needed once a stage

    offsets: dict[str, int] = {}
    ends: dict[str, int] = {}
    at: dict[tuple[str, int], int] = {}
    train: list[tuple[int, float]] = []
    heldout: list[tuple[str, int, float]] = []
    for row in rows:
        stage = str(row["stage"])
        if stage not in offsets:
            offsets[stage] = max(ends.values(), default=0)
            at[(stage, 0)] = offsets[stage]
        if "heldout_loss" in row:
            heldout.append((stage, int(row["step"]), float(row["heldout_loss"])))
            continue
        ends[stage] = offsets[stage] + int(row["tokens"])
        at[(stage, int(row["step"]))] = ends[stage]
        train.append((ends[stage], float(row["loss"])))
    if not train:
        return
    scale, unit = (
        (1e9, "billion") if train[-1][0] >= 2e9 else (1e6, "million") if train[-1][0] >= 2e5 else (1e3, "thousand")
    )

    figure = Figure(figsize=(8.0, 4.5), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    x = [tokens / scale for tokens, _ in train]
    axes.plot(x, [loss for _, loss in train], color="#8fb4d9", linewidth=0.8, label="training, each step")
    # Exponential average over about a twentieth of the run, corrected for its start so that it does not lag there.
    keep = 1.0 - 1.0 / max(4.0, len(train) / 20.0)
    smooth: list[float] = []
    total = 0.0
    for count, (_, loss) in enumerate(train, 1):
        total = keep * total + (1.0 - keep) * loss
        smooth.append(total / (1.0 - keep**count))
    axes.plot(x, smooth, color="#1f5a96", linewidth=1.6, label="training, moving average")
    points = [(at[(stage, step)] / scale, loss) for stage, step, loss in heldout if (stage, step) in at]
    axes.plot(*zip(*points, strict=True), color="#c1440e", marker="o", markersize=4, linewidth=1.2, label="held-out")
    top = axes.get_ylim()[1]
    for index, (stage, offset) in enumerate(offsets.items()):
        if index:
            axes.axvline(offset / scale, color="#666666", linestyle="--", linewidth=0.8)
        axes.annotate(
            stage,
            (offset / scale, top),
            xytext=(4, -10),
            textcoords="offset points",
            fontsize=9,
            color="#444444",
        )
    axes.set_xlabel(f"tokens ({unit})")
    axes.set_ylabel("loss (nats a token)")
    axes.grid(alpha=0.25)
    axes.legend(loc="upper right", bbox_to_anchor=(1.0, 0.93), frameon=False)
    temporary = path.with_name(f".tmp-{path.name}-{os.getpid()}")
    figure.savefig(temporary, format="png")
    temporary.replace(path)
