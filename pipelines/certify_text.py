"""A check of a mixture in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pipelines.report.figures import count, value, visible

if TYPE_CHECKING:
    from rich.console import Console

ITEMS = 20
"""Items shown; `--json` has all."""


def render(found: dict[str, Any], console: Console) -> None:
    """Print sums by benchmark, the items found, and passages with what they share with their items."""
    headings = ("benchmark", "split", "licence", "items", "not checkable", "only with solution", "found", "digest")
    table = Table(*headings, box=None, header_style="dim")
    for one in found["benchmarks"]:
        numbers = (count(one[name]) for name in ("items", "not_checkable", "with_solution", "found"))
        table.add_row(
            Text(visible(one["name"])), one["split"] or "", one["license"] or "", *numbers, one["digest"][:12] + "…"
        )
    console.print(table)
    for one in found["found"][:ITEMS]:
        told = f"{visible(one['benchmark'])} {visible(one['item'])}: {count(one['documents'])} documents"
        console.print(Text("  " + told, style="yellow"))
    if len(found["found"]) > ITEMS:
        console.print(Text(f"  and {count(len(found['found']) - ITEMS)} more items; --json tells all", style="dim"))
    for one in found["samples"]:
        console.print(
            Text(f"\n{visible(one['uri'])}  {visible(one['benchmark'])} {visible(one['item'])}", style="bold")
        )
        console.print(Text(f"  id {one['id']}, score {value(one['score'])}", style="dim"))
        console.print(Padding(Text(visible(one["aligned"])), (0, 0, 0, 2)))
    stages = ", ".join(f"{visible(name)} {count(one['documents_hit'])}" for name, one in found["stages"].items())
    hit = found["documents_hit"]
    console.print(
        Text(
            f"\n{count(hit)} of {count(found['documents'])} documents hold {count(found['items_found'])} items "
            f"({stages})",
            style="bold red" if hit else "bold green",
        )
    )
