"""`pomona diff`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

EPILOG = "Example: pomona diff runs/sample runs/sample-strict --html diff.html"


def diff(
    before: Annotated[str, typer.Argument(help="A run folder, or URL.", show_default=False)],
    after: Annotated[str, typer.Argument(help="Another.", show_default=False)],
    samples: Annotated[int, typer.Option(min=0, help="Documents to show of each reason and direction.")] = 3,
    html: Annotated[Path | None, typer.Option(help="Write the answer as one page.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines on standard output.")] = False,
) -> None:
    """Say what a change of the recipe did: fields, reasons, documents and tokens gained and lost, with samples."""
    from rich.console import Console

    from pipelines.diff import diff as work
    from pipelines.diff import page, text
    from pipelines.storage import at

    found = work.diff(at(before), at(after), samples)
    if html is not None:
        page.write(found, html)
    if as_json:
        print(json.dumps(found.as_dict(), ensure_ascii=False, default=str))
    else:
        text.render(found, Console(highlight=False))
