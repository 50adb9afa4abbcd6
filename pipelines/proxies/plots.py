"""Plots of comparisons and of mixtures as PNG, and the page that a comparison leaves."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.proxies.intervals import Difference
from pipelines.storage import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
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


def optimization(facts: Mapping[str, Any], path: Path) -> bytes:
    """Draw what a search found: weights before and after, what was observed, and what confirmed it; write the PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 4.2), dpi=150, layout="constrained")
    bars, points = figure.subplots(1, 2, width_ratios=(1, 1.2))
    names = list(facts["weights"])
    kinds = (("natural", "#c9c9c9", "supply"), ("current", "#8fb4d9", "current"), ("weights", "#1f5a96", "proposed"))
    for shift, (key, colour, label) in zip((-0.27, 0.0, 0.27), kinds, strict=True):
        places = [n + shift for n in range(len(names))]
        bars.bar(places, [facts[key][name] for name in names], width=0.26, color=colour, label=label)
    bars.set_xticks(range(len(names)), names, rotation=20, fontsize=8)
    bars.set_ylabel("share of tokens")
    bars.legend(frameon=False, fontsize=8)
    bars.grid(axis="y", alpha=0.25)
    _searched(points, facts)
    points.grid(alpha=0.25)
    handles, _ = points.get_legend_handles_labels()
    if handles:
        points.legend(frameon=False, fontsize=7)
    confirmed = facts["confirmed"]["difference"]
    points.set_title(
        f"confirmed with {facts['seeds']} seeds: {confirmed['mean']:+.4f} bits a byte "
        f"({confirmed['low']:+.4f} to {confirmed['high']:+.4f}): {facts['verdict']}",
        fontsize=8,
    )
    drawn = png(figure)
    write_bytes(path, drawn)
    return drawn


def _searched(axes: Axes, facts: Mapping[str, Any]) -> None:
    """What the search observed, by method."""
    if "mixtures" in facts:
        observed = sorted(facts["observed"])
        axes.plot(range(1, len(observed) + 1), observed, "o", color="#8fb4d9", markersize=3, label="random mixtures")
        for arm, colour in (("current", "#666666"), ("proposed", "#c1440e")):
            found = facts["confirmed"][arm]
            axes.axhspan(found["low"], found["high"], color=colour, alpha=0.15)
            axes.axhline(found["mean"], color=colour, linewidth=1.2, label=f"{arm}, trained")
            axes.axhline(facts["predicted"][arm], color=colour, linewidth=1.0, linestyle=":", label=f"{arm}, predicted")
        axes.set_xlabel("random mixtures, by their loss")
        axes.set_ylabel("target loss (bits a byte)")
    elif "observed_domain" in facts:
        seen = facts["observed_domain"]
        scales = list(zip(seen["size"], seen["tokens"], strict=True))
        rows = [n for n, scale in enumerate(scales) if scale == max(scales)]  # of the largest models the longest
        for key, colour in (("domain", "#1f5a96"), ("general", "#c1440e")):
            axes.plot([seen["share"][n] for n in rows], [seen[key][n] for n in rows], "o-", color=colour, label=key)
        axes.axhline(facts["bound"], color="#c1440e", linestyle=":", label="bound of general loss")
        axes.axvline(facts["share"], color="#333333", linestyle="--", label="proposed")
        axes.set_xlabel(f"share of {facts['domain']}")
        axes.set_ylabel("loss (bits a byte)")
    else:
        for number, one in enumerate(facts["candidates"]):
            label = "current" if number == 0 else None
            colour = "#c1440e" if number == 0 else "#8fb4d9"
            axes.plot(facts["compute"], one["losses"], "o-", color=colour, markersize=3, label=label)
            said = one["forecast"]
            axes.errorbar(
                facts["target_flops"],
                said["mean"],
                yerr=[[max(0.0, said["mean"] - said["low"])], [max(0.0, said["high"] - said["mean"])]],
                fmt="s",
                color=colour,
                markersize=4,
            )
        axes.set_xscale("log")
        axes.set_xlabel("compute (FLOPs); squares: forecast")
        axes.set_ylabel("target loss (bits a byte)")
