"""Traces in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from pipelines.report.figures import count, excerpt, share, value, visible

if TYPE_CHECKING:
    from rich.console import Console

    from pipelines.trace.described import Described
    from pipelines.trace.spikes import SpikeReport
    from trainer.trace import DocumentLoss, StepTrace

CHARACTERS = 110
SHOWN = 8


def step(traced: StepTrace, shown: Sequence[DocumentLoss], known: Mapping[str, Described], console: Console) -> None:
    """Print the documents of a step, the highest loss first."""
    console.print(
        Text(
            f"{traced.stage} step {traced.step}: loss {traced.loss:.4f} with the weights of step "
            f"{traced.weights_step}; {len(traced.documents)} documents",
            style="bold",
        )
    )
    for one in shown:
        about = known.get(one.id)
        where = about.uri if about and about.uri else one.id
        head = f"{one.loss:8.4f}  {share(one.share, 1):>7} of the loss  {one.tokens:>6} tokens  {one.source}  "
        console.print(Text(head + visible(where)), soft_wrap=True)
        console.print(Text("          " + _line(one.text), style="dim"), soft_wrap=True)


def spikes(found: SpikeReport, top: int, console: Console) -> None:
    """Print a spike report: spikes, documents, sources, rules, proposal."""
    told = f"{len(found.spikes)} spikes" if found.found else "no spike"
    head = f"{found.stage}: {told}; {len(found.steps)} steps taken again with the weights of step {found.weights_step}"
    console.print(Text(head, style="bold"))
    for one in found.spikes[:SHOWN]:
        skipped = ", update skipped" if one.skipped else ""
        console.print(
            f"  {one.signal} {value(one.value)} at step {one.step} (usual {value(one.expected)}, {one.score:g} robust "
            f"deviations, steps {one.first} to {one.last}{skipped})"
        )
    if found.usual is not None:
        console.print(f"  a document's usual loss: {found.usual.median:.3f} ± {found.usual.deviation:.3f}")
    console.print(Text(f"{len(found.suspects)} suspicious documents", style="bold"))
    for suspect in found.suspects[:top]:
        where = suspect.uri or suspect.id
        line = f"  {suspect.loss:7.3f}  {suspect.score:5.1f}σ  step {suspect.steps[0]}  {suspect.source}  "
        console.print(Text(line + visible(where)), soft_wrap=True)
        console.print(Text("           " + _line(suspect.text), style="dim"), soft_wrap=True)
    table = Table("source", "documents", "suspicious", "times the usual share", "median loss", box=None)
    for rank in found.sources:
        table.add_row(rank.source, count(rank.seen), count(rank.suspects), f"{rank.lift:.2f}", f"{rank.loss:.3f}")
    console.print(table)
    if found.rules:
        console.print(Text("rules that let them through", style="bold"))
        for rule in found.rules[:SHOWN]:
            better = "" if rule.bound is None else f"; {value(rule.bound)} would have told them apart"
            console.print(
                f"  {rule.rule}: {rule.passed} of {rule.asked} passed, median {value(rule.median)} is the "
                f"{rule.percentile:.1f}th percentile of the others{better}"
            )
    if found.proposals:
        console.print(Text("proposed, for filters.rules", style="bold"))
        for rule in found.proposals:
            console.print(Text(f"  {rule.yaml}", style="green"), soft_wrap=True)
            console.print(
                f"    would drop {count(rule.documents)} documents ({count(rule.tokens)} tokens): {rule.suspects} "
                f"suspicious, {count(rule.others)} others ({share(rule.others_share, 1)} of them)"
            )
    for note in found.notes:
        console.print(Text(f"note  {note}", style="yellow"), soft_wrap=True)


def _line(text: str) -> str:
    return " ".join(excerpt(text, CHARACTERS).split())
