"""`pomona trace`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

EPILOG = "Example: pomona trace runs/sample/train/core/checkpoint-000200 --step 137"


def trace(
    checkpoint: Annotated[Path, typer.Argument(help="A folder checkpoint-NNNNNN of a training.", show_default=False)],
    step: Annotated[list[int] | None, typer.Option(min=1, help="A step of the stage (may be repeated).")] = None,
    spikes: Annotated[bool, typer.Option("--spikes", help="Look for loss spikes, and trace them to rules.")] = False,
    stage: Annotated[str | None, typer.Option(help="Of the steps. [default: the checkpoint's]")] = None,
    mixture: Annotated[
        Path | None, typer.Option(help="The run it was trained on. [default: the folder above that has its tokens]")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Documents to show of a step.")] = 20,
    threshold: Annotated[float | None, typer.Option(min=0, help="Robust deviations of a spike. [default: 6]")] = None,
    most_clean: Annotated[
        float, typer.Option(min=0, max=0.5, help="Share of unsuspicious documents a proposed rule may drop.")
    ] = 0.01,
    html: Annotated[Path | None, typer.Option(help="Write the spike report as one page.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda[:N].")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines on standard output.")] = False,
) -> None:
    """List the documents of a training step by loss; or find spikes, and propose the rule that was missing."""
    from rich.console import Console

    from pipelines.recipe_errors import RecipeError
    from pipelines.trace import described, page, text
    from trainer.spikes import THRESHOLD
    from trainer.trace import Replay

    if spikes == bool(step):
        raise RecipeError(["give either --step N or --spikes"])
    if html is not None and not spikes:
        raise RecipeError(["--html goes with --spikes"])
    console = Console(highlight=False)
    if spikes:
        from pipelines.trace.spikes import report

        options = {"mixture": mixture, "stage": stage, "device": device, "most_clean": most_clean}
        found = report(checkpoint, threshold=THRESHOLD if threshold is None else threshold, **options)  # type: ignore[arg-type]
        if html is not None:
            page.write(found, html)
        if as_json:
            print(json.dumps(found.as_dict(), ensure_ascii=False))
        else:
            text.spikes(found, top, console)
        return
    replay = Replay(checkpoint, mixture, stage, device)
    folder = described.opened(replay.run)
    told: list[dict[str, object]] = []
    for number in step or []:
        traced = replay.trace(number, top)
        shown = traced.documents[:top]
        known = described.describe(folder, traced.stage, [one.id for one in shown])
        if as_json:
            rows = [{**dataclasses.asdict(one), **_about(known.get(one.id))} for one in shown]
            told.append({**dataclasses.asdict(traced), "of": len(traced.documents), "documents": rows})
        else:
            text.step(traced, shown, known, console)
    if as_json:
        print(json.dumps(told[0] if len(told) == 1 else told, ensure_ascii=False))


def _about(found: object) -> dict[str, object]:
    return dataclasses.asdict(found) if dataclasses.is_dataclass(found) and not isinstance(found, type) else {}
