"""A take-down in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from pipelines.report.figures import count, counted, short, visible
from pipelines.runs.amounts import bytes_text, seconds_text

if TYPE_CHECKING:
    from rich.console import Console

    from pipelines.takedown.checkpoints import Exposure
    from pipelines.takedown.takedown import Takedown

SHOWN = 10
STEPS = 12


def render(found: Takedown, console: Console) -> None:
    """Print what was done, what it cost the mixtures, which checkpoints saw it, and what is left."""
    done = "would be taken down" if found.dry_run else "taken down"
    console.print(Text(f"{counted(len(found.records), 'record')} {done} in {found.run}", style="bold"))
    for one in found.records[:SHOWN]:
        console.print(Text(f"  {one.id}  {visible(one.uri)}  ({visible(one.by)})"), soft_wrap=True)
    if len(found.records) > SHOWN:
        console.print(f"  and {count(len(found.records) - SHOWN)} more; --json has all")
    if found.copies:
        console.print(Text(f"copies of them: {count(len(found.copies))}", style="bold"))
        for one in found.copies[:SHOWN]:
            alike = "" if one.similarity is None else f", similarity {one.similarity:.3g}"
            what = "kept in its place" if one.kept else f"dropped{alike}"
            console.print(Text(f"  {one.id}  {visible(one.uri)}  ({what})"), soft_wrap=True)
    if found.stages:
        table = Table("stage", "documents", "tokens", "shards", box=None)
        for name, stage in found.stages.items():
            table.add_row(name, f"−{count(stage.documents)}", f"−{count(stage.tokens)}", str(stage.shards or ""))
        console.print(table)
    for one in found.archives:
        done = "would be struck from" if found.dry_run else "struck from"
        console.print(Text(f"{counted(one.records, 'answer')} {done} {one.path}"), soft_wrap=True)
    if found.files:
        console.print(f"{counted(found.files, 'file')} written again, {bytes_text(found.bytes)}")
    for one in found.exposures:
        _exposure(one, console)
    for text in found.notes:
        console.print(Text(f"note  {text}", style="yellow"), soft_wrap=True)
    for text in found.left:
        console.print(Text(f"left  {text}", style="yellow"), soft_wrap=True)
    if not found.dry_run:
        console.print(f"the mixture is version {found.version}; `pomona runs verify {found.run}` checks it")


def _exposure(found: Exposure, console: Console) -> None:
    console.print(Text(f"checkpoints in {found.folder}", style="bold"), soft_wrap=True)
    for stage, steps in found.steps.items():
        told = ", ".join(map(str, steps[:STEPS])) + (" …" if len(steps) > STEPS else "")
        console.print(Text(f"  {stage}: in {counted(len(steps), 'step')}" + (f" ({told})" if steps else "")))
    for one in found.checkpoints:
        seen = "clean" if one.clean else f"saw {count(len(one.seen))} of them, first in {one.first}"
        console.print(Text(f"  {one.path}  {seen}", style="green" if one.clean else "red"), soft_wrap=True)
    if found.replay is not None:
        again = found.replay
        told = [counted(again.steps, "step"), counted(again.tokens, "token")]
        told += [] if again.seconds is None else [seconds_text(again.seconds)]
        told += [] if again.flops is None else [f"{short(again.flops)}FLOP"]
        told += [] if again.money is None else [f"{again.money:,.2f} in money"]
        console.print(Text(f"  a replay from {again.start}: {', '.join(told)}"), soft_wrap=True)
    for text in found.notes:
        console.print(Text(f"  {text}", style="yellow"), soft_wrap=True)
