"""A record's story in a terminal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.padding import Padding
from rich.rule import Rule as Line
from rich.table import Table
from rich.text import Text

from pipelines.document import canonical_json
from pipelines.report.figures import count, value, visible

if TYPE_CHECKING:
    from rich.console import Console

    from pipelines.why import Check, RecordStory, Story, Verdict

SPANS = 5
"""Benchmark spans shown; the story holds all."""
LOOKS = {"kept": "bold green", "dropped": "bold red", "failed": "bold yellow"}


def render(story: Story, console: Console) -> None:
    """Print a story: outcome first, then each step, each rule with its value and bounds, and the evidence.

    Texts of the record are shown with control and direction-changing characters replaced: a page cannot write to the
    terminal.
    """
    if len(story.records) > 1 or story.matched not in ("id", "URL"):
        many = "one record" if len(story.records) == 1 else f"{len(story.records)} records"
        console.print(Text(f"{many} by {story.matched} {visible(story.key)}", style="dim"))
    for record in story.records:
        _record(record, console)


def _record(record: RecordStory, console: Console) -> None:
    console.print(Line(Text(record.outcome.upper(), style=LOOKS[record.outcome]), align="left", style="dim"))
    console.print(Text(visible(record.uri), style="bold"), soft_wrap=True)
    console.print(Text(visible(record.told), style=LOOKS[record.outcome]))
    _facts(record, console)
    _steps(record, console)
    if record.checks:
        _rules(record, console)
    judged = {check.signal for check in record.checks if check.asked}
    rest = [(name, found) for name, found in record.signals.items() if name not in judged]
    if rest:
        told = ", ".join(f"{name} {found if isinstance(found, str) else value(found)}" for name, found in rest)
        console.print(Text.assemble(("\nmeasured, not judged  ", "dim"), visible(told)))
    _evidence(record, console)
    console.print()


def _facts(record: RecordStory, console: Console) -> None:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    grid.add_row("id", record.id)
    parts = [record.source, record.kind, record.language, record.license or "no licence stated"]
    if record.characters is not None:
        parts.append(f"{count(record.characters)} characters")
    if record.fetched_at:
        parts.append(f"fetched {record.fetched_at}")
    grid.add_row("record", Text(visible(" · ".join(part for part in parts if part))))
    for name, told in ((name, told) for name, told in record.rights.items() if told):
        grid.add_row(name.replace("_", " "), Text(visible(told)))
    if record.metadata:
        grid.add_row("metadata", Text(visible(canonical_json(record.metadata))))
    for placed in record.placements:
        grid.add_row("in stage", f"{placed.stage}: {count(placed.tokens)} tokens × {placed.weight:g}")
    console.print(Padding(grid, (0, 0, 1, 0)))


def _steps(record: RecordStory, console: Console) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", title_justify="left")
    for name in ("step", "verdict", "reason", "evidence"):
        table.add_column(name, overflow="fold", no_wrap=name != "evidence")
    for verdict in record.verdicts:
        table.add_row(
            verdict.step,
            Text(verdict.verdict, style=LOOKS[verdict.verdict].replace("bold ", "")),
            Text(visible(verdict.reason)),
            Text(visible(_detail(verdict)), style="dim"),
        )
    console.print(table)


def _detail(verdict: Verdict) -> str:
    """Tell a verdict's evidence in short; what has a block of its own below is left out here."""
    evidence: Mapping[str, Any] = verdict.evidence
    if "parent" in evidence or "spans" in evidence:
        return ""
    lost = "; ".join(one for one in (_lines(evidence.get("lines")), _blanked(evidence.get("blanked"))) if one)
    if verdict.signal is not None:
        judged = f"{verdict.signal} {value(verdict.value)}, threshold {value(verdict.threshold)}"
        return "; ".join(told for told in (judged, lost) if told)
    if lost:
        return lost
    if set(evidence) == {"note"}:
        return str(evidence["note"])
    return ", ".join(f"{name} {_short(told)}" for name, told in evidence.items() if told not in ("", None))


def _lines(lost: Any) -> str:
    """Tell how many lines were dropped, and how many fail each rule."""
    if not isinstance(lost, dict):
        return ""
    by_rule = ", ".join(f"{name} {number}" for name, number in lost["rules"].items())
    return f"{count(lost['dropped'])} of {count(lost['count'])} lines dropped ({by_rule})"


def _blanked(cut: Any) -> str:
    """Tell how many places lost sentences, and by which rules."""
    if not isinstance(cut, dict):
        return ""
    return f"sentences blanked in {count(len(cut['spans']))} places ({', '.join(cut['rules'])})"


def _short(told: Any) -> str:
    """Write a piece of evidence; a digest is known by its beginning."""
    text = told if isinstance(told, str) else canonical_json(told)
    return text[:12] + "…" if re.fullmatch(r"[0-9a-f]{32,}", text) else text


def _rules(record: RecordStory, console: Console) -> None:
    """List the rules asked of the record, those that it fails first; the others are counted."""
    asked = sorted((check for check in record.checks if check.asked), key=lambda check: check.passed is not False)
    wide = console.width >= 110
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("")
    table.add_column("rule", overflow="fold")
    if wide:
        table.add_column("signal", overflow="fold")
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("bounds", no_wrap=True)
    table.add_column("")
    for check in asked:
        mark, look = ("✓", "green") if check.passed else ("✗", "bold red")
        told = (
            "not measured"
            if check.value is None
            else ""
            if check.passed or check.action == "drop"
            else f"{count(check.value)} lines dropped"
            if check.action == "drop_line"
            else check.action
        )
        row = (
            Text(mark, style=look),
            check.rule,
            *((check.signal,) if wide else ()),
            "" if check.action == "drop_line" else value(check.value),
            _bounds(check),
            told,
        )
        table.add_row(*row, style="" if check.passed else "red")
    if asked:
        console.print(Padding(table, (1, 0, 0, 0)))
    if others := len(record.checks) - len(asked):
        console.print(
            Text(f"\n{others} rule{'s are' if others > 1 else ' is'} for other kinds or sources", style="dim")
        )


def _bounds(check: Check) -> str:
    told = [f"{sign} {value(bound)}" for sign, bound in (("≥", check.min), ("≤", check.max)) if bound is not None]
    return ", ".join(told)


def _evidence(record: RecordStory, console: Console) -> None:
    if record.duplicate is not None:
        found = record.duplicate
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim")
        grid.add_column(overflow="fold")
        grid.add_row("duplicate of", Text(visible(found.parent_uri), style="bold"))
        grid.add_row("its id", found.parent)
        grid.add_row("similarity", f"{value(found.similarity)} ({found.method or 'method not recorded'})")
        console.print(Padding(grid, (1, 0, 0, 0)))
    for span in record.spans[:SPANS]:
        where = f" at {span.start}–{span.end}" if span.start is not None else ""
        score = "" if span.score is None else f", score {value(span.score)}"
        console.print(
            Text(f"\nbenchmark {visible(span.benchmark)} item {visible(span.item)}{where}{score}", style="bold")
        )
        if span.aligned:
            console.print(Padding(Text(visible(span.aligned)), (0, 0, 0, 2)))
        elif span.text:
            shown = span.text if len(span.text) <= 400 else span.text[:400] + " …"
            console.print(Padding(Text(visible(shown), style="italic"), (0, 0, 0, 2)))
    if len(record.spans) > SPANS:
        console.print(Text(f"\nand {count(len(record.spans) - SPANS)} more spans; --json tells all", style="dim"))
    if record.copies:
        console.print(Text(f"\n{count(record.copies)} dropped as its copies", style="dim"))
        for uri in record.copy_uris:
            console.print(Text("  " + visible(uri)), soft_wrap=True)
        if record.copies > len(record.copy_uris):
            console.print(Text(f"  and {count(record.copies - len(record.copy_uris))} more", style="dim"))
