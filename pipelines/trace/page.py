"""The spike report as one page: what happened, who was there, which rule was missing."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
import numpy as np
from markupsafe import Markup

from pipelines.report import figures
from pipelines.storage import write_bytes

if TYPE_CHECKING:
    from pipelines.trace.spikes import SpikeReport

WIDTH, HEIGHT, LEFT, RIGHT, TOP, FOOT = 1000, 260, 52, 12, 14, 26
POINTS = 1500
"""Points of a curve; of more steps the highest of each stretch is drawn, so that no spike is lost."""


def render(found: SpikeReport) -> str:
    """Lay a report out as HTML; text not ours is escaped, and no script runs."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        {"count": figures.count, "value": figures.value, "visible": figures.visible, "excerpt": figures.excerpt}
    )
    template = resources.files("pipelines.trace").joinpath("templates", "spikes.html").read_text("utf-8")
    style = resources.files("pipelines.report").joinpath("templates", "page.css").read_text("utf-8")
    steps = [one[0] for one in found.series]
    return environment.from_string(template).render(
        told=found,
        style=Markup(style),
        share=figures.share,
        loss=plot(found, steps, [one[1] for one in found.series], "loss", False),
        norm=plot(found, steps, [one[2] for one in found.series], "grad_norm", True),
    )


def write(found: SpikeReport, path: Path) -> None:
    """Write the page, whole or not at all."""
    write_bytes(path, render(found).encode("utf-8", "replace"))


def plot(found: SpikeReport, steps: Sequence[int], values: Sequence[float], signal: str, logarithm: bool) -> Markup:
    """Draw a curve over the steps, with its spikes marked and the checkpoint's step."""
    x, y = np.asarray(steps, float), np.asarray(values, float)
    if len(x) > POINTS:
        cuts = np.array_split(np.arange(len(x)), POINTS)
        at = np.array([part[int(np.argmax(y[part]))] for part in cuts])
        x, y = x[at], y[at]
    level = np.log10(np.maximum(y, 1e-12)) if logarithm else y
    low, high = float(level.min()), float(level.max())
    high = high if high > low else low + 1
    first, last = float(x[0]), max(float(x[-1]), float(x[0]) + 1)

    def across(step: float) -> float:
        return LEFT + (step - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def down(one: float) -> float:
        return TOP + (high - one) / (high - low) * (HEIGHT - TOP - FOOT)

    name = "loss (nats a token)" if signal == "loss" else "gradient norm (logarithmic)"
    drawn = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name} by step" class="curve">']
    for spike in found.spikes:
        if spike.signal == signal:
            left, right = across(spike.first - 0.5), across(spike.last + 0.5)
            width = max(right - left, 3)
            drawn.append(
                f'<rect class="band" x="{left:.1f}" y="{TOP}" width="{width:.1f}" height="{HEIGHT - TOP - FOOT}"/>'
            )
    for part in range(5):
        one = low + part / 4 * (high - low)
        told = figures.value(float(f"{10**one if logarithm else one:.3g}"))
        drawn.append(f'<path class="grid-line" d="M{LEFT} {down(one):.1f}H{WIDTH - RIGHT}"/>')
        drawn.append(f'<text x="{LEFT - 6}" y="{down(one) + 4:.1f}" text-anchor="end">{told}</text>')
    for part in range(6):
        step = first + part / 5 * (last - first)
        anchor = "start" if part == 0 else "end" if part == 5 else "middle"
        drawn.append(f'<text x="{across(step):.1f}" y="{HEIGHT - 8}" text-anchor="{anchor}">{round(step)}</text>')
    points = " ".join(f"{across(a):.1f},{down(b):.1f}" for a, b in zip(x.tolist(), level.tolist(), strict=True))
    drawn.append(f'<polyline class="line" points="{points}"/>')
    mark = across(min(max(found.weights_step, first), last))
    drawn.append(f'<path class="mark" d="M{mark:.1f} {TOP}V{HEIGHT - FOOT}"/>')
    drawn.append("</svg>")
    return Markup("".join(drawn))
