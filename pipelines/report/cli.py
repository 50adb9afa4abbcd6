"""`pomona report`."""

from __future__ import annotations

from typing import Annotated

import typer

EPILOG = "Example: pomona report runs/sample"


def report(
    run: Annotated[str, typer.Argument(help="A run folder, or URL, that `pomona build` made.", show_default=False)],
    workers: Annotated[int, typer.Option(min=1, help="Processes that count what the page says of all records.")] = 1,
) -> None:
    """Write `report.html` of a run again, and the dataset cards with it."""
    from pipelines import card
    from pipelines import report as pages
    from pipelines import run as runs
    from pipelines.engines.local import LocalEngine
    from pipelines.report import folder, tally
    from pipelines.storage import at, lock

    place = at(run)
    runs.read(place)
    with lock(place, f"pomona report {run}"):
        engine = LocalEngine(workers)
        try:
            sums = tally.gather(folder.RunFolder.open(place), engine)
        finally:
            engine.close()
        card.write(place, sums)
        print(pages.write(place, sums))
