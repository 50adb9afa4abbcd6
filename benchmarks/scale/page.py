"""Figures, and the tables of docs/scale.md: what stands between two marks is written from a result, never by hand."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.scale.fit import Line, line
from benchmarks.scale.plan import MOST_PARTITIONS, Plan, alone

GROUPS = {
    "extraction": ("01",),
    "measure and decide": ("02", "03"),
    "deduplicate": ("04",),
    "decontaminate, tokens, mixture, ledger, sums of the report": ("05", "06", "07", "08", "09", "10"),
}

FEW = 5_000
SMOKE = (
    "**These are figures of a smoke run**: so few pages show that everything works, and neither growth nor rates. "
    "The plan below rests on them, and means as little."
)


def times(result: Mapping[str, Any]) -> dict[str, list[float]]:
    """Seconds of each group of steps, and of all, for each size."""
    runs = result["runs"]
    found: dict[str, list[float]] = {
        name: [sum(seconds for step, seconds in run["steps"].items() if step.startswith(steps)) for run in runs]
        for name, steps in GROUPS.items()
    }
    found["all, without start-up"] = [run["seconds"] for run in runs]
    return found


def figures(result: Mapping[str, Any], folder: Path) -> None:
    """Draw time and peak memory over pages, each as a PNG file."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    runs = result["runs"]
    pages = [run["sizes"]["pages"] for run in runs]
    folder.mkdir(parents=True, exist_ok=True)

    def draw(name: str, title: str, unit: str, curves: Mapping[str, list[float]]) -> None:
        figure, axes = plt.subplots(figsize=(7.2, 4.4), dpi=130, layout="constrained")
        *steps, whole = curves
        for label in steps:
            axes.plot(pages, curves[label], marker="o", linewidth=1.8, label=label)
        axes.plot(pages, curves[whole], marker="o", linewidth=1.2, linestyle="--", color="0.25", label=whole)
        axes.set_xlabel("pages in the corpus")
        axes.set_ylabel(unit)
        axes.set_title(title, fontsize=11)
        axes.set_xlim(0, max(pages) * 1.05)
        highest = max(value for values in curves.values() for value in values if not math.isnan(value))
        axes.set_ylim(0, highest * 1.1 or 1)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=9)
        figure.savefig(folder / name, facecolor="white", metadata={"Software": None})
        plt.close(figure)

    draw("scale-time.png", f"time of a build, {result['workers']} workers", "seconds", times(result))
    draw(
        "scale-memory.png", f"peak memory of a build, {result['workers']} workers", "MiB, all processes", peaks(result)
    )


def peaks(result: Mapping[str, Any]) -> dict[str, list[float]]:
    """Peak MiB in each group of steps, and in all, for each size; not a number for steps over before a look at them."""
    runs = result["runs"]
    found = {
        name: [
            max((size for step, size in run["peaks"].items() if step.startswith(steps)), default=math.nan) / 2**20
            for run in runs
        ]
        for name, steps in GROUPS.items()
    }
    return {**found, "whole build": [run["peak_bytes"] / 2**20 for run in runs]}


def fitted(result: Mapping[str, Any]) -> Line | None:
    """The line through the times of whole builds; None where one size was measured."""
    runs = result["runs"]
    if len(runs) < 2:
        return None
    return line([run["sizes"]["pages"] for run in runs], [run["seconds"] for run in runs])


def growth(result: Mapping[str, Any]) -> str:
    """What was measured, as Markdown."""
    runs, memory = result["runs"], peaks(result)
    machine = result["machine"]
    rows = [
        f"Measured on {machine['cores']} cores with {machine['memory_bytes'] / 1e9:.0f} GB, "
        f"{result['workers']} workers, engine `local`; seconds without the start-up of the engine.",
        *([] if runs[-1]["sizes"]["pages"] >= FEW else ["", SMOKE]),
        "",
        "| | " + " | ".join(f"{run['sizes']['pages']:,} pages" for run in runs) + " |",
        "|---|" + "---|" * len(runs),
    ]

    def row(name: str, values: list[str]) -> None:
        rows.append(f"| {name} | " + " | ".join(values) + " |")

    row("HTML, MB", [f"{run['sizes']['html_bytes'] / 1e6:,.1f}" for run in runs])
    row("extracted text, MB", [f"{run['sizes']['text_bytes'] / 1e6:,.1f}" for run in runs])
    for name, values in times(result).items():
        row(f"{name}, s", [f"{value:,.1f}" for value in values])
    row("of it one process alone, s", [f"{alone(run):,.2f}" for run in runs])
    row("before the first step: listing and hashing, s", [f"{run['listing']:,.2f}" for run in runs])
    row("processor time, s", [f"{run['cpu_seconds']:,.1f}" for run in runs])
    row("seconds for 1,000 pages", [f"{run['seconds'] / run['sizes']['pages'] * 1000:,.2f}" for run in runs])
    row("seconds for 1 MB of HTML", [f"{run['seconds'] / run['sizes']['html_bytes'] * 1e6:,.3f}" for run in runs])
    for name, values in memory.items():
        row(f"peak memory, {name}, MiB", ["–" if math.isnan(value) else f"{value:,.0f}" for value in values])
    few, many = result["parted"]["partitions"]
    less, more = result["parted"]["runs"]
    rows += [
        "",
        f"One more build of {less['sizes']['pages']:,} pages, with {many} partitions instead of {few}: "
        f"{more['seconds']:,.1f} s instead of {less['seconds']:,.1f} s, of which one process works alone for "
        f"{alone(more):,.2f} s instead of {alone(less):,.2f} s.",
    ]
    found = fitted(result)
    if found is not None:
        rows += [
            "",
            f"Through the times of whole builds: {found.fixed:.1f} s + {found.slope * 1000:.2f} s for 1,000 pages, at "
            f"most {found.residual:.1%} from a point; time grows as pages to the power {found.exponent:.2f}.",
        ]
    return "\n".join(rows)


def told(plan: Plan) -> str:
    """A plan as Markdown."""
    asked = plan.asked
    lines = [
        f"For {asked.tokens:.3g} tokens at ${asked.price:g} a core-hour, {asked.cores:,} cores in machines of "
        f"{asked.cores_a_machine}:",
        "",
        "| | |",
        "|---|---|",
        f"| pages read | {plan.pages:.3g} |",
        f"| WARC read | {amount(plan.warc_bytes)} in {plan.units:,} units of {amount(asked.unit_bytes)} |",
        f"| documents extracted, decided for, clean | {plan.documents:.3g}, {plan.decided:.3g}, {plan.clean:.3g} |",
        f"| extracted text | {amount(plan.text_bytes)} |",
        f"| partitions of {amount(asked.partition_bytes)} | {plan.partitions:,}{_too_many(plan)} |",
        f"| tokenised shards | {plan.token_shards:,} |",
        f"| moved by shuffles, uncompressed | {amount(plan.shuffle_bytes)} |",
        f"| core-hours | {plan.core_hours:,.0f} |",
        f"| machine-hours | {plan.machine_hours:,.0f} |",
        f"| dollars | {plan.dollars:,.0f} |",
        f"| hours in which the planning process works alone | {plan.driver_hours:,.1f} |",
        f"| hours from beginning to end | {plan.hours:,.1f} |",
        f"| core-hours that hash the input, where it lies on disks | {plan.hashing_core_hours:,.0f} |",
        f"| memory of the task that joins {plan.edges:.3g} edges to components | {amount(plan.driver_edges_bytes)} |",
        f"| memory of the planning process: choosing the mixture | {amount(plan.driver_documents_bytes)} |",
        "",
        "| step | records in | core-hours | dollars | shuffled |",
        "|---|---|---|---|---|",
    ]
    for step in plan.steps:
        records = f"{step.records:.3g}" if step.records else "–"
        shuffled = amount(step.shuffle_bytes) if step.shuffle_bytes else "–"
        lines.append(f"| {step.name} | {records} | {step.core_hours:,.1f} | {step.dollars:,.2f} | {shuffled} |")
    return "\n".join(lines)


def _too_many(plan: Plan) -> str:
    if plan.partitions <= MOST_PARTITIONS:
        return ""
    larger = amount(plan.text_bytes / MOST_PARTITIONS)
    return f" (a recipe may ask for {MOST_PARTITIONS:,}: {larger} each, or several runs)"


def amount(count: float) -> str:
    """Bytes in a unit that leaves few digits."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if count < 1024:
            return f"{count:,.3g} {unit}"
        count /= 1024
    return f"{count:,.3g} PiB"


def rewritten(page: str, sections: Mapping[str, str]) -> str:
    """A page with new text between `<!-- NAME -->` and `<!-- end NAME -->`.

    Raises:
        ValueError: the page lacks one of the marks.
    """
    for name, text in sections.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
        if not pattern.search(page):
            raise ValueError(f"the page has no marks `<!-- {name} -->` and `<!-- end {name} -->`")
        page = pattern.sub(lambda found, text=text: f"{found[1]}{text}\n{found[2]}", page)
    return page
