"""Two runs' difference in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from pipelines.document import canonical_json
from pipelines.report.figures import count, excerpt, visible

if TYPE_CHECKING:
    from rich.console import Console

    from pipelines.diff.diff import Difference, Tally

FIELDS = 40
VALUE = 60
CHARACTERS = 110


def render(found: Difference, console: Console) -> None:
    """Print what differs: recipe, steps, documents by source, language and kind, why they moved, samples, mixtures."""
    console.print(Text(f"{found.before}  →  {found.after}", style="bold"), soft_wrap=True)
    if found.equal:
        console.print("the same documents in the same mixtures")
    _heading(f"recipe: {len(found.recipe)} fields differ", console)
    for path, one, other in found.recipe[:FIELDS]:
        console.print(Text(f"  {path}: {value(one)} → {value(other)}"), soft_wrap=True)
    if len(found.recipe) > FIELDS:
        console.print(f"  and {len(found.recipe) - FIELDS} more; --json has all")
    if found.steps:
        _heading("steps", console)
        table = Table("step", "kept", "", "reason", "records", "", box=None)
        for step in found.steps:
            table.add_row(step.step, *pair(step.kept), "", "", "")
            for reason, counts in step.reasons.items():
                if counts[0] != counts[1]:
                    table.add_row("", "", "", visible(reason), *pair(counts))
        console.print(table)
    _heading("curated documents and tokens", console)
    table = Table("", "documents", "gained", "lost", "tokens", "gained", "lost", box=None)
    table.add_row("all", *tallied(found.total))
    for facet, tallies in found.by.items():
        for name, tally in tallies.items():
            if tally.gained or tally.lost:
                table.add_row(f"{facet} {visible(name) or '–'}", *tallied(tally))
    console.print(table)
    for direction, word in (("lost", "in the other"), ("gained", "before")):
        mine = [one for one in found.moved if one.direction == direction]
        if mine:
            _heading(direction, console)
        for one in mine:
            where = " ".join(part for part in (one.step, one.reason) if part)
            console.print(f"  {count(one.documents)} documents, {count(one.tokens)} tokens; {word}: {where}")
            for sample in found.samples:
                if (sample.direction, sample.step, sample.reason) == (direction, one.step, one.reason):
                    console.print(Text(f"    {visible(sample.uri)}", style="bold"), soft_wrap=True)
                    line = " ".join(excerpt(sample.text, CHARACTERS).split())
                    console.print(Text(f"      {line}", style="dim"), soft_wrap=True)
    _heading("mixtures", console)
    table = Table("stage", "entry", "tokens or share", "", box=None)
    for stage in found.stages:
        table.add_row(stage.stage, "", *pair(stage.tokens))
        for name, (one, other) in stage.weights.items():
            told = ["–" if share is None else f"{share:.4f}" for share in (one, other)]
            table.add_row("", visible(name), *told)
    console.print(table)


def _heading(text: str, console: Console) -> None:
    console.print(Text(text, style="bold"))


def pair(counts: tuple[int, int]) -> tuple[str, str]:
    """Write a count before, and after with the difference."""
    change = counts[1] - counts[0]
    told = f" ({'+' if change > 0 else '−'}{count(abs(change))})" if change else ""
    return count(counts[0]), count(counts[1]) + told


def tallied(tally: Tally) -> tuple[str, ...]:
    """Write the columns of a tally."""
    told = [count(tally.before) + (f" → {count(tally.after)}" if tally.after != tally.before else "")]
    told += [f"+{count(tally.gained)}", f"−{count(tally.lost)}"]
    change = f" → {count(tally.tokens_after)}" if tally.tokens_after != tally.tokens_before else ""
    return (
        *told,
        count(tally.tokens_before) + change,
        f"+{count(tally.tokens_gained)}",
        f"−{count(tally.tokens_lost)}",
    )


def value(found: Any) -> str:
    """Write a recipe's value in a few characters."""
    text = "–" if found is None else found if isinstance(found, str) else canonical_json(found)
    return visible(text if len(text) <= VALUE else text[: VALUE - 1] + "…")
