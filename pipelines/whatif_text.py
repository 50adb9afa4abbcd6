"""What other rules would do, in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pipelines.report.figures import count, value, visible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from pipelines.whatif import Tally, WhatIf


def render(found: WhatIf, console: Console) -> None:
    """Print the answer: what changes, documents and tokens by source and by rule, and samples."""
    for change in found.changes:
        before, after = _told(change.before), _told(change.after)
        console.print(Text.assemble((change.rule, "bold"), f"  {change.signal}  {before} → {after}"), soft_wrap=True)
    if not found.changes:
        console.print("the rules are as they were")
    console.print(_sources(found))
    if found.rules:
        console.print(_rules(found.rules))
    for sample in found.samples:
        look = "green" if sample.direction == "gained" else "red"
        judged = f"{value(sample.value)}, bound {value(sample.threshold)}"
        console.print(
            Text.assemble((sample.direction, look), f" by {sample.rule} ({judged})  ", (visible(sample.uri), "bold")),
            soft_wrap=True,
        )
        shown = " ".join(visible(sample.text).split())
        console.print(Padding(Text(shown[:300], style="dim"), (0, 0, 1, 2)))
    for note in ("tokens gained are estimated; duplicates and benchmark text are looked for afterwards", *found.notes):
        console.print(Text(note, style="dim"))


def _sources(found: WhatIf) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("source")
    for name in ("kept", "then", "gained", "lost", "tokens", "gained ≈", "lost"):
        table.add_column(name, justify="right", no_wrap=True)
    rows = dict(found.sources)
    if len(rows) != 1:
        rows["all"] = found.total
    for name, tally in rows.items():
        table.add_row(
            name,
            count(tally.before),
            count(tally.after),
            _signed("+", tally.gained),
            _signed("−", tally.lost),
            count(tally.tokens_before),
            _signed("+", tally.tokens_gained),
            _signed("−", tally.tokens_lost),
        )
    return table


def _rules(rules: Mapping[str, Tally]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("rule that dropped, or would drop")
    for name in ("gained", "lost", "tokens gained ≈", "tokens lost"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, tally in rules.items():
        table.add_row(
            name,
            _signed("+", tally.gained),
            _signed("−", tally.lost),
            _signed("+", tally.tokens_gained),
            _signed("−", tally.tokens_lost),
        )
    return table


def _signed(sign: str, number: int) -> str:
    return f"{sign}{count(number)}" if number else "–"


def _told(fields: dict[str, Any] | None) -> str:
    if fields is None:
        return "no rule"
    signs = {"min": "≥ ", "max": "≤ "}
    told = [f"{signs.get(name, name + ' ')}{_plain(field)}" for name, field in fields.items()]
    return ", ".join(told)


def _plain(field: Any) -> str:
    return value(field) if isinstance(field, int | float) else str(field)
