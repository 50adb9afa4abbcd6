"""Inline SVG, drawn by hand: every colour is a class, so that light, dark and print are the style sheet's business."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from pipelines.report import figures
from pipelines.report.funnel import Level
from pipelines.report.scale import BINS
from pipelines.report.signals import Effect, Lane, Signal

WIDTH = 360
LANE = 60
BAR = 36
HEAD, FOOT = 2, 20
LABEL = 84.0
"""Where the name of a lane and its count end."""
RIVER = 1000
RIVER_USED = 930
"""Units of a river's width that the widest level fills; the rest is room for what leaves it."""
THINNEST = 3.0
"""A loss narrower than this would be a hair across the other streams: the list beside the river tells it alone."""


def ridges(signal: Signal, colours: Mapping[str, int]) -> Markup:
    """Draw a signal's histogram, a lane for each kind.

    Bar heights go with the square root of the count, so that rare values stay visible. What a rule dropped is drawn in
    the colour of loss, bounds as lines over the kinds that they are for.
    """
    lanes = [lane for lane in signal.lanes.values() if lane.total]
    lanes.sort(key=lambda lane: (not any(_covers(one, lane.kind) for one in signal.effects), -lane.total, lane.kind))
    height = HEAD + LANE * len(lanes) + FOOT
    drawn = [
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(_told(signal, lanes))}" class="ridges">',
    ]
    for at, lane in enumerate(lanes):
        base = HEAD + LANE * (at + 1) - 4
        drawn += [_shade(signal, effect, lane, base) for effect in signal.effects]
        drawn.append(_lane(lane, base, colours.get(lane.kind, 7)))
    drawn += [_bounds(signal, effect, lanes) for effect in signal.effects]
    for at, lane in enumerate(lanes):
        y = HEAD + LANE * at + 13
        drawn.append(
            f'<text class="lane" x="4" y="{y}">{escape(figures.visible(lane.kind))} '
            f'<tspan class="soft">{figures.count(lane.total)}</tspan></text>'
        )
    for tick in signal.scale.ticks():
        x = _x(signal, tick)
        anchor = "start" if x < 12 else "end" if x > WIDTH - 16 else "middle"
        drawn.append(f'<text class="tick" x="{x:.1f}" y="{height - 5}" text-anchor="{anchor}">{_tick(tick)}</text>')
        drawn.append(f'<path class="axis" d="M{x:.1f} {height - FOOT}v4"/>')
    drawn.append("</svg>")
    return Markup("".join(drawn))


def _told(signal: Signal, lanes: Sequence[Lane]) -> str:
    low, middle, high = (figures.value(found) for found in signal.quantiles)
    kinds = ", ".join(f"{lane.kind} {lane.total}" for lane in lanes)
    told = f"Histogram of {signal.name} by kind ({kinds}): median {middle}, 5 to 95 percent {low} to {high}"
    for effect in signal.effects:
        bounds = " and ".join(f"{boundary.word} {figures.value(boundary.bound)}" for boundary in effect.boundaries)
        told += f"; rule {effect.rule.name} wants {bounds} and {effect.rule.action}s {effect.dropped} records"
    return figures.visible(told)


def _x(signal: Signal, value: float) -> float:
    return 4 + float(signal.scale.position(np.array([value]))[0]) * (WIDTH - 8)


def _tick(value: float) -> str:
    return figures.short(value) if abs(value) >= 10_000 else f"{value:g}"


def _heights(lane: Lane) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    total = (lane.passed + lane.crossed).astype(np.float64)
    full = np.sqrt(total / max(1.0, float(total.max()))) * BAR
    full[total > 0] = np.maximum(full[total > 0], 2.0)
    low = np.divide(full * lane.passed, total, out=np.zeros_like(full), where=total > 0)
    return low, full


def _lane(lane: Lane, base: float, colour: int) -> str:
    low, full = _heights(lane)
    step = (WIDTH - 8) / BINS
    kept = "".join(
        f"M{4 + at * step:.1f} {base}v{-low[at]:.1f}h{step - 0.8:.1f}v{low[at]:.1f}z" for at in np.flatnonzero(low)
    )
    lost = "".join(
        f"M{4 + at * step:.1f} {base - low[at]:.1f}v{low[at] - full[at]:.1f}h{step - 0.8:.1f}v{full[at] - low[at]:.1f}z"
        for at in np.flatnonzero(lane.crossed)
    )
    axis = f'<path class="axis" d="M4 {base}H{WIDTH - 4}"/>'
    return f'{axis}<path class="c{colour}" d="{kept}"/><path class="lost" d="{lost}"/>'


def _covers(effect: Effect, kind: str) -> bool:
    return not effect.rule.kinds or kind in effect.rule.kinds


def _shade(signal: Signal, effect: Effect, lane: Lane, base: float) -> str:
    """Shade what lies beyond a bound, in the lanes that the rule is for."""
    if not _covers(effect, lane.kind):
        return ""
    drawn = ""
    for boundary in effect.boundaries:
        if signal.scale.shows(boundary.bound):
            x = _x(signal, boundary.bound)
            left, right = (4.0, x) if boundary.word == "at least" else (x, WIDTH - 4.0)
            place = f'x="{left:.1f}" y="{base - LANE + 21}" width="{right - left:.1f}" height="{LANE - 21}"'
            drawn += f'<rect class="beyond" {place}/>'
    return drawn


def _bounds(signal: Signal, effect: Effect, lanes: Sequence[Lane]) -> str:
    drawn = ""
    for boundary in effect.boundaries:
        if not signal.scale.shows(boundary.bound):
            continue
        x = _x(signal, boundary.bound)
        sign = "≥" if boundary.word == "at least" else "≤"
        # The bound's label stands over its line, in the row of the lane's name and never on it.
        place, anchor = (LABEL, "start") if x < LABEL + 20 else (x, "end" if x > WIDTH - 40 else "middle")
        covered = [at for at, lane in enumerate(lanes) if _covers(effect, lane.kind)]
        for at in covered:
            drawn += f'<path class="bound" d="M{x:.1f} {HEAD + LANE * at + 17}v{LANE - 21}"/>'
        for at in covered[:1]:
            drawn += f'<text class="bound" x="{place:.1f}" y="{HEAD + LANE * at + 13}" text-anchor="{anchor}">'
            drawn += f"{sign}\u202f{_tick(boundary.bound)}</text>"
    return drawn


def river(level: Level, sources: Sequence[str], widest: int, colours: Mapping[str, int]) -> Markup:
    """Draw one level of the funnel: each source's stream from top to bottom, and what leaves it to the right.

    The picture is stretched to its cell, so it holds no text; its numbers stand beside it.
    """
    unit = RIVER_USED / max(1, widest)
    lost_total = level.received - level.kept
    height = 100
    streams = {stream.source: stream for stream in level.streams}
    look = "spare" if level.spare else "away"
    top, bottom = 0.0, 0.0
    away = level.kept * unit + 14
    drawn: list[str] = []
    leaving: list[str] = []
    for source in sources:
        stream = streams.get(source)
        if stream is None:
            continue
        kept, lost = stream.kept * unit, (stream.received - stream.kept) * unit
        colour = colours.get(source, 7)
        if kept:
            drawn.append(_band(top, bottom, kept, height, f"c{colour}"))
        if lost >= THINNEST:
            leaving.append(_band(top + kept, away, lost, height, look))
            away += lost
        top += kept + lost
        bottom += kept
    words = f"{level.title}: {level.received} records in, {level.kept} kept, {lost_total} left"
    return Markup(
        f'<svg class="river" viewBox="0 0 {RIVER} {height}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(words)}">{"".join(drawn + leaving)}</svg>'
    )


def _band(top: float, bottom: float, width: float, height: float, look: str) -> str:
    half = height / 2
    return (
        f'<path class="{look}" d="M{top:.2f} 0C{top:.2f} {half} {bottom:.2f} {half} {bottom:.2f} {height}'
        f'h{width:.2f}C{bottom + width:.2f} {half} {top + width:.2f} {half} {top + width:.2f} 0z"/>'
    )


def similarities(counts: Mapping[int, int]) -> Markup:
    """Draw how alike the dropped copies were to the record that stayed, in steps of 0.05."""
    first = min(counts, default=0)
    most = max(counts.values(), default=1)
    bins = range(first, 20)
    step = (WIDTH - 8) / max(1, len(bins))
    drawn: list[str] = []
    for at, bin_ in enumerate(bins):
        tall = 90 * counts.get(bin_, 0) / most
        x = 4 + at * step
        if tall:
            tall = max(tall, 2.0)
            drawn.append(
                f'<rect class="c0" x="{x:.1f}" y="{110 - tall:.1f}" width="{step - 2:.1f}" height="{tall:.1f}"/>'
            )
            drawn.append(
                f'<text class="tick" x="{x + step / 2 - 1:.1f}" y="{105 - tall:.1f}" text-anchor="middle">'
                f"{figures.short(counts[bin_])}</text>"
            )
        if len(bins) <= 8 or at % 4 == 0:
            drawn.append(f'<text class="tick" x="{x:.1f}" y="126">{bin_ / 20:g}</text>')
    drawn.append(f'<text class="tick" x="{WIDTH - 4}" y="126" text-anchor="end">1</text>')
    words = "Similarity of dropped copies: " + ", ".join(
        f"{at / 20:g} to {(at + 1) / 20:g}: {counts[at]}" for at in sorted(counts)
    )
    return Markup(
        f'<svg viewBox="0 0 {WIDTH} 132" role="img" aria-label="{escape(words)}" class="ridges">'
        f'<path class="axis" d="M4 110.5H{WIDTH - 4}"/>{"".join(drawn)}</svg>'
    )
