"""Plots of comparisons and of mixtures as PNG, and the page that a comparison leaves."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.proxies.intervals import Difference
from pipelines.storage import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = {"helps": "#1b7a3d", "hurts": "#b3261e", "not shown": "#666666"}


def png(figure: Figure) -> bytes:
    """Return a figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def differences(found: Sequence[Difference], path: Path, names: tuple[str, str]) -> bytes:
    """Draw B less A of every held-out set with both intervals, and write the PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 1.3 + 0.5 * len(found)), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    for row, one in enumerate(reversed(found)):
        colour = COLOURS[one.verdict]
        scale = 100 / one.a
        for shift, interval, style in ((0.12, one.over_seeds, "-"), (-0.12, one.over_documents, ":")):
            axes.plot(
                [interval.low * scale, interval.high * scale], [row + shift] * 2, style, color=colour, linewidth=2
            )
        axes.plot(one.over_seeds.mean * scale, row, "o", color=colour, markersize=6)
    axes.axvline(0.0, color="#333333", linewidth=0.8)
    axes.set_yticks(range(len(found)), [f"{one.name}\n{one.verdict}" for one in reversed(found)], fontsize=8)
    axes.set_ylim(-0.6, len(found) - 0.4)
    axes.set_xlabel(f"bits a byte, {names[1]} less {names[0]}, % of {names[0]} (left: B is better)", fontsize=8)
    axes.plot([], [], "-", color="#666666", label="95 % over seeds (paired t)")
    axes.plot([], [], ":", color="#666666", label="95 % over documents (bootstrap)")
    axes.legend(fontsize=7, loc="best", frameon=False)
    axes.grid(axis="x", alpha=0.25)
    drawn = png(figure)
    write_bytes(path, drawn)
    return drawn


def page(title: str, sentences: Sequence[str], facts: Sequence[tuple[str, str]], picture: bytes, path: Path) -> None:
    """Write a page of its own: sentences, the picture, what was run."""
    rows = "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in facts)
    said = "".join(f"<li>{html.escape(one)}</li>" for one in sentences)
    image = base64.b64encode(picture).decode()
    text = (
        f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title>"
        "<style>body{font:15px/1.5 system-ui;max-width:60em;margin:2em auto;padding:0 1em}th{text-align:left;"
        "padding-right:1em;font-weight:600}img{max-width:100%}</style>"
        f"<h1>{html.escape(title)}</h1><ul>{said}</ul><img alt='differences with intervals' "
        f"src='data:image/png;base64,{image}'><table>{rows}</table>\n"
    )
    write_bytes(path, text.encode())
